"""Holds Python's cyclic collector back while very many objects are made that form no cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Suspends the collector, and has it pass over all that is there at the end from then on.

    It would look at every entry again and again, and find nothing: entries go when the last
    reference to them does.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
