"""What a value of `[[contents]]` may be wrong about by itself."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from engine.problem import Problem
from engine.spec.keys import KEYS
from engine.spec.model import Content, ImageSpec
from engine.spec.modes import EXAMPLES, parse_mode
from engine.spec.refusals import bad_choice, edit, error
from engine.spec.rules import rules_of
from engine.spec.shape import show
from engine.spec.texts import control_character

MAX_ID = (1 << 32) - 2
"""Largest owner: 2^32-1 means "no change" to chown(2)."""
_UNIT = re.compile(r"[A-Za-z0-9:_.-][A-Za-z0-9:_.@-]{0,199}")


def check(spec: ImageSpec) -> Iterator[Problem]:
    """Yields what is wrong with the values of each content entry."""
    relative = rules_of(spec.compat).relative_targets
    for index, entry in enumerate(spec.contents):
        yield from _content(f"contents[{index}]", entry, relative=relative)


def _content(path: str, entry: Content, *, relative: bool) -> Iterator[Problem]:
    if not entry.source:
        yield error("empty-source", f"{path}.source", "is empty", "name a file or folder")
    yield from _target(f"{path}.target", entry.target, relative=relative)
    if entry.mode:
        try:
            parse_mode(entry.mode)
        except ValueError as problem:
            hint = "examples: " + ", ".join(EXAMPLES)
            yield error("bad-mode", f"{path}.mode", str(problem), hint)
    yield from _owner(f"{path}.user", entry.user)
    yield from _owner(f"{path}.group", entry.group)
    if entry.partition is not None and entry.partition not in KEYS["contents[].partition"].choices:
        yield bad_choice(f"{path}.partition", entry.partition, KEYS["contents[].partition"].choices)
    if isinstance(entry.extract, str) and entry.extract != "oci":
        yield _extract(f"{path}.extract", entry.extract)
    if entry.service is not None and not _UNIT.fullmatch(entry.service):
        yield error(
            "bad-service",
            f"{path}.service",
            f"{show(entry.service)} is not the name of a unit: letters, digits and : - _ . @",
            'such as "web"',
        )
    for position, pattern in enumerate(entry.exclude):
        if not pattern:
            yield error("empty-pattern", f"{path}.exclude[{position}]", "is empty", "remove it")


def _extract(path: str, text: str) -> Problem:
    truth = {"true": True, "false": False}.get(text.lower())
    better = "oci" if truth is None else truth
    return error(
        "bad-choice",
        path,
        f'is {show(text)}, but must be true, false or "oci"',
        f"write {show(better)}" if truth is not None else "",
        edit(f"Take {show(better)}", (path, better)),
    )


def climbs_out(target: str) -> bool:
    """Whether a path in the image leaves it through ".."."""
    depth = 0
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in {"", "."}:
            depth += 1
        if depth < 0:
            return True
    return False


def _target(path: str, target: str, *, relative: bool) -> Iterator[Problem]:
    if not target:
        yield error(
            "empty-target", path, "is empty", 'write "/" for the top of the image',
            edit("Put it at the top of the image", (path, "/")),
        )  # fmt: skip
    elif climbs_out(target):
        yield error(
            "target-climbs-out", path, f'{show(target)} leaves the image through ".."',
            "name a path below /",
        )  # fmt: skip
    elif not target.startswith("/") and not relative:
        better = posixpath.normpath(f"/{target}")
        yield error(
            "relative-target",
            path,
            f"{show(target)} does not start with /",
            "a target is a path in the image",
            edit(f"Make it {better}", (path, better)),
        )


def _owner(path: str, owner: str | int | None) -> Iterator[Problem]:
    if owner is None or owner == "":
        return
    text = str(owner)
    if re.fullmatch(r"-?[0-9]+", text):
        if not 0 <= int(text) <= MAX_ID:
            yield error("bad-owner", path, f"is {text}, but must be 0 to {MAX_ID}")
    elif re.search(r"[\s:/,]", text) or control_character(text):
        yield error(
            "bad-owner", path, f"is {show(text)}; a name has no space, colon, comma or slash"
        )
