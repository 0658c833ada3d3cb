"""What is said of hash trees that make no sense, and that each proposed edit solves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.problem import errors
from engine.spec.edit import apply
from engine.spec.load import loads
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve

BASE = 'schema = 1\nlayout.table = "gpt"\nboot.loader = "uki"\n[[volume]]\nid = "esp"\n'
ROOT = '[[volume]]\nid = "root"\nformat = "erofs"\n'
TREE = '[[volume]]\nid = "root-verity"\nverity = "root"\n'
SIG = '[[volume]]\nid = "root-verity-sig"\nverity = "root"\nkey = "k"\ncertificate = "c"\n'
SOUND = BASE + ROOT + TREE


def codes(spec: ImageSpec) -> list[str]:
    return [one.code for one in resolve(spec, Path("/x"), {})[1]]


def test_what_makes_sense_is_left_alone() -> None:
    assert codes(loads(SOUND)) == []
    assert codes(loads(SOUND + SIG)) == []
    assert (
        codes(loads(SOUND + '[[volume]]\nid = "next"\nrole = "root-verity"\nsize = "1MiB"')) == []
    )
    grub = SOUND.replace("uki", "grub") + '[[volume]]\nid = "boot"\nsize = "64MiB"\n'
    assert codes(loads(grub)) == []
    ready = SOUND.replace('format = "erofs"', 'source = "root.squashfs"')
    assert codes(loads(ready)) == []


@pytest.mark.parametrize(
    ("spec", "code", "path", "solved"),
    [
        (SOUND.replace('verity = "root"', ""), "verity-missing", "volume[2].verity", True),
        (SOUND.replace('verity = "root"', 'verity = "rot"'), "no-such-volume", "volume[2].verity",
         True),
        (SOUND + '[[volume]]\nid = "b"\nrole = "root-verity"\nverity = "root"', "verity-taken",
         "volume[3].verity", False),
        (SOUND.replace('"gpt"', '"mbr"').replace("uki", "none"), "verity-needs-gpt",
         "layout.table", True),
        (SOUND.replace('id = "root-verity"', 'id = "usr-verity"'), "verity-role",
         "volume[2].verity", True),
        (SOUND + '[[volume]]\nid = "home"\nverity = "root"', "verity-needs-role",
         "volume[3].verity", True),
        (SOUND + 'source = "tree"', "verity-made-here", "volume[2].source", True),
        (SOUND.replace('"erofs"', '"erofs"\ngrow = 1').replace("[[", 'size.disk = "4GiB"\n[[', 1),
         "verity-of-growing", "volume[1].grow", True),
        (SOUND.replace('"erofs"', '"erofs"\nflags = ["grow-file-system"]'), "verity-of-growing",
         "volume[1].flags[0]", True),
        (SOUND.replace('"erofs"', '"ext4"'), "verity-of-writable", "volume[1].format", True),
        (SOUND.replace('"erofs"', '"none"'), "verity-of-nothing", "volume[2].verity", False),
        (SOUND.replace('"erofs"', '"erofs"\nsize = 1048064'), "verity-unaligned",
         "volume[1].size", True),
        (SOUND.replace('"erofs"', '"erofs"\nguid = "97fd5997-d90b-4aa3-8d16-0c1723aea73c"'),
         "verity-guid", "volume[1].guid", True),
        (SOUND + 'guid = "97fd5997-d90b-4aa3-8d16-0c1723aea73c"', "verity-guid",
         "volume[2].guid", True),
        (SOUND.replace("[[", 'identity.root_partition_guid = '
                       '"97fd5997-d90b-4aa3-8d16-0c1723aea73c"\n[[', 1),
         "verity-guid", "identity.root_partition_guid", True),
        (SOUND.replace("uki", "none"), "verity-without-loader", "boot.loader", True),
        (SOUND.replace("uki", "grub"), "verity-loader", "boot.loader", True),
        (SOUND + '[[volume]]\nid = "bios-boot"', "verity-loader", "layout.table", False),
        (SOUND.replace("[[", 'boot.cmdline = "rw quiet"\n[[', 1), "verity-read-write",
         "boot.cmdline", True),
        (SOUND.replace("[[", 'boot.cmdline = "roothash=0"\n[[', 1), "verity-root-hash",
         "boot.cmdline", False),
        (BASE + ROOT + SIG, "signature-without-tree", "volume[2].verity", False),
        (SOUND + SIG.replace('key = "k"', ""), "signature-without-key", "volume[3].key", False),
        (SOUND + SIG.replace('certificate = "c"', ""), "signature-without-key",
         "volume[3].certificate", False),
        (SOUND + 'key = "k"', "key-needs-signature", "volume[2].key", True),
    ],
)  # fmt: skip
def test_what_makes_none_is_named_and_mended(spec: str, code: str, path: str, solved: bool) -> None:
    loaded = loads(spec)
    found = {one.code: one for one in resolve(loaded, Path("/x"), {})[1]}
    assert code in found, found
    problem = found[code]
    assert problem.path == path
    assert (problem.fix is not None) == solved
    if problem.fix is not None:
        for key, value in problem.fix.edits:
            loaded = apply(loaded, key, value)
        assert code not in codes(loaded)


def test_a_root_that_takes_the_rest_gets_the_size_of_its_contents() -> None:
    spec = loads(
        'schema = 1\nlayout.table = "efi"\nsize.disk = "2GiB"\nboot.loader = "uki"\n'
        '[[volume]]\nid = "root"\nformat = "erofs"\n' + TREE
    )
    (problem,) = errors(resolve(spec, Path("/x"), {})[1])
    assert (problem.code, problem.path) == ("verity-of-growing", "volume[0].grow")
    assert problem.fix is not None
    ((key, value),) = problem.fix.edits
    assert codes(apply(spec, key, value)) == []


def test_identifiers_and_flags_follow_from_the_root_hash() -> None:
    settings, _ = resolve(loads(SOUND + SIG), Path("/x"), {})
    there = {one.id: one for one in settings.volumes}
    assert (there["root"].guid, there["root-verity"].guid) == ("", "")
    assert there["root-verity-sig"].guid
    assert there["root-verity"].uuid
    assert there["root-verity-sig"].uuid == ""
    assert there["root-verity-sig"].key == "/x/k"
    for name in ("root", "root-verity", "root-verity-sig"):
        assert there[name].attributes == ("read-only",)
    assert there["esp"].attributes == ()
