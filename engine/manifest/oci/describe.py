"""Says in words what a container image is and runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from engine.manifest.entry import Source
from engine.manifest.memory import Elsewhere
from engine.manifest.oci.image import ContainerImage
from engine.manifest.oci.source import ImageSource
from engine.problem import printable
from engine.units import counted

_MOST = 300


def images(sources: Iterable[Source]) -> list[ContainerImage]:
    """Returns the container images among the sources of a content entry's data, each once."""
    found: dict[int, ContainerImage] = {}
    for source in sources:
        behind = source.behind.values() if isinstance(source, Elsewhere) else (source,)
        for one in behind:
            if isinstance(one, ImageSource):
                found[id(one)] = one.image
    return list(found.values())


def summary(image: ContainerImage) -> str:
    """Returns one line: what it is called and for, of how many layers, and what it runs."""
    name = f"{image.names[0]}, " if image.names else ""
    count = len(image.layers)
    command = shlex.join(image.process.argv) or "nothing"
    text = f"{name}{image.platform}, {counted(count, 'layer')}, runs {command}"
    return _shown(text)


def lines(image: ContainerImage) -> list[str]:
    """Returns all that the image says about how it is run, a line each."""
    process = image.process
    said = [
        ("digest", image.digest),
        ("environment", shlex.join(process.env or ())),
        ("folder", process.working_dir or ""),
        ("user", process.user or ""),
        ("ports", " ".join(process.exposed_ports or ())),
        ("volumes", " ".join(process.volumes or ())),
        ("stopped by", process.stop_signal or ""),
    ]
    return [summary(image), *(f"  {name}: {_shown(text)}" for name, text in said if text)]


def to_json(where: str, image: ContainerImage) -> dict[str, Any]:
    """Returns an image as `plan --json` has it, with the words of its own configuration.

    Args:
        where: Key path of the content entry that brings it.
        image: The image.
    """
    process = image.process
    return {
        "path": where,
        "names": list(image.names),
        "digest": image.digest,
        "platform": str(image.platform),
        "layers": [layer.diff_id for layer in image.layers],
        "config": {
            "Entrypoint": process.entrypoint,
            "Cmd": process.cmd,
            "Env": process.env,
            "WorkingDir": process.working_dir,
            "User": process.user,
            "StopSignal": process.stop_signal,
            "ExposedPorts": sorted(process.exposed_ports or ()),
            "Volumes": sorted(process.volumes or ()),
        },
    }


def _shown(text: str) -> str:
    return printable(text if len(text) <= _MOST else f"{text[: _MOST - 3]}...")
