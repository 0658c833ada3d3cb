"""What is fuzzed: a reader, well-formed inputs for it, and the errors that it documents."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import tarfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from engine.boot import kernels, versions
from engine.boot.osrelease import release_fields
from engine.cli.main import main
from engine.compare.diff import compare
from engine.filesystems.ext4.measure import measure
from engine.image.container import BadImage
from engine.image.reading import Filesystem, contents, walk
from engine.importers import genimage, repart, wks
from engine.importers.arguments import to_spec
from engine.importers.model import Candidate, ImporterModule
from engine.importers.nix_source import NotNix, calls
from engine.inspect.booting import extlinux, grubcfg, type1
from engine.inspect.extract import ExtractFailed, extract
from engine.inspect.image import open_image
from engine.inspect.loaders import find_loaders
from engine.inspect.report import image_report, node_report
from engine.manifest.entry import SourceChanged
from engine.manifest.lookup import stream
from engine.manifest.manifest import Manifest
from engine.manifest.memory import directory, file_of
from engine.manifest.scan import scan
from engine.nix import closure
from engine.pipeline.replay import read_record
from engine.plan.as_json import to_json
from engine.plan.host import Host
from engine.plan.plan import make_plan
from engine.problem import Refused
from engine.provenance import spdx, sums
from engine.provenance.packages import inventory
from engine.spec.load import load, loads
from engine.spec.model import Content, ImageSpec
from engine.spec.resolve import resolve
from engine.spec.save import dumps
from engine.tools.lines import LineSplitter
from tests.fuzz import fields, seeds, systems, texts
from tests.fuzz.fields import Field
from tests.fuzz.mutate import Mutator
from tests.support import containers

_ENTRIES = 500
_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader.

    Attributes:
        seeds: Makes well-formed inputs in a folder of its own.
        read: Reads the input in the file; may write in its folder only.
        documented: What it may raise for an input that is wrong.
        words: Texts that mean something to it.
        resize: Whether inputs may grow and shrink.
        repair: Makes checksums right again, which would otherwise hide what lies behind them.
        fields: Finds the numbers in an input that the reader goes by.
        size: Length of the whole file, where the seed is only its beginning.
        suffix: Of the file's name.
    """

    name: str
    seeds: Callable[[Path], Sequence[bytes]]
    read: Callable[[Path], object]
    documented: tuple[type[Exception], ...] = ()
    words: tuple[bytes, ...] = ()
    resize: bool = True
    repair: Callable[[bytes], bytes] | None = None
    fields: Callable[[bytes], Sequence[Field]] = lambda seed: ()
    size: int = 0
    suffix: str = ""

    def mutator(self, made: Sequence[bytes]) -> Mutator:
        """Returns what makes variants of its seeds."""
        return Mutator(made, self.words, resize=self.resize, fields=self.fields, repair=self.repair)

    def write(self, path: Path, data: bytes) -> None:
        """Writes an input as the file that `read` takes."""
        with path.open("wb") as file:
            file.write(data)
            if self.size:
                file.truncate(self.size)


def _spec(path: Path) -> None:
    """Reads a spec, saves it and plans it without its contents, of which there are none."""
    loaded = load(path)
    settings, _ = resolve(loaded.spec, loaded.base, {})
    dumps(loaded.spec, loaded.text)
    bare = replace(settings, contents=())
    to_json(make_plan(bare, scan(bare).volumes, Host(tools={})))


def _tar(path: Path) -> None:
    spec = path.parent / "tar.toml"
    if not spec.exists():
        spec.write_text(
            f'schema = 1\n[[contents]]\nsource = "{path.name}"\ntarget = "/"\nextract = true\n'
        )
    loaded = load(spec)
    settings, _ = resolve(loaded.spec, loaded.base, {})
    manifest = scan(settings).volumes["root"]
    for entry in manifest:
        assert b".." not in entry.path.split(b"/"), entry.path
    measure(manifest)
    read = 0
    try:
        for _, _, piece in stream(manifest):
            read += len(piece)
            if read > 1 << 24:
                break
    except (SourceChanged, OSError):
        assert manifest.problems, "read differently than scanned"


def _layers(path: Path) -> None:
    """Reads layers in an image whose sums are right, so that they are looked at."""
    folder = path.parent / "layers"
    shutil.rmtree(folder, ignore_errors=True)
    layers = path.read_bytes().split(seeds.LAYER)[:8]
    containers.layout(folder, ("", containers.Made(layers)), packing="")
    try:
        _container(folder)
    finally:
        shutil.rmtree(folder)


def _container(path: Path) -> None:
    content = Content(source=str(path), target="/x", extract="oci", service="x")
    settings, _ = resolve(ImageSpec(contents=(content,)), path.parent, {})
    scanned = scan(settings)
    manifest = scanned.volumes["root"]
    for entry in manifest:
        assert b".." not in entry.path.split(b"/"), entry.path
        assert entry.path in {b"", b"x", b"etc"} or entry.path.startswith((b"x/", b"etc/"))
    measure(manifest)
    paths = [entry.path for entry in manifest]
    assert len(set(paths)) == len(paths)
    for path_ in paths[1:]:
        above = manifest.get(path_.rpartition(b"/")[0])
        assert above is not None
        assert above.is_directory, path_
    for _ in stream(manifest):
        pass  # what was scanned can be read


def _image(path: Path) -> None:
    image = open_image(path)
    with image.disk:
        image_report(image)
        find_loaders(image)
        for part in image.parts:
            if part.filesystem is None:
                continue
            for node in islice(walk(part.filesystem), _ENTRIES):
                node_report(node)
                if node.mode & 0o170000 == 0o100000:
                    contents(part.filesystem, node, _BYTES)


def _extract(path: Path) -> None:
    """Copies all of an image into a folder and an archive; a copy that fails leaves nothing."""
    there = set(path.parent.iterdir())
    image = open_image(path)
    with image.disk:
        for part in image.parts:
            if part.filesystem is None:
                continue
            for name in ("copy", "copy.tar"):
                copy = path.parent / name
                made = _copied(part.filesystem, copy)
                assert set(path.parent.iterdir()) == there | ({copy} if made else set())
                if made:
                    _check_copy(copy)


def _copied(filesystem: Filesystem, copy: Path) -> bool:
    """Whether all of a file system could be copied; anything but what `extract` says is a find."""
    try:
        top = filesystem.lookup(b"")
        assert top is not None
        extract(filesystem, top, copy)
    except (BadImage, ExtractFailed, Refused):
        return False
    return True


def _check_copy(copy: Path) -> None:
    """Looks for what a copy may not have, and removes it."""
    if copy.is_dir():
        for folder, folders, files in os.walk(copy):
            for name in (*folders, *files):
                mode = (Path(folder) / name).lstat().st_mode
                kind = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
                assert kind, f"{name}: {mode:o}"
                assert not mode & (stat.S_ISUID | stat.S_ISGID), f"{name}: {mode:o}"
        shutil.rmtree(copy)
        return
    with tarfile.open(copy, errors="surrogateescape") as archive:
        for member in archive:
            assert not member.name.startswith("/"), member.name
            assert ".." not in member.name.split("/"), member.name
    copy.unlink()


def _both(path: Path) -> None:
    """Reads an image, then compares it with the seed beside it, each on its own account."""
    with contextlib.suppress(BadImage, OSError):
        _image(path)
    compare(path, path.parent / "reference")


def _grub(path: Path) -> None:
    """Reads a menu; what it says of itself must be text that can be shown."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    config = grubcfg.parse(text, {"root": "hd0,gpt1", "prefix": "/boot/grub"})
    for item in config.items:
        assert len(item.options) <= _BYTES
    assert config.default is None or config.default in config.items


def _entries(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    type1.parse(text)
    extlinux.parse(text)
    release_fields(text)
    lines = text.splitlines()[:8]
    for name in lines:
        type1.counted(name)
    for left in lines:
        for right in lines:
            assert versions.compare(left, right) == -versions.compare(right, left), (left, right)


def _bootspec(path: Path) -> None:
    system = b"nix/var/nix/profiles/system"
    folders = [system[:at] for at, byte in enumerate(system) if byte == ord("/")] + [system, b"k"]
    files = [(system + b"/boot.json", path.read_bytes()), (b"k/bzImage", b"k"), (b"k/initrd", b"i")]
    entries = [directory(b"", mtime_ns=0), *(directory(each, mtime_ns=0) for each in folders)]
    entries += [file_of(name, data, mtime_ns=0) for name, data in files]
    manifest = Manifest(sorted(entries, key=lambda entry: entry.path.replace(b"/", b"\0")))
    found = kernels.find(
        manifest, kernel=None, initrds=None, cmdline="", volumes=[("root=UUID=u", "rw")]
    )
    for entry in found.entries:
        entry.options.encode()
        entry.title.encode()


def _lines(path: Path) -> None:
    splitter = LineSplitter()
    data = path.read_bytes()
    shown = 0
    for at in range(0, len(data), 7):
        for piece in splitter.feed(data[at : at + 7], final=at + 7 >= len(data)):
            assert "\n" not in piece.text
            assert "\x1b" not in piece.text
            shown += len(piece.text)
    assert shown <= 4 * len(data) + 16


def _literal(path: Path) -> None:
    """Reads Nix source, and makes a spec of it that can be read again."""
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        return
    for call in calls(text, "/folder"):
        loads(dumps(to_spec(call.arguments, call.lines).spec))


def _arguments(path: Path) -> None:
    """Imports arguments by the command itself."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = main(["import", str(path)])
    assert code in {0, 2}, code


def _other_tool(module: ImporterModule) -> Callable[[Path], None]:
    """Returns what imports a file of another tool; the spec must be one that can be read again."""

    def imported(path: Path) -> None:
        candidate = Candidate(path)
        module.recognise(candidate)
        found = module.read(candidate, {"HOME": "/", "A": "${A}"})
        for note in found.notes:
            note.line()
        resolve(loads(dumps(found.spec)), path.parent, {})

    return imported


def _packages(path: Path) -> None:
    """Reads package databases: what a first byte says, in the place where it is looked for."""
    data = path.read_bytes()
    place = seeds.PACKAGE_DATABASES[data[0] % len(seeds.PACKAGE_DATABASES)] if data else b"x"
    folders = [place[:at] for at, byte in enumerate(place) if byte == ord("/")]
    entries = [directory(b"", mtime_ns=0), *(directory(each, mtime_ns=0) for each in folders)]
    found = inventory(Manifest([*entries, file_of(place, data[1:], mtime_ns=0)]))
    spdx.dumps(found, name="x", seed=str(uuid.UUID(int=1)), epoch=0)


def _closure(path: Path) -> None:
    for each in closure.parse(path.read_bytes()):
        assert each.nar_hash


_IMAGE_ERRORS = (BadImage, OSError)


def _image_target(name: str, make: Callable[[Path], Sequence[bytes]], **more: object) -> Target:
    return Target(
        name=name, seeds=make, read=_both, documented=_IMAGE_ERRORS, resize=False,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


TARGETS = {
    target.name: target
    for target in (
        Target(
            name="spec", seeds=seeds.specs, read=_spec, documented=(Refused,),
            words=texts.TOML_WORDS, suffix=".toml",
        ),
        Target(
            name="tar", seeds=seeds.tars, read=_tar, words=texts.TAR_WORDS, repair=seeds.tar_sums,
        ),
        Target(name="packed-tar", seeds=seeds.packed_tars, read=_tar),
        Target(
            name="container-layers", seeds=seeds.container_layers, read=_layers,
            words=(*texts.TAR_WORDS, *texts.LAYER_WORDS), repair=seeds.tar_sums,
        ),
        Target(
            name="container-archive", seeds=seeds.container_archives, read=_container,
            words=texts.JSON_WORDS, repair=seeds.tar_sums,
        ),
        Target(name="bootspec", seeds=texts.bootspecs, read=_bootspec, words=texts.JSON_WORDS),
        Target(
            name="events", seeds=texts.events, read=read_record, documented=(Refused,),
            words=texts.JSON_WORDS,
        ),
        Target(
            name="closure", seeds=texts.closures, read=_closure, documented=(closure.BadClosure,),
            words=texts.JSON_WORDS,
        ),
        Target(
            name="nix-literal", seeds=texts.literals, read=_literal, documented=(NotNix, Refused),
            words=texts.NIX_WORDS,
        ),
        Target(
            name="arguments", seeds=texts.argument_sets, read=_arguments, words=texts.JSON_WORDS,
            suffix=".json",
        ),
        Target(
            name="repart", seeds=texts.given("repart"), read=_other_tool(repart),
            documented=(Refused,), words=texts.REPART_WORDS, suffix=".conf",
        ),
        Target(
            name="kickstart", seeds=texts.given("wks"), read=_other_tool(wks),
            documented=(Refused,), words=texts.KICKSTART_WORDS,
        ),
        Target(
            name="genimage", seeds=texts.given("cfg"), read=_other_tool(genimage),
            documented=(Refused,), words=texts.GENIMAGE_WORDS,
        ),
        Target(name="packages", seeds=seeds.package_databases, read=_packages),
        Target(
            name="sums", seeds=lambda folder: [sums.dumps({"a": "0" * 64, "b\n": "1" * 64})],
            read=lambda path: sums.loads(path.read_bytes()), documented=(sums.BadSums,),
        ),
        Target(
            name="tool-output", seeds=texts.outputs, read=_lines, words=(b"\x1b[", b"\x08", b"\r"),
        ),
        _image_target("gpt", seeds.gpts, repair=seeds.gpt_sums),
        _image_target("mbr", seeds.mbrs),
        _image_target("ext", seeds.exts, fields=fields.ext),
        _image_target(
            "btrfs", seeds.btrfses, size=seeds.BTRFS_BYTES, fields=fields.btrfs,
            repair=fields.btrfs_sums,
        ),
        _image_target("fat", seeds.fats, fields=fields.fat),
        _image_target("fat32", seeds.fat32s, size=seeds.FAT32_BYTES, fields=fields.fat),
        _image_target("xfs", seeds.xfss, size=seeds.XFS_BYTES, fields=fields.xfs,
                      repair=fields.xfs_sums),
        _image_target("qcow2", seeds.qcow2s, fields=fields.qcow2),
        _image_target("vdi", seeds.vdis, fields=fields.vdi),
        _image_target("vhd", seeds.vhds, fields=fields.vhd, repair=fields.vhd_sums),
        _image_target(
            "systems", systems.systems, repair=seeds.gpt_sums, words=texts.BOOT_WORDS
        ),
        Target(name="grub-menu", seeds=texts.grub_menus, read=_grub, words=texts.BOOT_WORDS),
        Target(name="boot-entry", seeds=texts.entry_texts, read=_entries, words=texts.BOOT_WORDS),
        Target(
            name="extract", seeds=seeds.copied, read=_extract, documented=(BadImage,),
            resize=False, fields=fields.ext,
        ),
    )
}  # fmt: skip
