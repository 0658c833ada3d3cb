"""`build`: the image against its plan, the events, the output folder, the exit codes."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Desk
from tests.support.ext import superblock
from tests.support.tools import run_tool

EVENTS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "build-started": {"plan": dict},
    "step-started": {"id": str, "title": str, "argv": (list, type(None))},
    "progress": {"id": str, "done": int, "total": int, "unit": str},
    "log": {"id": str, "stream": str, "text": str},
    "step-finished": {"id": str, "status": str, "seconds": (int, float)},
    "artifact": {"path": str, "bytes": int, "sha256": str},
    "build-finished": {"status": str, "seconds": (int, float)},
}


def output(*argv: str | Path) -> str:
    return str(run_tool(argv, check=True, capture_output=True, text=True).stdout)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_it_leaves_and_says(desk: Desk) -> None:
    spec = desk.small()
    out = desk.folder / "out"

    ran = desk.run("build", spec, "-o", "out", "--events", "events")

    assert ran.code == 0
    image = (out / "demo.img").read_bytes()
    digest = hashlib.sha256(image).hexdigest()
    assert {"demo.img", "manifest.json", "build.jsonl"} <= {*files(out)}
    assert ran.stdout == f"{digest}  {out}/demo.img\n"
    manifest = json.loads((out / "manifest.json").read_text())
    plan = desk.plan(spec)
    assert {**manifest["plan"], "problems": []} == {**plan, "problems": []}
    assert manifest["tools"]["mke2fs"]
    listed = {entry["path"]: entry["sha256"] for entry in manifest["outputs"]}
    assert listed["demo.img"] == digest
    assert (desk.folder / "events").read_bytes() == (out / "build.jsonl").read_bytes()
    assert len(image) == plan["disk"]["bytes"]


def test_the_events(desk: Desk) -> None:
    ran = desk.run("build", desk.small(), "-o", "out", "--events", "-")

    assert ran.code == 0
    events = events_of(ran.stdout)
    for event in events:
        assert isinstance(event["time"], int | float)
        for key, kind in EVENTS[event["event"]].items():
            assert isinstance(event[key], kind), event
    assert all(one["time"] <= two["time"] for one, two in pairwise(events))
    assert [events[0]["event"], events[-1]["event"]] == ["build-started", "build-finished"]
    plan = events[0]["plan"]
    assert plan["partitions"] == desk.plan(desk.folder / "demo.toml")["partitions"]
    planned = [step["id"] for step in plan["steps"]]
    assert [event["id"] for event in events if event["event"] == "step-started"] == planned
    running: set[str] = set()
    ended: list[str] = []
    for event in events[1:-1]:
        if event["event"] == "step-started":
            running.add(event["id"])
        elif event["event"] == "step-finished":
            assert event["status"] == "ok"
            running.remove(event["id"])
            ended.append(event["id"])
        elif "id" in event:
            assert event["id"] in running
    assert not running
    assert sorted(ended) == sorted(planned)
    (making,) = [e for e in events if e["event"] == "step-started" and e["id"] == "make-root"]
    assert making["argv"][0] == "mke2fs"
    artifacts = [event for event in events if event["event"] == "artifact"]
    assert [Path(event["path"]).name for event in artifacts] == ["demo.img"]
    assert events[-1]["status"] == "ok"


def test_the_image_is_the_plan(desk: Desk) -> None:
    spec = desk.small('[layout]\ntable = "hybrid"\n')
    plan = desk.plan(spec)

    assert desk.run("build", spec, "-o", "out", "--quiet").code == 0

    image = desk.folder / "out" / "demo.img"
    table = json.loads(output("sfdisk", "--json", image))["partitiontable"]
    assert table["id"] == plan["disk"]["guid"]
    assert [(p["start"], p["size"], p["type"], p["uuid"], p["name"])
            for p in table["partitions"]] == [
        (p["start"], p["sectors"], p["type"], p["guid"], p["name"]) for p in plan["partitions"]
    ]  # fmt: skip
    by_role = {partition["role"]: partition for partition in plan["partitions"]}
    root = by_role["root"]
    place = f"{image}?offset={root['start'] * 512}"
    header = superblock(image, root["start"] * 512)
    filesystem = root["filesystem"]
    assert header["Filesystem UUID"] == filesystem["uuid"]
    assert header["Filesystem volume name"] == filesystem["label"]
    assert int(header["Block count"]) == filesystem["blocks"]
    assert int(header["Inode count"]) == filesystem["inodes"]
    free = int(header["Free blocks"]) * 4096
    assert 4 << 20 <= free <= (4 << 20) + (8 << 20)
    assert int(header["Reserved block count"]) == 0
    assert output("debugfs", "-R", "cat /.profile", place) == "umask 022\n"
    assert "Links: 2" in output("debugfs", "-R", "stat /etc/same", place)
    subprocess.run(("e2fsck", "-fn", place), check=True, capture_output=True)


def test_owners_modes_and_archives(desk: Desk) -> None:
    subprocess.run(
        ("tar", "-C", desk.folder / "tree", "--owner=7", "--group=8", "-czf",
         desk.folder / "tree.tar.gz", "etc"), check=True,
    )  # fmt: skip
    spec = desk.small(
        '[[contents]]\nsource = "tree/etc"\ntarget = "/home/alice"\nmode = "640"\n'
        'user = "alice"\ngroup = "users"\n'
        '[[contents]]\nsource = "tree.tar.gz"\ntarget = "/old"\nextract = true\n'
        '[[contents]]\nsource = "tree/etc/*"\ntarget = "/globbed"\nmode = "D700,F600"\n'
    )

    assert desk.run("build", spec, "-o", "out", "--quiet", "--set", "layout.table=none").code == 0

    image = desk.folder / "out" / "demo.img"

    def stat(path: str) -> tuple[str, str, str]:
        text = output("debugfs", "-R", f"stat {path}", image)
        found = [re.search(rf"{name}:\s+(\d+)", text) for name in ("Mode", "User", "Group")]
        assert all(found), text
        mode, user, group = (match[1] for match in found if match)
        return mode, user, group

    assert stat("/home/alice") == ("0750", "1000", "100")
    assert stat("/home/alice/motd") == ("0640", "1000", "100")
    assert stat("/old/etc/motd")[1:] == ("7", "8")
    assert stat("/globbed/motd") == ("0600", "0", "0")
    assert stat("/etc/motd")[1:] == ("0", "0")


def test_the_hook_sees_the_image(desk: Desk) -> None:
    hook = 'cp "$DISK_IMAGE" "$OUT/copy" && echo done'
    spec = desk.small(f"[hooks]\nafter_build = '''{hook}'''\n")

    assert desk.run("build", spec, "-o", "out", "--quiet").code == 0

    out = desk.folder / "out"
    assert (out / "copy").stat().st_size == (out / "demo.img").stat().st_size


def test_efi_variables(desk: Desk) -> None:
    spec = desk.small("[boot]\nefi_variables = true\n")
    planned = desk.run("plan", spec, "--json")
    if planned.code:
        pytest.skip(planned.stderr)

    assert desk.run("build", spec, "-o", "out", "--quiet").code == 0

    assert (desk.folder / "out" / "efi-vars.fd").stat().st_size > 0


def test_the_same_spec_gives_the_same_bytes(desk: Desk) -> None:
    spec = desk.small()
    desk.run("build", spec, "-o", "one", "--quiet")
    desk.run("build", spec, "-o", "two", "--quiet", TZ="Asia/Tokyo", LC_ALL="C")
    assert (desk.folder / "one/demo.img").read_bytes() == (
        desk.folder / "two/demo.img"
    ).read_bytes()


def test_a_full_events_file_is_no_reason_to_fail(desk: Desk) -> None:
    ran = desk.run("build", desk.small(), "-o", "out", "--events", "/dev/full", "--quiet")
    assert ran.code == 0
    assert "/dev/full" in ran.stderr
    assert (desk.folder / "out" / "demo.img").exists()


def test_quiet_says_nothing_of_warnings_either(desk: Desk) -> None:
    ran = desk.run("build", desk.small("[boot]\nprove = false\nloader = 'nixos'\n"),
                   "-o", "tree/out", "--quiet")  # fmt: skip
    assert (ran.code, ran.stderr) == (0, "")


@pytest.mark.parametrize("words", [("-o", ""), ("-o", "out", "--contents", "")])
def test_an_empty_path_is_refused(desk: Desk, words: tuple[str, ...]) -> None:
    before = desk.files()
    assert desk.run("build", desk.folder / "demo.toml", *words).code == 2
    assert desk.files() == before


def test_refused_is_2_and_touches_nothing(desk: Desk) -> None:
    spec = desk.small("[hooks]\nafter_built = ''\n")
    before = desk.files()

    ran = desk.run("build", spec, "-o", "out")

    assert (ran.code, ran.stdout) == (2, "")
    assert desk.files() == before
    assert not (desk.folder / "out").exists()


def test_failed_is_1_and_leaves_the_record_alone(desk: Desk) -> None:
    spec = desk.small("[hooks]\nafter_build = 'echo no luck >&2; exit 7'\n")

    ran = desk.run("build", spec, "-o", "out", "--events", "-")

    assert ran.code == 1
    assert files(desk.folder / "out") == ["build.jsonl"]
    last = events_of(ran.stdout)[-1]
    assert (last["event"], last["status"], last["step"]) == ("build-finished", "failed", "hook")
    assert "no luck" in last["message"]
    assert isinstance(last["hint"], str)
    assert "no luck" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelled_is_130_and_leaves_the_record_alone(desk: Desk, number: signal.Signals) -> None:
    spec = desk.small("[hooks]\nafter_build = 'touch ../begun; sleep 60'\n")
    begun = desk.folder / "begun"
    process = subprocess.Popen(
        (sys.executable, "-m", "engine.cli", "build", spec, "-o", desk.folder / "out"),
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not any(desk.folder.rglob("begun")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in said
    begun.unlink(missing_ok=True)
    assert [name for name in files(desk.folder / "out") if name != "begun"] == ["build.jsonl"]
    last = events_of((desk.folder / "out" / "build.jsonl").read_text())[-1]
    assert (last["event"], last["status"]) == ("build-finished", "cancelled")


def test_an_existing_output_is_kept_without_force(desk: Desk) -> None:
    out = desk.folder / "out"
    out.mkdir()
    (out / "demo.img").write_text("mine")

    refused = desk.run("build", desk.small(), "-o", "out")

    assert refused.code == 2
    assert "--force" in refused.stderr
    assert (out / "demo.img").read_text() == "mine"
    assert files(out) == ["demo.img"]
    assert desk.run("build", desk.folder / "demo.toml", "-o", "out", "--force").code == 0
    assert (out / "demo.img").stat().st_size > 1000


def test_a_fixed_size_that_is_too_small_says_what_works(desk: Desk) -> None:
    spec = desk.small()
    (desk.folder / "tree" / "large").write_bytes(bytes(range(256)) * (30 << 12))

    ran = desk.run("build", spec, "-o", "out", "--set", "size.disk=50MiB")

    assert ran.code == 2
    found = re.search(r"(\d+)MiB", ran.stderr.rpartition("(")[2])
    assert found
    assert desk.run("build", spec, "-o", "out", "--quiet",
                    "--set", f"size.disk={found[1]}MiB").code == 0  # fmt: skip
