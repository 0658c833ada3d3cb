"""What all tests share: no property test depends on how fast the machine is."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# Builds leave records for `--update` in the user's cache: not in that of whoever runs the tests.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="diskwright-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leaves six thousand collected tests out of every later search for garbage, and has fewer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
