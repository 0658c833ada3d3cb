"""`inspect` on images of every container, made by our own pipeline and by others' tools."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli import exits
from engine.cli.main import main
from engine.pipeline.build import build
from tests.support.specs import plan_of, write_spec
from tests.support.tools import run_tool

EXTENSIONS = {
    "raw": "img",
    "qcow2": "qcow2",
    "qcow2-compressed": "qcow2",
    "vdi": "vdi",
    "vpc": "vhd",
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One efi image, in every format."""
    folder = tmp_path_factory.mktemp("images")
    spec = write_spec(folder, esp=True)
    made = {}
    for format_, extension in EXTENSIONS.items():
        plan = plan_of(spec, [f"output.format={format_}"])
        result = asyncio.run(build(plan, lambda event: None, outdir=folder / format_))
        assert result.status == "ok"
        made[format_] = folder / format_ / f"demo.{extension}"
    return made


def inspected(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> dict[str, Any]:
    assert main(["inspect", *map(str, argv), "--json"]) == exits.DONE
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


@pytest.mark.parametrize("format_", EXTENSIONS)
def test_it_agrees_with_the_plan(
    images: dict[str, Path], format_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = images[format_]
    plan = json.loads((image.parent / "manifest.json").read_text())["plan"]

    report = inspected(capsys, image)

    assert report["disk"] == plan["disk"]
    assert report["findings"] == []
    for seen, planned in zip(report["partitions"], plan["partitions"], strict=True):
        for key in ("number", "role", "start", "sectors", "bytes", "type", "guid", "name", "flags"):
            assert seen[key] == planned[key], key
        for key in ("type", "label", "uuid", "block_size", "blocks"):
            assert seen["filesystem"][key] == planned["filesystem"][key], key


def test_a_directory_is_listed(images: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    report = inspected(capsys, images["qcow2"], "/etc/")

    assert [(e["path"], e["kind"], e["links"]) for e in report["entries"]] == [
        ("/etc/link", "symlink", 1),
        ("/etc/motd", "file", 2),
        ("/etc/same", "file", 2),
    ]


def test_a_name_with_a_newline_stays_on_its_line(
    images: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(images["raw"]), "/"]) == exits.DONE

    assert "a b\\n*\n" in capsys.readouterr().out


def test_another_partition_is_asked_for_by_number(
    images: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    report = inspected(capsys, images["vdi"], "1:/efi/boot")

    assert [(e["path"], e["size"]) for e in report["entries"]] == [
        ("/EFI/BOOT/BOOTX64.EFI", 100_000)
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [("/nosuch", "partition 2 has no /nosuch"), ("7:/", "no file system is known in partition 7")],
)
def test_what_is_not_there_is_refused(
    images: dict[str, Path], path: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(images["raw"]), path]) == exits.REFUSED

    error, more = capsys.readouterr().err.splitlines()
    assert error == f"error: {message}"
    assert more.startswith("more: diskwright explain no-")


def test_a_disk_of_other_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "other.img"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    script = "label: dos\nlabel-id: 0x12345678\nstart=2048, type=83, bootable\n"
    run_tool(("sfdisk", "-q", image), input=script, text=True, check=True)

    report = inspected(capsys, image)

    assert report["disk"]["signature"] == "0x12345678"
    assert report["partitions"][0]["flags"] == ["boot"]
    assert report["partitions"][0]["filesystem"] is None


@pytest.mark.parametrize(
    ("name", "data"),
    [("cut.qcow2", b"QFI\xfb\x00\x00\x00\x03" + bytes(20)), ("empty.img", b"")],
)
def test_damage_is_no_traceback(
    tmp_path: Path, name: str, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / name
    image.write_bytes(data)

    assert main(["inspect", str(image)]) in (exits.DONE, exits.REFUSED)

    assert "internal error" not in capsys.readouterr().err


@pytest.mark.parametrize("format_", EXTENSIONS)
def test_a_file_of_another_partition_is_written_to_standard_output(
    images: dict[str, Path], format_: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = images[format_]

    assert main(["inspect", str(image), "--cat", "1:/efi/boot/bootx64.efi"]) == exits.DONE

    written = image.parents[1] / "esp" / "EFI" / "BOOT" / "BOOTX64.EFI"
    assert capfdbinary.readouterr().out == written.read_bytes()


@pytest.mark.parametrize("format_", EXTENSIONS)
def test_a_tree_comes_out_of_every_container(
    images: dict[str, Path], format_: str, tmp_path: Path
) -> None:
    image = images[format_]

    assert main(["inspect", str(image), "--extract", str(tmp_path / "etc"), "/etc"]) == exits.DONE

    assert (tmp_path / "etc" / "motd").read_text() == "hello\n"
    assert (tmp_path / "etc" / "motd").samefile(tmp_path / "etc" / "same")
    assert (tmp_path / "etc" / "link").readlink() == Path("motd")
