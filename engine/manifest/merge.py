"""Puts what several sources bring into one tree, and says where they are in each other's way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.manifest.entry import Entry
from engine.manifest.findings import Finding, Findings
from engine.manifest.links import relink
from engine.manifest.part import Part
from engine.manifest.tree import Tree
from engine.problem import Problem


@dataclass(slots=True)
class Merged:
    """The tree of all parts.

    Attributes:
        entries: In manifest order, the root directory first.
        placed: For each part, the entries that it has in the tree.
        problems: Of the parts and of their meeting.
    """

    entries: list[Entry]
    placed: list[list[Entry]]
    problems: list[Problem]


def merge(parts: Sequence[Part], *, epoch_ns: int, spec_order: bool = False) -> Merged:
    """Merges parts into one tree.

    Directories merge; anything else may stand at a path once. What is nearer to the root goes
    first, then the order of the spec, so that a part's target may lead through a symbolic link
    of the image (`/lib` of a merged `/usr`) wherever the two stand in the spec. A directory
    keeps the metadata it got first, unless a later part states a mode or an owner. What a part
    that replaces brings takes the place of what parts before it in the spec bring. Missing
    parents are made: 0755, root's, dated `epoch_ns`.

    Args:
        parts: In the order of the spec. Their entries are never changed.
        epoch_ns: Time of directories that no source brings.
        spec_order: Merge in the order of the spec instead, as the reference does: a target that
            exists is refused, and what a glob or the root brings replaces what is there.
    """
    if len(parts) == 1 and _stands_alone(parts[0]):
        part = parts[0]
        return Merged(part.entries, [part.entries], _problems(part, part.findings))
    tree = Tree(epoch_ns, spec_order)
    sequence = list(range(len(parts)))
    if not spec_order:
        sequence.sort(key=lambda at: (_depth(parts[at].target), at))
    placed: dict[int, list[Entry]] = {}
    problems: dict[int, list[Problem]] = {}
    for at in sequence:
        part = parts[at]
        findings = Findings()
        placed[at] = tree.place(part, findings, at)
        problems[at] = _problems(part, (*part.findings, *findings))
    entries = tree.in_order()
    if tree.moved or tree.dropped or _share_inodes(parts):
        entries = relink(entries, [part.heads for part in parts], tree.moved)
        # Names of one inode may be new objects now; owners are given by path.
        by_path = {entry.path: entry for entry in entries}
        placed = {
            at: [by_path[entry.path] for entry in there if entry.path in by_path]
            for at, there in placed.items()
        }
    return Merged(
        entries,
        [placed[at] for at in range(len(parts))],
        [problem for at in range(len(parts)) for problem in problems[at]],
    )


def _problems(part: Part, findings: Iterable[Finding]) -> list[Problem]:
    return [finding.problem(part.where) for finding in findings]


def _depth(target: bytes) -> int:
    return target.count(b"/") + 1 if target else 0


def _stands_alone(part: Part) -> bool:
    return bool(part.entries and not part.entries[0].path)


def _share_inodes(parts: Sequence[Part]) -> bool:
    seen: set[object] = set()
    for part in parts:
        if not seen.isdisjoint(part.heads):
            return True
        seen.update(part.heads)
    return False
