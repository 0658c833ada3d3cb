"""Checks a spec as the command does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.spec.load import load
from engine.spec.resolve import resolve
from engine.trust.check import Report, Request, check


def checked(spec: Path, *overrides: str, keep: Path | None = None) -> Report:
    loaded = load(spec, overrides)
    settings, _ = resolve(loaded.spec, loaded.base, {})
    request = Request(
        spec=spec, overrides=overrides, contents=(), settings=settings, keep=keep
    )  # fmt: skip
    return asyncio.run(check(request, lambda line: None))
