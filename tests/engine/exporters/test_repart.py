"""Specs written as definitions for systemd-repart: and read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from engine.cli.main import main
from engine.disk.volume import Volume
from engine.exporters import repart
from engine.spec.load import load, loads
from engine.spec.resolve import resolve

ROLES = (
    "esp", "xbootldr", "root", "usr", "home", "srv", "var", "tmp", "swap", "data", "bios-boot",
)  # fmt: skip
FLAGS = ("read-only", "no-auto", "grow-file-system", "legacy-boot")
TYPES = ("3DF8F8B0-4464-4FE6-8DF4-2A5E2F6C4949", "B921B045-1DF0-41C3-AF44-4C6F280D3FAE")


SUBVOLUMES = """
schema = 1
name = "any"
layout.table = "gpt"
layout.fstab = "keep"
[[volume]]
id = "root"
format = "btrfs"
subvolumes = ["@:/", "@home:/home", "@spare"]
default_subvolume = "@"
[[contents]]
source = "tree"
target = "/"
"""


def test_subvolumes_go_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tree" / "home" / "someone").mkdir(parents=True)
    (tmp_path / "spec.toml").write_text(SUBVOLUMES)
    folder = tmp_path / "repart.d"
    assert (
        main(["export", "--format", "repart", str(tmp_path / "spec.toml"), "-o", str(folder)]) == 0
    )
    (text,) = (path.read_text() for path in folder.glob("*.conf"))
    tree = tmp_path / "tree"
    for line in (
        "Subvolumes=/@ /@home /@spare", "DefaultSubvolume=/@", "MountPoint=/:subvol=@",
        "MountPoint=/home:subvol=@home", f"CopyFiles={tree}:/@", f"CopyFiles={tree}/home:/@home",
        f"ExcludeFiles={tree}/home/",
    ):  # fmt: skip
        assert line in text.splitlines()
    capsys.readouterr()
    assert main(["import", str(folder)]) == 0
    back = resolve(loads(capsys.readouterr().out), tmp_path, {})[0]
    there = resolve(load(tmp_path / "spec.toml").spec, tmp_path, {})[0]
    assert back.volumes[0].mounts == there.volumes[0].mounts
    assert back.volumes[0].default_subvolume == "@"
    assert [one.target for one in back.contents] == [b"/", b"/home"]


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Volumes of every role, with and without what a volume can say."""
    lines = ["schema = 1", 'name = "any"', 'layout.table = "gpt"', 'layout.fstab = "keep"']
    for number in range(draw(st.integers(1, 12))):
        role = draw(st.sampled_from(ROLES))
        size = draw(st.sampled_from(["40MiB", "300MiB", "1GiB"]))
        lines += ["[[volume]]", f'id = "v{number}"', f'role = "{role}"', f'size = "{size}"']
        if draw(st.booleans()):
            lines.append(f'name = "{draw(st.sampled_from(["a b", "100%", "x" * 36, "ünï"]))}"')
        if draw(st.booleans()):
            lines.append(f'mount = "{draw(st.sampled_from(["", f"/v{number}"]))}"')
        if draw(st.booleans()):
            flags = draw(st.lists(st.sampled_from(FLAGS), unique=True))
            lines.append(f"flags = {json.dumps(flags)}")
        if role != "bios-boot" and draw(st.booleans()):
            lines.append(f'type = "{draw(st.sampled_from(TYPES))}"')
        if role not in {"swap", "bios-boot", "esp"} and draw(st.booleans()):
            # What has no Format= gets that of its role, which is of no use without.
            plain = role == "data" and not lines[-1].startswith("type")
            formats = ["ext2", "erofs", "none"] if plain else ["ext2", "erofs"]
            lines.append(f'format = "{draw(st.sampled_from(formats))}"')
        elif role not in {"bios-boot", "esp", "xbootldr"} and draw(st.booleans()):
            lines += ['source = "/some: file"', 'format = "none"']
    return "\n".join([*lines, ""])


def essence(volume: Volume, native: bool) -> Volume:
    """Returns what definitions say of a volume."""
    flags = tuple(flag for flag in FLAGS if flag in volume.attributes)
    type_ = volume.type or volume.purpose.type("gpt", "x86_64")
    return Volume(
        id=volume.id,
        role=volume.role if native else "data",
        format=volume.format,
        size=volume.size,
        guid=volume.guid,
        name=volume.name,
        type=type_.upper(),
        attributes=flags,
        source=volume.source,
    )


@given(text=specs())
@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_definitions_say_what_the_spec_says(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    spec = loads(text)
    theirs, _ = resolve(spec, folder, {})
    exported = repart.export(spec, theirs)
    definitions = folder / "any.repart"
    definitions.mkdir()
    for name, content in exported.files.items():
        (definitions / name).write_text(content)

    assert main(["import", str(definitions), "-o", str(folder / "again.toml")]) == 0

    ours, _ = resolve(load(folder / "again.toml").spec, folder, {})
    for before, after in zip(theirs.volumes, ours.volumes, strict=True):
        # A type of its own says more than the role beside it.
        native = not before.type
        assert essence(after, native) == essence(before, native)


def test_files_go_to_the_volumes_that_they_are_mounted_on(tmp_path: Path) -> None:
    (tmp_path / "tree" / "home" / "me").mkdir(parents=True)
    (tmp_path / "tree" / "etc").mkdir()
    (tmp_path / "file").touch()
    spec = loads(
        """schema = 1
[[volume]]
id = "home"
size = "16MiB"
[[contents]]
source = "tree"
target = "/"
exclude = ["/etc/secret", "/var/cache/**", "*.o"]
[[contents]]
source = "file"
target = "/home/"
mode = "600"
[[contents]]
source = "more.tar"
target = "/"
extract = true
"""
    )

    exported = repart.export(spec, resolve(spec, tmp_path, {})[0])

    lines = {
        name: [line for line in text.splitlines() if "Files=" in line or "Minimize" in line]
        for name, text in exported.files.items()
    }
    top = f"{tmp_path}/tree"
    assert lines == {
        "10-esp.conf": [],
        "20-root.conf": [
            "Minimize=guess",
            f"CopyFiles={top}:/",
            f"ExcludeFiles={top}/home/",
            f"ExcludeFiles={top}/etc/secret",
            f"ExcludeFiles={top}/var/cache/",
        ],
        "30-home.conf": [f"CopyFiles={top}/home:/", f"CopyFiles={tmp_path}/file:/file"],
    }
    assert [note.line() for note in exported.notes] == [
        'contents[0].exclude[2]: is "*.o" (systemd-repart leaves out paths, not patterns)',
        "contents[2].extract: is true (systemd-repart copies files and folders; unpack it first)",
        'contents[1].mode: is "600" (a definition has no key for it)',
    ]


def test_a_hash_tree_and_its_data_have_one_key() -> None:
    spec = loads(
        """schema = 1
layout.table = "gpt"
[[volume]]
id = "root"
format = "erofs"
size = "16MiB"
[[volume]]
id = "hash"
role = "root-verity"
size = "4MiB"
verity = "root"
"""
    )

    files = repart.export(spec, resolve(spec, Path("/"), {})[0]).files

    assert "Verity=data\nVerityMatchKey=root\nGrowFileSystem=no\n" in files["10-root.conf"]
    assert "Verity=hash\nVerityMatchKey=root\nReadOnly=yes\n" in files["20-hash.conf"]
    assert "Format" not in files["20-hash.conf"]


@pytest.mark.parametrize("table", ["legacy", "none", "mbr"])
def test_only_a_gpt_can_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    more = '[[volume]]\nid = "root"\n' if table == "mbr" else ""
    (tmp_path / "x.toml").write_text(f'schema = 1\nlayout.table = "{table}"\n{more}')

    assert main(["export", str(tmp_path / "x.toml"), "--format", "repart", "-o", "x"]) == 2

    assert "systemd-repart makes GPTs only" in capsys.readouterr().err


def test_only_definitions_of_an_export_are_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.toml").write_text('schema = 1\nlayout.table = "efi"\n')
    command = ["export", str(tmp_path / "x.toml"), "--format", "repart", "-o", str(tmp_path / "d")]
    assert main(command[:-2]) == 2
    assert "name it with -o DIR" in capsys.readouterr().err
    assert main(command) == 0

    assert main(command) == 2
    assert "give --force to replace them" in capsys.readouterr().err
    (tmp_path / "d" / "10-esp.conf").rename(tmp_path / "d" / "05-old.conf")
    assert main([*command, "--force"]) == 0
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "10-esp.conf",
        "20-root.conf",
    ]

    (tmp_path / "d" / "99-mine.conf").write_text("[Partition]\nType=home\n")
    assert main([*command, "--force"]) == 2
    assert "99-mine.conf (name another folder)" in capsys.readouterr().err
