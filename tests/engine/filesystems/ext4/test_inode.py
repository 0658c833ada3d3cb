"""Inodes: the quick way that most files take gives the bytes of the general one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems.ext4.blockmap import single_extent
from engine.filesystems.ext4.inode import EXTENTS_FLAG, InodePacker

U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
IDS = st.one_of(U16, U32)
TIMES = st.one_of(
    st.integers(0, 2**61), st.integers(-(2**33) * 10**9, 2**34 * 10**9), st.just(-(2**31) * 10**9)
)
FILES = st.tuples(
    U32, U16, IDS, IDS, st.one_of(U16, st.integers(0, 2**44)), TIMES,
    st.one_of(U16, st.integers(0, 2**40)),
)  # fmt: skip


@given(st.lists(FILES, min_size=1, max_size=4), U32, U32, st.booleans())
def test_the_quick_way_gives_the_same_bytes(
    files: list[tuple[int, ...]], seed: int, epoch: int, checksums: bool
) -> None:
    packer = InodePacker(seed, epoch, checksums=checksums)
    other = InodePacker(seed, epoch, checksums=checksums)
    for number, mode, uid, gid, size, mtime_ns, sectors in files:
        block_map = single_extent(number, mode & 0x7FFF)
        quick = packer.file(number, mode, uid, gid, size, mtime_ns, sectors, block_map)
        assert bytes(quick) == bytes(
            other.pack(number, mode, uid, gid, size, mtime_ns, 1, sectors, EXTENTS_FLAG, block_map)
        )
