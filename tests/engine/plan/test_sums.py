"""Which digests the outputs get."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from engine.pipeline.build import build
from engine.trust.verify import bad, verify
from tests.support.specs import plan_of, write_spec

LARGE = "size.disk=16GiB"


@pytest.mark.parametrize(
    ("overrides", "image", "others"),
    [
        ((), ("sha256",), ("sha256",)),
        ((LARGE,), ("fsverity",), ("sha256",)),
        ((LARGE, "output.format=qcow2"), ("sha256",), ("sha256",)),
        ((LARGE, "output.sums=sha256"), ("sha256",), ("sha256",)),
        (("output.sums=fsverity",), ("fsverity",), ("fsverity",)),
        (('output.sums=["sha256", "fsverity"]',), ("sha256", "fsverity"), ("sha256", "fsverity")),
        (("output.sums=none",), (), ()),
    ],
)
def test_what_is_asked_for(
    tmp_path: Path, overrides: tuple[str, ...], image: tuple[str, ...], others: tuple[str, ...]
) -> None:
    plan = plan_of(write_spec(tmp_path), overrides)

    assert (plan.sums.image, plan.sums.others) == (image, others)
    assert bool(plan.sums.note) == (overrides == (LARGE,))
    assert ("SHA256SUMS" in plan.writes) == ("sha256" in image + others)
    assert ("FSVERITYSUMS" in plan.writes) == ("fsverity" in image + others)


def test_a_large_empty_disk_is_vouched_for_without_reading_its_holes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = plan_of(write_spec(tmp_path), (LARGE, "layout.table=none"))

    result = asyncio.run(build(plan, lambda event: None, outdir=out))

    assert result.status == "ok"
    listed = (out / "FSVERITYSUMS").read_text()
    assert not bad(verify(out))
    (output,) = json.loads((out / "manifest.json").read_text())["outputs"]
    assert f"sha256:{output['fsverity']} demo.img\n" == listed
    with (out / "demo.img").open("r+b") as image:
        image.seek(15 << 30)
        image.write(b"\x01")
    assert [finding.what for finding in bad(verify(out))] == ['"demo.img"']


def test_without_digests_there_is_nothing_to_sign(tmp_path: Path) -> None:
    plan = plan_of(write_spec(tmp_path), ("output.sums=none", 'output.sign=["true"]'))

    assert [problem.code for problem in plan.problems] == ["signs-nothing"]
