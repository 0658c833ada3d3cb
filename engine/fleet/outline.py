"""What a fleet needs to know of an image's plan: small data, which a worker can send."""

from __future__ import annotations

import hashlib
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec

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
        self._manifests: WeakKeyDictionary[Manifest, _Digests] = WeakKeyDictionary()

    def outline(self, plan: Plan) -> ImageOutline:
        """Returns what a fleet's plan has of an image."""
        volumes = tuple(self._volume(plan, volume) for volume in plan.volumes)
        # What nix must build first is built when the row's turn comes.
        problems = () if is_unbuilt(plan.problems) else plan.problems
        return ImageOutline(
            bytes=plan.disk.bytes, written=sum(each.written for each in volumes),
            peak=0 if errors(problems) else peak_bytes(plan), outputs=plan.outputs,
            volumes=volumes, problems=problems, digest=self.digest(plan),
        )  # fmt: skip

    def digest(self, plan: Plan) -> str:
        """Returns what `ImageOutline.digest` is."""
        if errors(plan.problems) or not plan.settings.identity.deterministic:
            return ""
        described = [
            (volume.id, volume.bytes, self._digests(filesystem.manifest).seen if filesystem else "")
            for volume in plan.volumes
            for filesystem in (volume.filesystem,)
        ]
        return hashlib.sha256(msgspec.json.encode((plan.disk.bytes, described))).hexdigest()

    def _volume(self, plan: Plan, volume: VolumePlan) -> VolumeOutline:
        filesystem = volume.filesystem
        if filesystem is None or not filesystem.filled or FILESYSTEMS[filesystem.type].layer:
            written = filesystem.written_bytes if filesystem is not None else 0
            return VolumeOutline(id=volume.id, bytes=volume.bytes, written=written)
        exact = self._digests(filesystem.manifest).exact
        contents = f"{filesystem.type} {exact}"
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

    def _digests(self, manifest: Manifest) -> _Digests:
        known = self._manifests.get(manifest)
        if known is None:
            known = self._manifests[manifest] = _digests(manifest)
        return known


class _Digests(NamedTuple):
    """Of a manifest: as every machine sees it, and with what tells files from others like them."""

    seen: str
    exact: str


def _digests(manifest: Manifest) -> _Digests:
    seen, exact = hashlib.sha256(), hashlib.sha256()
    for entry in manifest:
        fields = (
            entry.path, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size,
            entry.target, entry.rdev, entry.xattrs, entry.link_to and entry.link_to.path,
        )  # fmt: skip
        described = repr(fields).encode()
        seen.update(described)
        exact.update(described)
        exact.update(repr((entry.extents, *(_stamps(entry) if entry.size else ()))).encode())
    return _Digests(seen.hexdigest(), exact.hexdigest())


def _stamps(entry: Entry) -> tuple[object, object]:
    """Returns what tells an entry's data from others; a folder has no data to know."""
    origin = entry
    while isinstance(origin.stamp, Entry):  # its bytes at another path
        origin = origin.stamp
    return origin.stamp, getattr(origin.source, "stamp", None)
