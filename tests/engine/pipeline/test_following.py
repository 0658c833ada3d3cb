"""A digest that follows the writers: of the bytes that are in the file, none of which change."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest

from engine.events import AnyEvent, Artifact
from engine.filesystems import copiers
from engine.filesystems.copiers import Copiers
from engine.filesystems.placed import Place
from engine.image.whole import BLOCK
from engine.manifest.entry import Entry
from engine.pipeline import following, summing
from engine.pipeline.build import build
from engine.pipeline.following import Following
from engine.pipeline.summing import Summing
from engine.plan.model import Plan, StepPlan
from engine.planning import plan_spec
from engine.spec.load import loads

MIB = 1 << 20
FILES = 1500

VOLUMES = """\
[[volume]]
id = "first"
role = "data"
mount = "/d0"
[[volume]]
id = "boot"
role = "data"
mount = "/d1"
format = "vfat"
size = "33MiB"
[[volume]]
id = "root"
mount = "/"
[[volume]]
id = "last"
role = "data"
mount = "/d2"
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes a folder of many files, some of them with holes or of two names."""
    folder = tmp_path_factory.mktemp("following") / "tree"
    generator = random.Random(2)
    for index in range(FILES):
        place = folder / f"d{index % 5}" / f"file-{index}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(generator.randbytes(generator.randrange(9000)))
    (folder / "d3" / "again").hardlink_to(folder / "d3" / "file-3")
    with (folder / "d4" / "holes").open("wb") as file:
        file.seek(3 * MIB)
        file.write(b"data")
        file.truncate(8 * MIB)
    return folder


def plan_of(tree: Path, more: str = "") -> Plan:
    """Returns the plan of a disk that holds the folder."""
    spec = 'schema = 1\nname = "disk"\noutput.sums = "sha256"\nlayout.table = "gpt"\n'
    spec += f"contents = [{{ source = {str(tree)!r}, target = '/' }}]\n{more}"
    return plan_spec(loads(spec), base=tree.parent)


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Has the digest follow even small images; returns how far it may read, and the sum then."""
    seen: list[tuple[int, str]] = []
    allow = Summing.allow

    def watched(one: Summing, end: int) -> bool:
        path = one._path if one._path.exists() else one._path.with_name("disk.img")
        seen.append((end, begins(path, end)))
        return allow(one, end)

    put = Copiers.put

    def unanswered(
        one: Copiers, entries: Sequence[Entry], places: Sequence[Place | None]
    ) -> tuple[list[Entry], list[Place | None]]:
        """Leaves all to be copied until the layout is complete, however slow that is."""
        with mock.patch.object(one, "_pump"):
            return put(one, entries, places)

    monkeypatch.setattr(Copiers, "put", unanswered)
    monkeypatch.setattr(Summing, "allow", watched)
    monkeypatch.setattr(copiers, "_WORTH_IT", 0)
    monkeypatch.setattr(following, "_STEP", BLOCK)
    for module in (copiers, following, summing):
        monkeypatch.setattr(module, "processors", lambda: 2)
    monkeypatch.setattr(summing, "WORTH_IT", 0)
    return seen


def begins(path: Path, end: int) -> str:
    """Returns the sum of the first bytes of a file."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(end)).hexdigest()


def built(plan: Plan, folder: Path) -> tuple[bytes, str | None]:
    """Builds; returns the image, and the sum of it that was told."""
    told: list[AnyEvent] = []
    result = asyncio.run(build(plan, told.append, outdir=folder))
    assert result.status == "ok"
    (sum_,) = (one.sha256 for one in told if isinstance(one, Artifact))
    return (folder / "disk.img").read_bytes(), sum_


@pytest.mark.parametrize("volumes", ["[[volume]]\nid = 'root'\n", VOLUMES], ids=["root", "four"])
def test_nobody_writes_any_more_what_is_hashed_while_others_still_write(
    tree: Path, tmp_path: Path, allowed: list[tuple[int, str]], volumes: str
) -> None:
    plan = plan_of(tree, volumes)

    image, sum_ = built(plan, tmp_path / "out")

    assert sum_ == hashlib.sha256(image).hexdigest()
    assert allowed == [(end, hashlib.sha256(image[:end]).hexdigest()) for end, _ in allowed]
    assert allowed == sorted(allowed)
    first = min(plan.volumes, key=lambda volume: volume.start)
    start, end = first.start * 512, first.start * 512 + first.bytes
    inside = [one for one, _ in allowed if start < one < end]
    assert len(inside) > 1


def test_what_a_hook_may_change_is_hashed_behind_it(
    tree: Path, tmp_path: Path, allowed: list[tuple[int, str]]
) -> None:
    script = 'printf hooked | dd of="$DISK_IMAGE" bs=1 seek=440 conv=notrunc status=none'

    plan = plan_of(tree, f"hooks.after_build = {script!r}\n[[volume]]\nid = 'root'\n")

    image, sum_ = built(plan, tmp_path / "out")

    assert image[440:446] == b"hooked"
    assert sum_ == hashlib.sha256(image).hexdigest()
    assert [end for end, _ in allowed] == [len(image)]


def test_a_few_processors_or_bytes_are_not_worth_it(
    tree: Path, tmp_path: Path, allowed: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "processors", lambda: 1)
    monkeypatch.setattr(summing, "processors", lambda: 1)

    image, sum_ = built(plan_of(tree, "[[volume]]\nid = 'root'\n"), tmp_path / "out")

    assert sum_ == hashlib.sha256(image).hexdigest()
    assert not allowed


class Told(Summing):
    """In place of a process: what it was allowed."""

    def __init__(self, path: Path) -> None:
        self.ends: list[int] = []

    def allow(self, end: int) -> bool:
        """Notes it."""
        self.ends.append(end)
        return True


def step(verb: str, volume: str = "") -> StepPlan:
    return StepPlan(id=f"{verb}-{volume}", verb=verb, volume=volume, title="")


def test_it_waits_for_those_who_write_before_it(
    tree: Path, tmp_path: Path, allowed: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tree, VOLUMES)
    starts = {volume.id: plan.offset(volume.id) for volume in plan.volumes}
    fills = [step(verb, volume) for volume in starts for verb in ("make", "populate")]
    steps = [step("table"), *fills, step("loader-boot-code"), step("checksum"), step("record")]
    told = Told(tmp_path)
    monkeypatch.setattr(following, "Summing", lambda path: told)

    def after(*over: StepPlan, without: str = "") -> int:
        told.ends.clear()
        work = Following(plan, [one for one in steps if one.verb != without], tmp_path, wanted=True)
        for one in over:
            work.over(one)
        return max(told.ends, default=0)

    # what writes anywhere keeps all back, before the volumes and after
    assert after(*fills) == 0
    assert after(step("table"), *fills) == 0
    assert after(step("table"), *fills, step("loader-boot-code")) == plan.disk.bytes
    assert after(step("table"), without="loader-boot-code") == starts["first"]
    assert after(step("table"), *fills[2:], without="loader-boot-code") == starts["first"]
    but_one = [*fills[:3], *fills[4:]]
    assert after(step("table"), *but_one, without="loader-boot-code") == starts["boot"]
    assert after(step("table"), *fills, without="loader-boot-code") == plan.disk.bytes
