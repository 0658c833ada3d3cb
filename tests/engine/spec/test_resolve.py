"""Resolving: defaults of both modes, identifiers, the environment's time."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.problem import Refused, errors
from engine.spec import edit, identity
from engine.spec.keys import KEYS
from engine.spec.load import loads
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from engine.spec.settings import Settings
from engine.units import GIB, MIB
from tests.reference import CASES

BASE = Path("/spec")
KEY_OF = {key.argument: key.path for key in KEYS.values() if key.argument}


def settled(text: str, env: dict[str, str] | None = None) -> Settings:
    return resolve(loads(text), BASE, env or {})[0]


def test_defaults_of_our_own() -> None:
    settings = settled("")
    assert (settings.name, settings.output.stem, settings.layout.table) == ("disk", "disk", "efi")
    assert (settings.layout.filesystem, settings.layout.label, settings.layout.sector_size) == (
        "ext4",
        "root",
        512,
    )
    assert settings.size.disk is None
    assert (settings.size.additional, settings.size.boot) == (512 * MIB, 256 * MIB)
    assert (settings.boot.loader, settings.boot.cmdline) == ("none", "console=ttyS0")
    assert (settings.output.format, settings.identity.deterministic) == ("raw", True)
    assert (settings.identity.source_date_epoch, settings.identity.clamp_times) == (0, False)
    assert (settings.vm.memory_mib, settings.boot.efi_variables) == (1024, False)


def test_defaults_of_the_reference() -> None:
    settings = settled("compat = 'make-disk-image'\n[nix]\nsystem = '/nix/store/x'")
    assert (settings.name, settings.output.stem) == ("nixos-disk-image", "nixos")
    assert (settings.layout.table, settings.layout.label, settings.boot.loader) == (
        "legacy",
        "nixos",
        "grub",
    )
    assert (settings.size.additional_text, settings.size.boot_text) == ("512M", "256M")
    assert settings.identity.root_partition_guid == "F222513B-DED1-49FA-B591-20CE86A2FE7F"
    assert settings.identity.root_filesystem_uuid == "f222513b-ded1-49fa-b591-20ce86a2fe7f"
    assert settings.identity.disk_guid == "97FD5997-F390-0B4A-A3F8-D106C1723AEA"


def test_the_file_system_follows_the_partition_in_compat() -> None:
    own = "11111111-2222-3333-4444-555555555555"
    settings = settled(f"compat = 'make-disk-image'\n[identity]\nroot_partition_guid = '{own}'")
    assert (settings.identity.root_partition_guid, settings.identity.root_filesystem_uuid) == (
        own,
        own,
    )


def test_a_store_has_its_label() -> None:
    assert settled("[nix]\nonly_store = true").layout.label == "nix-store"
    assert settled("[nix]\nonly_store = true\n[layout]\nlabel = 'x'").layout.label == "x"


def test_what_the_reference_cuts_is_cut() -> None:
    text = "compat = 'make-disk-image'\n[layout]\nlabel = 'seventeen-chars-x'"
    assert settled(text).layout.label == "seventeen-chars-"


def test_writing_the_defaults_changes_nothing() -> None:
    written = settled(
        "schema = 1\nname = 'disk'\ncompat = 'none'\n[layout]\ntable = 'efi'\n"
        "filesystem = 'ext4'\nlabel = 'root'\nsector_size = 512\n[size]\ndisk = 'auto'\n"
        "additional = '512MiB'\nboot = '256MiB'\n[boot]\nloader = 'none'\nkernel = ''\n"
        "cmdline = 'console=ttyS0'\nefi_variables = false\n[nix]\nsystem = ''\n"
        "additional_paths = []\nonly_store = false\ncopy_channel = ''\nconfig_file = ''\n"
        "install_boot_loader = true\n[output]\nformat = 'raw'\n[identity]\n"
        "deterministic = true\nseed = ''\ndisk_guid = ''\nroot_partition_guid = ''\n"
        "root_filesystem_uuid = ''\nsource_date_epoch = 0\n[hooks]\nafter_build = ''\n"
        "[vm]\nmemory = 1024"
    )
    assert written == settled("")


@pytest.mark.parametrize(
    ("disk", "size"),
    [("4096", 4 * GIB), ("'4096'", 4 * GIB), ("'4GiB'", 4 * GIB), ("'0.5G'", GIB // 2)],
)
def test_a_disk_without_unit_counts_mib(disk: str, size: int) -> None:
    assert settled(f"[size]\ndisk = {disk}").size.disk == size


def test_other_sizes_without_unit_count_bytes() -> None:
    settings = settled("[size]\nadditional = 4096\nboot = 67108864")
    assert (settings.size.additional, settings.size.boot) == (4096, 64 * MIB)


def test_boot_keeps_its_text_in_compat() -> None:
    text = "compat = 'make-disk-image'\n[size]\ndisk = 1024\nboot = '50%'\n[layout]\ntable = 'efi'"
    assert settled(text).size.boot_text == "50%"


def test_sources_start_from_the_spec() -> None:
    settings = settled(
        "[boot]\nkernel = 'k/vmlinuz'\ninitrd = '/abs'\n"
        "[[contents]]\nsource = 'a/*'\ntarget = '/x/./y//z/../w'\nuser = 0\ngroup = 'g'\n"
    )
    assert (settings.boot.kernel, settings.boot.kernel_file) == ("k/vmlinuz", "/spec/k/vmlinuz")
    assert (settings.boot.initrds, settings.boot.initrd_files) == (("/abs",), ("/abs",))
    several = settled("[boot]\ninitrd = ['a', '/b']")
    assert several.boot.initrds == ("a", "/b")
    assert several.boot.initrd_files == ("/spec/a", "/b")
    (entry,) = settings.contents
    assert (entry.source, entry.target) == (Path("/spec/a/*"), b"/x/y/w")
    assert (entry.user, entry.group, entry.index) == ("0", "g", 0)


def test_targets_may_hold_any_name() -> None:
    settings = settled('[[contents]]\nsource = "a"\ntarget = "//ä [b]\\n"\n')
    assert settings.contents[0].target == "/ä [b]\n".encode()


def test_an_entry_without_usable_target_is_left_out_and_the_others_keep_their_index() -> None:
    settings = settled(
        "[[contents]]\nsource = 'a'\ntarget = '/../x'\n[[contents]]\nsource = 'b'\ntarget = '/b'\n"
    )
    assert [entry.index for entry in settings.contents] == [1]


@pytest.mark.parametrize(
    ("spec", "env", "epoch", "clamp"),
    [
        ("", {"SOURCE_DATE_EPOCH": "1700000000"}, 1700000000, True),
        ("5", {"SOURCE_DATE_EPOCH": "0"}, 0, True),
        ("5", {}, 5, True),
        ("5", {"SOURCE_DATE_EPOCH": ""}, 5, True),
        ("", {}, 0, False),
        ("5", {"SOURCE_DATE_EPOCH": "yesterday"}, 5, True),
        ("5", {"SOURCE_DATE_EPOCH": "99999999999999999999"}, 5, True),
    ],
)
def test_the_environments_time_wins(
    spec: str, env: dict[str, str], epoch: int, clamp: bool
) -> None:
    text = f"[identity]\nsource_date_epoch = {spec}" if spec else ""
    settings, problems = resolve(loads(text), BASE, env)
    assert (settings.identity.source_date_epoch, settings.identity.clamp_times) == (epoch, clamp)
    bad = env.get("SOURCE_DATE_EPOCH", "0") not in {"", "0", "1700000000"}
    assert [problem.code for problem in problems] == (["bad-epoch"] if bad else [])


def test_identifiers_derive_from_the_name_by_role() -> None:
    first, again, other = settled("name = 'a'"), settled("name = 'a'"), settled("name = 'b'")
    assert first == again
    ids = {
        first.identity.disk_guid,
        first.identity.root_partition_guid,
        first.identity.root_filesystem_uuid.upper(),
    }
    assert len(ids) == 3
    assert not ids & {other.identity.disk_guid, other.identity.root_partition_guid}
    assert all(uuid.UUID(text).version == 5 for text in ids)


def test_derivation_never_changes() -> None:
    """Images of earlier releases must be made again bit for bit."""
    assert identity.seed_for("disk") == "6b35bb6b-e074-580a-ae6d-0b858d9349ee"
    seed = "f222513b-ded1-49fa-b591-20ce86a2fe7f"
    assert str(identity.derive(seed, "disk")) == str(uuid.uuid5(uuid.UUID(seed), "disk"))
    assert 0 < identity.derive_32(seed, "mbr-signature") < 1 << 32
    salts = {identity.derive_salt(seed, role) for role in ("verity/root", "verity/usr")}
    assert [len(salt) for salt in salts] == [32, 32]


def test_random_identifiers_differ_and_given_ones_stay() -> None:
    text = "[identity]\ndeterministic = false\ndisk_guid = '97fd5997-d90b-4aa3-8d16-0c1723aea73c'"
    first, second = settled(text), settled(text)
    assert first.identity.root_partition_guid != second.identity.root_partition_guid
    assert (
        first.identity.disk_guid
        == second.identity.disk_guid
        == "97FD5997-D90B-4AA3-8D16-0C1723AEA73C"
    )
    drawn = resolve(loads(text), BASE, {}, draw_seed=lambda: identity.seed_for("fixed"))[0]
    assert drawn.identity.seed == identity.seed_for("fixed")


def test_what_the_reference_builds_is_not_refused() -> None:
    for case in CASES:
        spec = edit.apply(ImageSpec(), "compat", "make-disk-image")
        try:
            for argument, value in case["args"].items():
                spec = edit.apply(spec, KEY_OF[argument], value)
        except Refused:
            assert not case["ok"], case["id"]
            continue
        settings, problems = resolve(spec, BASE, {})
        assert not (case["ok"] and errors(problems)), (case["id"], problems)
        assert settings.layout.table == case["args"]["partitionTableType"]


@given(st.from_type(ImageSpec))
def test_resolve_never_raises(spec: ImageSpec) -> None:
    settings, problems = resolve(spec, BASE, {})
    assert settings.layout.sector_size in {512, 4096}
    assert all(problem.message and problem.code for problem in problems)
