"""What nix answers, of old and new versions, and what follows from it."""

from __future__ import annotations

import os

import msgspec
import pytest

from engine.nix import ask
from engine.nix.closure import BadClosure, Closure, StorePath, parse, split_version, versions
from engine.nix.store import NoFolder, locate
from tests.support.nixos import Lab

HEX = "7bdbc9e6407d9fb4d40adc6493573e6366b5f58ee899a300b0a6062ebbf7270a"
PATH = "/nix/store/" + "a" * 32 + "-thing-1.0"


def document(nar_hash: str = f"sha256:{HEX}", **more: object) -> dict[str, object]:
    return {"narHash": nar_hash, "narSize": 120, "references": [], **more}


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def made(name: str, *references: str, size: int = 10) -> StorePath:
    return StorePath(f"/nix/store/{name}", HEX, size, tuple(f"/nix/store/{r}" for r in references))


@pytest.mark.parametrize("form", ["base16", "base32", "sri"])
def test_every_spelling_of_a_hash_is_read(form: str, lab: Lab) -> None:
    text = lab.nix("nix", "hash", f"to-{form}", "--type", "sha256", HEX)
    spelled = text if form == "sri" else f"sha256:{text}"

    (path,) = parse(encode([document(spelled, path=PATH)]))

    assert path.nar_hash == HEX


def test_old_and_new_forms_say_the_same() -> None:
    old = parse(encode([document(path=PATH, deriver="/nix/store/x.drv", valid=True)]))
    new = parse(encode({PATH: document(deriver="/nix/store/x.drv", ca=None)}))

    assert old == new


@pytest.mark.parametrize(
    "answer",
    [
        encode({PATH: None}),
        encode([{"path": PATH, "narHash": "", "narSize": 0, "valid": False}]),
        encode([document("md5:00", path=PATH)]),
        encode([{"path": PATH}]),
        b"nonsense",
    ],
)
def test_what_is_not_valid_or_not_understood_is_refused(answer: bytes) -> None:
    with pytest.raises(BadClosure):
        parse(answer)


def test_a_missing_member_is_named() -> None:
    with pytest.raises(BadClosure, match="/nix/store/b is needed"):
        Closure((made("a", "b"),), ("/nix/store/a",))


def test_closure_of_the_lab_is_what_nix_store_lists(lab: Lab, system: str) -> None:
    listed = lab.nix("nix-store", "--store", str(lab.folder), "-qR", system).split()

    store = locate("", os.environ)
    closure = ask.closure([system], store, os.environ)

    assert [path.path for path in closure.paths] == sorted(listed)
    assert store.place(system) == bytes(lab.place(system))


def test_why_is_the_shortest_chain() -> None:
    closure = Closure(
        (made("a", "b", "c"), made("b", "d"), made("c", "c"), made("d", "c")), ("/nix/store/a",)
    )

    assert closure.why("/nix/store/c") == ("/nix/store/a", "/nix/store/c")
    assert closure.why("/nix/store/d") == ("/nix/store/a", "/nix/store/b", "/nix/store/d")
    order = [path.base for path in closure.topological()]
    assert order.index("c") < order.index("d") < order.index("b") < order.index("a")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("glibc-2.40-66", ("glibc", "2.40-66")),
        ("python3-minimal-3.12.8", ("python3-minimal", "3.12.8")),
        ("linux-6.1", ("linux", "6.1")),
        ("source", ("source", "")),
    ],
)
def test_versions_split_as_nix_splits_them(name: str, split: tuple[str, str], lab: Lab) -> None:
    expression = f'with builtins.parseDrvName "{name}"; [ name version ]'
    said = lab.nix("nix", "eval", "--store", "dummy://", "--json", "--expr", expression)

    assert split_version(name) == split == tuple(msgspec.json.decode(said))


def test_the_same_package_twice_is_found() -> None:
    h = "a" * 32
    paths = [made(f"{h}-zlib-1.2"), made(f"{h}-zlib-1.3"), made(f"{h}-bash-5.2")]

    assert list(versions(paths)) == ["zlib"]


@pytest.mark.parametrize(
    ("name", "environment", "folder"),
    [
        ("", {}, b"/nix/store"),
        ("daemon", {}, b"/nix/store"),
        ("", {"NIX_REMOTE": "/tmp/S"}, b"/tmp/S/nix/store"),
        ("/tmp/T", {"NIX_REMOTE": "/tmp/S"}, b"/tmp/T/nix/store"),
        ("local?root=/tmp/U", {}, b"/tmp/U/nix/store"),
        ("local:///tmp/V", {}, b"/tmp/V/nix/store"),
        ("unix:///run/nix.sock?root=/mnt", {}, b"/mnt/nix/store"),
        ("local?root=/a&real=/b/c", {}, b"/b/c"),
    ],
)
def test_where_a_stores_files_lie(name: str, environment: dict[str, str], folder: bytes) -> None:
    assert locate(name, environment).folder == folder


@pytest.mark.parametrize(
    ("name", "environment"),
    [("ssh://host", {}), ("https://cache", {}), ("", {"NIX_STORE_DIR": "/tmp/x/store"})],
)
def test_stores_that_cannot_be_read_here_are_refused(
    name: str, environment: dict[str, str]
) -> None:
    with pytest.raises(NoFolder):
        locate(name, environment)
