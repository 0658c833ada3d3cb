"""debian/ agrees with the rest of the tree; building and installing it is in docs/releasing.md."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from engine import __version__

PROJECT = Path(__file__).parents[2]
DEBIAN = PROJECT / "debian"


def stanzas(path: Path) -> list[dict[str, str]]:
    """Returns the paragraphs of a control file (deb822)."""
    found = []
    for text in path.read_text().strip().split("\n\n"):
        fields = re.findall(r"^([\w-]+):((?:.*\n?)(?:^[ \t].*\n?)*)", text, re.MULTILINE)
        found.append({name: value.strip() for name, value in fields})
    return found


def names(field: str) -> set[str]:
    return {one.strip().split()[0] for one in field.split(",") if one.strip()}


def test_the_package_has_the_version() -> None:
    assert (DEBIAN / "changelog").read_text().startswith(f"diskwright ({__version__}) ")


def test_the_package_brings_what_a_first_build_runs() -> None:
    _source, package = stanzas(DEBIAN / "control")
    rows = [
        line.split()
        for line in (PROJECT / "setup/packages.txt").read_text().splitlines()
        if line.startswith("run command:")
    ]
    run = {row[2] for row in rows if row[1] not in ("command:gcc", "command:pkg-config")}

    assert run <= names(package["Depends"])


def test_each_vendored_package_has_its_licence() -> None:
    listed = {
        stanza["Files"].removeprefix("debian/vendor/").rstrip("*-").lower()
        for stanza in stanzas(DEBIAN / "copyright")
        if stanza.get("Files", "").startswith("debian/vendor/")
    }
    locked = {
        name.lower().replace("-", "_")
        for lock in ("requirements.lock", "requirements-build.lock", "debian/vendor.lock")
        for name in re.findall(r"^([\w.-]+)==", (PROJECT / lock).read_text(), re.MULTILINE)
    }

    assert locked <= listed
    licences = [one["License"] for one in stanzas(DEBIAN / "copyright") if "License" in one]
    texts = {text.split("\n")[0] for text in licences}
    full = {text.split("\n")[0] for text in licences if "\n" in text}
    assert texts == full


def test_what_is_run_can_be_run_and_what_is_installed_exists() -> None:
    for name in ("rules", "fetch-vendor", "tests/hello"):
        assert (DEBIAN / name).stat().st_mode & stat.S_IXUSR
    for name in ("diskwright.install", "diskwright.manpages", "diskwright.docs"):
        for line in (DEBIAN / name).read_text().splitlines():
            assert (PROJECT / line.split()[0]).exists()
