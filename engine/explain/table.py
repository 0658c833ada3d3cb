"""The explanations of problems: `problems/*.toml`, one file a topic, one table a code.

The command `explain`, the page docs/problems.md and the wizard read this table. A test holds it to
the codes that the engine and the wizard can raise.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath

TOPICS = {
    "spec": "Reading a spec",
    "disk": "Layout, sizes and volumes",
    "contents": "Contents",
    "nix": "NixOS",
    "boot": "Booting",
    "verity": "Hash trees and signatures",
    "output": "Output and this machine",
    "fleet": "Fleets",
    "commands": "Commands",
}
"""The files of `problems/`, in the order of a manual, with their titles."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The paragraph of one code.

    Attributes:
        code: The problem's code, as `plan --json` has it.
        topic: Key of `TOPICS`.
        means: What has been found.
        why: Why it is refused or warned of.
        mend: What to do.
        says: One such message as a terminal shows it, severity first. FOLDER stands for a folder.
        spec: A spec that has the problem, without `schema = 1`; "" where it takes more than a spec.
    """

    code: str
    topic: str
    means: str
    why: str
    mend: str
    says: str
    spec: str = ""


def explanations() -> dict[str, Explanation]:
    """Returns all explanations by code, topic by topic."""
    folder = files(__package__).joinpath("problems")
    found: dict[str, Explanation] = {}
    for topic in TOPICS:
        table = tomllib.loads(folder.joinpath(f"{topic}.toml").read_text(encoding="utf-8"))
        for code, row in table.items():
            if code in found:
                raise ValueError(f"{code} is explained in {found[code].topic} and in {topic}")
            found[code] = Explanation(code, topic, **row)
    return found


def strays() -> tuple[str, ...]:
    """Returns the names of files beside the topics' own, which nothing would read."""
    folder = files(__package__).joinpath("problems")
    return tuple(one.name for one in folder.iterdir() if PurePath(one.name).stem not in TOPICS)


def near(word: str, codes: Iterable[str]) -> tuple[str, ...]:
    """Returns up to three codes that a word may mean: similar ones, then those that contain it."""
    known = list(codes)
    similar = difflib.get_close_matches(word.lower(), known, n=3, cutoff=0.7)
    parts = [code for code in known if word and word.lower() in code]
    return tuple(dict.fromkeys([*similar, *parts]))[:3]
