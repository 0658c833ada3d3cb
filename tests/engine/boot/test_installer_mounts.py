"""Where a NixOS system's own installer finds the volumes, and when it needs a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.boot.installer_mounts import mounts, needs_disk
from engine.spec.load import loads
from engine.spec.resolve import resolve
from engine.spec.settings import Settings

NIXOS = "schema = 1\nboot.loader = 'nixos'\nnix.system = '/nix/store/s'\n"


def settings_of(table: str, *volumes: str) -> Settings:
    listed = "".join(f"[[volume]]\n{volume}\n" for volume in volumes)
    return resolve(loads(f"{NIXOS}layout.table = '{table}'\n{listed}"), Path("/"), {})[0]


def own(*more: str) -> Settings:
    return settings_of("gpt", *more, "id = 'root'")


HOME = "id = 'home'"
ESP = "id = 'esp'\nsize = '64MiB'"
BOOT = "id = 'boot'\nmount = '/boot'"


@pytest.mark.parametrize(
    ("settings", "seen", "disk"),
    [
        (settings_of("efi"), ["/boot vfat"], False),
        (settings_of("hybrid"), ["/boot vfat"], False),
        (settings_of("efixbootldr"), ["/boot vfat", "/efi vfat"], False),
        (settings_of("legacy"), [], True),
        (settings_of("legacy+boot"), ["/boot vfat"], True),
        (settings_of("none"), [], False),
        (own(ESP, HOME), ["/boot vfat", "/home ext4"], False),
        # What grub-install of a distribution expects: kernels beside the ESP, not on it.
        (own(ESP + "\nmount = '/boot/efi'", BOOT), ["/boot ext4", "/boot/efi vfat"], True),
        (own(ESP + "\nmount = '/boot/efi'"), ["/boot/efi vfat"], True),
        (own(ESP, BOOT), ["/boot ext4"], True),
    ],
)
def test_volumes_are_where_they_are_mounted_later(
    settings: Settings, seen: list[str], *, disk: bool
) -> None:
    root, *found = mounts(settings)
    assert (root.volume, root.place) == ("root", "/")
    assert [f"{one.place} {one.format}" for one in found] == seen
    assert all(one.number == settings.number(one.volume) for one in found)
    assert needs_disk(settings) is disk


def test_subvolumes_are_named_to_the_mount() -> None:
    btrfs = (
        "id = 'root'\nformat = 'btrfs'\nsubvolumes = ['@:/', '@home:/home', '@spare']\n"
        "default_subvolume = '@'"
    )
    found = mounts(settings_of("gpt", "id = 'bios-boot'", btrfs))
    assert [(one.place, one.option) for one in found] == [("/", ""), ("/home", "subvol=@home")]
