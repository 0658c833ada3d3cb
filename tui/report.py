"""The report of a fault of our own: enough to find it, nothing that is secret."""

from __future__ import annotations

import platform
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def write_report(folder: Path, error: BaseException) -> str:
    """Writes versions and the traceback without local values, where a secret could stand.

    Returns:
        The path of the report, or words for the standard error where it cannot be written.
    """
    lines = [
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        f"diskwright {_version('diskwright')}, textual {_version('textual')}",
        f"python {platform.python_version()} on {platform.platform()}",
        "",
        *(line.rstrip("\n") for line in traceback.format_exception(error)),
    ]
    text = "\n".join(lines) + "\n"
    path = folder / f"report-{int(time.time())}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text, encoding="utf-8")
    except OSError:
        sys.stderr.write(text)
        return "the lines above"
    return str(path)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(from its sources)"
