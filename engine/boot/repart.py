"""/etc/repart.d: lets systemd grow the last partition with the disk, at the first boot.

Source: repart.d(5). Definitions go with the partitions of their type in the order of both, so that
one before a partition that grows needs a definition too; all others stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.boot import machine
from engine.boot.tree import children
from engine.disk.volume import Volume
from engine.manifest.entry import Entry
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.memory import file_of
from engine.manifest.mounted import Mounted
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings

FOLDER = b"etc/repart.d"
_FOLDERS = (FOLDER, b"usr/local/lib/repart.d", b"usr/lib/repart.d")
_SECOND_NS = 1_000_000_000
_GROWS = """\
# Written by Diskwright: the volume {id} grows with the disk.
[Partition]
Type={type}
GrowFileSystem=yes
"""
_STAYS = """\
# Written by Diskwright: the volume {id} stays as it is.
[Partition]
Type={type}
SizeMinBytes=4096
Weight=0
"""


def files(settings: Settings, tree: Mounted, architecture: str) -> Iterator[tuple[str, Entry]]:
    """Yields the definitions to write, each with the volume that it goes to.

    There are none where nothing grows, and where the contents have definitions of their own.

    Args:
        settings: The spec, resolved.
        tree: The contents, as mounted.
        architecture: Of the kernel or the programs in it, "" for not known.
    """
    listed = (each for folder in _FOLDERS for each in children(tree, folder))
    if settings.scheme != "gpt" or any(each.name.endswith(b".conf") for each in listed):
        return
    name = machine.by_loader(tree) or architecture or machine.DEFAULT
    there = [(_type(one, name), one) for one in settings.volumes if one.partitioned]
    growing = {type_ for type_, one in there if _grows(one)}
    if not growing:
        return
    try:
        folder = resolve(tree.get, FOLDER, may_miss=True)
    except LeadsNowhere:
        return
    mtime_ns = settings.identity.source_date_epoch * _SECOND_NS
    for number, (type_, volume) in enumerate(there, start=1):
        if type_ in growing:
            text = (_GROWS if _grows(volume) else _STAYS).format(id=volume.id, type=type_)
            where = tree.place(folder + f"/{number:03}-{volume.id}.conf".encode())
            yield where.volume, file_of(where.path, text.encode(), mtime_ns=mtime_ns)


def _grows(volume: Volume) -> bool:
    return volume.grown > 0 and FILESYSTEMS[volume.format].grows


def _type(volume: Volume, architecture: str) -> str:
    return volume.type or volume.purpose.type("gpt", architecture)
