"""make-disk-image's arguments as a JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from engine.importers.arguments import to_spec
from engine.importers.model import Candidate, Imported, refused

_BEGIN = re.compile(r"\s*\{\s*(?:\}\s*\Z|\"(?:[^\"\\]|\\.)*\"\s*:)")


def recognise(candidate: Candidate) -> bool:
    """Whether it begins as a JSON object does."""
    return candidate.text is not None and _BEGIN.match(candidate.text) is not None


def read(candidate: Candidate, environment: Mapping[str, str]) -> Imported:
    """Makes a spec of the arguments.

    Raises:
        Refused: It is not JSON, or an argument is not what make-disk-image takes.
    """
    try:
        found = json.loads(candidate.text or "")
    except (ValueError, RecursionError) as error:
        raise refused(f"{candidate.path}: {error}") from None
    return to_spec(found)
