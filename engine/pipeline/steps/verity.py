"""Hash trees and their signatures: made of what is in the image, checked by others' programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.disk.verity import TREE
from engine.filesystems import table
from engine.filesystems.driver import Below
from engine.filesystems.verity.reader import HashTree, Signature
from engine.filesystems.verity.signature import dumps, fingerprint
from engine.filesystems.verity.writer import write_tree
from engine.image.container.disk import RawDisk
from engine.image.reading import Content, Window
from engine.image.whole import write_whole
from engine.pipeline.sparse import copy_range
from engine.pipeline.staging import ROOT_HASH_FILE, SIGNATURE_FILE
from engine.pipeline.work import Work
from engine.tools.failure import StepFailed
from engine.units import in_bytes


async def make(work: Work) -> None:
    """Makes the tree, whose root hash all later steps know, or signs that.

    Raises:
        StepFailed: It cannot be signed.
    """
    if work.filesystem.type == TREE:
        await _hash(work)
    else:
        await _sign(work)


async def check(work: Work) -> None:
    """Holds the tree against what is hashed, or the signature against the root hash.

    Raises:
        StepFailed: They do not agree.
    """
    if work.filesystem.type == TREE:
        await _check_tree(work)
    else:
        await _check_signature(work)


async def _hash(work: Work) -> None:
    planned, data = work.filesystem, work.plan.volume(work.volume.verity)
    below: Below = planned.layout
    root_hash = await work.thread(
        lambda report: write_tree(
            work.image, work.plan.offset(data.id), data.bytes, work.offset, below.salt,
            planned.uuid, report, work.cancelled,
        )
    )  # fmt: skip
    work.root_hashes[data.id] = root_hash
    work.note(f"root hash of {data.id}: {root_hash}")


async def _check_tree(work: Work) -> None:
    """Has veritysetup go through the tree and, in a copy of its own, all that is hashed."""
    plan, planned, data = work.plan, work.filesystem, work.plan.volume(work.volume.verity)
    copy = work.copy
    start = plan.offset(data.id)
    await work.thread(
        lambda report: copy_range(work.image, start, data.bytes, copy, work.cancelled)
    )
    for argv in work.step.argv:
        await work.tool(argv)
    copy.unlink()
    below: Below = planned.layout
    wanted = planned.uuid, below.salt, below.size
    found = _read_back(work)
    if not isinstance(found, HashTree) or (found.uuid, found.salt, found.data_bytes) != wanted:
        raise StepFailed(f"the {work.volume.title} is not as planned")
    work.note(f"read back: every block of {data.id} has the digest that its hash tree says")


async def _sign(work: Work) -> None:
    below: Below = work.filesystem.layout
    root_hash = work.root_hashes[below.id]
    with _files(work, root_hash):
        for argv in work.step.argv:
            await work.tool(argv)
        signature = (work.staging.folder / SIGNATURE_FILE).read_bytes()
    data = dumps(root_hash, fingerprint(below.certificate), signature)
    if len(data) > work.filesystem.size:
        raise StepFailed(
            f"the signature takes {in_bytes(len(data))}, and there are "
            f"{work.filesystem.size:,} for it"
        )
    with work.image.open("r+b", buffering=0) as image:
        write_whole(image.fileno(), data, work.offset)


async def _check_signature(work: Work) -> None:
    below: Below = work.filesystem.layout
    root_hash = work.root_hashes[below.id]
    found = _read_back(work)
    wanted = root_hash, fingerprint(below.certificate)
    if not isinstance(found, Signature) or (found.root_hash, found.fingerprint) != wanted:
        raise StepFailed(f"the {work.volume.title} is not as planned")
    with _files(work, found.root_hash):
        (work.staging.folder / SIGNATURE_FILE).write_bytes(found.signature)
        for argv in work.step.argv:
            await work.tool(argv)
    work.note(f"read back: the signature is one of {below.id}'s root hash by the certificate's key")


def _read_back(work: Work) -> Content | None:
    with RawDisk(work.image) as disk:
        return table.probe(Window(disk, work.offset, work.volume.bytes))[0]


@contextmanager
def _files(work: Work, root_hash: str) -> Iterator[None]:
    """Keeps the root hash in a file, which is what is signed, and removes it and the signature."""
    paths = [work.staging.folder / name for name in (ROOT_HASH_FILE, SIGNATURE_FILE)]
    paths[0].write_text(root_hash)
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
