"""Whether the keys that a spec names can sign; they are only looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.disk.verity import SIGNATURE
from engine.disk.volume import Volume
from engine.filesystems.verity.signature import BadKey, fingerprint, read_key
from engine.problem import Problem, quote
from engine.spec.settings import Settings


def problems(settings: Settings) -> Iterator[Problem]:
    """Yields which key or certificate openssl would refuse, and which signs otherwise each time."""
    for volume in settings.volumes:
        if volume.format == SIGNATURE:
            yield from _key(volume)
            yield from _looked_at(volume, "certificate", volume.certificate, fingerprint)


def _key(volume: Volume) -> Iterator[Problem]:
    yield from _looked_at(volume, "key", volume.key, read_key)
    try:
        repeatable = not volume.key or read_key(volume.key).repeatable
    except (BadKey, OSError):
        return
    if not repeatable:
        yield Problem(
            "signature-not-repeatable", "warning", f"{volume.path}.key",
            f"{quote(volume.key)} is not an RSA key: each of its signatures is another, so that "
            f"two builds differ in {volume.id}",
            "an RSA key makes the same signature each time",
        )  # fmt: skip


def _looked_at(
    volume: Volume, key: str, path: str, look: Callable[[str], object]
) -> Iterator[Problem]:
    if not path:
        return  # the rules of the spec say so
    where = f"{volume.path}.{key}"
    try:
        look(path)
    except BadKey as error:
        yield Problem("bad-signing-key", "error", where, f"{quote(path)} {error}",
                      "name a PEM file, the key without a passphrase")  # fmt: skip
    except OSError as error:
        message = f"{quote(path)} cannot be read: {error.strerror}"
        yield Problem("source-missing", "error", where, message, "name another file")
