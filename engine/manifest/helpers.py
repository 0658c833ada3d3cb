"""Processes that walk parts of a large folder beside this one.

A walk is a stack of what is still to come. This process takes from its top, helpers get directories
from its bottom. A helper walks what it was given up to a number of entries and says what is left;
so nobody waits long for another at the end. What they find is put where it belongs: the walk has
the same entries in the same order as that of one process.

A helper is a fork, so that it begins at once and knows all rules: only a process that has no other
threads has any. One that meets anything worth telling a person about, or fails, ends, and what it
was given is walked here: so problems come in the order of the walk, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import select
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from engine.manifest.columns import Columns
from engine.manifest.entry import Entry
from engine.tools.forks import end, forked, may_fork
from engine.tools.messages import complete, framed, receive, send
from engine.tools.processors import processors

Part = tuple[list[int], list[int], Columns, list[tuple[int, int, int]], list[int]]
"""What a helper found: how many entries are below each directory; what is still to come below the
last, bottom first, 0 for a directory and else how many others in a row; all these entries; device,
inode and position of those with several names; stamps of those that had just changed."""

Walker = Callable[[Sequence[bytes]], Part]
"""Walks directories, given by their paths in the image, in a helper."""

_WORTH_IT = 4096
"""Entries of a folder from which helpers gain more than they take to begin."""
_MOST = 3
"""Helpers: what they find has to be taken in by one process."""
_AHEAD = 2
"""Shares that a helper has: one at work, one waiting."""
_DIRECTORIES, _PATHS = 32, 24 << 10
"""Directories in one share at most, and bytes of their paths: all of a helper's fit into a pipe."""
_TURN = 4
"""Directories that this process walks between two looks at its helpers."""
_PATIENCE = 50
"""Milliseconds between two looks at whether to end."""
_PIPE = 1 << 20


class Share:
    """A piece of the stack that a helper has.

    Attributes:
        items: What it consists of.
        part: What was found below its directories.
        waiting: Whether that may still come.
    """

    __slots__ = ("items", "part", "waiting")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.part: Part | None = None
        self.waiting = True

    @property
    def directories(self) -> list[bytes]:
        """Their paths in the image, in the order of the walk."""
        return [item.path for item in reversed(self.items) if type(item) is Entry]


Item = Entry | list[Entry] | Share
"""What is still to come in a walk: a directory to be entered, other entries, what a helper has."""


class Helpers:
    """The helpers of one folder's walk, if it turns out to be large; a context that ends them."""

    def __init__(
        self, walker: Walker, found: Callable[[Share], list[Item]], check: Callable[[], None]
    ) -> None:
        """Prepares it.

        Args:
            walker: What they do.
            found: Takes in a share that is done or given up; returns what stands for it, bottom
                first.
            check: Called now and then while this process waits for one; what it raises ends that.
        """
        self._walker = walker
        self._found = found
        self._check = check
        self._out: list[Share] = []
        self._helpers: list[_Helper] = []
        self._poll = select.poll()
        self._may_begin = may_fork()
        self._floor = 0
        self._turn = 0
        self._many = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for helper in self._helpers:
            helper.end()

    def turn(self, pending: list[Item], walked: int) -> None:
        """Takes in what helpers have found, and gives them more.

        Args:
            pending: The stack.
            walked: Entries of the folder up to now.
        """
        self._turn += 1
        if self._turn % _TURN or not (self._helpers or self._may_begin):
            return
        if self._may_begin and walked >= _WORTH_IT and len(pending) > 1:
            self._begin()
        self._take_in(0)
        for done in [one for one in self._out if not one.waiting]:
            self._out.remove(done)
            self._learn(done)
            at = pending.index(done)
            pending[at : at + 1] = self._found(done)
            self._floor = min(self._floor, at)
        for helper in list(self._helpers):
            while len(helper.shares) < _AHEAD and (share := self._cut(pending)) is not None:
                helper.shares.append(share)
                if not helper.give(share.directories):
                    self._dismiss(helper)
                    break

    def _learn(self, done: Share) -> None:
        """Adapts how many directories are in a share to what was found below those of one.

        Few large ones, since nobody else can walk what waits in a share; many small ones.
        """
        if done.part is not None:
            whole = len(done.part[0]) == len(done.directories) and not done.part[1]
            self._many = min(self._many * 2, _DIRECTORIES) if whole else max(self._many // 2, 1)

    def wait(self, share: Share) -> list[Item]:
        """Returns what stands for a share from the top of the stack, once its helper is done.

        Raises:
            Exception: What `check` raised.
        """
        while share.waiting:
            self._check()
            self._take_in(_PATIENCE)
        self._out.remove(share)
        return self._found(share)

    def _begin(self) -> None:
        self._may_begin = False
        with contextlib.suppress(OSError):  # then there are fewer
            for _ in range(min(processors() - 1, _MOST)):
                helper = _Helper(self._walker)
                self._helpers.append(helper)
                self._poll.register(helper.answers, select.POLLIN)

    def _cut(self, pending: list[Item]) -> Share | None:
        """Puts a share in place of directories at the stack's bottom; None if there are few."""
        floor = min(self._floor, len(pending))
        while floor < len(pending) and type(pending[floor]) is not Entry:
            floor += 1
        self._floor = floor
        # A third, so that a helper that gets two shares of the same has not more than others.
        left = len(pending) - floor
        end = floor + min(-(-left // 3), self._many) if left > 1 else floor
        share = Share([])
        for item in pending[floor:end]:
            if isinstance(item, Share):
                break
            share.items.append(item)
        while sum(map(len, share.directories)) > _PATHS:
            del share.items[-1]
        if not share.directories:
            return None
        pending[floor : floor + len(share.items)] = [share]
        self._out.append(share)
        return share

    def _take_in(self, patience: int) -> None:
        ready = {number for number, _ in self._poll.poll(patience)} if self._helpers else set()
        for helper in list(self._helpers):
            if helper.answers in ready and not helper.take_in():
                self._dismiss(helper)

    def _dismiss(self, helper: _Helper) -> None:
        self._helpers.remove(helper)
        self._poll.unregister(helper.answers)
        helper.end()


class _Helper:
    """One process, and what it was given.

    Attributes:
        answers: What it writes to.
        shares: What it has and has not answered.
    """

    def __init__(self, walker: Walker) -> None:
        theirs, self._orders = os.pipe()
        self.answers, back = os.pipe()
        self.shares: deque[Share] = deque()
        self._in = bytearray()
        mine = self._orders, self.answers
        try:
            self._process = forked(lambda: _serve(theirs, back, walker, mine))
        except OSError:
            for descriptor in (theirs, back, *mine):
                os.close(descriptor)
            raise
        os.close(theirs)
        os.close(back)
        os.set_blocking(self._orders, False)
        os.set_blocking(self.answers, False)
        with contextlib.suppress(OSError):  # beyond what the user may have: it works without
            fcntl.fcntl(self.answers, fcntl.F_SETPIPE_SZ, _PIPE)

    def give(self, directories: list[bytes]) -> bool:
        """Sends a share's directories; returns whether the process has them."""
        order = framed(marshal.dumps(directories))
        try:
            return os.write(self._orders, order) == len(order)
        except OSError:  # it has ended, or does not read
            return False

    def take_in(self) -> bool:
        """Takes in what was answered since; returns whether there can be more."""
        try:
            data = os.read(self.answers, _PIPE)
        except BlockingIOError:
            return True
        self._in += data
        for answer in complete(self._in):
            share = self.shares.popleft()
            share.part = marshal.loads(answer)  # noqa: S302 # from `_serve`
            share.waiting = False
        return bool(data)

    def end(self) -> None:
        """Ends the process at once, and waits for that."""
        for share in self.shares:
            share.waiting = False
        self.shares.clear()
        os.close(self._orders)
        os.close(self.answers)
        end(self._process)


def _serve(orders: int, answers: int, walker: Walker, others: Sequence[int]) -> None:
    """What a helper does; it ends with the process that it is a fork of."""
    for descriptor in others:
        os.close(descriptor)
    with os.fdopen(orders, "rb") as reader:
        while (order := receive(reader)) is not None:
            send(answers, marshal.dumps(walker(marshal.loads(order))))  # noqa: S302 # from `give`
