"""What a fleet needs to know of an image's plan: small data, which a worker can send."""

from __future__ import annotations

import hashlib
from weakref import WeakKeyDictionary

import msgspec

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.table import DRIVERS
from engine.fleet.plan import ImageOutline, VolumeOutline
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.nix.roots import is_unbuilt
from engine.plan.model import Plan, VolumePlan
from engine.plan.preflight import peak_bytes
from engine.plan.steps import IMAGE, VOLUME
from engine.problem import errors
from engine.spec.filesystems import FILESYSTEMS


class Outliner:
    """Sums plans up; what a volume is made from is digested once for each manifest."""

    def __init__(self) -> None:
        self._manifests: WeakKeyDictionary[Manifest, dict[str, str]] = WeakKeyDictionary()

    def outline(self, plan: Plan) -> ImageOutline:
        """Returns what a fleet's plan has of an image."""
        volumes = tuple(self._volume(plan, volume) for volume in plan.volumes)
        # What nix must build first is built when the row's turn comes.
        problems = () if is_unbuilt(plan.problems) else plan.problems
        return ImageOutline(
            bytes=plan.disk.bytes, written=sum(each.written for each in volumes),
            peak=0 if errors(problems) else peak_bytes(plan), outputs=plan.outputs,
            volumes=volumes, problems=problems,
        )  # fmt: skip

    def _volume(self, plan: Plan, volume: VolumePlan) -> VolumeOutline:
        filesystem = volume.filesystem
        if filesystem is None or not filesystem.filled or FILESYSTEMS[filesystem.type].layer:
            written = filesystem.written_bytes if filesystem is not None else 0
            return VolumeOutline(id=volume.id, bytes=volume.bytes, written=written)
        contents = self._contents(filesystem)
        described = (
            contents, filesystem.type, filesystem.label, filesystem.uuid, filesystem.size,
            filesystem.block_size, filesystem.blocks, filesystem.inodes, filesystem.parts,
            volume.bytes, plan.disk.sector_size, plan.identity.epoch, plan.settings.compat,
            DRIVERS[filesystem.type].make(filesystem, IMAGE, 0, VOLUME),
        )  # fmt: skip
        return VolumeOutline(
            id=volume.id,
            bytes=volume.bytes,
            written=filesystem.written_bytes,
            likeness=hashlib.sha256(msgspec.json.encode(described)).hexdigest(),
            contents=contents,
        )

    def _contents(self, filesystem: FilesystemPlan) -> str:
        known = self._manifests.setdefault(filesystem.manifest, {})
        if filesystem.type not in known:
            known[filesystem.type] = _digest(filesystem.type, filesystem.manifest)
        return known[filesystem.type]


def _digest(kind: str, manifest: Manifest) -> str:
    digest = hashlib.sha256(kind.encode())
    for entry in manifest:
        digest.update(repr(_described(entry)).encode())
    return digest.hexdigest()


def _described(entry: Entry) -> tuple[object, ...]:
    """Returns all that is known of an entry without reading it; a folder has no data to know."""
    origin = entry
    while isinstance(origin.stamp, Entry):  # its bytes at another path
        origin = origin.stamp
    archive = getattr(origin.source, "stamp", None)
    return (
        entry.path, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.target,
        entry.rdev, entry.xattrs, entry.extents, entry.link_to and entry.link_to.path,
        origin.stamp if entry.size else None, archive if entry.size else None,
    )  # fmt: skip
