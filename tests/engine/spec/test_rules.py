"""Rules: each wrong value and combination has its own problem, and its fix solves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.problem import Problem, errors
from engine.spec.edit import apply_fix
from engine.spec.load import loads
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve

BASE = Path("/spec")
COMPAT = "compat = 'make-disk-image'\n"
ENTRY = "[[contents]]\nsource = 'x'\ntarget = '/x'\n"


def problems_of(text: str) -> tuple[ImageSpec, tuple[Problem, ...]]:
    spec = loads(text)
    return spec, resolve(spec, BASE, {})[1]


# text, code, path, words of the message or hint, whether there is a fix
_HOME = "[[volume]]\nid = 'home'\n"
_BTRFS = f"{_HOME}format = 'btrfs'\nsubvolumes = "
ERRORS = [
    ("name = ''", "bad-name", "name", "empty", True),
    ("name = '..'", "bad-name", "name", '".."', True),
    ("name = 'a/b'", "bad-name", "name", '"a/b"', True),
    ('name = "a\\nb"', "bad-name", "name", "U+000A", True),
    (f"name = '{'ä' * 101}'", "bad-name", "name", "202 bytes", True),
    ('name = "a\\u0000b"', "nul-character", "name", "NUL", False),
    ("compat = 'make-disk-imag'", "bad-choice", "compat", "make-disk-image", True),
    ("[layout]\ntable = 'EFI'", "bad-choice", "layout.table", 'did you mean "efi"', True),
    ("[layout]\ntable = 'bogus'", "bad-choice", "layout.table", '"legacy+gpt"', False),
    ("[layout]\ntable = ''", "bad-choice", "layout.table", 'is ""', False),
    ("[layout]\nfilesystem = 'xfs'", "no-writer", "layout.filesystem", "ext4, ext3, ext2", True),
    ("[layout]\nfilesystem = 'vfat'", "no-writer", "layout.filesystem", '"vfat"', True),
    (f"{_HOME}format = 'squashfs'\nlabel = 'x'", "no-label", "volume[0].label", "no label", True),
    (f"{_HOME}format = 'xfs'\ncompression = 'zstd'",
     "compression-unknown", "volume[0].compression", "XFS has no compression", True),
    (f"{_BTRFS}['a b']", "bad-subvolume", "volume[0].subvolumes[0]", "no blanks", False),
    (f"{_BTRFS}['/']", "bad-subvolume", "volume[0].subvolumes[0]", "no name", False),
    (f"{_BTRFS}['a/../b']", "bad-subvolume", "volume[0].subvolumes[0]", '".."', False),
    (f"{_BTRFS}['{'ä' * 128}']", "bad-subvolume", "volume[0].subvolumes[0]", "255 bytes", False),
    (f"{_BTRFS}['a:home']", "bad-subvolume", "volume[0].subvolumes[0]", "absolute path", False),
    (f"{_BTRFS}['a', '/a/']", "subvolume-taken", "volume[0].subvolumes[1]", "that name", True),
    (f"{_BTRFS}['a:/home', 'b:/home/']",
     "subvolume-taken", "volume[0].subvolumes[1]", "a is mounted at /home", True),
    (f"{_BTRFS}['a:/home', 'b:/srv']",
     "subvolume-outside", "volume[0].subvolumes[1]", "mounted at /home", True),
    (f"{_BTRFS}['a:/home', 'a/b:/home/c']",
     "subvolume-twice", "volume[0].subvolumes[1]", "shows at /home/b", True),
    (f"{_BTRFS}['b:/home/c']",
     "subvolume-twice", "volume[0].subvolumes[0]", "shows at /home/b", True),
    (f"{_BTRFS}['a:/home', 'b:/home/c']\n[[volume]]\nid = 'c'\nmount = '/home/c'",
     "subvolume-outside", "volume[0].subvolumes[1]", "go to the volume c", True),
    (f"{_BTRFS}['a', 'b']\nmount = ''\ndefault_subvolume = 'c'",
     "no-such-subvolume", "volume[0].default_subvolume", "are a, b", True),
    (f"{_BTRFS}['a:/home', 'b:/home/c']\ndefault_subvolume = 'b'",
     "default-subvolume-elsewhere", "volume[0].default_subvolume", "at /home", True),
    (f"{_HOME}subvolumes = ['a']",
     "subvolumes-unknown", "volume[0].subvolumes", "ext4 has no subvolumes", True),
    (f"{_HOME}default_subvolume = 'a'",
     "subvolumes-unknown", "volume[0].default_subvolume", "ext4 has no subvolumes", True),
    (f"{_HOME}format = 'squashfs'\ncompression = 'lzo'",
     "compression-unknown", "volume[0].compression", "zstd, gzip, xz", True),
    (f"{_HOME}format = 'squashfs'\nuuid = '11111111-2222-3333-4444-555555555555'",
     "bad-uuid", "volume[0].uuid", "squashfs has no UUID", True),
    ("[layout]\nfilesystem = 'ext5'", "bad-choice", "layout.filesystem", '"ext4"', True),
    ("[layout]\nlabel = ''", "empty-label", "layout.label", "empty", True),
    ('[layout]\nlabel = "a\\tb"', "bad-label", "layout.label", "U+0009", False),
    ("[layout]\nlabel = 'seventeen-chars-x'", "label-too-long", "layout.label", "17 bytes", True),
    (f"[layout]\nlabel = '{'ä' * 9}'", "label-too-long", "layout.label", "18 bytes", True),
    ("[layout]\nsector_size = 1024", "bad-choice", "layout.sector_size", "512, 4096", False),
    ("[layout]\nsector_size = 0", "bad-choice", "layout.sector_size", "512, 4096", False),
    ("[size]\ndisk = 0", "disk-size-zero", "size.disk", "0", True),
    ("[size]\ndisk = -5", "bad-size", "size.disk", "-5", True),
    ("[size]\ndisk = ''", "bad-size", "size.disk", '""', True),
    ("[size]\ndisk = 'foo'", "bad-size", "size.disk", '"foo"', True),
    ("[size]\ndisk = 99999999999999999999", "bad-size", "size.disk", "more than", True),
    ("[size]\nadditional = '64 Q'", "bad-size", "size.additional", '"Q"', False),
    ("[size]\nadditional = -1", "bad-size", "size.additional", "negative", False),
    ("[size]\nboot = '50%'", "bad-size", "size.boot", '"50%"', False),
    ("[size]\nboot = 10", "boot-size-bytes", "size.boot", '"10MiB"', True),
    ("[size]\nboot = '512'", "boot-size-bytes", "size.boot", '"512MiB"', True),
    ("[size]\nboot = 0", "boot-size-zero", "size.boot", "0", True),
    ("[size]\ninodes = -1", "bad-inodes", "size.inodes", "-1", False),
    ("[boot]\nloader = 'grub2'", "bad-choice", "boot.loader", '"grub"', True),
    ("[boot]\nexpect = '('", "bad-expect", "boot.expect", "position 0", False),
    ("[boot]\ntimeout = 0", "bad-timeout", "boot.timeout", "0", False),
    ('[boot]\ncmdline = "a\\nb"', "bad-cmdline", "boot.cmdline", "U+000A", False),
    ("[boot]\nefi_variables = true\n[layout]\ntable = 'legacy'",
     "efi-variables-without-esp", "boot.efi_variables", '"legacy"', True),
    ("[boot]\nefi_variables = true\n[layout]\ntable = 'legacy+gpt'",
     "efi-variables-without-esp", "boot.efi_variables", '"legacy+gpt"', True),
    ("[boot]\nloader = 'systemd-boot'\n[layout]\ntable = 'legacy'",
     "loader-unfit", "boot.loader", "none, grub", True),
    ("[boot]\nloader = 'grub'\n[layout]\ntable = 'none'",
     "loader-unfit", "boot.loader", "none", True),
    ("[boot]\nloader = 'nixos'\n[nix]\ninstall_boot_loader = false\nsystem = '/nix/store/x'",
     "loader-contradiction", "boot.loader", "false", True),
    (ENTRY.replace("'/x'", "''"), "empty-target", "contents[0].target", "empty", True),
    (ENTRY.replace("'/x'", "'etc/x'"), "relative-target", "contents[0].target", '"etc/x"', True),
    (ENTRY.replace("'/x'", "'/../esc'"), "target-climbs-out", "contents[0].target", "..", False),
    (ENTRY.replace("'/x'", "'/a/../../b'"), "target-climbs-out", "contents[0].target", "", False),
    (ENTRY.replace("'/x'", '"/a\\u0000"'), "nul-character", "contents[0].target", "NUL", False),
    (ENTRY.replace("'x'", "''"), "empty-source", "contents[0].source", "empty", False),
    (ENTRY + "mode = 'xyz'", "bad-mode", "contents[0].mode", '"xyz"', False),
    (ENTRY + "mode = '888'", "bad-mode", "contents[0].mode", '"888"', False),
    (ENTRY + "user = 'root'", "owner-incomplete", "contents[0].group", '"root"', True),
    (ENTRY + "group = 0", "owner-incomplete", "contents[0].user", "group is 0", True),
    (ENTRY + "user = 'a:b'\ngroup = 'c'", "bad-owner", "contents[0].user", '"a:b"', False),
    (ENTRY + "user = -1\ngroup = 0", "bad-owner", "contents[0].user", "-1", False),
    (ENTRY + "user = 0\ngroup = '4294967295'", "bad-owner", "contents[0].group", "", False),
    (ENTRY + "exclude = ['']", "empty-pattern", "contents[0].exclude[0]", "empty", False),
    (ENTRY + "partition = 'boot'", "bad-choice", "contents[0].partition", '"root"', True),
    (ENTRY + "partition = 'esp'\n[layout]\ntable = 'legacy'",
     "no-esp", "contents[0].partition", '"legacy"', True),
    ("[nix]\nonly_store = true\n" + ENTRY, "only-store-contents", "contents", "1", True),
    ("[nix]\nonly_store = true\nconfig_file = 'c.nix'",
     "only-store-config", "nix.config_file", "c.nix", True),
    ("[nix]\nonly_store = true\ninstall_boot_loader = true",
     "only-store-loader", "nix.install_boot_loader", "true", True),
    ("[nix]\nonly_store = true\n[boot]\nloader = 'grub'",
     "only-store-loader", "boot.loader", '"grub"', True),
    ("[output]\nformat = 'vmkd'", "bad-choice", "output.format", '"vmdk"', True),
    ("[output]\nformat = ''", "bad-choice", "output.format", '""', False),
    ("[identity]\ndisk_guid = '97FD5997-D90B-4AA3-8D16-C1723AEA73C'",
     "bad-uuid", "identity.disk_guid", "35 characters", False),
    ("[identity]\nseed = '{F222513B-DED1-49FA-B591-20CE86A2FE7F}'",
     "bad-uuid", "identity.seed", "36 characters", True),
    ("[identity]\nroot_partition_guid = 'F222513BDED149FAB59120CE86A2FE7F'",
     "bad-uuid", "identity.root_partition_guid", "32", True),
    ("[identity]\nroot_filesystem_uuid = '00000000-0000-0000-0000-000000000000'",
     "nil-uuid", "identity.root_filesystem_uuid", "nil", True),
    ("[identity]\nsource_date_epoch = -1", "bad-epoch", "identity.source_date_epoch", "-1", False),
    ("[vm]\nmemory = 0", "bad-memory", "vm.memory", "0 MiB", True),
    ("[layout]\ntable = 'legacy'\n[size]\ndisk = '3T'",
     "disk-too-large-for-mbr", "size.disk", "2TiB", True),
    (COMPAT + "[layout]\nfilesystem = 'ext3'",
     "filesystem-needs-no-table", "layout.filesystem", '"ext3"', True),
    (COMPAT + "[layout]\nsector_size = 4096",
     "compat-sector-size", "layout.sector_size", "4096", True),
    ("[layout]\ntable = 'legacy'\npmbr_boot = true",
     "pmbr-without-gpt", "layout.pmbr_boot", '"legacy"', True),
    (COMPAT + "[size]\ninodes = 5", "compat-inodes", "size.inodes", "5", True),
    (COMPAT + "[size]\nadditional = '64 parsecs'",
     "compat-size", "size.additional", '"64 parsecs"', False),
    (COMPAT + "[size]\nboot = '100%'\n[layout]\ntable = 'efi'",
     "compat-size", "size.boot", '"100%"', False),
    ("[output]\nformat = 'gce'\n[size]\ndisk = '1025MiB'", "format-size", "size.disk", "GiB", True),
    ("[output]\nformat = 'vpc-fixed'\n[size]\ndisk = '2041GiB'",
     "format-too-large", "output.format", "2040GiB", False),
    ("[output]\nformat = 'ova'\n[size]\ndisk = '63TiB'",
     "format-too-large", "output.format", "vSphere", False),
    ("[output]\nformat = 'vhdx'\n[size]\ndisk = '65TiB'",
     "format-too-large", "output.format", "64TiB", False),
    ("[output]\nformat = 'vhdx'\ncompress = 'gz'",
     "packs-raw-only", "output.compress", "vhdx", True),
    (COMPAT + "[nix]\nonly_store = true",
     "only-store-loader", "nix.install_boot_loader", "by default", True),
    (COMPAT + "[boot]\nefi_variables = true",
     "efi-variables-without-esp", "boot.efi_variables", '"legacy"', True),
    ("[layout]\ntable = 'none'\n[boot]\nprove = true",
     "prove-without-table", "boot.prove", "no firmware", True),
]  # fmt: skip

WARNINGS = [
    ("[boot]\ncmdline = 'quiet rootflags=noatime'\n[[volume]]\nid = 'root'\nformat = 'btrfs'\n"
     "subvolumes = ['@:/']", "rootflags-without-subvolume", "boot.cmdline", True),
    ("[size]\ndisk = '1000001B'", "size-rounded", "size.disk", True),
    ("[size]\ndisk = '2.1GiB'", "size-rounded", "size.disk", True),
    ("[size]\nboot = '40000001B'", "size-rounded", "size.boot", True),
    ("[size]\nboot = 40000001", "size-rounded", "size.boot", True),
    (COMPAT + "[size]\ndisk = '1000000KB'", "size-rounded", "size.disk", True),
    ("[output]\nformat = 'vpc-fixed'\n[size]\ndisk = '100000KiB'",
     "format-size", "size.disk", True),
    ("[output]\nformat = 'vdi'\n[layout]\nsector_size = 4096",
     "format-sectors", "layout.sector_size", True),
    ("[output]\nformat = 'vpc'\n[boot]\nloader = 'uki'", "format-firmware", "output.format", True),
    ("[output]\nformat = 'vpc-fixed'\n[boot]\nloader = 'uki'",
     "format-firmware", "output.format", False),
    ("[output]\nformat = 'gce'\n[boot]\nloader = 'uki'", "format-firmware", "output.format", False),
    ("[output]\nformat = 'vdi'\n[boot]\nloader = 'uki'", "format-firmware", "output.format", False),
    ("[output]\nformat = 'vhdx'\n[layout]\ntable = 'legacy'\n[boot]\nloader = 'grub'",
     "format-firmware", "output.format", False),
    ("[output]\nformat = 'vpc'\n[size]\ndisk = '100000KiB'", "format-size", "size.disk", True),
    ("[size]\ndisk = 64\nadditional = 1", "size-unused", "size.additional", False),
    ("[layout]\ntable = 'none'\n[size]\nboot = 33554432", "size-unused", "size.boot", False),
    ("[boot]\nprove = true", "prove-without-loader", "boot.prove", False),
    ("[boot]\nloader = 'nixos'", "no-guest-loader", "boot.loader", False),
    (COMPAT, "no-guest-loader", "nix.install_boot_loader", False),
    (COMPAT + "[size]\nadditional = '512MiB'", "compat-size", "size.additional", False),
    (COMPAT + "[size]\nadditional = '64 M'", "compat-size", "size.additional", False),
    (COMPAT + "[size]\nboot = '256MiB'\n[layout]\ntable = 'efi'",
     "compat-size", "size.boot", False),
    (COMPAT + "[size]\nboot = 268435456\n[layout]\ntable = 'efi'",
     "compat-size", "size.boot", False),
    (COMPAT + "[layout]\nlabel = 'seventeen-chars-x'", "label-too-long", "layout.label", True),
    (COMPAT + "[layout]\ntable = 'legacy+gpt'\n[boot]\nefi_variables = true",
     "efi-variables-without-esp", "boot.efi_variables", False),
    ("[identity]\ndeterministic = false\nseed = 'F222513B-DED1-49FA-B591-20CE86A2FE7F'",
     "seed-unused", "identity.seed", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "path", "words", "fixable"), ERRORS)
def test_errors(text: str, code: str, path: str, words: str, fixable: bool) -> None:
    spec, problems = problems_of(text)
    (problem,) = errors(problems)
    assert (problem.code, problem.path) == (code, path)
    assert words in f"{problem.message} {problem.hint}"
    assert (problem.fix is not None) == fixable
    if problem.fix is not None:
        fixed = apply_fix(spec, problem.fix)
        assert not errors(resolve(fixed, BASE, {})[1])


@pytest.mark.parametrize(("text", "code", "path", "fixable"), WARNINGS)
def test_warnings(text: str, code: str, path: str, fixable: bool) -> None:
    spec, problems = problems_of(text)
    assert not errors(problems)
    (problem,) = [problem for problem in problems if problem.code == code]
    assert (problem.path, problem.severity) == (path, "warning")
    if fixable:
        assert problem.fix is not None
        after = resolve(apply_fix(spec, problem.fix), BASE, {})[1]
        assert code not in {problem.code for problem in after}


@pytest.mark.parametrize(
    "text",
    [
        "",
        ENTRY + "user = 1000\ngroup = 'users'\nmode = 'u+w,D755,F644'",
        ENTRY.replace("'/x'", "'/a/../b'"),
        "[layout]\nlabel = 'sixteen-chars-xx'",
        "[layout]\nfilesystem = 'ext2'\ntable = 'none'",
        "[nix]\nonly_store = true",
        "[size]\ndisk = '1024'\n[layout]\ntable = 'hybrid'\n[boot]\nloader = 'grub'",
        COMPAT + "[nix]\nonly_store = true\ninstall_boot_loader = false",
        COMPAT + "[size]\nboot = '256MiB'",
        COMPAT + "[size]\nboot = '256MiB'\ndisk = 1024\n[layout]\ntable = 'efi'",
        COMPAT + "[size]\nadditional = '512MiB'\ndisk = 1024",
        COMPAT + "[layout]\nfilesystem = 'ext3'\ntable = 'none'",
        COMPAT + ENTRY.replace("'/x'", "'etc/x'"),
    ],
)
def test_good_specs_have_no_errors(text: str) -> None:
    _, problems = problems_of(text)
    assert not errors(problems)


def test_all_problems_come_at_once() -> None:
    _, problems = problems_of(
        "name = 'a/b'\n[layout]\ntable = 'legacy'\nlabel = 'seventeen-chars-x'\n"
        "[boot]\nefi_variables = true\nloader = 'uki'\n" + ENTRY + "user = 'x'"
    )
    assert {problem.code for problem in errors(problems)} == {
        "bad-name",
        "label-too-long",
        "efi-variables-without-esp",
        "loader-unfit",
        "owner-incomplete",
    }


@pytest.mark.parametrize(("format_", "told"), [("erofs", 1), ("ext4", 0)])
def test_free_space_in_what_is_read_only_is_warned_of(format_: str, told: int) -> None:
    text = f"[[volume]]\nid = 'usr'\nformat = '{format_}'\nfree = '1MiB'"
    found = [one for one in problems_of(text)[1] if one.code == "free-in-read-only"]
    assert [(one.severity, one.path) for one in found] == [("warning", "volume[0].free")] * told
