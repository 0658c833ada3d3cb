"""Which family of distributions this machine belongs to: whose packages hints name."""

from __future__ import annotations

from pathlib import Path

from engine.tools.table import Distribution

_OS_RELEASE = Path("/etc/os-release")
_FAMILIES: tuple[tuple[str, Distribution], ...] = (
    ("debian", "debian"),
    ("ubuntu", "debian"),
    ("fedora", "fedora"),
    ("rhel", "fedora"),
    ("arch", "arch"),
    ("nixos", "nix"),
)


def distribution(os_release: Path = _OS_RELEASE) -> Distribution | None:
    """Returns the family of distributions that this one belongs to (os-release(5))."""
    try:
        text = os_release.read_text(errors="replace")
    except OSError:
        return None
    pairs = (line.partition("=") for line in text.splitlines())
    values = {key: value.strip("\"'") for key, _, value in pairs}
    kin = {values.get("ID", ""), *values.get("ID_LIKE", "").split()}
    return next((family for name, family in _FAMILIES if name in kin), None)
