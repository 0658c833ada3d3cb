from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.boot import grub
from engine.boot.menu import MenuEntry
from engine.boot.parts import mkimage
from engine.manifest.entry import Entry
from engine.manifest.memory import file_of
from tests.support.tools import run_tool


@given(st.text(st.characters(exclude_characters="\0\n\r", exclude_categories=["Cs"])))
def test_a_quoted_word_is_one_word_of_the_shell(text: str) -> None:
    # For single quotes GRUB's grammar is the POSIX shell's.
    import shlex

    assert shlex.split(grub.quote(text)) == [text]


def test_grub_script_check_accepts_a_menu_with_hostile_names(tmp_path: Path) -> None:
    entry = MenuEntry(
        title="It's {a} $(trap) `x`; }", version="6.1", options="a='b c' $d",
        kernel=file_of(b"boot/vmlinuz '6'", b"", mtime_ns=0),
        initrds=(file_of(b"boot/initrd", b"", mtime_ns=0),), origin="boot",
    )  # fmt: skip

    def file(one: Entry) -> grub.GrubFile:
        return grub.GrubFile("" if one is entry.kernel else "1A2B-3C4D", f"/{one.path.decode()}")

    config = tmp_path / "grub.cfg"
    config.write_text(grub.menu_config([entry], file))
    run_tool(["grub-script-check", str(config)], check=True)


@pytest.mark.parametrize("target", ["i386-pc", "x86_64-efi"])
def test_core_images_are_made_in_memory_and_always_the_same(target: str) -> None:
    mkimage.cache_clear()
    first = mkimage(target, "(,gpt2)/boot/grub")
    mkimage.cache_clear()
    assert first == mkimage(target, "(,gpt2)/boot/grub")
    assert b"(,gpt2)/boot/grub" in first or target == "i386-pc"  # the BIOS core is compressed


def test_a_grub_mkimage_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(grub.TARGET_MODULES, "no-such-target", ())
    with pytest.raises(OSError, match="grub-mkimage failed with status"):
        mkimage("no-such-target", "")


def test_a_module_that_newer_grubs_lack_is_left_out() -> None:
    ours = grub.mkimage_argv("grub-mkimage", "x86_64-efi", "(,gpt2)/", "out")
    newer = grub.mkimage_argv("grub-mkimage", "x86_64-efi", "(,gpt2)/", "out", (), grub.DROPPED)
    assert tuple(word for word in ours if word != "efi_uga") == newer != ours


def test_the_boot_sector_keeps_what_is_the_disks_own() -> None:
    old = bytes(range(256)) * 2
    code = grub.place(b"\xee" * 512, bytes(2048), lba=34, room=2014)
    sector = grub.boot_sector(code, old)
    assert sector[0x1B8:] == old[0x1B8:]
    assert sector[0x03:0x5A] == old[0x03:0x5A]
    assert sector[0x5C:0x64] == (34).to_bytes(8, "little")
    assert code.core[0x1F4:0x1FC] == (35).to_bytes(8, "little")
    assert code.sectors == 4
