"""What `nixos-install` leaves in a root file system besides the closure, as entries.

After nixpkgs' nixos-install.sh and make-disk-image.nix, and what Nix's local store makes of an
empty root (libstore, local-store.cc). Nothing is run: activation is the first boot's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.manifest.entry import Entry
from engine.manifest.memory import directory, file_of, host_file, symlink
from engine.nix.closure import Closure
from engine.nix.database import SCHEMA, database

PROFILES = b"nix/var/nix/profiles"
_STATE = b"nix/var/nix"
_BUILD_GROUP = 30_000
"""gid of nixbld (NixOS, misc/ids.nix; the Nix installer)."""

# Where a booting system mounts or makes what must not be on the disk.
_MOUNT_POINTS = ((b"boot", 0o755), (b"dev", 0o755), (b"proc", 0o755), (b"run", 0o755),
                 (b"sys", 0o755), (b"tmp", 0o1777))  # fmt: skip


def store_folder(mtime_ns: int) -> Iterator[Entry]:
    """Yields the folders of a store, as nix makes them where builders of a group may write."""
    yield directory(b"nix", mtime_ns=mtime_ns)
    store = directory(b"nix/store", mtime_ns=mtime_ns, mode=0o1775)
    store.gid = _BUILD_GROUP
    yield store


def registration(closure: Closure, mtime_ns: int) -> Iterator[Entry]:
    """Yields the state of a store that holds exactly a closure."""
    for name in (b"", b"/db", b"/gcroots", b"/gcroots/auto", b"/gcroots/per-user", b"/profiles",
                 b"/profiles/per-user", b"/temproots"):  # fmt: skip
        yield directory(_STATE + name, mtime_ns=mtime_ns)
    yield directory(b"nix/var", mtime_ns=mtime_ns)
    yield symlink(_STATE + b"/gcroots/profiles", b"/" + PROFILES, mtime_ns=mtime_ns)
    yield file_of(_STATE + b"/db/db.sqlite", database(closure), mtime_ns=mtime_ns)
    yield file_of(_STATE + b"/db/schema", b"%d" % SCHEMA, mtime_ns=mtime_ns)


def system_profile(system: str, mtime_ns: int) -> Iterator[Entry]:
    """Yields what makes a root file system that of a NixOS system."""
    yield from _profile(PROFILES + b"/system", system, mtime_ns)
    yield directory(b"etc", mtime_ns=mtime_ns)
    yield file_of(b"etc/NIXOS", b"", mtime_ns=mtime_ns)
    yield directory(b"etc/nixos", mtime_ns=mtime_ns)
    for path, mode in _MOUNT_POINTS:
        yield directory(path, mtime_ns=mtime_ns, mode=mode)


def channel_profile(channel: str, mtime_ns: int) -> Iterator[Entry]:
    """Yields root's channel, where `nix-channel` and `<nixpkgs>` look for it."""
    home = PROFILES + b"/per-user/root"
    yield directory(home, mtime_ns=mtime_ns)
    yield from _profile(home + b"/channels", channel, mtime_ns)
    yield directory(b"root", mtime_ns=mtime_ns, mode=0o700)
    yield directory(b"root/.nix-defexpr", mtime_ns=mtime_ns, mode=0o700)
    target = b"/" + home + b"/channels"
    yield symlink(b"root/.nix-defexpr/channels", target, mtime_ns=mtime_ns)


def configuration(file: str, mtime_ns: int) -> Iterator[Entry]:
    """Yields /etc/nixos/configuration.nix, writable for root wherever it came from.

    Raises:
        OSError: There is no such file.
    """
    yield directory(b"etc", mtime_ns=mtime_ns)
    yield directory(b"etc/nixos", mtime_ns=mtime_ns)
    yield host_file(b"etc/nixos/configuration.nix", os.fsencode(file), mtime_ns=mtime_ns)


def _profile(profile: bytes, path: str, mtime_ns: int) -> Iterator[Entry]:
    """Yields a profile and its first generation (nix-env(1), "profiles")."""
    generation = profile.rpartition(b"/")[2] + b"-1-link"
    yield symlink(profile, generation, mtime_ns=mtime_ns)
    yield symlink(profile.rpartition(b"/")[0] + b"/" + generation, path.encode(), mtime_ns=mtime_ns)
