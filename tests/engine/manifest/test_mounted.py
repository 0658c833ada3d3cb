"""Several volumes looked at as the tree that a running system sees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.manifest.lookup import find, read
from engine.manifest.memory import file_of
from engine.manifest.mounted import Mounted, Place
from engine.manifest.volumes import mounts
from tests.engine.boot.trees import spread, tree

_PATHS = st.lists(st.sampled_from(["a", "b", "boot"]), min_size=1, max_size=4).map("/".join)
FILES: dict[str, bytes | str] = {
    "boot/efi/EFI/x": b"on the ESP", "boot/k": b"kernel", "etc/e": b"e",
    "usr/lib/m": b"m", "lib": "usr/lib", "vmlinuz": "boot/k",
}  # fmt: skip
AT = mounts([("/", "root"), ("/boot", "boot"), ("/boot/efi", "esp"), ("/usr", "usr")])


@given(st.dictionaries(_PATHS, st.binary(max_size=3)), st.sets(_PATHS, max_size=3))
def test_the_split_parts_make_the_whole_again(files: dict[str, bytes], points: set[str]) -> None:
    files = {path: data for path, data in files.items() if not _is_above(path, {*files, *points})}
    whole = tree({**files})
    at = mounts([("/", "root"), *((f"/{point}", f"at {point}") for point in points)])
    seen = Mounted(at, spread({**files}, at))
    for path, data in files.items():
        entry = seen.get(path.encode())
        assert entry is not None
        assert (entry.path, read(entry, 9)) == (path.encode(), data)
    for folder in (b"", b"a", b"boot", b"a/b"):
        below = [entry.path for entry in seen.under(folder) if not entry.is_directory]
        assert sorted(below) == [e.path for e in whole.under(folder) if not e.is_directory]
        for listing in (seen, whole):
            depth = folder.count(b"/") + 1 if folder else 0
            inside = [e.path for e in listing.under(folder) if e.path.count(b"/") == depth]
            assert [entry.path for entry in listing.within(folder)] == inside
    assert {entry.path for entry in seen.under(b"")} >= {entry.path for entry in whole} - {b""}


def _is_above(path: str, others: set[str]) -> bool:
    return any(other == path or other.startswith(f"{path}/") for other in others - {path})


def test_links_lead_from_one_volume_to_another_and_places_are_known() -> None:
    seen = Mounted(AT, spread(FILES, AT))
    assert (entry := find(seen.get, b"lib/m")) is not None
    assert read(entry, 9) == b"m"
    assert (entry := find(seen.get, b"vmlinuz")) is not None
    assert seen.place(entry.path) == Place("boot", b"k")
    assert seen.place(b"boot/efi/EFI/x") == Place("esp", b"EFI/x")
    assert seen.place(b"usr") == Place("usr", b"")
    assert seen.place(b"etc/new") == Place("root", b"etc/new")


def test_what_a_mount_hides_is_not_seen() -> None:
    contents = spread(FILES, AT)
    contents["root"].entries = [  # as an entry put there by the name of the volume would be
        *contents["root"].entries, file_of(b"usr/hidden", b"", mtime_ns=0),
    ]  # fmt: skip
    seen = Mounted(AT, contents)
    assert seen.get(b"usr/hidden") is None
    assert b"usr/hidden" not in [entry.path for entry in seen.under(b"")]


def test_an_empty_volume_shows_the_directory_it_is_mounted_on() -> None:
    contents = spread(FILES, AT) | {"boot": tree({}), "usr": type(tree({}))(())}
    seen = Mounted(AT, contents)
    for path in (b"boot", b"usr"):
        entry = seen.get(path)
        assert entry is not None
        assert (entry.path, entry.is_directory) == (path, True)
