"""What there is to know of an image, as names and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from engine.inspect.describe import heading

_MOST = 8
"""Sentences under one name; an image may hold hundreds of kernels."""
_STARTS = {"no": "does not start", "unknown": "may start or not"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know.

    Attributes:
        name: What it is about; facts of one name follow each other.
        warns: Something is wrong.
    """

    name: str
    text: str
    warns: bool = False


def facts_of(report: dict[str, Any]) -> tuple[Fact, ...]:
    """Returns the facts of an image's report, what matters most first."""
    file = f"{report['format']}, {report['file_bytes']:,} bytes"
    return (
        Fact("File", file),
        *_facts("System", [_system(system) for system in report["system"]]),
        *chain.from_iterable(_boot(name, boot) for name, boot in report["boots"].items()),
        *_facts("Entries", [_entry(entry) for entry in report["boot_entries"]]),
        *_facts("Kernels", [_kernel(kernel) for kernel in report["kernels"]]),
        *_facts("Loaders", [f"{x['name']} ({x['where']})" for x in report["loaders"]]),
        *_facts("Wrong", report["findings"], warns=True),
    )


def _facts(name: str, texts: Sequence[str], *, warns: bool = False) -> Iterator[Fact]:
    for text in texts[:_MOST]:
        yield Fact(name, text, warns)
    if len(texts) > _MOST:
        yield Fact(name, f"and {len(texts) - _MOST:,} more", warns)


def _system(system: dict[str, Any]) -> str:
    return f"{system['pretty_name']} ({system['where']})"


def _boot(firmware: str, boot: dict[str, Any]) -> Iterator[Fact]:
    name, entry = firmware.upper(), boot["entry"]
    if boot["starts"] == "yes" and entry is not None:
        yield Fact(name, f"starts {heading(entry)}")
    else:
        says = _STARTS.get(boot["starts"], _STARTS["unknown"])
        yield Fact(name, f"{says}: {boot['why_not']}" if boot["why_not"] else says)
    yield from (Fact(name, f"by {step}") for step in boot["chain"])
    yield from (Fact(name, note, warns=True) for note in boot["notes"])


def _entry(entry: dict[str, Any]) -> str:
    missing = f", without {', '.join(entry['missing'])}" if entry["missing"] else ""
    return f"{heading(entry)}{' (default)' if entry['default'] else ''}{missing}"


def _kernel(kernel: dict[str, Any]) -> str:
    known = (kernel["version"] or kernel["path"], kernel["architecture"])
    return f"{', '.join(filter(None, known))} ({kernel['where']})"
