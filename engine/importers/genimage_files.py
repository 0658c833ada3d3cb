"""What goes into the file systems of a genimage configuration."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from engine.importers.confuse import Section
from engine.importers.draft import mounts
from engine.importers.genimage_config import FILESYSTEMS, Config
from engine.spec.model import Content


def filled(config: Config) -> None:
    """Adds what goes into the file systems: below its mount point, or by name."""
    by_mount = mounts(config.draft.volumes)
    rooted = by_mount.get("/")
    add = config.draft.contents.append
    shared = False
    for name, volume in config.volumes.items():
        image = config.images[name]
        handler = image.inside(*FILESYSTEMS)
        if handler is None or image.yes("empty"):
            continue
        files = list(_files(handler, config))
        for source, target in files:
            add(Content(source=source, target=target, volume=volume))
        source = image.text("srcpath")
        mount = image.text("mountpoint") or "/"
        if files:
            continue
        if source:
            add(Content(source=f"{config.input.parent / source}/", target="/", volume=volume))
        elif not config.draft.volumes or (rooted and by_mount.get(mount) == volume):
            shared = True
        else:
            tree = config.root / mount.strip("/")
            add(Content(source=f"{tree}/", target="/", volume=volume))
    if shared:
        config.draft.contents.insert(0, Content(source=f"{config.root}/", target="/"))


def _files(handler: Section, config: Config) -> Sequence[tuple[str, str]]:
    """Returns sources and targets of the files that a file system names itself."""
    option = handler.option("files")
    names = option.values if option is not None else ()
    plain = [(name, posixpath.basename(name)) for name in names]
    renamed = [
        (section.text("image"), section.title.lstrip("/"))
        for section in handler.sections
        if section.kind == "file"
    ]
    return [(str(config.input / name), f"/{target}") for name, target in (*plain, *renamed)]
