"""Versions of tools: asked once while the program stays the file that it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.pipeline.versions import Versions


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
