"""An image's own fstab says where an imported spec mounts its volumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli.main import main
from engine.image.reading import is_divided
from engine.importers import image_mounts
from engine.inspect.image import open_image
from engine.spec.load import load
from engine.spec.model import VolumeEntry
from tests.engine.filesystems.btrfs.record import RECORDINGS

SPEC = """schema = 1
name = "disk"
layout.table = "gpt"
[[volume]]
id = "root"
free = "4MiB"
[[volume]]
id = "data"
label = "things"
size = "4MiB"
mount = "{data}"
[[volume]]
id = "srv"
size = "4MiB"
{srv}
[[volume]]
id = "swap"
size = "1MiB"
[[contents]]
source = "tree"
target = "/"
"""


def imported(tmp_path: Path, text: str, fstab: str = "") -> dict[str, str | None]:
    """Returns the mount points of a spec that an image with such volumes is imported to."""
    (tmp_path / "tree" / "etc").mkdir(parents=True)
    if fstab:
        (tmp_path / "tree" / "etc" / "fstab").write_text(fstab)
    spec, like = tmp_path / "disk.toml", tmp_path / "like.toml"
    spec.write_text(text)
    assert main(["build", str(spec), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert main(["import", str(tmp_path / "out" / "disk.img"), "-o", str(like)]) == 0
    return {one.id: one.mount for one in load(like).spec.volume}


def test_what_a_build_wrote_there_comes_back(tmp_path: Path) -> None:
    text = SPEC.format(data="/opt/many things", srv='mount = "/var/lib/served"')
    assert imported(tmp_path, text) == {
        "root": None, "data": "/opt/many things", "srv": "/var/lib/served", "swap": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        ("LABEL=things /opt/a ext4 defaults 0 2", "/opt/a"),
        ("PARTLABEL=data /opt\\040b/ ext4", "/opt b"),
        ("/dev/disk/by-label/things /opt/c ext4 noauto", "/opt/c"),
        ("#LABEL=things /opt/d ext4", None),
        ("LABEL=other /opt/e ext4", None),
        ("LABEL=things none swap", None),
        ("LABEL=things /../etc ext4", None),
        ("LABEL=things / ext4", None),
    ],
)
def test_lines_are_read_as_a_system_reads_them(
    tmp_path: Path, line: str, mount: str | None
) -> None:
    text = SPEC.format(data="", srv="")
    assert imported(tmp_path, text, f"# mounts\n{line}\n")["data"] == mount


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ("subvol=/@home", True),
        ("noatime,subvolid={id}", True),
        ("subvolid={id:#x},compress=zstd", True),
        ("subvolid=5", False),
        ("subvolid=999", False),
        ("subvolid=many", False),
    ],
)
def test_a_subvolume_is_known_by_its_path_or_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, known: bool
) -> None:
    image = open_image(RECORDINGS.unpacked("usual", tmp_path))
    with image.disk:
        (part,) = image.parts
        assert is_divided(part.filesystem)
        number = next(one for one, path in part.filesystem.subvolumes().items() if path == b"@home")
        fstab = f"UUID={part.filesystem.uuid} /home btrfs {options.format(id=number)} 0 0\n"
        monkeypatch.setattr(image_mounts, "_text", lambda _: fstab)
        volumes = (VolumeEntry(id="root", format="btrfs"),)
        (found,) = image_mounts.with_mounts(volumes, {"root": part})
    assert ("@home:/home" in (found.subvolumes or ())) == known


@pytest.mark.parametrize("table", ["none", "gpt"])
def test_a_swap_file_is_told_with_what_to_do(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "var").mkdir()
    (tree / "var" / "swap file").write_bytes(bytes(65536))
    (tree / "etc" / "fstab").write_text(
        "/var/swap\\040file none swap sw 0 0\n/absent swap swap defaults 0 0\n"
        "/dev/sda9 none swap sw 0 0\n#/old none swap sw\n"
    )
    volume = '[[volume]]\nid = "root"\nfree = "4MiB"\n' if table == "gpt" else ""
    (tmp_path / "d.toml").write_text(
        f'schema = 1\nname = "d"\nlayout.table = "{table}"\nsize.additional = "1MiB"\n{volume}'
        '[[contents]]\nsource = "tree"\ntarget = "/"\n'
    )
    main(["build", str(tmp_path / "d.toml"), "-o", str(tmp_path / "out"), "--quiet"])
    capsys.readouterr()
    assert main(["import", str(tmp_path / "out" / "d.img"), "-o", str(tmp_path / "o.toml")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "swap file" in line]
    first, second = told
    assert "the swap file /var/swap file, 64.0 KiB; a copy of it may have holes" in first
    assert "the swap file /absent, which is not in this file system: make it at the first" in second
    assert all('add a volume with role = "swap"' in line for line in told)
