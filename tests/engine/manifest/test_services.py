"""A unit runs what a container image says, quoted as systemd reads it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.manifest.scan import Scanned
from tests.engine.manifest.support import codes, content, data, make, scanned
from tests.support.containers import Made, layer, layout, member, symlink

PASSWD = b"root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n"
FILES = layer(
    member("bin/server", data=b"#!", mode=0o755), symlink("usr/bin/tool", "/bin/server"),
    member("etc/passwd", data=PASSWD), member("srv/"),
)  # fmt: skip


def _scanned(tmp_path: Path, target: bytes = b"/", **process: object) -> Scanned:
    image = layout(tmp_path / "image", ("web:1", Made([FILES], process)))
    return scanned(content(image, target, extract="oci", service="web"))


def _unit(found: Scanned) -> list[str]:
    assert found.problems == ()
    link = found.volumes["root"].get(b"etc/systemd/system/multi-user.target.wants/web.service")
    assert link is not None
    assert link.target == b"../web.service"
    return data(found.volumes["root"])[b"etc/systemd/system/web.service"].decode().splitlines()


def test_a_unit_of_the_whole_image(tmp_path: Path) -> None:
    lines = _unit(
        _scanned(
            tmp_path, Entrypoint=["tool", "--x"], Cmd=["a b", "$HOME", "100%", 'q"\\', "n\nl", ""],
            Env=["PATH=/usr/bin", 'WORDS=one "two" %i $x'], WorkingDir="/srv", User="web",
            StopSignal="SIGQUIT",
        )
    )  # fmt: skip
    assert 'ExecStart=/usr/bin/tool --x "a b" "$$HOME" "100%%" "q\\"\\\\" "n\\x0al" ""' in lines
    assert 'Environment="WORDS=one \\"two\\" %%i $x"' in lines
    assert {"User=33", "Group=34", "WorkingDirectory=/srv", "KillSignal=SIGQUIT"} <= set(lines)
    assert not any(line.startswith("RootDirectory") for line in lines)


def test_below_another_target_it_is_the_services_root(tmp_path: Path) -> None:
    lines = _unit(_scanned(tmp_path, b"/opt/my app", Cmd=["/bin/server"], WorkingDir="/none"))
    assert {"RootDirectory=/opt/my app", "WorkingDirectory=-/none"} <= set(lines)
    assert "ExecStart=/bin/server" in lines


@pytest.mark.parametrize(
    ("process", "code"),
    [
        ({}, "no-command"),
        ({"Cmd": ["missing"]}, "no-command"),
        ({"Cmd": ["/srv"]}, "no-command"),
        ({"Cmd": ["server"], "User": "nobody-here"}, "unknown-user"),
        ({"Cmd": ["server"], "Env": ["a-b=c"]}, "variable-left-out"),
    ],
)
def test_what_cannot_be_run_is_said(tmp_path: Path, process: dict[str, Any], code: str) -> None:
    assert codes(_scanned(tmp_path, **process)) == [code]


def test_a_unit_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", ["etc/systemd/system/web.service"])
    image = layout(tmp_path / "image", ("", Made([FILES], {"Cmd": ["server"]})))
    found = scanned(content(tree), content(image, b"/opt", extract="oci", service="web"))
    assert codes(found) == ["duplicate-target"]


def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    lines = _unit(_scanned(tmp_path, Cmd=["/bin/server", "%n", "$x", ";", "a;b"], User="web"))
    lines = [line.replace("/bin/server", "/bin/true") for line in lines]
    unit = tmp_path / "web.service"
    unit.write_text("\n".join(lines))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True,
        check=False, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    assert "web.service" not in ran.stderr, ran.stderr
