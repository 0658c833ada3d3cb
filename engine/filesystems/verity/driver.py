"""Hash trees and their signatures as the planner sees them: layers of another volume.

Their sizes follow from the volume's alone; the root hash is known once that is written, so that
commands have a placeholder for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.disk.verity import SIGNATURE as SIGNATURE_TYPE
from engine.disk.verity import TREE
from engine.filesystems.driver import (
    Below,
    Commands,
    DoesNotFit,
    Driver,
    FilesystemPlan,
    Request,
    Shortage,
    Sized,
)
from engine.filesystems.verity.tree import BLOCK_SIZE, hash_tree_size
from engine.units import KIB, MIB, ceil_to

ROOT_HASH = "$HASH"
"""In commands: the root hash, in hexadecimal."""
ROOT_HASH_FILE, SIGNATURE_FILE = "$HASH_FILE", "$SIGNATURE_FILE"
"""In commands: a file with just the root hash, and one with its signature (PKCS#7, DER)."""

SIGNATURE_BYTES = 16 * KIB
"""More than a signature takes by any key; systemd-repart(8) makes such partitions as large."""


class TreeDriver:
    """The hash tree of a volume."""

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        """See `Driver.least`; nothing is ever added to a tree."""
        size = self.smallest(request)
        return Sized(size, self.fit(request, size))

    def smallest(self, request: Request) -> int:
        return ceil_to(_tree_size(_below(request)), MIB)

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        """See `Driver.fit`; what the place has beyond the tree stays unused."""
        below = _below(request)
        tree = _tree_size(below)
        return FilesystemPlan(
            type=TREE,
            label="",
            uuid=request.uuid,
            size=tree,
            block_size=BLOCK_SIZE,
            blocks=tree // BLOCK_SIZE,
            inodes=0,
            manifest=request.manifest,
            data_bytes=0,
            free_bytes=0,
            free_inodes=0,
            written_bytes=tree,
            structure_bytes=below.size,
            parts=(("hash-tree", tree),),
            layout=below,
            shortage=None if tree <= size else Shortage("bytes", tree, size),
        )

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.make`; it is made in process."""
        return ()

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.check`; the copy is of what is hashed, as veritysetup skips no data."""
        return (("veritysetup", "verify", copy, image, ROOT_HASH, f"--hash-offset={offset}"),)


class SignatureDriver:
    """The signature of a root hash, in the form of the Discoverable Partitions Specification."""

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        return Sized(MIB, self.fit(request, MIB))

    def smallest(self, request: Request) -> int:
        return MIB

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        return FilesystemPlan(
            type=SIGNATURE_TYPE,
            label="",
            uuid="",
            size=SIGNATURE_BYTES,
            block_size=BLOCK_SIZE,
            blocks=SIGNATURE_BYTES // BLOCK_SIZE,
            inodes=0,
            manifest=request.manifest,
            data_bytes=0,
            free_bytes=0,
            free_inodes=0,
            written_bytes=BLOCK_SIZE,
            parts=(("signature", SIGNATURE_BYTES),),
            layout=_below(request),
            shortage=None if size >= SIGNATURE_BYTES else Shortage("bytes", SIGNATURE_BYTES, size),
        )

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.make`; without attributes, since the time of signing is one."""
        below: Below = planned.layout
        return (
            (
                "openssl", "smime", "-sign", "-noattr", "-nocerts", "-binary", "-md", "sha256",
                "-in", ROOT_HASH_FILE, "-inkey", below.key, "-signer", below.certificate,
                "-passin", "pass:", "-outform", "der", "-out", SIGNATURE_FILE,
            ),
        )  # fmt: skip

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.check`; who vouches for the certificate is for the machine that boots it."""
        below: Below = planned.layout
        return (
            (
                "openssl", "smime", "-verify", "-noverify", "-nointern", "-binary",
                "-inform", "der", "-in", SIGNATURE_FILE, "-content", ROOT_HASH_FILE,
                "-certfile", below.certificate, "-out", "/dev/null",
            ),
        )  # fmt: skip


def _below(request: Request) -> Below:
    if request.below is None:
        raise DoesNotFit("the size of what it goes with is not known")
    return request.below


def _tree_size(below: Below) -> int:
    try:
        return hash_tree_size(below.size)
    except ValueError as error:
        raise DoesNotFit(str(error)) from error


DRIVERS: Mapping[str, Driver] = {TREE: TreeDriver(), SIGNATURE_TYPE: SignatureDriver()}
