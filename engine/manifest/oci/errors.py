"""What is wrong with a container image, as one exception."""

from __future__ import annotations

from engine.manifest.findings import Edit


class BadImage(Exception):
    """A container image that cannot be taken.

    Attributes:
        code: Of the finding that it becomes.
        hint: What to do about it.
        key: Key of the content entry that it is about.
        fix: What solves it, where there is exactly one answer.
    """

    def __init__(
        self, message: str, hint: str = "", *, code: str = "image-damaged", key: str = "source",
        fix: Edit | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.code = code
        self.hint = hint or "make the archive again, or check that it was copied whole"
        self.key = key
        self.fix = fix
