"""Power is lost at each moment of a build, a grow, a flash: old or new, nothing between."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from engine.cli import exits
from engine.cli.main import main
from engine.flash.medium import Medium
from engine.image.container.disk import RawDisk
from engine.image.table import Table, read_table
from engine.pipeline import shifting, takeover
from engine.pipeline.build import build
from engine.pipeline.falloc import movable
from engine.pipeline.shifting import Shift
from engine.provenance.sums import SHA256
from engine.units import MIB
from tests.support.disks import gpt_disk
from tests.support.power import NAMES, SYNCS, TORN, Change, Moment, Watch, crashes
from tests.support.specs import plan_of, write_spec

IMAGE = "demo.img"
FROM_34 = "label: gpt\nfirst-lba: 34\nstart=34, size=4000, type=L\n"
IN_THE_MAKING = frozenset({"image.part", "output.part", "volume-root.part", "volume-esp.part"})
"""What libparted, e2fsprogs and QEMU sync as well, each for itself."""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def states(watch: Watch) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields what may be left, with the call before; what is hidden is swept by whoever comes."""
    for moment in watch.moments:
        seen = set()
        for state in crashes(moment):
            shown = _shown(state)
            if frozenset(shown.items()) not in seen:
                seen.add(frozenset(shown.items()))
                yield moment.after, shown


def final(watch: Watch) -> list[dict[str, str]]:
    """Returns what may be left once all is done."""
    found: list[dict[str, str]] = []
    for state in crashes(watch.moments[-1]):
        shown = _shown(state)
        if shown not in found:
            found.append(shown)
    return found


def _shown(state: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in state.items() if not k.startswith(".") and "/." not in k}


def building(tmp_path: Path, name: str, outdir: Path, *overrides: str, force: bool) -> None:
    plan = plan_of(tmp_path / name, overrides)
    result = asyncio.run(build(plan, lambda event: None, outdir=outdir, force=force))
    assert result.status == "ok"


def test_a_build_leaves_nothing_or_whole_outputs(tmp_path: Path) -> None:
    write_spec(tmp_path)
    where = tmp_path / "where"
    where.mkdir()
    with Watch(where) as watch:
        building(tmp_path, "demo.toml", where / "new" / "out", force=False)
    new = {f"new/out/{name}": found for name, found in digests(where / "new" / "out").items()}
    for after, state in states(watch):
        for name, found in state.items():
            assert found == new[name], f"{name} after {after}"
        if f"new/out/{SHA256.name}" in state:
            assert f"new/out/{IMAGE}" in state, f"sums without the image after {after}"
    assert final(watch) == [new]


def test_what_is_replaced_is_old_or_new(tmp_path: Path) -> None:
    write_spec(tmp_path)
    out = tmp_path / "out"
    building(tmp_path, "demo.toml", out, force=False)
    old = digests(out)
    with Watch(out) as watch:
        building(tmp_path, "demo.toml", out, 'layout.label="other"', force=True)
    new = digests(out)
    assert {name for name in new if new[name] != old[name]} >= {IMAGE, SHA256.name, "manifest.json"}
    for after, state in states(watch):
        for name, found in state.items():
            assert found in {old[name], new[name]}, f"{name} after {after}"
        assert state.keys() >= {IMAGE, SHA256.name, "manifest.json"}, (
            f"something is gone after {after}"
        )
        # What describes the image is never of a later one than the image itself.
        if state[SHA256.name] == new[SHA256.name] or state["manifest.json"] == new["manifest.json"]:
            assert state[IMAGE] == new[IMAGE], f"the record is ahead after {after}"
    assert final(watch) == [new]


@pytest.mark.parametrize("manner", ["copy", "in place", "shift"])
def test_an_updated_image_is_the_old_or_the_new_one_or_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    monkeypatch.setattr(takeover, "WORTH", 1 << 40 if manner == "copy" else 0)
    monkeypatch.setattr(shifting, "COST", 0)
    monkeypatch.setattr(takeover, "cloned", lambda old, path: False)
    if manner == "shift" and not movable(tmp_path, os.statvfs(tmp_path).f_bsize):
        manner = "copy"
    spec = write_spec(tmp_path)
    (tmp_path / "tree" / "hole").unlink()  # a file whose holes would have to be looked up
    (tmp_path / "tree" / "more").write_bytes(bytes(range(1, 251)) * 200)
    out = tmp_path / "out"
    building(tmp_path, "demo.toml", out, force=False)
    old = digests(out)
    grown = "HELLO\n" * 2000 if manner == "shift" else "HELLO\n"
    (tmp_path / "tree" / "etc" / "motd").write_text(grown)
    plan = plan_of(spec, outdir=out, force=True)
    shifted: list[Shift] = []
    real = Shift.apply

    def noted(shift: Shift, file: int) -> None:
        shifted.append(shift)
        real(shift, file)

    monkeypatch.setattr(Shift, "apply", noted)
    with Watch(out) as watch:
        result = asyncio.run(build(plan, lambda event: None, outdir=out, update=True))
    assert result.status == "ok"
    new = digests(out)
    assert {name for name in new if new[name] != old[name]} >= {IMAGE, SHA256.name, "manifest.json"}
    gone = False
    for after, state in states(watch):
        for name, found in state.items():
            assert found in {old[name], new[name]}, f"{name} after {after}"
        gone |= IMAGE not in state
        assert state.keys() >= {SHA256.name, "manifest.json"}
        if state[SHA256.name] == new[SHA256.name] or state["manifest.json"] == new["manifest.json"]:
            assert state[IMAGE] == new[IMAGE], f"the record is ahead after {after}"
    assert gone is (manner != "copy")
    assert bool(shifted) is (manner == "shift")
    assert final(watch) == [new]


def test_a_grown_image_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "disks"
    folder.mkdir()
    image = gpt_disk(folder / "disk.img", 8 * MIB, "label: gpt\nstart=2048, type=L\n")
    old = digest(image)
    with Watch(folder) as watch:
        assert main(["grow", str(image), "--to", "16MiB"]) == exits.DONE
    new = digest(image)
    seen = {state["disk.img"] for _, state in states(watch)}
    assert seen == {old, new}
    assert final(watch) == [{"disk.img": new}]


def test_a_new_file_of_flash_is_whole_or_not_there(tmp_path: Path) -> None:
    image = gpt_disk(tmp_path / "disk.img", 8 * MIB)
    folder = tmp_path / "to"
    folder.mkdir()
    with Watch(folder) as watch:
        assert main(["flash", str(image), str(folder / "new.img")]) == exits.DONE
    assert {state.get("new.img") for _, state in states(watch)} == {None, digest(image)}
    assert final(watch) == [{"new.img": digest(image)}]


class Sectors(Medium):
    """A disk that remembers what was written to it, and when it was asked to keep that."""

    log: ClassVar[list[tuple[int, bytes] | None]]

    def __init__(self, path: Path, *, writing: bool, exclusive: bool) -> None:
        super().__init__(path, writing=writing, exclusive=exclusive)
        type(self).log = []

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self.log.append((offset, bytes(data)))
        super().write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self.write(offset, bytes(length))

    def flush(self) -> None:
        self.log.append(None)
        super().flush()


_STATES = 24
"""Samples between two flushes, besides all and nothing of what was written."""


def between(old: bytes, log: list[tuple[int, bytes] | None]) -> Iterator[bytes]:
    """Yields what a disk may have: all that was flushed, and any sectors of what was not."""
    draw = random.Random(3)
    durable = bytearray(old)
    waiting: list[tuple[int, bytes]] = []
    for entry in [*log, None]:
        if entry is not None:
            offset, data = entry
            waiting += [(offset + at, data[at : at + 512]) for at in range(0, len(data), 512)]
            continue
        chances = [0.0, 1.0, *(draw.choice([0.02, 0.5, 0.98]) for _ in range(_STATES))]
        for chance in chances if waiting else ():
            state = bytearray(durable)
            for at, data in waiting:
                if draw.random() < chance:
                    state[at : at + len(data)] = data
            yield bytes(state)
        for at, data in waiting:
            durable[at : at + len(data)] = data
        waiting.clear()
    yield bytes(durable)


def table_in(folder: Path, state: bytes) -> Table:
    path = folder / "state"
    path.write_bytes(state)
    with RawDisk(path) as disk:
        return read_table(disk)


def test_a_disk_that_is_not_complete_shows_no_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.flash.flash.Medium", Sectors)
    image = gpt_disk(tmp_path / "image.img", 6 * MIB, FROM_34)
    with image.open("r+b") as file:  # from sector 34 on: in the first MiB, too
        file.seek(34 * 512)
        file.write(random.Random(1).randbytes(3 * MIB // 2))
    used = gpt_disk(tmp_path / "used.img", 7 * MIB)
    with used.open("r+b") as file:
        file.seek(MIB)
        file.write(random.Random(2).randbytes(5 * MIB))
    old, new = used.read_bytes(), image.read_bytes()
    assert main(["flash", str(image), str(used), "--yes"]) == exits.DONE
    kinds = set()
    for state in between(old, Sectors.log):
        table = table_in(tmp_path, state)
        # No kernel takes a GPT whose header or entries do not fit their checksums.
        if table.kind != "gpt" or any("primary" in finding for finding in table.findings):
            kinds.add("none")
        elif table.partitions == table_in(tmp_path, new).partitions:
            kinds.add("new")
            assert state[4096 : 6 * MIB] == new[4096:]
        else:
            kinds.add("old")
            assert state[4096 : 7 * MIB - 512] == old[4096:-512]
    assert kinds == {"old", "none", "new"}


# ---------------------------------------------------------------------- the model itself


def test_the_model_finds_what_is_done_in_the_wrong_order(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "name").write_text("old")
    old = digest(folder / "name")
    with Watch(folder) as watch:  # no sync of the data: the name may lead to anything
        (folder / "part").write_text("new")
        (folder / "part").replace(folder / "name")
    assert {state.get("name") for _, state in states(watch)} == {old, TORN}
    with Watch(folder) as watch:  # no sync of the folder: done, and it may not have happened
        (folder / "part").write_text("newer")
        with (folder / "part").open("rb") as file:
            os.fsync(file.fileno())
        (folder / "part").replace(folder / "name")
    newer = digest(folder / "name")
    assert {state.get("name") for state in final(watch)} > {newer}
    with Watch(folder) as watch, (folder / "name").open("r+b") as file:
        file.write(b"N")
        file.flush()
        os.fsync(file.fileno())
        file.write(b"written after the sync")
        file.flush()
    assert {state.get("name") for state in final(watch)} == {TORN}


def test_names_come_and_go_in_any_selection() -> None:
    one, two = Change((((".", "a"), 1),)), Change((((".", "a"), None), ((".", "b"), 1)))
    moment = Moment("", {(".", "c"): 2}, (one, two), {1: "x", 2: "y"})
    found = {frozenset(state.items()) for state in crashes(moment)}
    assert found == {
        frozenset({("c", "y")}),
        frozenset({("c", "y"), ("a", "x")}),
        frozenset({("c", "y"), ("b", "x")}),
    }


_TRACED = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(?P<name>\w+)\((?P<rest>.*)\) += 0")
_KINDS = {"renameat": "rename", "renameat2": "rename", "linkat": "link", "unlinkat": "unlink"}
_SCRIPT = """
import json, sys
from pathlib import Path
from typing import ClassVar
from tests.faults import test_power
from tests.support.power import Watch
folder = Path(sys.argv[1])
with Watch(folder / "out") as watch:
    test_power.building(folder, "demo.toml", folder / "out", "size.additional=9MiB", force=True)
print(json.dumps(watch.calls))
"""


@pytest.mark.slow
def test_the_calls_that_are_watched_are_those_that_the_kernel_sees(tmp_path: Path) -> None:
    write_spec(tmp_path)
    out = tmp_path / "out"
    building(tmp_path, "demo.toml", out, force=False)
    trace = tmp_path / "trace"
    said = subprocess.run(
        ["strace", "-f", "-y", "-o", trace,
         "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat",
         sys.executable, "-c", _SCRIPT, tmp_path],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    watched = [
        ("rename" if name == "replace" else name, Path(path).name)
        for name, path in json.loads(said)
        if name in {*SYNCS, "link", "rename", "replace"}
    ]
    seen = []
    for line in trace.read_text().splitlines():
        found = _TRACED.match(line)
        if found is None or str(out) not in found["rest"]:
            continue
        name = _KINDS.get(found["name"], found["name"])
        quoted = re.findall(r'[<"]([^<>"]*)[>"]', found["rest"])
        seen.append((name, Path(quoted[-1]).name))
    renames = [one for one in seen if one[0] not in SYNCS]
    assert [one for one in watched if one[0] not in SYNCS] == renames
    synced = [name for kind, name in seen if kind in SYNCS and name not in IN_THE_MAKING]
    ours = [name or "out" for kind, name in watched if kind in SYNCS]
    assert [name for name in ours if name not in IN_THE_MAKING] == synced
    assert set(NAMES) & {name for name, _ in json.loads(said)}
