"""`fleet.json`: how each row of a fleet stands, kept beside the images, and what they came from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine import __version__
from engine.fleet.events import RowFinished, State
from engine.fleet.job import Made
from engine.problem import Problem, Refused

RECORD, JOURNAL = "fleet.json", "fleet.jsonl"
SCHEMA = 1

_PART = ".fleet.json.diskwright-part"
_MOST_BYTES = 1 << 30
_MOST_WAITING = 1000
"""Events that wait to be written."""


class RowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a row stands.

    Attributes:
        digest: Of the image, with its kind.
        bytes: Of the image's file.
        reused: Bytes taken over from what there was before.
        outputs: The image and what goes with it.
        files: Identity of every file of the build, by its name in the row's folder.
        inputs: Digest of all that the image came from; "" where only building tells.
    """

    image: str
    state: State = "waiting"
    digest: str = ""
    seconds: float = 0.0
    reused: int = 0
    bytes: int = 0
    worker: str = ""
    outputs: tuple[Made, ...] = ()
    files: dict[str, str] = {}
    inputs: str = ""
    step: str | None = None
    message: str | None = None
    hint: str | None = None


class FleetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    schema: int
    fleet: str
    program: str
    state: str
    seconds: float
    rows: tuple[RowRecord, ...]


def identity(path: Path) -> str:
    """Returns what tells a finished file from itself after any change; "" where there is none.

    Without the device's number, which is not the same on every machine that shares a folder.
    """
    try:
        status = path.lstat()
    except OSError:
        return ""
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def intact(folder: Path, row: RowRecord) -> bool:
    """Whether all files of a row that was built are there, and nobody has touched them."""
    return bool(row.files) and all(
        known and identity(folder / name) == known for name, known in row.files.items()
    )


def load(outdir: Path, *, force: bool) -> dict[str, RowRecord]:
    """Returns the rows of the fleet that was built there last, by image; none where there is none.

    A fleet that was ended from outside is read from its journal as well.

    Raises:
        Refused: A file is there that is no fleet's, unless `force` says to replace it.
    """
    rows = {row.image: row for row in _recorded(outdir / RECORD, force=force)}
    rows |= {row.image: row for row in _journal(outdir / JOURNAL, force=force)}
    return rows


def _recorded(path: Path, *, force: bool) -> Iterable[RowRecord]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError
        record = msgspec.json.decode(path.read_bytes(), type=FleetRecord)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError):  # of msgspec, too
        record = None
    if record is None or record.schema != SCHEMA:
        _foreign(path, force=force)
        return ()
    return record.rows


class _Begun(msgspec.Struct):
    image: str


class _Line(msgspec.Struct):
    record: RowRecord


def _journal(path: Path, *, force: bool) -> Iterable[RowRecord]:
    """Returns the rows that a journal tells the end of; it may break off anywhere."""
    rows = []
    try:
        with path.open("rb") as stream:
            head = stream.readline()
            if head and not head.startswith(b'{"event":"fleet-started"'):
                _foreign(path, force=force)
                return ()
            for line in stream:
                with contextlib.suppress(msgspec.MsgspecError):
                    if line.startswith(b'{"event":"row-finished"'):
                        rows.append(msgspec.json.decode(line, type=_Line).record)
                    elif line.startswith(b'{"event":"row-started"'):
                        image = msgspec.json.decode(line, type=_Begun).image
                        rows.append(RowRecord(image=image, state="running"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unwritable(path, error) from None
    return rows


def _foreign(path: Path, *, force: bool) -> None:
    if not force:
        message = f"{path} exists and is not the record of a fleet"
        hint = "choose another output folder, or give --force to replace it"
        raise Refused([Problem("output-foreign", "error", "", message, hint)])


def _unwritable(path: Path, error: OSError) -> Refused:
    message = f"{path} cannot be used: {error.strerror}"
    return Refused([Problem("output-folder", "error", "", message, "give another output folder")])


def save(outdir: Path, fleet: str, state: str, seconds: float, rows: Iterable[RowRecord]) -> None:
    """Writes the record in one move, so that it is never half there.

    Raises:
        OSError: It cannot be written; the one before stays.
    """
    record = FleetRecord(
        schema=SCHEMA, fleet=fleet, program=__version__, state=state, seconds=seconds,
        rows=tuple(rows),
    )  # fmt: skip
    part = outdir / _PART
    try:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
        part.replace(outdir / RECORD)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


class Journal:
    """`fleet.jsonl` while it is written; a disk that is full ends it, and never the fleet."""

    def __init__(self, outdir: Path) -> None:
        """Begins it, in place of the one of the run before.

        Raises:
            Refused: It cannot be written.
        """
        path = outdir / JOURNAL
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise _unwritable(path, error) from None
        self._broken = False
        self._waiting: list[bytes] = []

    def write(self, line: bytes, *, soon: bool = False) -> None:
        """Adds an event.

        Args:
            line: The event.
            soon: It need not be there at once, but goes with the next one or a `flush`.
        """
        self._waiting.append(line + b"\n")
        if not soon or len(self._waiting) > _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        data = memoryview(b"".join(self._waiting))
        self._waiting.clear()
        try:
            while data and not self._broken:
                data = data[os.write(self._file.fileno(), data) :]
        except OSError:
            self._broken = True

    def close(self) -> None:
        """Ends it."""
        self.flush()
        self._file.close()


def finished_line(event: RowFinished, record: RowRecord) -> bytes:
    """Returns the line that ends a row: the event, and the record that another run goes by."""
    return b'%s,"record":%s}' % (msgspec.json.encode(event)[:-1], msgspec.json.encode(record))
