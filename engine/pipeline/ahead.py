"""What a build notes of its entries, ahead of the step that needs it.

Most of it does not depend on what files hold, and the rest goes from file to file in their order,
as their sums come. So it is done while processes copy, and little is left for the end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from engine.filesystems.populate import Cancelled
from engine.manifest.datasums import DataSums
from engine.pipeline.remembering import Noted, note
from engine.pipeline.reusing import Reuse
from engine.pipeline.threads import in_thread
from engine.tools import runner

Versions = Callable[[], Awaitable[dict[str, str]]]
"""Returns the versions of the plan's tools, by name."""


class Ahead:
    """That work; `end` is to be called whatever happens.

    Args:
        reuse: Gets the versions.
        sums: Of files' data, as they come.
        versions: Asks for them.
    """

    def __init__(self, reuse: Reuse, sums: DataSums, versions: Versions) -> None:
        self._reuse = reuse
        self._sums = sums
        self._versions = versions
        self._may = asyncio.Event()
        self._written = threading.Event()
        self._task: asyncio.Future[Noted | None] | None = None

    def begin(self) -> None:
        """Begins it, with what takes this process no time: copying waits for its layout."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(self._note())

    def laid_out(self) -> None:
        """Has it go on now that a volume's files are only copied; from any thread."""
        if self._task is not None and not self._may.is_set():
            self._loop.call_soon_threadsafe(self._may.set)

    async def noted(self) -> Noted | None:
        """Returns what was noted, once that is all; to be called when all files are written."""
        self._written.set()
        self._may.set()
        if self._task is None:
            self.begin()
        assert self._task is not None
        return await asyncio.shield(self._task)

    async def end(self) -> None:
        """Ends it wherever it is."""
        if self._task is not None:
            self._task.cancel()
            await runner.finished(self._task)
            if not self._task.cancelled():
                self._task.exception()  # seen: `noted` has told it, or a step failed before

    async def _note(self) -> Noted | None:
        if self._reuse.versions is None:
            self._reuse.versions = await self._versions()
        await self._may.wait()
        return await in_thread(self._noted)

    def _noted(self, stopped: Callable[[], bool]) -> Noted | None:
        def over() -> bool:
            if stopped():
                raise Cancelled
            return self._written.is_set()

        return note(self._reuse, self._sums, over)
