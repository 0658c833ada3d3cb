"""Turns a container image into the entries of a walk."""

from __future__ import annotations

from collections.abc import Iterator

from engine.manifest.compressed import CORRUPT
from engine.manifest.entry import Entry, SourceChanged, order
from engine.manifest.findings import shown
from engine.manifest.links import relink
from engine.manifest.member import EntryMaker
from engine.manifest.oci.choose import choose
from engine.manifest.oci.directory import opened
from engine.manifest.oci.errors import BadImage
from engine.manifest.oci.image import ContainerImage
from engine.manifest.oci.layers import Content, Layered, read_layer
from engine.manifest.oci.source import ImageSource
from engine.manifest.oci.store import Store
from engine.manifest.part import with_parents
from engine.manifest.tar import BadArchive, ForeignArchive
from engine.manifest.walk import Walk


def unpack_image(
    path: bytes, target: bytes, walk: Walk, *, image: str, platform: str
) -> ContainerImage | None:
    """Reads an image's layers into a walk's entries, below `target`; returns what it says.

    Args:
        image: Which one, where there are several; "" for the only one.
        platform: As in "linux/arm64"; "" for the only one, or linux/amd64.
    """
    findings = walk.findings
    try:
        store = opened(path, lambda: walk.ticker.add(0, 0))
        chosen = choose(store, image, platform)
        layered = _layered(store, chosen, walk)
    except BadImage as error:
        findings.add(error.code, f"{shown(path)} {error}", error.hint, key=error.key, fix=error.fix)
    except ForeignArchive as error:
        findings.add(
            "archive-foreign", f"{shown(path)} is {error.what}, not a tar archive", error.remedy
        )
    except (BadArchive, *CORRUPT) as error:
        message = f"{shown(path)} is not a container image, or is damaged: {error}"
        findings.add("archive-damaged", message, BadImage("").hint)
    except SourceChanged as error:
        findings.add(
            "source-changed", str(error), "wait until nothing writes to it, then try again"
        )
    except OSError as error:
        walk.failed(path, error)
    else:
        _hand_over(layered, path, target, walk)
        return chosen
    return None


def _layered(store: Store, image: ContainerImage, walk: Walk) -> Layered:
    """Returns the tree of all layers, each read once, in the order in which they lie."""
    make = EntryMaker(shown(store.path), walk, ImageSource(store, image))
    layered = Layered(walk.rules.made_ns)
    # A blob that is there for several layers, such as an empty one, is read for the first.
    first = {layer.name: at for at, layer in reversed(list(enumerate(image.layers)))}
    contents: dict[bytes, Content] = {}
    left = [layer.name for layer in reversed(image.layers)]
    for name, content in _contents(store, image, first, make, walk):
        contents[name] = content
        while left and left[-1] in contents:
            at = left.pop()
            layered.apply(contents[at].again() if at in left else contents.pop(at), make)
    return layered


def _contents(
    store: Store, image: ContainerImage, first: dict[bytes, int], make: EntryMaker, walk: Walk
) -> Iterator[tuple[bytes, Content]]:
    """Yields what each blob of a layer brings."""
    in_order = sorted(first, key=first.__getitem__)
    for name, blob in store.passing(in_order):
        index = first[name]
        layer = image.layers[index]
        where = f"layer {index + 1} of {len(image.layers)} ({shown(name)})"
        try:
            content = read_layer(blob, layer, index, make, lambda: walk.ticker.add(0, 0))
        except BadImage as error:
            raise BadImage(f"is damaged: {where}: {error}") from error
        except (BadArchive, *CORRUPT) as error:
            raise BadImage(f"is damaged: {where}: {error}") from error
        yield name, content


def _hand_over(layered: Layered, path: bytes, target: bytes, walk: Walk) -> None:
    """Gives the walk the tree, below its target and without what is excluded."""
    entries = list(_kept(layered, walk))
    for entry in entries:
        entry.path = b"/".join(part for part in (target, entry.path) if part)
    entries = with_parents(entries, target, walk.rules.made_ns)
    if layered.heads:
        entries = relink(entries, [layered.heads], ())
        tops = {id(head): head for head in (entry.link_to for entry in entries) if head}
        walk.heads.update({(path, at): head for at, head in tops.items()})
    walk.entries += entries


def _kept(layered: Layered, walk: Walk) -> Iterator[Entry]:
    """Yields the entries that no pattern excludes, a directory before its content."""
    excluded = walk.rules.excluded
    gone: bytes | None = None
    for entry in sorted(layered.entries.values(), key=lambda entry: order(entry.path)):
        if gone is not None and entry.path.startswith(gone):
            continue
        if excluded is not None and entry.path and excluded(entry.path, entry.is_directory):
            gone = entry.path + b"/"
            continue
        yield entry
