from __future__ import annotations

from pathlib import Path

import pytest

from engine.inspect.booting.extlinux import Label, parse
from tests.engine.inspect.booting.images import CONTENTS, built, report

# As NixOS writes it for U-Boot, and as a SYSLINUX user does.
TEXT = """\
# Generated file
DEFAULT nixos-default
MENU TITLE ---
TIMEOUT 50

LABEL nixos-default
  MENU LABEL NixOS - ^Default
  LINUX ../vmlinuz-6.1
  INITRD ../initrd.img-6.1
  APPEND init=/nix/store/x/init  loglevel=4
  FDTDIR ../dtbs

label old
\tkernel /boot/vmlinuz-5.9
\tappend root=/dev/sda1 initrd=/boot/a,b ro
"""


def test_labels_have_their_files_and_options() -> None:
    labels, default = parse(TEXT)
    assert default == "nixos-default"
    assert labels == [
        Label("nixos-default", "NixOS - Default", "../vmlinuz-6.1", "../initrd.img-6.1",
              "init=/nix/store/x/init loglevel=4"),
        Label("old", "", "/boot/vmlinuz-5.9", "/boot/a,b", "root=/dev/sda1 ro"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "default"),
    [("", ""), ("default x", "x"), ("label a\nlabel b", "a"), ("default no\nlabel a", "a"),
     ("default menu.c32\nlabel a", "a"), ("label a\nlabel b\ndefault b", "b")],
)  # fmt: skip
def test_the_default_is_the_one_named_or_the_first(text: str, default: str) -> None:
    assert parse(text)[1] == default


def test_a_menu_on_an_image_is_told_with_what_is_missing(tmp_path: Path) -> None:
    contents = {**CONTENTS, "boot/extlinux/extlinux.conf": TEXT.encode()}
    found = report(built(tmp_path, "legacy", "none", contents).image)
    first, second = found["boot_entries"]
    assert (first["kind"], first["default"], second["default"]) == ("extlinux", True, False)
    assert (first["linux"], first["missing"]) == ("/boot/vmlinuz-6.1", [])
    assert second["missing"] == ["/boot/vmlinuz-5.9", "/boot/a", "/boot/extlinux/b"]
    assert len(found["findings"]) == 3
