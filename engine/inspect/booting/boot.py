"""What a firmware would boot from an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from engine.inspect.booting.entry import BootEntry, Menu
from engine.inspect.booting.grub import GrubMenu

Firmware = Literal["bios", "uefi"]
Verdict = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Boot:
    """The way from a firmware to a kernel, as far as the image tells.

    Attributes:
        starts: Whether something would boot; "unknown" where the image does not tell.
        chain: What is started one after another, each with its place.
        entry: The default entry.
        why_not: A sentence, where `starts` is "no".
        notes: What else there is to know.
    """

    starts: Verdict
    chain: tuple[str, ...] = ()
    entry: BootEntry | None = None
    why_not: str = ""
    notes: tuple[str, ...] = ()

    def behind(self, *steps: str) -> Boot:
        """Returns the same with steps that come before its own."""
        return replace(self, chain=(*steps, *self.chain))


def not_started(why: str) -> Boot:
    """Returns the way that ends here, and why."""
    return Boot("no", why_not=why)


def from_menu(menu: Menu) -> Boot:
    """Returns what a loader with this menu starts."""
    if menu.why_not:
        return Boot("no", entry=menu.default, why_not=menu.why_not, notes=menu.notes)
    if menu.default is None:
        return Boot("unknown", notes=menu.notes)
    return Boot("yes", (menu.default.where,), menu.default, notes=menu.notes)


def from_grub(menus: list[GrubMenu]) -> Boot:
    """Returns what GRUB starts, by the first of the menus it may read."""
    if not menus:
        return Boot("unknown", notes=("there is no grub.cfg where GRUB usually has it",))
    first, *rest = menus
    started = from_menu(first.menu)
    others = [other for other in rest if other.menu.entries != first.menu.entries]
    if others:
        places = ", ".join(other.where for other in others)
        note = f"GRUB is taken to read {first.where}, which comes first; others: {places}"
        started = replace(started, notes=(*started.notes, note))
    return started
