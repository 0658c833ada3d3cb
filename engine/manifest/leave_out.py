"""The edit of a spec that leaves one entry out of what its contents bring."""

from __future__ import annotations

import os

from engine.disk.volume import Volume
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.manifest.patterns import is_glob
from engine.problem import Value
from engine.spec.settings import Settings


def leave_out(
    settings: Settings, volume: Volume, manifest: Manifest, entry: Entry
) -> tuple[str, Value] | None:
    """Returns key path and value, or None where no single edit does it.

    Args:
        settings: The spec, resolved.
        volume: Holds the entry.
        manifest: What the volume holds.
        entry: One of its entries.
    """
    for content in settings.contents:
        sources = manifest.origins.get(f"contents[{content.index}]", ())
        if entry.source is None or not any(entry.source is source for source in sources):
            continue
        mount = "" if content.volume or not volume.takes_below else (volume.mount or "")
        path = b"/".join(filter(None, (os.fsencode(mount.strip("/")), entry.path)))
        key, target = f"contents[{content.index}]", content.target.strip(b"/")
        if path == target and not content.extract:
            return key, None
        below = path.startswith(target + b"/") if target else True
        name = os.fsencode(content.source.name)
        single = content.into and path == b"/".join(filter(None, (target, name)))
        # A pattern is relative to the source, which is not known of a glob or a single file.
        if not below or single or is_glob(content.source) or b"*" in path:
            return None
        pattern = "/" + os.fsdecode(path[len(target) :].lstrip(b"/"))
        return (f"{key}.exclude", (*content.exclude, pattern)) if pattern.isprintable() else None
    return None
