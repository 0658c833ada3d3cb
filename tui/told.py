"""What was chosen in each step, in a few words: the rail shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from engine.disk.presets import PRESETS
from engine.spec.formats import FORMATS
from engine.spec.loaders import LOADERS
from engine.spec.settings import Settings
from engine.units import human
from tui.preview import Preview
from tui.text import counted, visible


def choice_of(step: str, preview: Preview) -> str:
    """Returns what was chosen in a step; "" while nothing is known."""
    if preview.settings is None:
        return ""
    return _TOLD[step](preview, preview.settings)


def _layout(_preview: Preview, settings: Settings) -> str:
    preset = PRESETS[settings.layout.table]
    own = {volume.role for volume in preset.volumes}
    more = ", ".join(volume.id for volume in settings.volumes if volume.id not in own)
    if preset.own:
        return f"{preset.scheme.upper()}: {more}" if more else preset.scheme.upper()
    return f"{preset.title} + {more}" if more else preset.title


def _size(preview: Preview, settings: Settings) -> str:
    if settings.size.disk is not None:
        return human(settings.size.disk)
    return human(preview.plan.disk.bytes) if preview.plan else "as needed"


def _boot(_preview: Preview, settings: Settings) -> str:
    loader = LOADERS.get(settings.boot.loader)
    title = "no loader" if loader is None or loader.key == "none" else loader.title
    return f"{title}, tested" if settings.boot.prove else title


def _contents(preview: Preview, _settings: Settings) -> str:
    if preview.scanning:
        return "scanning"
    if preview.plan is None:
        return ""
    files = preview.plan.counts.files
    return counted(files, "file") if files else "empty"


def _output(_preview: Preview, settings: Settings) -> str:
    title = (
        FORMATS[settings.output.format].title
        if settings.output.format in FORMATS
        else settings.output.format
    )
    packed = "" if settings.output.compress == "none" else f" + {settings.output.compress}"
    return visible(f"{title}{packed}")


def _review(preview: Preview, _settings: Settings) -> str:
    if not preview.why_not_buildable():
        return "ready"
    return counted(len(preview.errors), "error") if preview.errors else "not yet"


_TOLD: Mapping[str, Callable[[Preview, Settings], str]] = MappingProxyType(
    {
        "layout": _layout,
        "size": _size,
        "boot": _boot,
        "contents": _contents,
        "output": _output,
        "review": _review,
    }
)
