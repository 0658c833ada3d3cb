"""What a volume cannot hold is left out by the fix, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.planning import plan_spec
from engine.spec.edit import apply_fix
from engine.spec.load import loads

SPEC = """\
schema = 1
layout.table = "efixbootldr"
[[contents]]
source = "{source}"
target = "{target}"
{more}
"""


@pytest.mark.parametrize(
    ("source", "target", "more"),
    [
        ("tree", "/", ""),
        ("tree/boot", "/boot", ""),
        ("tree/boot", "/", 'volume = "xbootldr"'),
        ("tree", "/", 'exclude = ["/etc"]'),
    ],
)
def test_each_fix_leaves_one_entry_out(tmp_path: Path, source: str, target: str, more: str) -> None:
    boot = tmp_path / "tree/boot/deep"
    boot.mkdir(parents=True)
    (tmp_path / "tree/etc").mkdir()
    (boot.parent / "kernel").write_text("k")
    (boot.parent / "link").symlink_to("kernel")
    (boot / "link").symlink_to("../kernel")
    spec = loads(SPEC.format(source=source, target=target, more=more))
    for left in (2, 1):
        problems = [
            one for one in plan_spec(spec, base=tmp_path).problems if one.code == "entry-unwritable"
        ]
        assert len(problems) == left
        assert problems[0].fix is not None
        spec = apply_fix(spec, problems[0].fix)
    plan = plan_spec(spec, base=tmp_path)
    assert [one for one in plan.problems if one.severity == "error"] == []
    filesystem = plan.volume("xbootldr").filesystem
    assert filesystem is not None
    assert [entry.path for entry in filesystem.manifest] == [b"", b"deep", b"kernel"]
