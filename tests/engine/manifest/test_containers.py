"""Container images become the tree that umoci and the specification say they are."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as quickly
from hypothesis import strategies as st

from engine.manifest.entry import SourceChanged
from engine.manifest.manifest import Manifest
from engine.manifest.oci.recognise import is_image_archive
from tests.engine.manifest.support import (
    codes,
    content,
    data,
    manifest,
    on_disk,
    paths,
    scanned,
)
from tests.support.containers import (
    Made,
    archived,
    hard_link,
    layer,
    layout,
    member,
    saved,
    symlink,
)

FORMS = ("folder", "tar", "tar+gzip", "tar+zstd")
Member = tuple[tarfile.TarInfo, bytes]


def _tree(tmp_path: Path, *layers: list[Member]) -> Manifest:
    made = Made([layer(*members) for members in layers])
    return manifest(content(layout(tmp_path / "layout", ("", made)), extract="oci"))


def _files(tmp_path: Path, *layers: list[Member]) -> dict[str, bytes]:
    return {os.fsdecode(path): body for path, body in data(_tree(tmp_path, *layers)).items()}


def _form(folder: Path, form: str) -> Path:
    return folder if form == "folder" else archived(folder, form.removeprefix("tar"))


BASE = [
    member("etc/"), member("etc/old.conf", data=b"old"), member("etc/kept", data=b"kept"),
    member("opt/app/"), member("opt/app/one", data=b"1"), member("opt/app/deep/two", data=b"2"),
]  # fmt: skip
TOP = [
    member("etc/.wh.old.conf"), member("opt/app/new", data=b"n"), member("opt/app/.wh..wh..opq"),
    hard_link("etc/again", "etc/kept"),
]  # fmt: skip
RESULT = {"etc/kept": b"kept", "etc/again": b"kept", "opt/app/new": b"n"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packing", ["", "+gzip", "+zstd"])
def test_an_oci_layout_is_read_in_every_form(tmp_path: Path, form: str, packing: str) -> None:
    made = Made([layer(*BASE), layer(*TOP)])
    source = _form(layout(tmp_path / "image", ("v1", made), packing=packing), form)
    found = {os.fsdecode(k): v for k, v in data(manifest(content(source, extract="oci"))).items()}
    assert found == RESULT


@pytest.mark.parametrize("form", FORMS)
def test_a_docker_save_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    made = Made([layer(*BASE), layer(), layer(*TOP), layer()])
    source = _form(saved(tmp_path / "image", ("web:1", made)), form)
    entries = manifest(content(source, extract="oci"))
    assert {os.fsdecode(k): v for k, v in data(entries).items()} == RESULT
    twin = entries.get(b"etc/kept")
    assert twin is not None
    assert twin.link_to is entries.get(b"etc/again")


def test_skopeo_s_archives_are_read(tmp_path: Path) -> None:
    made = Made([layer(*BASE), layer(*TOP)])
    image = layout(tmp_path / "image", ("v1", made))
    for target in ("docker-archive:d.tar:web:v1", "oci-archive:o.tar:v1", "oci:folder:v1"):
        _run("skopeo", "copy", "--insecure-policy", f"oci:{image}:v1", target, cwd=tmp_path)
        source = tmp_path / target.split(":")[1]
        found = data(manifest(content(source, extract="oci", image="v1")))
        assert {os.fsdecode(k): v for k, v in found.items()} == RESULT, target


def test_skopeo_s_folders_are_read(tmp_path: Path) -> None:
    """The `dir:` transport's, which podman has too, for one platform and for all of them."""
    arm = Made([layer(member("arm", data=b"1"))], architecture="arm64")
    one = layout(tmp_path / "one", ("v1", Made([layer(*BASE), layer(*TOP)])))
    two = layout(tmp_path / "two", ("v1", Made([layer(*BASE), layer(*TOP)])), ("v1", arm))
    for image in (one, two):
        folder = tmp_path / f"{image.name}.dir"
        copy = ("skopeo", "copy", "--insecure-policy", "--all")
        _run(*copy, f"oci:{image}:v1", f"dir:{folder}", cwd=tmp_path)
        found = data(manifest(content(folder, extract="oci")))
        assert {os.fsdecode(k): v for k, v in found.items()} == RESULT
        for source in (content(folder), content(archived(folder), extract=True)):
            assert codes(scanned(source)) == ["is-container-image"]
    only = manifest(content(tmp_path / "two.dir", extract="oci", platform="linux/arm64"))
    assert paths(only) == ["arm"]


def test_a_save_of_an_old_docker_is_not_taken_for_files(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    (folder / "0123abcd").mkdir(parents=True)
    (folder / "0123abcd" / "layer.tar").write_bytes(layer(*BASE))
    (folder / "repositories").write_text('{"web": {"latest": "0123abcd"}}')
    for source in (content(folder), content(archived(folder), extract=True)):
        assert codes(scanned(source)) == ["is-container-image"]
    (problem,) = scanned(content(folder, extract="oci")).problems
    assert "before Docker 1.10" in problem.message


def test_a_target_below_the_top_and_patterns(tmp_path: Path) -> None:
    made = Made([layer(*BASE), layer(symlink("lib", "/usr/lib"), member("lib/x", data=b"x"))])
    image = layout(tmp_path / "image", ("", made))
    entries = manifest(content(image, b"/srv/app", extract="oci", exclude=("etc/", "two")))
    assert paths(entries) == [
        "srv", "srv/app", "srv/app/lib", "srv/app/opt", "srv/app/opt/app", "srv/app/opt/app/deep",
        "srv/app/opt/app/one", "srv/app/usr", "srv/app/usr/lib", "srv/app/usr/lib/x",
    ]  # fmt: skip


def test_files_and_directories_take_each_others_place(tmp_path: Path) -> None:
    found = _files(
        tmp_path,
        [member("a/"), member("a/x", data=b"x"), member("b", data=b"b"), member("c/y", data=b"y")],
        [
            member("a", data=b"file"),
            member("b/"),
            member("b/z", data=b"z"),
            member("c/", mode=0o700),
        ],
    )
    assert found == {"a": b"file", "b/z": b"z", "c/y": b"y"}


def test_a_whiteout_deletes_from_the_layers_below_only(tmp_path: Path) -> None:
    found = _files(
        tmp_path,
        [member("a", data=b"below"), member("d/one", data=b"1")],
        [member("a", data=b"own"), member(".wh.a"), member(".wh.never"),
         member("d/two", data=b"2"), member("d/.wh..wh..opq"), member("d/.wh.two")],
    )  # fmt: skip
    assert found == {"a": b"own", "d/two": b"2"}


def test_paths_lead_through_links_of_the_layers_below_and_never_out(tmp_path: Path) -> None:
    found = _files(
        tmp_path,
        [member("usr/bin/old", data=b"o"), symlink("bin", "usr/bin"), symlink("out", "../../etc"),
         symlink("run", "/var/run"), member("gone/x", data=b"x"), symlink("to-gone", "gone")],
        [member("bin/tool", data=b"t"), member("bin/.wh.old"), member("out/conf", data=b"c"),
         member("run/pid", data=b"p"), member("to-gone/.wh.x")],
    )  # fmt: skip
    assert found == {"usr/bin/tool": b"t", "etc/conf": b"c", "var/run/pid": b"p"}


def test_a_rewritten_name_parts_from_its_twins(tmp_path: Path) -> None:
    entries = _tree(
        tmp_path,
        [member("a", data=b"1"), hard_link("b", "a"), hard_link("c", "a")],
        [member("a", data=b"22"), hard_link("later", "target"), member("target", data=b"3")],
    )
    assert data(entries) == {b"a": b"22", b"b": b"1", b"c": b"1", b"later": b"3", b"target": b"3"}
    links = {e.path: e.link_to.path for e in entries if e.link_to is not None}
    assert links == {b"c": b"b", b"target": b"later"}


def test_metadata_comes_from_the_last_layer_that_says_it(tmp_path: Path) -> None:
    attributes = {"SCHILY.xattr.user.note": "one"}
    entries = _tree(
        tmp_path,
        [
            member("./", mode=0o775, uid=5),
            member("d/", uid=1),
            member("d/x", pax_headers=attributes),
        ],
        [member("d/", mode=0o1777, uid=7, gid=8, mtime=5)],
    )
    root, folder, file = (entries.get(path) for path in (b"", b"d", b"d/x"))
    assert root is not None
    assert folder is not None
    assert file is not None
    assert (root.mode, root.uid) == (stat.S_IFDIR | 0o775, 5)
    assert (folder.mode, folder.uid, folder.gid) == (stat.S_IFDIR | 0o1777, 7, 8)
    assert folder.mtime_ns == 5_000_000_000
    assert file.xattrs == ((b"user.note", b"one"),)


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        ("layer", "its sum is"),
        ("size", "bytes, and the manifest says"),
        ("diff_id", "unpacked content"),
        ("config", "another sum"),
        ("missing", "is incomplete"),
        ("cut", "is damaged"),
        ("index", "cannot be read"),
        ("version", "version"),
    ],
)
def test_damage_is_found(tmp_path: Path, harm: str, word: str) -> None:
    made = Made([layer(*BASE), layer(*TOP)])
    if harm == "diff_id":
        made.config = Made([layer(*BASE), layer(*BASE)]).config  # type: ignore[method-assign]
    image = layout(tmp_path / "image", ("", made), packing="")
    blobs = {path.stat().st_size: path for path in (image / "blobs" / "sha256").iterdir()}
    largest, smallest = blobs[max(blobs)], blobs[min(blobs)]
    whole = bytearray(largest.read_bytes())
    if harm == "layer":
        whole[1024] ^= 1
        largest.write_bytes(whole)
    elif harm == "size":
        largest.write_bytes(whole + bytes(512))
    elif harm == "cut":
        largest.write_bytes(whole[:700])
    elif harm == "missing":
        largest.unlink()
    elif harm == "config":
        smallest.write_bytes(smallest.read_bytes().replace(b"linux", b"LINUX"))
    elif harm == "index":
        (image / "index.json").write_text("{")
    elif harm == "version":
        (image / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    found = scanned(content(image, extract="oci"))
    (problem,) = found.problems
    assert word in problem.message
    assert problem.severity == "error"


def test_an_image_is_chosen_by_name_and_platform(tmp_path: Path) -> None:
    def of(text: str, architecture: str = "amd64", variant: str = "", os: str = "linux") -> Made:
        return Made([layer(member(text))], architecture=architecture, variant=variant, os=os)

    image = layout(
        tmp_path / "image",
        ("docker.io/library/web:1", of("amd")),
        ("docker.io/library/web:1", of("arm", architecture="arm64", variant="v8")),
        ("docker.io/library/web:1", of("v6", architecture="arm", variant="v6")),
        ("docker.io/library/web:1", of("v7", architecture="arm", variant="v7")),
        ("docker.io/library/db:latest", of("db")),
        ("windows", of("win", os="windows")),
    )

    def names(**options: str) -> list[str]:
        return paths(manifest(content(image, extract="oci", **options)))  # type: ignore[arg-type]

    assert names(image="web:1") == ["amd"]
    assert names(image="1") == ["amd"]
    assert names(image="library/db") == ["db"]
    assert names(image="web:1", platform="linux/arm64") == ["arm"]
    assert names(image="web:1", platform="arm64") == ["arm"]
    assert names(image="web:1", platform="aarch64") == ["arm"]
    assert names(image="web:1", platform="linux/arm") == ["v7"]
    assert names(image="web:1", platform="linux/arm/v6") == ["v6"]
    refusals = {
        "image-ambiguous": content(image, extract="oci"),
        "no-such-image": content(image, extract="oci", image="weeb"),
        "no-such-platform": content(image, extract="oci", image="web:1", platform="linux/s390x"),
        "bad-platform": content(image, extract="oci", platform="a//b"),
        "image-damaged": content(image, extract="oci", image="windows"),
    }
    for code, refused in refusals.items():
        assert codes(scanned(refused)) == [code]
    message = scanned(refusals["no-such-platform"]).problems[0].message
    assert message.endswith("linux/amd64, linux/arm64/v8, linux/arm/v6, linux/arm/v7")


def test_what_is_changed_after_the_scan_is_refused(tmp_path: Path) -> None:
    made = Made([layer(*BASE)])
    image = layout(tmp_path / "image", ("", made), packing="")
    for source in (image, archived(image), archived(image, "+gzip")):
        entries = manifest(content(source, extract="oci"))
        files = [source] if source.is_file() else list((source / "blobs" / "sha256").iterdir())
        for file in files:
            os.utime(file, (1, 1))
        with pytest.raises(SourceChanged, match="changed"):
            data(entries)


def test_an_image_taken_for_files_is_said_with_the_fix(tmp_path: Path) -> None:
    made = Made([layer(*BASE), layer(*TOP)])
    image = layout(tmp_path / "image", ("", made))
    docker = saved(tmp_path / "saved", ("", made))
    for source in (archived(image, "+gzip"), archived(docker), image, docker):
        found = scanned(content(source, extract=True))
        assert codes(found) == ["is-container-image"]
        fix = found.problems[0].fix
        assert fix is not None
        assert fix.edits == (("contents[0].extract", "oci"),)
    assert codes(scanned(content(image))) == ["is-container-image"]
    (warning,) = scanned(content(image, b"/var/images")).problems
    assert (warning.code, warning.severity) == ("is-container-image", "warning")


def test_an_archive_of_an_image_is_known_by_its_first_members(tmp_path: Path) -> None:
    made = Made([layer(*BASE), layer(*TOP)])
    image = layout(tmp_path / "image", ("", made))
    docker = saved(tmp_path / "saved", ("", made))
    for source in (image, docker):
        assert is_image_archive(os.fsencode(archived(source)))
        assert is_image_archive(os.fsencode(archived(source, "+gzip")))
    root = tmp_path / "root.tar"
    root.write_bytes(layer(*BASE))
    for other in (root, tmp_path / "missing.tar", tmp_path, Path("/dev/null")):
        assert not is_image_archive(os.fsencode(other))


def test_a_single_layer_is_not_unpacked_in_silence(tmp_path: Path) -> None:
    archive = tmp_path / "layer.tar"
    archive.write_bytes(layer(*TOP[:-1]))
    found = scanned(content(archive, extract=True))
    assert codes(found) == ["archive-is-a-layer"]
    assert "/etc/.wh.old.conf, /opt/app/.wh..wh..opq" in found.problems[0].message
    kept = manifest(content(archive, extract=True, exclude=(".wh.*",)))
    assert paths(kept) == ["opt", "opt/app", "opt/app/new"]


def test_a_root_file_system_is_not_taken_for_an_image(tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(layer(*BASE))
    found = scanned(content(archive, extract="oci"))
    assert codes(found) == ["no-container-image"]
    fix = found.problems[0].fix
    assert fix is not None
    assert fix.edits == (("contents[0].extract", True),)
    assert codes(scanned(content(tmp_path, extract="oci"))) == ["no-container-image"]
    archive.write_text("no archive")
    assert codes(scanned(content(archive, extract="oci"))) == ["archive-damaged"]


# Against umoci: random layers over few names, so that they meet.

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_TARGETS = st.one_of(_PATHS, _PATHS.map("/{}".format), st.sampled_from(["..", "../a", "/"]))


@st.composite
def _members(draw: st.DrawFn) -> list[Member]:
    found: dict[str, Member] = {}
    for path in draw(st.lists(_PATHS, max_size=8, unique=True)):
        above, _, name = path.rpartition("/")
        inside = above + "/" if above else ""
        choices = (
            member(path + "/", mode=0o750),
            member(path, data=draw(st.binary(max_size=3))),
            symlink(path, draw(_TARGETS)),
            hard_link(path, draw(_PATHS)),
            member(f"{inside}.wh.{name}"),
            member(f"{inside}.wh..wh..opq"),
        )
        made = draw(st.sampled_from(choices))
        found[made[0].name] = made
    # Umoci takes members one by one: a whiteout behind the files that it does not mean would find
    # their parents made already. Where they stand does not matter to the specification.
    return sorted(found.values(), key=lambda made: ".wh." not in made[0].name)


@given(st.lists(_members(), min_size=1, max_size=4))
@quickly(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_layers_are_what_umoci_makes_of_them(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[Member]]
) -> None:
    folder = tmp_path_factory.mktemp("umoci")
    image = layout(folder / "image", ("v1", Made([layer(*members) for members in layers])))
    bundle = folder / "bundle"
    ran = subprocess.run(
        ["umoci", "unpack", "--rootless", "--image", f"{image}:v1", bundle],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = scanned(content(image, extract="oci"))
    if ran.returncode:
        # Umoci knows a hard link only to what came before it, and no layer in which a later
        # member takes it away again.
        linked = any(made[0].islnk() for members in layers for made in members)
        # It looks for what a whiteout removes below a link to itself, where there is nothing.
        looped = "too many levels of symbolic links" in ran.stderr
        assert found.problems or linked or looped, ran.stderr
    else:
        there = on_disk(os.fsencode(bundle / "rootfs"))
        bodies = data(found.volumes["root"])
        ours = {
            entry.path: (entry.mode & 0o170000, bodies.get(entry.path, entry.target))
            for entry in found.volumes["root"]
        }
        assert ours == {path: (mode & 0o170000, body) for path, (mode, _, _, body) in there.items()}
        assert _twins(
            {entry.path: id(entry.link_to or entry) for entry in found.volumes["root"]}
        ) == _twins({path: inode for path, (_, _, inode, _) in there.items()})
        late = [layer(*(*members[split:], *members[:split])) for members, split in _split(layers)]
        again = scanned(content(layout(folder / "late", ("v1", Made(late))), extract="oci"))
        assert data(again.volumes["root"]) == bodies
        assert paths(again.volumes["root"]) == paths(found.volumes["root"])
    shutil.rmtree(folder)


def _twins(inodes: dict[bytes, int]) -> set[frozenset[bytes]]:
    """Returns the sets of names that share an inode."""
    return {
        frozenset(path for path, each in inodes.items() if each == inode)
        for inode in set(inodes.values())
    }


def _split(layers: list[list[Member]]) -> list[tuple[list[Member], int]]:
    """Returns members with the number of whiteouts that they begin with."""
    return [(each, sum(".wh." in made[0].name for made in each)) for each in layers]


def _run(*argv: str, cwd: Path) -> None:
    subprocess.run(argv, cwd=cwd, check=True, capture_output=True)
