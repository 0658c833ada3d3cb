"""Archives."""

from engine.manifest.walk import Walk


def read(path: bytes, target: bytes, walk: Walk) -> None:
    """Reads."""
    walk.findings.add("archive-unsupported", "archives are not read yet", "")
