"""What there is to know of an image, as names and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from engine.inspect.describe import KINDS, heading
from engine.units import in_bytes

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
    """Returns what matters most of an image's report: what it is, whether it starts, what is wrong.

    A bare file system starts nothing, so nothing is said of that.
    """
    systems = report["system"]
    boots = report["boots"].items() if report["disk"]["table"] != "none" else ()
    return (
        *_facts("System", [_system(system, len(systems) > 1) for system in systems]),
        *(Fact(firmware.upper(), _verdict(boot)) for firmware, boot in boots),
        *_facts("Wrong", report["findings"], warns=True),
    )


def details_of(report: dict[str, Any]) -> tuple[Fact, ...]:
    """Returns what else there is: the way to each kernel, and all that could be started."""
    boots = [(firmware.upper(), boot) for firmware, boot in report["boots"].items()]
    return (
        *chain.from_iterable(_facts(name, boot["chain"]) for name, boot in boots),
        *(Fact(name, note, warns=True) for name, boot in boots for note in boot["notes"]),
        *_facts("Entries", [_entry(entry) for entry in report["boot_entries"]]),
        *_facts("Kernels", [_kernel(kernel) for kernel in report["kernels"]]),
        *_facts("Loaders", [f"{x['where']}: {x['name']}" for x in report["loaders"]]),
        Fact("File", f"{report['format']}, {in_bytes(report['file_bytes'])}"),
    )


def _facts(name: str, texts: Sequence[str], *, warns: bool = False) -> Iterator[Fact]:
    for text in texts[:_MOST]:
        yield Fact(name, text, warns)
    if len(texts) > _MOST:
        yield Fact(name, f"and {len(texts) - _MOST:,} more", warns)


def _system(system: dict[str, Any], several: bool) -> str:
    return f"{system['pretty_name']} ({system['where']})" if several else system["pretty_name"]


def _verdict(boot: dict[str, Any]) -> str:
    entry = boot["entry"]
    if boot["starts"] == "yes" and entry is not None:
        return f"starts {heading(entry)}"
    says = _STARTS.get(boot["starts"], _STARTS["unknown"])
    return f"{says}: {boot['why_not']}" if boot["why_not"] else says


def _entry(entry: dict[str, Any]) -> str:
    missing = [f"without {path}" for path in entry["missing"]]
    default = ["default"] if entry["default"] else []
    return f"{heading(entry)} ({', '.join([KINDS[entry['kind']], *default, *missing])})"


def _kernel(kernel: dict[str, Any]) -> str:
    known = (kernel["version"] or kernel["path"], kernel["architecture"])
    return f"{', '.join(filter(None, known))} ({kernel['where']})"
