"""What the [nix] section brings into the manifest, and everything that can be wrong with it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.manifest.manifest import Manifest
from engine.manifest.scan import scan
from engine.nix.cache import NixCache
from engine.nix.gather import NixContents, gather, settled
from engine.problem import Problem
from engine.spec.model import Content, ImageSpec, Nix
from engine.spec.resolve import resolve
from tests.support.nixos import Lab
from tests.support.tools import hide_tools

BASE = Path("/")


def bring(nix: Nix, *, base: Path = BASE, cache: NixCache | None = None) -> NixContents:
    settings, _ = resolve(ImageSpec(nix=nix), base, {})
    return gather(settings, os.environ, cache)


def manifest(nix: Nix, *contents: Content) -> Manifest:
    settings, _ = resolve(ImageSpec(nix=nix, contents=contents), BASE, {})
    brought = gather(settings, os.environ)
    assert brought.problems == ()
    return scan(settled(settings, brought), extra=brought.parts).volumes["root"]


def problem(nix: Nix, *, base: Path = BASE) -> Problem:
    (found,) = bring(nix, base=base).problems
    return found


def test_nothing_asked_brings_nothing_and_needs_no_nix(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_tools(monkeypatch)

    assert bring(Nix()) == NixContents()


def test_files_have_what_every_store_gives_them(lab: Lab, system: str) -> None:
    found = manifest(Nix(system=system))

    store = found.get(b"nix/store")
    assert store is not None
    assert (store.mode, store.uid, store.gid) == (stat.S_IFDIR | 0o1775, 0, 30_000)
    inside = list(found.under(b"nix/store"))
    assert {(entry.uid, entry.gid, entry.mtime_ns) for entry in inside} == {(0, 0, 10**9)}
    assert {entry.mode & 0o7777 for entry in inside if not entry.is_symlink} == {0o444, 0o555}
    for entry in inside:
        place = lab.place(entry.path.decode())
        assert entry.is_directory == (place.is_dir() and not place.is_symlink())
        if entry.is_regular:
            assert (entry.size, bool(entry.mode & 0o100)) == (
                place.stat().st_size, os.access(place, os.X_OK),
            )  # fmt: skip
    listed = lab.nix("nix-store", "--store", str(lab.folder), "-qR", system).split()
    tops = {entry.path for entry in inside if entry.path.count(b"/") == 2}
    assert tops == {path[1:].encode() for path in listed}


def test_links_that_the_hosts_optimiser_made_change_nothing(lab: Lab, system: str) -> None:
    def seen() -> list[tuple[bytes, int, int, bytes, object]]:
        found = manifest(Nix(system=system))
        return [(e.path, e.mode, e.size, e.target, e.link_to) for e in found]

    before = seen()
    lab.nix("nix-store", "--store", str(lab.folder), "--optimise")

    assert any((lab.folder / "nix/store/.links").iterdir())
    assert seen() == before


def test_installation_is_that_of_nixos_install(system: str, tmp_path: Path) -> None:
    (tmp_path / "c.nix").write_text("{ }\n")
    (tmp_path / "nixpkgs").mkdir()
    (tmp_path / "nixpkgs" / "default.nix").write_text("{ }: { }\n")

    found = manifest(
        Nix(
            system=system,
            config_file=str(tmp_path / "c.nix"),
            copy_channel=str(tmp_path / "nixpkgs"),
        )
    )

    def link(path: bytes) -> bytes:
        entry = found.get(path)
        assert entry is not None
        return entry.target

    profiles = b"nix/var/nix/profiles/"
    assert link(profiles + b"system") == b"system-1-link"
    assert link(profiles + b"system-1-link") == system.encode()
    assert link(b"nix/var/nix/gcroots/profiles") == b"/nix/var/nix/profiles"
    channels = profiles + b"per-user/root/channels"
    assert link(channels) == b"channels-1-link"
    channel = link(channels + b"-1-link")
    assert found.get(channel[1:] + b"/nixos/default.nix") is not None
    assert link(b"root/.nix-defexpr/channels") == b"/" + channels
    modes = {
        path: entry.mode & 0o7777
        for path in (b"root", b"root/.nix-defexpr", b"tmp", b"proc", b"etc/nixos/configuration.nix")
        if (entry := found.get(path)) is not None
    }
    assert list(modes.values()) == [0o700, 0o700, 0o1777, 0o755, 0o644]
    assert found.get(b"etc/NIXOS") is not None


def test_contents_go_beside_it(system: str, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir(mode=0o700)
    (tmp_path / "etc" / "motd").write_text("hello\n")

    found = manifest(Nix(system=system), Content(source=str(tmp_path / "etc"), target="/etc"))

    assert found.problems == ()
    assert found.get(b"etc/motd") is not None
    assert found.get(b"etc/NIXOS") is not None


def test_only_store_puts_the_closure_at_the_root(system: str) -> None:
    found = manifest(Nix(system=system, only_store=True, install_boot_loader=False))

    base = system.removeprefix("/nix/store/").encode()
    assert found.get(base + b"/boot.json") is not None
    assert found.get(b"nix") is None


def test_only_store_has_the_channel_as_well(system: str, tmp_path: Path) -> None:
    (tmp_path / "default.nix").write_text("{ }: { }\n")

    found = manifest(Nix(system=system, only_store=True, copy_channel=str(tmp_path)))

    (channel,) = [entry for entry in found if entry.path.endswith(b"-nixos-channel")]
    assert found.get(channel.path + b"/nixos/default.nix") is not None


def test_additional_paths_bring_their_closure(system: str, extra: str) -> None:
    brought = bring(Nix(system=system, additional_paths=(extra,)))

    assert brought.closure is not None
    names = {path.name for path in brought.closure.paths}
    assert {"extra-2.1", "library-2.0", "library-1.0"} <= names


def test_where_nothing_changed_the_very_same_part_comes_again(system: str, extra: str) -> None:
    cache = NixCache()
    first = bring(Nix(system=system), cache=cache)

    assert bring(Nix(system=system), cache=cache).part is first.part
    more = bring(Nix(system=system, additional_paths=(extra,)), cache=cache)
    assert more.part is not first.part
    assert first.part is not None
    assert more.part is not None
    assert {id(e) for e in first.part.entries} & {id(e) for e in more.part.entries}


def test_a_flake_and_an_attribute_are_what_they_evaluate_to(lab: Lab, system: str) -> None:
    named = f"-f {lab.sources / 'system.nix'} -A toplevel"

    assert bring(Nix(system=named)).system == system
    assert bring(Nix(system=f"path:{lab.sources}#lab")).system == system


def test_a_link_to_a_system_stands_for_it(system: str, tmp_path: Path) -> None:
    (tmp_path / "result").symlink_to(system)

    assert bring(Nix(system="./result"), base=tmp_path).system == system


def test_a_path_that_is_not_in_the_store(system: str) -> None:
    nowhere = "/nix/store/" + "0" * 32 + "-nowhere"

    found = problem(Nix(system=nowhere))
    assert (found.code, found.path) == ("not-in-store", "nix.system")
    assert nowhere in found.message

    found = problem(Nix(system=system, additional_paths=(nowhere,)))
    assert (found.code, found.path) == ("not-in-store", "nix.additional_paths[0]")

    found = problem(Nix(additional_paths=("/etc/passwd",)))
    assert (found.code, found.path) == ("not-a-store-path", "nix.additional_paths[0]")


def test_what_is_not_built_yet_is_told_and_not_built(lab: Lab) -> None:
    found = problem(Nix(system=f"-f {lab.sources / 'system.nix'} -A broken"))

    assert (found.code, found.path) == ("system-not-built", "nix.system")
    assert "diskwright build" in found.hint


def test_what_cannot_be_evaluated_shows_the_error_of_nix(lab: Lab) -> None:
    found = problem(Nix(system=f"-f {lab.sources / 'system.nix'} -A nothing"))

    assert found.code == "system-unknown"
    assert "attribute 'nothing'" in found.message


def test_a_missing_member_is_named_with_the_reason_it_is_needed(tmp_path: Path, lab: Lab) -> None:
    system = lab.build("toplevel", "--argstr", "payload", "lost")
    listed = lab.nix("nix-store", "--store", str(lab.folder), "-qR", system).split()
    library = next(path for path in listed if path.endswith("library-1.0"))
    place = lab.place(library)
    hidden = tmp_path / "hidden"
    for folder in (place, place / "lib"):
        folder.chmod(0o755)
    place.rename(hidden)
    try:
        brought = bring(Nix(system=system))
    finally:
        hidden.rename(place)

    assert brought.part is not None
    (found,) = brought.part.findings
    assert found.code == "store-path-missing"
    assert library in found.message
    assert "nixos-system-lab-25.05 -> manual -> library-1.0" in found.message


def test_without_nix_it_says_what_is_lost_and_which_package(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_tools(monkeypatch)

    found = problem(Nix(system=system))

    assert found.code == "nix-missing"
    assert "nix" in found.hint


def test_a_nix_too_old_is_refused(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "nix"
    old.write_text('#!/bin/sh\necho "nix (Nix) 2.3.16"\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    found = problem(Nix(system=system))

    assert found.code == "nix-missing"
    assert "2.3" in found.message
    assert "2.4" in found.message


def test_a_store_elsewhere_is_refused(system: str) -> None:
    found = problem(Nix(system=system, store="ssh://host"))

    assert (found.code, found.path) == ("store-elsewhere", "nix.store")
