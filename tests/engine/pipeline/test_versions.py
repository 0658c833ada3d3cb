"""Versions of tools: asked once while the program stays the file that it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.pipeline.versions import Versions
from engine.tools import runner
from tests.support.processes import alive, written_pid


def test_a_program_is_asked_again_when_it_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    asked = tmp_path / "asked"
    versions = Versions()

    def says(version: str) -> dict[str, str]:
        program = tmp_path / "mke2fs"
        text = f"#!/bin/sh\necho >>{asked}\necho mke2fs {version}\n"
        if not program.exists() or program.read_text() != text:
            program.unlink(missing_ok=True)
            program.write_text(text)
            program.chmod(0o755)
        return asyncio.run(versions.of(["mke2fs"], 0, step="record"))

    assert [says("1.47.0"), says("1.47.0"), says("1.47.10")] == [
        {"mke2fs": "1.47.0"}, {"mke2fs": "1.47.0"}, {"mke2fs": "1.47.10"},
    ]  # fmt: skip
    assert len(asked.read_text()) == 2


async def test_a_cancel_waits_for_every_tool_that_is_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(runner, "GRACE", 0.3)
    for name, ending in (("mke2fs", ""), ("e2fsck", "trap '' TERM; ")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{ending}echo $$ >{tmp_path}/{name}.pid\nexec sleep 30\n")
        program.chmod(0o755)
    asking = asyncio.ensure_future(Versions().of(["mke2fs", "e2fsck"], 0, step="record"))
    tools = [await written_pid(tmp_path / f"{name}.pid") for name in ("mke2fs", "e2fsck")]

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert not any(alive(tool) for tool in tools)
