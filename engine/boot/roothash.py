"""Root hashes on kernels' command lines: their place is kept until the data is written.

What stands for a hash has its length, so that no size depends on it. Source:
systemd-veritysetup-generator(8) for the words; it calls what it opens /dev/mapper/root and
/dev/mapper/usr, which are then mounted without being named.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.boot.sources import rewritten
from engine.disk import verity
from engine.disk.volume import Volume
from engine.manifest.manifest import Manifest
from engine.spec.settings import Settings

HASH_DIGITS = 64
"""Of SHA-256 in hexadecimal."""
_WORDS = {"root": "roothash", "usr": "usrhash"}
_ANY = tuple(f"{word}=" for word in _WORDS.values())


def placeholder(volume: str) -> str:
    """Returns what stands for the root hash of a volume until that is known."""
    return f"<root-hash-of-{volume}>".ljust(HASH_DIGITS, ".")


def words(settings: Settings) -> tuple[tuple[str], ...]:
    """Returns the words with the root hashes of a disk, to be filled in, each alone.

    Of two roots, as an A/B pair has them, it is the one that is mounted, else the first.
    """
    chosen: dict[str, Volume] = {}
    for one in verity.hashed(settings.volumes):
        if one.role not in chosen or (one.mount and not chosen[one.role].mount):
            chosen[one.role] = one
    return tuple(
        (f"{word}={placeholder(chosen[role].id)}",)
        for role, word in _WORDS.items()
        if role in chosen
    )


def is_named(options: str) -> bool:
    """Whether a command line has a root hash, known or not."""
    return any(word.startswith(_ANY) for word in options.split())


def filled_text(text: str, hashes: Mapping[str, str]) -> str:
    """Returns a text with the root hashes that are known, by id of what is hashed."""
    for volume, found in hashes.items():
        text = text.replace(placeholder(volume), found)
    return text


def filled(manifest: Manifest, hashes: Mapping[str, str]) -> Manifest:
    """Returns contents whose files of our own making have the root hashes in their places."""
    words = {placeholder(volume).encode(): found.encode() for volume, found in hashes.items()}

    def change(data: bytes) -> bytes:
        for word, found in words.items():
            data = data.replace(word, found)
        return data

    entries = [rewritten(entry, change) for entry in manifest]
    if all(new is old for new, old in zip(entries, manifest, strict=True)):
        return manifest
    return Manifest(entries, manifest.problems, manifest.origins)
