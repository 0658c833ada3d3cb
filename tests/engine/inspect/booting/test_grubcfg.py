"""What is read from grub.cfg: Debian's and Fedora's ways, and what others write by hand."""

from __future__ import annotations

import pytest

from engine.inspect.booting.grubcfg import GrubConfig, GrubPath, parse

# As grub-mkconfig writes it, shortened.
DEBIAN = r"""
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
else
   set default="DEFAULT"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    linux /not/this
  fi
}
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'simple-1' {
    load_video
    insmod gzio
    if [ x$feature_platform_search_hint = xy ]; then
      search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 1234-abcd
    else
      search --no-floppy --fs-uuid --set=root 1234-abcd
    fi
    echo    'Loading Linux 6.1.0-9-amd64 ...'
    linux    /boot/vmlinuz-6.1.0-9-amd64 root=UUID=1234-abcd ro  quiet
    initrd    /boot/microcode /boot/initrd.img-6.1.0-9-amd64
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'advanced-1' {
    menuentry 'Debian GNU/Linux, with Linux 6.1.0-9-amd64' --id 'advanced-6.1' {
        linux    /boot/vmlinuz-6.1.0-9-amd64 root=UUID=1234-abcd ro single
    }
    menuentry 'Debian GNU/Linux, with Linux 5.10.0-1-amd64' --id=old {
        linux    /boot/vmlinuz-5.10.0-1-amd64 root=UUID=1234-abcd ro
    }
}
menuentry 'UEFI Firmware Settings' { fwsetup; }
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
fi
"""
USUAL = {"root": "", "prefix": "()/boot/grub", "config_directory": "()/boot/grub"}
USUAL |= {"next_entry": ""}


def debian(default: str, **variables: str) -> GrubConfig:
    return parse(DEBIAN.replace("DEFAULT", default), USUAL | variables)


def test_debians_menu_has_its_entries_in_order() -> None:
    config = debian("0")
    assert [(item.place, item.submenu, item.identifier) for item in config.items] == [
        ((0,), False, "simple-1"),
        ((1,), True, "advanced-1"),
        ((1, 0), False, "advanced-6.1"),
        ((1, 1), False, "old"),
        ((2,), False, ""),
    ]
    first = config.items[0]
    assert first is config.default
    assert first.title == "Debian GNU/Linux"
    assert first.linux == GrubPath("uuid:1234-abcd", "/boot/vmlinuz-6.1.0-9-amd64")
    assert first.options == "root=UUID=1234-abcd ro quiet"
    assert [path.path for path in first.initrd] == [
        "/boot/microcode", "/boot/initrd.img-6.1.0-9-amd64",
    ]  # fmt: skip
    # What one entry searched for is not what the next one has.
    assert config.items[2].linux == GrubPath("", "/boot/vmlinuz-6.1.0-9-amd64")
    assert config.others == (GrubPath("", "/boot/grub/custom.cfg"),)
    assert config.computed == ()


@pytest.mark.parametrize(
    ("default", "place"),
    [
        ("0", (0,)), ("2", (2,)), ("9", (0,)), ("simple-1", (0,)), ("1>1", (1, 1)),
        ("advanced-1>old", (1, 1)), ("UEFI Firmware Settings", (2,)), ("no such", (0,)),
        ("Advanced options for Debian GNU/Linux>0", (1, 0)),
    ],
)  # fmt: skip
def test_a_default_is_a_number_a_title_an_identifier_or_a_way_through_submenus(
    default: str, place: tuple[int, ...]
) -> None:
    found = debian(default).default
    assert found is not None
    assert found.place == place


def test_a_default_that_is_a_submenu_starts_nothing() -> None:
    assert debian("1").default is None


def test_the_saved_entry_counts_and_the_next_one_only_once_it_is_set() -> None:
    saved = debian("${saved_entry}", saved_entry="advanced-1>old")
    assert saved.default is not None
    assert saved.default.identifier == "old"


@pytest.mark.parametrize(
    ("word", "device", "path"),
    [
        ("/vmlinuz", "", "/vmlinuz"),
        ("(hd0,gpt2)/vmlinuz", "hd0,gpt2", "/vmlinuz"),
        ("($drive1)//kernels/k", "uuid:11-22", "//kernels/k"),
        ("(${drive2})/k", "label:store", "/k"),
        ("$prefix/../k", "", "/boot/grub/../k"),
        ("'/a b'", "", "/a b"),
        ('"/a\\"b"', "", '/a"b'),
        ("/a\\ b", "", "/a b"),
        ("/'a'\"b\"c", "", "/abc"),
    ],
)
def test_files_are_named_with_devices_quotes_and_variables(
    word: str, device: str, path: str
) -> None:
    text = (
        "search --set=drive1 --fs-uuid 11-22\n"
        "search.fs_label store drive2 hd0\n"
        f"menuentry x {{\n linux {word} a=b\n}}\n"
    )
    (entry,) = parse(text, USUAL).items
    assert entry.linux == GrubPath(device, path)
    assert entry.options == "a=b"
    assert not entry.unknown


def test_what_only_a_run_would_tell_is_named() -> None:
    text = 'for x in 1 2; do\n menuentry "$x" { linux /k $extra\n }\ndone\n'
    assert parse(text, USUAL).computed == ("for", "$extra", "$x")


def test_a_folder_of_entries_lies_where_the_script_says() -> None:
    text = "search --set=boot --fs-uuid 11-22\nset blsdir=/e\nblscfg\n"
    assert parse(text, USUAL).snippets == GrubPath("uuid:11-22", "/e")
    assert parse("blscfg", USUAL).snippets == GrubPath("", "/loader/entries")


def test_commands_without_a_menu_are_an_entry_of_their_own() -> None:
    config = parse("linux /k root=/dev/sda1\ninitrd /i\nboot\n", USUAL)
    assert config.default is not None
    assert config.default.linux == GrubPath("", "/k")
    assert [path.path for path in config.default.initrd] == ["/i"]


def test_comments_and_continued_lines() -> None:
    text = "# menuentry no { }\nmenuentry yes { # why\n\tlinux\t/k \\\n  a#b c\n}\n"
    (entry,) = parse(text, USUAL).items
    assert (entry.title, entry.options) == ("yes", "a#b c")


@pytest.mark.parametrize(
    "text",
    [
        "menuentry 'x", 'set a="', "}" * 100_000, "a{" * 100_000, "menuentry x {" * 20_000,
        "set a=xx\n" + "set a=$a$a$a$a\n" * 20_000 + "menuentry $a { linux $a $a\n}",
        "'" + '"\\' * 100_000, "set default=" + ">" * 100_000,
    ],
)  # fmt: skip
def test_hostile_scripts_end(text: str) -> None:
    config = parse(text, USUAL)
    assert len(config.items) <= 512
    assert all(len(item.title) <= 4096 for item in config.items)
