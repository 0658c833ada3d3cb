"""What the verbs that read finished images share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise Refused([Problem("unreadable-image", "error", "", reason)]) from error
