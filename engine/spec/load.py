"""Reading a spec: TOML to ImageSpec, strictly, with everything that is wrong reported at once."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.problem import Problem, Refused, errors
from engine.spec import values
from engine.spec.lines import key_lines, line_of
from engine.spec.model import SCHEMA, Content, ImageSpec
from engine.spec.overrides import apply_overrides
from engine.spec.shape import check_section, show, sound_part
from engine.units import in_bytes

MAX_FILE_BYTES = 16 << 20
"""A spec beyond this is not a spec: somebody gave the image instead."""

STDIN = Path("/dev/stdin")

_DESCRIPTORS = {Path("/dev/fd"), Path("/proc/self/fd")}
_POSITION = re.compile(r" \(at line (?P<line>\d+), column (?P<column>\d+)\)$")
_OCTAL = re.compile(r"\s*(?P<key>[\w.-]+)\s*=\s*(?P<value>0[0-7]+)\s*(#.*)?")


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec of the right shape, and where it came from.

    Attributes:
        base: Folder that relative sources start from.
        text: The file as it was read, for saving with its comments.
        set_paths: Key paths that overrides set.
    """

    spec: ImageSpec
    path: Path
    base: Path
    text: str
    set_paths: tuple[str, ...] = ()

    def locate(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Returns problems found later with the file that each key is in ("--set" for overrides).

        A problem without a key path does not belong to the file and stays as it is.
        """
        lines = key_lines(self.text)
        return tuple(
            _located(problem, str(self.path), self.set_paths, lines) if problem.path else problem
            for problem in problems
        )


def load(path: Path, overrides: Sequence[str] = (), contents: Sequence[Path] = ()) -> LoadedSpec:
    """Reads a spec file.

    Only what has the wrong shape is refused here; `engine.spec.resolve` finds values that are
    wrong and keys that do not go together.

    Args:
        path: The TOML file.
        overrides: Texts "section.key=value", applied in order.
        contents: Folders that go to the image's root, added after the spec's own entries.

    Raises:
        Refused: With every problem of the file and the overrides.
    """
    text = read_text(path)
    spec, set_paths = _load(text, str(path), overrides)
    base = Path.cwd() if is_stream(path) else path.absolute().parent
    return LoadedSpec(with_contents(spec, contents), path, base, text, set_paths)


def is_stream(path: Path) -> bool:
    """Whether a path names an open stream of this process, which lies in no folder."""
    return path == STDIN or (path.parent in _DESCRIPTORS and path.name.isdigit())


def around(contents: Sequence[Path], overrides: Sequence[str] = ()) -> LoadedSpec:
    """Returns the spec that no file was given for: every default, around some folders.

    Raises:
        Refused: With every problem of the overrides.
    """
    text = f"schema = {SCHEMA}\n"
    spec, set_paths = _load(text, None, overrides)
    given = Path("--contents")
    return LoadedSpec(with_contents(spec, contents), given, Path.cwd(), text, set_paths)


def loads(text: str, *, file: str | None = None, overrides: Sequence[str] = ()) -> ImageSpec:
    """Returns the spec that a TOML text holds.

    Args:
        file: Name to report problems under.
        overrides: As for `load`.

    Raises:
        Refused: With every problem of shape found; where there is one, wrong values are reported
            along with it.
    """
    return _load(text, file, overrides)[0]


def _load(
    text: str, file: str | None, overrides: Sequence[str]
) -> tuple[ImageSpec, tuple[str, ...]]:
    table = parse(text, file)
    set_paths, problems = apply_overrides(table, overrides)
    check_schema(table, file, text)
    spec, wrong = converted(table, thorough=bool(problems))
    problems += wrong
    if problems:
        lines = key_lines(text)
        raise Refused([_located(problem, file, set_paths, lines) for problem in problems])
    return spec, set_paths


def converted(
    table: Mapping[str, object], *, thorough: bool = False
) -> tuple[ImageSpec, list[Problem]]:
    """Returns the spec that a parsed file holds, as far as it can be read, and what is wrong.

    Args:
        table: The file.
        thorough: Look at values, too, where nothing has the wrong shape; they are looked at
            along with what has.
    """
    shape = list(check_section(table, ImageSpec))
    spec = msgspec.convert(sound_part(table, ImageSpec), ImageSpec)
    found = errors(values.check(spec)) if shape or thorough else ()
    return spec, [*shape, *(problem for problem in found if not _inside(problem.path, shape))]


def with_contents(spec: ImageSpec, folders: Sequence[Path]) -> ImageSpec:
    """Returns the spec with one more entry for each folder, target "/"."""
    added = tuple(Content(source=str(folder.absolute()), target="/") for folder in folders)
    return msgspec.structs.replace(spec, contents=spec.contents + added)


def read_text(path: Path) -> str:
    """Returns the text of a file that describes something.

    Raises:
        Refused: There is none, it cannot be read, is too large or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise _refuse("spec-not-found", path, "there is no such file") from None
    except IsADirectoryError:
        raise _refuse("spec-not-found", path, "is a folder, not a spec file") from None
    except OSError as error:
        raise _refuse("spec-unreadable", path, f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise _refuse("spec-not-found", path, f"is not a file name: {error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise _refuse(
            "spec-too-large",
            path,
            f"is over {in_bytes(MAX_FILE_BYTES)}; a spec is a short TOML file",
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refuse(
            "spec-not-utf8", path, f"line {line}: byte 0x{data[error.start]:02X} is not UTF-8"
        ) from None


def _refuse(code: str, path: Path, message: str) -> Refused:
    return Refused([Problem(code, "error", "", message, file=str(path))])


def parse(text: str, file: str | None) -> dict[str, object]:
    """Returns what a TOML text holds.

    Raises:
        Refused: It is not TOML.
    """
    hint = 'write TOML: key = value, text in "quotes", sections as [name]'
    try:
        return tomllib.loads(text)
    except RecursionError:
        message = "lists or tables are nested too deeply"
    except ValueError as error:
        message = str(error)
        if match := _POSITION.search(message):
            reason = message[: match.start()]
            message = f"line {match['line']}, column {match['column']}: {reason}"
            file = None if file is None else f"{file}:{match['line']}"
            line = text.split("\n")[int(match["line"]) - 1]
            if octal := _OCTAL.fullmatch(line.rstrip("\r")):
                hint = f'octal needs quotes: {octal["key"]} = "{octal["value"]}"'
    raise Refused([Problem("toml-syntax", "error", "", message, hint, file=file)])


def check_schema(table: Mapping[str, object], file: str | None, text: str) -> None:
    """Raises Refused where a file is written for another version of Diskwright."""
    schema = table.get("schema", SCHEMA)
    if type(schema) is int and schema != SCHEMA:
        message = f"is {show(schema)}; this version of Diskwright reads schema {SCHEMA}"
        hint = "use the version that wrote the file" if schema > SCHEMA else f"write {SCHEMA}"
        problem = Problem("unknown-schema", "error", "schema", message, hint)
        raise Refused([_located(problem, file, (), key_lines(text))])


def _inside(path: str, problems: Sequence[Problem]) -> bool:
    """Whether a path lies in a list entry that has problems already."""
    entries = {problem.path.partition("]")[0] for problem in problems if "[" in problem.path}
    return "[" in path and path.partition("]")[0] in entries


def _located(
    problem: Problem, file: str | None, set_paths: Sequence[str], lines: Mapping[str, int]
) -> Problem:
    """Returns a problem with the file and line that its key is in, as compilers name them."""
    if problem.file is not None:
        return problem
    overridden = any(
        f"{problem.path}.".startswith((f"{path}.", f"{path}["))
        or (problem.path and path.startswith(f"{problem.path}."))
        for path in set_paths
    )
    line = line_of(lines, problem.path)
    where = f"{file}:{line}" if file is not None and line is not None else file
    return dataclasses.replace(problem, file="--set" if overridden else where)
