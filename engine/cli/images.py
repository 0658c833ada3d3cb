"""What the verbs that read finished images share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.cli import output
from engine.problem import Problem, Refused


@contextmanager
def refused() -> Iterator[None]:
    """Turns an image that cannot be read into a refusal (exit 2).

    Raises:
        Refused: The image is missing, unreadable or damaged.
    """
    from engine.image.container import BadImage

    try:
        yield
    except BrokenPipeError:
        raise  # of whoever reads our output, not of the image
    except BadImage as error:
        raise Refused([Problem("bad-image", "error", "", str(error))]) from error
    except OSError as error:
        if output.is_cause(error):
            raise
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise Refused([Problem("unreadable-image", "error", "", reason)]) from error


def no_texts(*paths: Path) -> None:
    """Refuses a spec, or another text, that was given for an image.

    Raises:
        Refused: One of the files is a text.
    """
    from engine.importers.table import text_instead

    for path in paths:
        try:
            problem = text_instead(path) if path.is_file() else None
        except Refused:
            continue  # what cannot be read is told by who opens it
        if problem is not None:
            raise Refused([problem])
