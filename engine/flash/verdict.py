"""How writing or comparing ended, in a sentence."""

from __future__ import annotations

from engine.flash.destination import Destination
from engine.flash.outcome import Outcome
from engine.units import human


def verdict(destination: Destination, outcome: Outcome, *, writing: bool) -> str:
    """Returns what to say of a disk that is as the image is."""
    through = "" if outcome.direct else ", through the page cache (no direct reading there)"
    same = f"{destination.path} is the image, bit for bit"
    read = f"{human(outcome.bytes)} in {outcome.seconds:.1f} s{through}"
    if not writing:
        return f"{same}: compared {read}"
    rest = [f"{human(outcome.written)} written and read back"]
    if outcome.zeroed:
        rest.append(f"{human(outcome.zeroed)} made zeros")
    if outcome.skipped:
        rest.append(f"{human(outcome.skipped)} were zeros already")
    return f"{same}: {', '.join(rest)}; {read}"
