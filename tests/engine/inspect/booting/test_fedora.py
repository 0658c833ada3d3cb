"""GRUB's menus of type 1 entries and the way through shim's fallback, as Fedora has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.boot.trees import X86_KERNEL
from tests.engine.inspect.booting.images import built, debugfs, report

GRUB_CFG = """\
if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
else
   set default="${saved_entry}"
fi
if [ "${prev_saved_entry}" ]; then
  set saved_entry="${prev_saved_entry}"
fi
search --no-floppy --label --set=root root
set boot=$root
insmod blscfg
blscfg
if [ "$grub_platform" = "efi" ]; then
  menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
    fwsetup
  }
fi
"""
ENTRY = """\
title Fedora Linux ({0}) 41
version {0}
linux /boot/vmlinuz-{0}
initrd /boot/initramfs-{0}.img $tuned_initrd
options root=LABEL=root ro
grub_users $grub_users
"""
ID = "0123456789abcdef0123456789abcdef-6.{}.fc41.x86_64"


def fedora(folder: Path, grubenv: str) -> dict[str, Any]:
    contents: dict[str, bytes | str] = {"boot/grub2/grubenv": grubenv.encode().ljust(1024, b"#")}
    for minor in (9, 10, 11):
        release = f"6.{minor}.fc41.x86_64"
        contents[f"boot/loader/entries/{ID.format(minor)}.conf"] = ENTRY.format(release).encode()
        contents[f"boot/vmlinuz-{release}"] = X86_KERNEL
        contents[f"boot/initramfs-{release}.img"] = b"i"
    image = built(folder, "legacy", "grub", contents)
    (folder / "grub.cfg").write_text(GRUB_CFG)
    debugfs(image, "rm /boot/grub/grub.cfg", f"write {folder}/grub.cfg /boot/grub2/grub.cfg")
    return report(image.image)


HEAD = "# GRUB Environment Block\nblsdir=/boot/loader/entries\n"


@pytest.mark.parametrize(
    ("saved", "minor"),
    [("", 11), (f"saved_entry={ID.format(9)}\n", 9), ("saved_entry=gone\n", 11),
     ("saved_entry=Fedora Linux (6.10.fc41.x86_64) 41\n", 10)],
)  # fmt: skip
def test_blscfg_starts_the_saved_entry_or_the_newest(
    tmp_path: Path, saved: str, minor: int
) -> None:
    found = fedora(tmp_path, HEAD + saved)
    assert found["findings"] == []
    boot = found["boots"]["bios"]
    assert boot["starts"] == "yes"
    assert boot["entry"]["version"] == f"6.{minor}.fc41.x86_64"
    assert boot["entry"]["initrd"] == [f"/boot/initramfs-6.{minor}.fc41.x86_64.img"]
    assert boot["entry"]["kind"] == "type1"
    # With the one that is GRUB's own.
    assert len(found["boot_entries"]) == 4
