"""What Nix says of store paths: closures, references, hashes, sizes.

Read from `nix path-info --json`, whose form changed between versions: a list of objects up to
Nix 2.18, an object keyed by path since 2.19, and `null` for what is not valid.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

STORE = "/nix/store"
_BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"
# ValueError also stands for text that is not UTF-8 and for hashes that hold other characters.
_NOT_UNDERSTOOD = (
    msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
)  # fmt: skip


class BadClosure(ValueError):
    """Nix's answer is not a closure; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class StorePath:
    """A valid store path.

    Attributes:
        path: "/nix/store/HASH-NAME".
        nar_hash: SHA-256 of its archive as 64 hex digits.
        nar_size: Bytes of its archive.
        references: Paths that it refers to, sorted; itself among them where it does.
        deriver: The derivation that made it, or "".
        signatures: As Nix writes them.
        ca: Its content address, or "".
    """

    path: str
    nar_hash: str
    nar_size: int
    references: tuple[str, ...]
    deriver: str = ""
    signatures: tuple[str, ...] = ()
    ca: str = ""

    @property
    def base(self) -> str:
        """Name of the path in the store ("HASH-NAME")."""
        return self.path.rpartition("/")[2]

    @property
    def name(self) -> str:
        """The part after the hash ("glibc-2.40-66")."""
        return self.base.partition("-")[2]


class _Info(msgspec.Struct, rename="camel"):
    nar_hash: str
    nar_size: int
    references: list[str] = msgspec.field(default_factory=list)
    path: str = ""
    deriver: str | None = None
    signatures: list[str] = msgspec.field(default_factory=list)
    ca: str | None = None
    valid: bool = True


def parse(text: bytes) -> tuple[StorePath, ...]:
    """Reads the output of `nix path-info --json`, of old and new versions.

    Returns:
        The paths, sorted.

    Raises:
        BadClosure: It is not such an output, or a path is not valid.
    """
    try:
        document = msgspec.json.decode(text)
        if isinstance(document, dict):
            named = [(path, info) for path, info in document.items()]
        else:
            named = [(info["path"], info) for info in document]
        paths = [_store_path(path, info) for path, info in named]
    except BadClosure:
        raise
    except _NOT_UNDERSTOOD as error:
        raise BadClosure(f"nix path-info answered what is not understood: {error}") from error
    return tuple(sorted(paths, key=lambda path: path.path))


def _store_path(path: str, raw: object) -> StorePath:
    if raw is None:
        raise BadClosure(f"{path} is not a valid path of the store")
    info = msgspec.convert(raw, _Info)
    if not info.valid:
        raise BadClosure(f"{path} is not a valid path of the store")
    full = path if path.startswith("/") else f"{STORE}/{path}"
    references = (r if r.startswith("/") else f"{STORE}/{r}" for r in info.references)
    return StorePath(
        path=full,
        nar_hash=_hex(info.nar_hash),
        nar_size=info.nar_size,
        references=tuple(sorted(references)),
        deriver=info.deriver or "",
        signatures=tuple(info.signatures),
        ca=info.ca or "",
    )


def _hex(text: str) -> str:
    """Returns a SHA-256 as hex: Nix writes it as SRI, in its own base 32, or in hex."""
    kind, _, digest = text.replace("-", ":", 1).partition(":")
    if kind != "sha256":
        raise BadClosure(f"hash {text!r} is not a SHA-256")
    if len(digest) == 64:
        raw = bytes.fromhex(digest)
    elif len(digest) == 44:
        raw = base64.b64decode(digest, validate=True)
    elif len(digest) == 52:
        number = 0
        for character in digest:
            number = number * 32 + _BASE32.index(character)
        raw = number.to_bytes(33, "big")[-32:][::-1]
    else:
        raw = b""
    if len(raw) != 32:
        raise BadClosure(f"hash {text!r} is not one that Nix writes")
    return raw.hex()


@dataclass(frozen=True)
class Closure:
    """Store paths that hold all their references.

    Attributes:
        paths: Sorted by path.
        roots: What was asked for.
    """

    paths: tuple[StorePath, ...]
    roots: tuple[str, ...]
    _by_path: Mapping[str, StorePath] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_path", {path.path: path for path in self.paths})
        for path in (*self.roots, *(r for p in self.paths for r in p.references)):
            if path not in self._by_path:
                raise BadClosure(f"{path} is needed but not part of the closure")

    def __getitem__(self, path: str) -> StorePath:
        return self._by_path[path]

    def __len__(self) -> int:
        return len(self.paths)

    def plus(self, path: StorePath) -> Closure:
        """Returns the closure with one more root, whose references it holds."""
        paths = {one.path: one for one in (*self.paths, path)}
        return Closure(tuple(paths[name] for name in sorted(paths)), (*self.roots, path.path))

    def why(self, path: str) -> tuple[str, ...]:
        """Returns the shortest chain of references from a root to a path; () if there is none."""
        pending: deque[tuple[str, ...]] = deque((root,) for root in self.roots)
        seen = set(self.roots)
        while pending:
            chain = pending.popleft()
            if chain[-1] == path:
                return chain
            for reference in self._by_path[chain[-1]].references:
                if reference not in seen:
                    seen.add(reference)
                    pending.append((*chain, reference))
        return ()

    def topological(self) -> tuple[StorePath, ...]:
        """Returns the paths with each after what it refers to."""
        order: list[StorePath] = []
        done: set[str] = set()
        for start in self.paths:
            pending = [(start.path, False)]
            while pending:
                path, expanded = pending.pop()
                if expanded:
                    order.append(self._by_path[path])
                elif path not in done:
                    done.add(path)
                    pending.append((path, True))
                    pending += [(r, False) for r in self._by_path[path].references if r not in done]
        return tuple(order)


def versions(paths: Iterable[StorePath]) -> dict[str, tuple[StorePath, ...]]:
    """Returns packages that are present more than once, by name without version."""
    groups: dict[str, list[StorePath]] = {}
    for path in paths:
        package, version = split_version(path.name)
        if version:
            groups.setdefault(package, []).append(path)
    return {name: tuple(group) for name, group in sorted(groups.items()) if len(group) > 1}


def split_version(name: str) -> tuple[str, str]:
    """Splits "glibc-2.40-66" into ("glibc", "2.40-66"), as Nix's parseDrvName does.

    The version begins at the first dash that no letter follows.
    """
    for at, character in enumerate(name[:-1]):
        if character == "-" and not name[at + 1].isalpha():
            return name[:at], name[at + 1 :]
    return name, ""
