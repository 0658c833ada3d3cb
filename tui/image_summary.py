"""An existing image: what there is to show of it and to take from it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.disk.view import DiskView
from engine.importers.image import Takeover, of_image
from engine.inspect.image import Image
from engine.inspect.report import image_report
from engine.inspect.view import view
from engine.spec.model import ImageSpec
from tui.facts import Fact, details_of, facts_of


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """What an image holds.

    Attributes:
        view: Its disk, partitions and file systems.
        spec: A spec that makes a disk like it, still without contents.
        facts: What it is, whether it boots, and what is wrong.
        details: How it boots, and what else could be booted.
        format: Of the file, as qemu-img calls it.
        takeover: What of its files a spec can have.
    """

    view: DiskView
    spec: ImageSpec
    facts: tuple[Fact, ...]
    details: tuple[Fact, ...]
    format: str
    takeover: Takeover


def summarize(image: Image) -> ImageSummary:
    """Returns what an image holds; reads metadata only."""
    report = image_report(image)
    spec, found = of_image(image, report)
    return ImageSummary(
        view=view(report),
        spec=spec,
        facts=facts_of(report),
        details=details_of(report),
        format=report["format"],
        takeover=found,
    )
