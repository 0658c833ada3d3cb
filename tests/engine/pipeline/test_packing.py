from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.pipeline import packing
from engine.pipeline.build import BuildResult, build
from engine.pipeline.packing import Compressor, verify_packed
from engine.pipeline.taking import Sum, take_all
from engine.problem import Refused
from engine.tools.failure import StepFailed
from engine.trust.verify import bad, verify
from tests.support.specs import plan_of, write_spec

UNPACK = {"zst": ["zstd", "-dc"], "xz": ["xz", "-dc"], "gz": ["gzip", "-dc"]}


def attempt(spec: Path, outdir: Path, *overrides: str) -> BuildResult:
    plan = plan_of(spec, overrides)
    return asyncio.run(build(plan, lambda event: None, outdir=outdir))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_zstd_has_the_same_bytes_for_any_number_of_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(1).randbytes(1 << 20) * 20 + bytes(1 << 20)
    found = set()
    for count in (1, 2, 5):
        monkeypatch.setattr(packing, "processors", lambda count=count: count)
        path = tmp_path / f"packed-{count}"
        compressor = Compressor(path, "zst", len(data))
        for at in range(0, len(data), 999_999 + count):
            compressor.data(memoryview(data)[at : at + 999_999 + count])
        compressor.finish()
        found.add(path.read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["zst", "xz", "gz"])
def test_the_fields_own_tool_unpacks_the_image(tmp_path: Path, kind: str) -> None:
    spec = write_spec(tmp_path)

    result = attempt(spec, tmp_path / "out", f"output.compress={kind}")

    assert result.status == "ok"
    image = tmp_path / "out" / "demo.img"
    packed = image.with_name(f"demo.img.{kind}")
    unpacked = subprocess.run([*UNPACK[kind], packed], check=True, capture_output=True).stdout
    assert unpacked == image.read_bytes()
    assert packed.stat().st_size * 20 < image.stat().st_size
    sums = {artifact.path: artifact.sha256 for artifact in result.artifacts}
    assert sums[str(image)] == hashlib.sha256(unpacked).hexdigest()


def test_the_packed_image_may_stay_alone(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    overrides = ("output.compress=zst", "output.keep_raw=false", "output.bmap=true")

    result = attempt(spec, tmp_path / "out", *overrides)

    assert result.status == "ok"
    assert plan_of(spec, overrides).outputs == ("demo.img.zst", "demo.img.bmap")
    assert names(tmp_path / "out") == {
        "SHA256SUMS", "build.jsonl", "demo.img.bmap", "demo.img.zst", "manifest.json",
    }  # fmt: skip
    assert not bad(verify(tmp_path / "out"))


@pytest.mark.parametrize("kind", ["zst", "xz", "gz"])
def test_a_damaged_packed_image_is_noticed(tmp_path: Path, kind: str) -> None:
    image, packed = tmp_path / "image", tmp_path / "packed"
    image.write_bytes(bytes(range(256)) * 5000)
    compressor = Compressor(packed, kind, image.stat().st_size)
    take_all(image, [compressor], lambda done, total: None, lambda: False)
    compressor.finish()
    verify_packed(packed, kind, image.stat().st_size, lambda: False)
    whole = packed.read_bytes()

    for damaged in (whole[:-1], whole[: len(whole) // 2]):
        packed.write_bytes(damaged)
        with pytest.raises(StepFailed, match="unpack"):
            verify_packed(packed, kind, image.stat().st_size, lambda: False)


def test_holes_are_counted_as_zeros(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(10_000_001)
        file.seek(3_333_333)
        file.write(b"data")
    digest = Sum()

    take_all(image, [digest], lambda done, total: None, lambda: False)

    assert digest.digest() == hashlib.sha256(image.read_bytes()).hexdigest()


def test_a_signer_is_run_on_the_sums(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    out = tmp_path / "out"

    result = attempt(spec, out, 'output.sign=["cp", "-n", "--suffix=.x", "-T", "SHA256SUMS"]')

    # cp got SHA256SUMS twice: as its source, and as the last argument.
    assert result.status == "failed"
    assert result.step == "sign"

    result = attempt(spec, out, 'output.sign=["openssl", "dgst", "-out", "SHA256SUMS.sig"]')

    assert result.status == "ok", result.message
    digest = hashlib.sha256((out / "SHA256SUMS").read_bytes()).hexdigest()
    assert digest in (out / "SHA256SUMS.sig").read_text()
    assert not bad(verify(out))


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_gpg_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    gpg = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "test@example.org"], check=True, capture_output=True)
    spec = write_spec(tmp_path)
    command = json.dumps([*gpg, "--armor", "--detach-sign"])

    try:
        result = attempt(spec, tmp_path / "out", f"output.sign={command}")
        assert result.status == "ok", result.message
        sums = tmp_path / "out" / "SHA256SUMS"
        subprocess.run(["gpg", "--verify", f"{sums}.asc", sums], check=True, capture_output=True)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=True)


def test_a_signer_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)

    with pytest.raises(Refused, match="no-such-signer, which is not installed"):
        attempt(spec, tmp_path / "out", 'output.sign=["no-such-signer"]')
    assert not (tmp_path / "out").exists()
