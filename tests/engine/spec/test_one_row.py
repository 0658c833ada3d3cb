"""A format is one row, and so is a role: everything that knows of them reads the table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from engine.disk.roles import ROLES
from engine.spec.formats import FORMATS
from tests.support.examples import python_blocks
from tests.support.specs import write_spec

ROOT = Path(__file__).parents[3]

_WITH_A_ROW = """
import asyncio, json, sys
import engine.spec.formats as table
table.FORMATS["qed"] = table.Format(
    key="qed", title="QED", summary="QEMU of old", extension="qed", qemu_img=("-O", "qed"),
    hydra_type="qed-image", readable=False,
    size=table.SizeRule(multiple=1 << 30, reader="Somebody", strict=True),
)
from engine.cli.main import main
from engine.spec import manual, schema
from tui.panes.output import choices
from tui.plain_questions import _formats
from engine.spec.model import ImageSpec
spec, out = sys.argv[1:]
told = {
    "manual": manual.markdown(),
    "schema": schema.dumps(),
    "wizard": [choice.value for choice in choices()],
    "plain": [choice.value for choice in _formats(ImageSpec())],
    "uneven": main(["plan", spec, "--set", "size.disk=1000MiB"]),
    "build": main(["build", spec, "-o", out, "--quiet"]),
}
sys.stderr.write(json.dumps(told))
"""


def test_a_format_is_one_row(tmp_path: Path) -> None:
    assert "qed" not in FORMATS
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text() + '[output]\nformat = "qed"\n')
    command = (sys.executable, "-c", _WITH_A_ROW, spec, tmp_path / "out")

    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    told = json.loads(ran.stderr.splitlines()[-1])
    assert (told["uneven"], told["build"]) == (2, 0)
    for where in ("manual", "schema", "wizard", "plain"):
        assert "qed" in told[where], where
    info = ("qemu-img", "info", "--output=json", "-f", "qed", tmp_path / "out" / "demo.qed")
    seen = json.loads(subprocess.run(info, check=True, capture_output=True).stdout)
    assert (seen["format"], seen["virtual-size"]) == ("qed", 1 << 30)


_WITH_A_ROLE = """
import importlib.util, json, sys
from pathlib import Path
name = "engine.disk.roles"
found = importlib.util.find_spec(name)
text = Path(found.origin).read_text()
module = importlib.util.module_from_spec(found)
sys.modules[name] = module
row, spec, out = sys.argv[1:]
exec(text.replace("_TABLE = (", "_TABLE = (*" + row.strip() + ",", 1), module.__dict__)
from engine.cli.main import main
from engine.spec import manual, schema
told = {
    "manual": manual.markdown(), "schema": schema.dumps(), "build": main(["build", spec, "-o", out])
}
sys.stderr.write(json.dumps(told) + "\\n")
sys.exit(main(["inspect", out + "/demo.img", "--json"]))
"""


def test_a_role_is_one_row(tmp_path: Path) -> None:
    """The worked example of docs/extending.md, tried."""
    (row,) = python_blocks("A role")
    assert "user-home" not in ROLES
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text() + '[[volume]]\nid = "user-home"\nfree = "4MiB"\n')
    command = (sys.executable, "-c", _WITH_A_ROLE, row, spec, tmp_path / "out")

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stderr.splitlines()[-1])
    assert told["build"] == 0
    for where in ("manual", "schema"):
        assert "user-home" in told[where], where
    report = json.loads(ran.stdout[ran.stdout.index("{") :])
    (partition,) = [one for one in report["partitions"] if one["role"] == "user-home"]
    assert partition["type"] == "773F91EF-66D4-49B5-BD83-D683BF40AD16"
    assert partition["name"] == "user-home"
    assert partition["filesystem"]["type"] == "ext4"
