"""systemd-repart as a witness: what it makes of definitions, beside what we make of them.

Debian 12 has it in systemd; Debian 13 in a package of its own, which a bare machine lacks.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from engine.cli.main import main
from engine.planning import plan_spec
from engine.problem import errors
from engine.spec.load import loads
from tests.engine.importers.test_witnesses import built, rows, table


def test_systemd_repart_makes_the_same_table(tmp_path: Path) -> None:
    definitions = {
        "10-esp": "Type=esp\nLabel=my esp\nSizeMinBytes=33M\nSizeMaxBytes=33M\n",
        "20-root": "Type=root\nLabel=main\nSizeMinBytes=64M\nSizeMaxBytes=64M\n"
        "UUID=11111111-2222-4333-8444-555555555501\n",
        "30-home": "Type=home\nLabel=users\nSizeMinBytes=12M\nNoAuto=yes\n",
        "40-arm": "Type=usr-arm64\nLabel=usr\nReadOnly=yes\n",
        "50-swap": "Type=swap\nLabel=swap\nSizeMinBytes=16M\nSizeMaxBytes=16M\n",
        "60-own": "Type=3df8f8b0-4464-4fe6-8df4-2a5e2f6c4949\nLabel=own\n",
    }
    folder = tmp_path / "x.repart"
    folder.mkdir()
    for name, text in definitions.items():
        (folder / f"{name}.conf").write_text(f"[Partition]\n{text}")

    subprocess.run(
        ["systemd-repart", f"--definitions={folder}", "--empty=create", "--size=auto",
         "--dry-run=no", tmp_path / "theirs.img"],
        check=True, capture_output=True,
    )  # fmt: skip

    theirs, ours = table(tmp_path / "theirs.img"), built(tmp_path, folder)
    columns = ("start", "size", "type", "name", "attrs")
    assert rows(ours, *columns) == rows(theirs, *columns)
    assert ours["partitions"][1]["uuid"] == theirs["partitions"][1]["uuid"]


def test_systemd_repart_lays_them_out_as_our_plan_does(tmp_path: Path) -> None:
    text = """schema = 1
name = "any"
[layout]
table = "gpt"
[size]
disk = "500MiB"
[[volume]]
id = "esp"
size = "40MiB"
[[volume]]
id = "root-a"
role = "root"
size = "64MiB"
[[volume]]
id = "root-b"
role = "root"
name = "spare"
size = "64MiB"
flags = ["read-only"]
[[volume]]
id = "swap"
size = "16MiB"
[[volume]]
id = "home"
size = "100MiB"
guid = "11111111-2222-4333-8444-555555555501"
flags = ["grow-file-system", "no-auto"]
[[volume]]
id = "rest"
format = "none"
grow = 1
"""
    (tmp_path / "any.toml").write_text(text)
    folder = tmp_path / "any.repart"
    assert (
        main(["export", str(tmp_path / "any.toml"), "--format", "repart", "-o", str(folder)]) == 0
    )
    plan = plan_spec(loads(text), base=tmp_path)
    assert not errors(plan.problems)

    # With --empty=create systemd 252 takes no dry run, but wants loop devices and makes it all.
    with (tmp_path / "x.img").open("wb") as disk:
        disk.truncate(500 << 20)
    done = subprocess.run(
        ["systemd-repart", f"--definitions={folder}", "--empty=require", "--dry-run=yes",
         "--json=short", tmp_path / "x.img"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    theirs = json.loads(done.stdout)
    assert [(one["offset"], one["raw_size"], one["label"], one["uuid"]) for one in theirs[:-1]] == [
        (one.start * 512, one.bytes, one.name, (one.guid or "").lower())
        for one in plan.partitions[:-1]
    ]
    assert [one["type"] for one in theirs] == [
        "esp", "root-x86-64", "root-x86-64", "swap", "home", "linux-generic",
    ]  # fmt: skip
    # What grows ends at the last whole MiB here, and at the last 4 KiB there.
    last, ours = theirs[-1], plan.partitions[-1]
    assert last["offset"] == ours.start * 512
    assert 0 <= last["raw_size"] - ours.bytes < 1 << 20
