"""Digests of images that have parts in common, against those of each image by itself."""

from __future__ import annotations

import random
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline.packing import digests
from engine.pipeline.repeats import Hashed, Part, Repeats
from engine.planning import plan_spec
from engine.provenance.fsverity import GROUP
from engine.spec.load import load

KINDS = ("sha256", "fsverity")
BLOCK = 4096


def nobody(done: int, total: int) -> None:
    """Takes no progress."""


def hashed(path: Path, parts: list[Part], known: Hashed) -> dict[str, str]:
    taken = Repeats(known).taken(path, KINDS, parts, nobody, lambda: False)
    return {kind: taker.digest() for kind, taker in taken.items()}


@given(
    cuts=st.lists(st.integers(0, 700), min_size=2, max_size=6, unique=True),
    seeds=st.lists(st.integers(0, 2), min_size=12, max_size=12),
    tail=st.integers(0, BLOCK),
)
@settings(max_examples=25, deadline=None)
def test_digests_are_those_of_the_images_by_themselves(
    cuts: list[int], seeds: list[int], tail: int
) -> None:
    """Images of pieces of which some are the same: those go by a key of their seed and length."""
    known = Hashed()
    bounds = [cut * BLOCK for cut in sorted(cuts)]
    with tempfile.TemporaryDirectory() as folder:
        for image in range(2):
            path = Path(folder, str(image))
            parts = []
            with path.open("wb") as file:
                file.truncate(bounds[-1] + tail)
                for number, (start, end) in enumerate(pairwise(bounds)):
                    seed = seeds[image * 6 + number]
                    key = f"{seed} {end - start}"
                    if seed:  # else a hole
                        file.seek(start)
                        file.write(random.Random(key).randbytes(end - start))
                    if number % 3 < 2:
                        parts.append(Part(key, start, end))
            assert hashed(path, parts, known) == digests(path, KINDS, nobody, lambda: False)


def test_a_part_that_is_known_is_not_read_again(tmp_path: Path) -> None:
    known, parts = Hashed(), [Part("key", BLOCK, BLOCK + 3 * GROUP)]
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(bytes(BLOCK) + b"x" * (3 * GROUP) + name.encode())
    with (tmp_path / "second").open("r+b") as file:
        file.seek(2 * GROUP)
        file.write(b"not what the key says")
    hashed(tmp_path / "first", parts, known)
    as_told = hashed(tmp_path / "second", parts, known)

    assert as_told != digests(tmp_path / "second", KINDS, nobody, lambda: False)
    with (tmp_path / "second").open("r+b") as file:
        file.seek(2 * GROUP)
        file.write(b"x" * 21)
    assert as_told == digests(tmp_path / "second", KINDS, nobody, lambda: False)


def test_progress_counts_the_bytes_of_the_whole_image(tmp_path: Path) -> None:
    """Also within a part that is read for the first time, which may be most of it."""
    image = tmp_path / "image"
    image.write_bytes(b"x" * (4 << 20))
    told: list[tuple[int, int]] = []
    parts = [Part("key", 1 << 20, 4 << 20)]
    Repeats().taken(image, ["sha256"], parts, lambda *now: told.append(now), lambda: False)

    assert [done >> 20 for done, _ in dict.fromkeys(told)] == [1, 2, 3, 4]
    assert {total for _, total in told} == {4 << 20}


@pytest.mark.parametrize("hook", ["", "true"])
def test_an_image_that_a_hook_may_change_is_read(tmp_path: Path, hook: str) -> None:
    spec = tmp_path / "disk.toml"
    spec.write_text(f'schema = 1\nhooks.after_build = "{hook}"\n')
    plan = plan_spec(load(spec).spec, base=tmp_path)
    repeats = Repeats(parts=[Part("b", 3 * BLOCK, 4 * BLOCK), Part("a", 0, BLOCK), Part("c", 1, 2)])

    assert [part.key for part in repeats.of(plan)] == ([] if hook else ["a", "b"])
