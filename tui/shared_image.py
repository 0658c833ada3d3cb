"""An opened image that several threads read and that is closed when the last of them is done."""

from __future__ import annotations

import threading
from types import TracebackType

from engine.image.container import BadImage
from engine.inspect.image import Image


class SharedImage:
    """Lends an image: `with` it, read; after `close` nobody gets it any more."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._lock = threading.Lock()
        self._readers = 0
        self._closed = False

    def __enter__(self) -> Image:
        with self._lock:
            if self._closed:
                raise BadImage(f"{self._image.path.name} was closed")
            self._readers += 1
        return self._image

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._readers -= 1
            self._close_if_free()

    def close(self) -> None:
        """Closes the file as soon as nobody reads it."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._close_if_free()

    def _close_if_free(self) -> None:
        if self._closed and not self._readers:
            self._image.disk.close()
