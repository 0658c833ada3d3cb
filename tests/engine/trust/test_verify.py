from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.pipeline.build import BuildResult, build
from engine.problem import Refused
from engine.trust.verify import bad, verify
from tests.support.specs import plan_of, write_spec


def built(folder: Path, *overrides: str) -> BuildResult:
    plan = plan_of(folder / "demo.toml", overrides)
    result = asyncio.run(build(plan, lambda event: None, outdir=folder / "out"))
    assert result.status == "ok", result.message
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    spec = write_spec(folder, esp=True)
    built(spec.parent, "output.bmap=true", "output.compress=xz")
    return folder / "out"


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "out", symlinks=True)
    return tmp_path / "out"


def flip(path: Path, at: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def test_a_finished_build_verifies(out: Path) -> None:
    findings = verify(out)

    assert not bad(findings)
    assert {found.verdict for found in findings} == {"ok"}
    assert main(["verify", str(out)]) == 0


@pytest.mark.parametrize(
    "name", ["demo.img", "demo.img.xz", "demo.img.bmap", "manifest.json", "SHA256SUMS"]
)
def test_one_bit_anywhere_is_noticed(out: Path, name: str) -> None:
    flip(out / name, 100)

    # A sum may differ, or be no sum any more: then there is nothing to hold the folder against.
    try:
        assert bad(verify(out))
    except Refused:
        assert name == "SHA256SUMS"
        assert main(["verify", str(out)]) == 2
    else:
        assert main(["verify", str(out)]) == 3


def gone(out: Path) -> None:
    (out / "demo.img").unlink()


def linked(out: Path) -> None:
    (out / "demo.img").rename(out / "elsewhere")
    (out / "demo.img").symlink_to("elsewhere")


def blocking(out: Path) -> None:
    (out / "demo.img").unlink()
    os.mkfifo(out / "demo.img")


def leads_out(out: Path) -> None:
    with (out / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  ../../etc/passwd\n")


def unlisted(out: Path) -> None:
    lines = (out / "SHA256SUMS").read_text().splitlines(keepends=True)
    (out / "SHA256SUMS").write_text("".join(line for line in lines if "xz" not in line))


def garbage(out: Path) -> None:
    (out / "manifest.json").write_text("[" * 100_000)


def test_an_image_that_is_not_read_here_is_said_not_to_be_checked(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    built(spec.parent, "output.format=vhdx")

    findings = verify(tmp_path / "out")

    (image,) = [found for found in findings if found.what == "image"]
    assert (image.verdict, bad(findings)) == ("not checked", ())
    assert image.why == "VHDX is not read here, so only its sum is checked"
    flip(tmp_path / "out" / "demo.vhdx", 100_000)
    assert bad(verify(tmp_path / "out"))


@pytest.mark.parametrize("harm", [gone, linked, blocking, leads_out, unlisted, garbage])
def test_harm_is_noticed(out: Path, harm: Callable[[Path], None]) -> None:
    harm(out)

    assert bad(verify(out))


def test_an_image_that_is_not_the_planned_one_is_noticed(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["plan"]["partitions"][1]["start"] += 8
    (out / "manifest.json").write_text(json.dumps(manifest))

    assert main(["verify", "--json", str(out)]) == 3

    found = {item["what"]: item for item in json.loads(capsys.readouterr().out)["findings"]}
    assert "partition 2, start: planned" in found["image against the plan"]["why"]


def test_what_no_sum_covers_is_said(out: Path) -> None:
    (out / "extra").write_text("x")

    (extra,) = [found for found in verify(out) if found.verdict == "not checked"]
    assert extra.what == '"extra"'


@pytest.mark.parametrize(
    "name", ["board.img", "board.QCOW2", "board.img.zst", "gpt", "ext", "sub/disk.raw"]
)
def test_an_image_that_no_sum_covers_is_not_verified(
    out: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = {
        "gpt": (out / "demo.img").read_bytes()[: 1 << 20],
        "ext": bytes(1080) + b"\x53\xef" + bytes(1000),
    }
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_bytes(heads.get(name, b"x"))

    assert main(["verify", str(out)]) == 3

    said = capsys.readouterr().out
    assert f'"{name}": is an image that no sum covers' in said
    assert "\nverified" not in said
    assert "NOT verified: 1 of " in said


def test_what_was_not_checked_is_in_the_last_line(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / "notes").write_text("x")

    assert main(["verify", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verified, but for 1 not checked"


def test_a_folder_without_sums_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="has no SHA256SUMS"):
        verify(tmp_path)
    assert main(["verify", str(tmp_path)]) == 2
