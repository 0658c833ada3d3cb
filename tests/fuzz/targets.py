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

import msgspec

from engine.boot import kernels
from engine.boot.osrelease import release_fields
from engine.cli.main import main
from engine.compare.diff import compare
from engine.events import BuildFinished, BuildStarted, Log, Progress, StepStarted, encode
from engine.ext4.measure import measure
from engine.inspect.booting import grubcfg, type1, versions
from engine.inspect.container import BadImage
from engine.inspect.extract import ExtractFailed, extract
from engine.inspect.image import open_image
from engine.inspect.loaders import find_loaders
from engine.inspect.reading import Filesystem, contents, walk
from engine.inspect.report import image_report, node_report
from engine.manifest.entry import SourceChanged
from engine.manifest.lookup import stream
from engine.manifest.manifest import Manifest
from engine.manifest.memory import directory, file_of
from engine.manifest.scan import scan
from engine.nix import closure, literal
from engine.nix.arguments import to_spec
from engine.nix.literal import NotNix
from engine.pipeline.lines import LineSplitter
from engine.pipeline.replay import read_record
from engine.plan.host import Host
from engine.plan.plan import make_plan
from engine.plan.render import to_json
from engine.problem import Refused
from engine.provenance import spdx, sums
from engine.provenance.packages import inventory
from engine.spec.load import load, loads
from engine.spec.resolve import resolve
from engine.spec.save import dumps
from tests.fuzz import fields, seeds
from tests.fuzz.fields import Field
from tests.fuzz.mutate import Mutator

_ENTRIES = 500
_BYTES = 1 << 16
NIX_HASH = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


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
    to_json(make_plan(bare, scan(bare), Host(tools={})))


def _tar(path: Path) -> None:
    spec = path.parent / "tar.toml"
    if not spec.exists():
        spec.write_text(
            f'schema = 1\n[[contents]]\nsource = "{path.name}"\ntarget = "/"\nextract = true\n'
        )
    loaded = load(spec)
    settings, _ = resolve(loaded.spec, loaded.base, {})
    manifest = scan(settings).root
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
    except (BadImage, ExtractFailed):
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
    found = kernels.find(manifest, kernel=None, initrd=None, cmdline="", root_uuid="u")
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
    loads(dumps(to_spec(literal.read(text, "/folder")).spec))


def _arguments(path: Path) -> None:
    """Imports arguments by the command itself."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = main(["import", str(path)])
    assert code in {0, 2}, code


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


_TOML_WORDS = (
    b"schema = 1", b"[layout]", b"[[contents]]", b"table = ", b'"efi"', b'"none"', b"[size]",
    b'"auto"', b'"4GiB"', b"-1", b"9999999999999999999", b"0x10", b"1e400", b"true", b"'''", b'"""',
    b"[boot]", b"[identity]", b"seed = ", b'"\\u0000"', b"\xff", b"compat = ", b'"make-disk-image"',
    b"nan", b"1979-05-27T07:32:00Z", b"{a = 1}", b"[[[", b'"1e9999999GiB"', b"disk = ", b"boot = ",
)  # fmt: skip
_TAR_WORDS = (
    b"../../etc/passwd", b"/abs", b"0000000", b"\x80\xff\xff\xff\xff\xff\xff\xff", b"7777777",
    b"30 path=../../x\n", b"22 GNU.sparse.major=1\n", b"SCHILY.xattr.user.", b"ustar\x0000",
)  # fmt: skip
_JSON_WORDS = (
    b'"\\ud800"', b"1e999", b"null", b"[[[[[[", b'"event"', b"9" * 40, b"-0", b'"\\u0000"', b"{}",
    b'"org.nixos.bootspec.v1"', b'"../../../k/bzImage"', b'"\\n"', b"\xff\xfe",
)  # fmt: skip
_NIX_WORDS = (
    b"{ ", b" }", b"inherit x;", b"rec {", b"with x; ", b"''", b"${", b"\\", b"builtins.getFlake ",
    b"import <nixpkgs> ", b"diskSize = ", b"[", b"(", b"9" * 5000, b"-1.5e9", b"null", b"/*", b"#",
)  # fmt: skip
_BOOT_WORDS = (
    b"menuentry 'x' {", b"}", b"submenu x {", b"${a}", b"$root", b"set a=$a$a$a", b"linux /x",
    b"initrd ", b"if true; then", b"fi\n", b"for i in 1 2; do", b"\\\n", b"'", b'"', b"#", b"\n",
    b"source ", b"default=", b"title ", b"options ", b"../../x", b"+99-9.conf", b"~", b"^", b"ID=",
    b".osrel", b"$'", b"\xff\xfe", b"\0", b"HdrS", b"systemd-boot 999", b"architecture ",
)  # fmt: skip
_IMAGE_ERRORS = (BadImage, OSError)


def _image_target(name: str, make: Callable[[Path], Sequence[bytes]], **more: object) -> Target:
    return Target(
        name=name, seeds=make, read=_both, documented=_IMAGE_ERRORS, resize=False,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _events(folder: Path) -> Sequence[bytes]:
    del folder
    events = (
        BuildStarted(plan={"schema": 1, "name": "x", "partitions": []}),
        StepStarted(id="allocate", title="Allocate", argv=("a", "b")),
        Progress(id="allocate", done=1, total=2),
        Log(id="allocate", stream="stdout", text="a line"),
        BuildFinished(status="failed", seconds=1.5, step="allocate", message="m", hint="h"),
    )
    return [b"\n".join(encode(event) for event in events) + b"\n"]


def _bootspecs(folder: Path) -> Sequence[bytes]:
    del folder
    spec = {
        "init": "/nix/store/x/init", "initrd": "/k/initrd", "kernel": "/k/bzImage",
        "kernelParams": ["loglevel=4", "quiet"], "label": "NixOS 25.05", "system": "x86_64-linux",
        "toplevel": "/nix/store/x",
    }  # fmt: skip
    whole = {
        "org.nixos.bootspec.v1": spec,
        "org.nixos.specialisation.v1": {"fast": {"org.nixos.bootspec.v1": spec}},
    }
    return [msgspec.json.encode(whole), msgspec.json.format(msgspec.json.encode(whole))]


def _literals(folder: Path) -> Sequence[bytes]:
    del folder
    return [
        b"""{ pkgs, lib, ... }: import "${pkgs.path}/nixos/lib/make-disk-image.nix" {
  inherit pkgs lib; # a comment
  diskSize = "auto"; bootSize = "256M"; additionalSpace = "512M"; format = "qcow2";
  partitionTableType = "efi"; deterministic = true; memSize = 1024;
  contents = [ { source = ./tree; target = "/"; mode = "755"; user = "root"; group = "root"; } ];
  postVM = ''
    echo done > $out/note
  '';
}""",
        b'{ config = (import <nixpkgs/nixos> { configuration = ./c.nix; }); label = "x"; }',
    ]


def _argument_sets(folder: Path) -> Sequence[bytes]:
    del folder
    entry = {"source": "/etc/motd", "target": "/motd", "mode": "644", "user": "0", "group": "0"}
    return [
        msgspec.json.encode(
            {
                "diskSize": "auto", "bootSize": "256M", "contents": [entry], "format": "raw",
                "partitionTableType": "hybrid", "rootGPUID": str(uuid.UUID(int=5)), "memSize": 512,
                "postVM": "echo done", "installBootLoader": False, "additionalPaths": ["/nix/x"],
            }
        )
    ]  # fmt: skip


def _closures(folder: Path) -> Sequence[bytes]:
    del folder
    info = {"narHash": NIX_HASH, "narSize": 120, "references": ["/nix/store/a-b"], "ca": None}
    return [
        msgspec.json.encode({"/nix/store/a-b": info}),
        msgspec.json.encode([info | {"path": "/nix/store/a-b", "valid": True}]),
    ]


def _outputs(folder: Path) -> Sequence[bytes]:
    del folder
    return [b"    (12.50/100%)\r    (100.00/100%)\r\nwarning: \x1b[31mred\x1b[0m\n\xff\xfe\n"]


TARGETS = {
    target.name: target
    for target in (
        Target(
            name="spec", seeds=seeds.specs, read=_spec, documented=(Refused,), words=_TOML_WORDS,
            suffix=".toml",
        ),
        Target(name="tar", seeds=seeds.tars, read=_tar, words=_TAR_WORDS, repair=seeds.tar_sums),
        Target(name="packed-tar", seeds=seeds.packed_tars, read=_tar),
        Target(name="bootspec", seeds=_bootspecs, read=_bootspec, words=_JSON_WORDS),
        Target(
            name="events", seeds=_events, read=read_record, documented=(Refused,),
            words=_JSON_WORDS,
        ),
        Target(
            name="closure", seeds=_closures, read=_closure, documented=(closure.BadClosure,),
            words=_JSON_WORDS,
        ),
        Target(
            name="nix-literal", seeds=_literals, read=_literal, documented=(NotNix, Refused),
            words=_NIX_WORDS,
        ),
        Target(
            name="arguments", seeds=_argument_sets, read=_arguments, words=_JSON_WORDS,
            suffix=".json",
        ),
        Target(name="packages", seeds=seeds.package_databases, read=_packages),
        Target(
            name="sums", seeds=lambda folder: [sums.dumps({"a": "0" * 64, "b\n": "1" * 64})],
            read=lambda path: sums.loads(path.read_bytes()), documented=(sums.BadSums,),
        ),
        Target(name="tool-output", seeds=_outputs, read=_lines, words=(b"\x1b[", b"\x08", b"\r")),
        _image_target("gpt", seeds.gpts, repair=seeds.gpt_sums),
        _image_target("mbr", seeds.mbrs),
        _image_target("ext", seeds.exts, fields=fields.ext),
        _image_target("fat", seeds.fats, fields=fields.fat),
        _image_target("fat32", seeds.fat32s, size=seeds.FAT32_BYTES, fields=fields.fat),
        _image_target("qcow2", seeds.qcow2s, fields=fields.qcow2),
        _image_target("vdi", seeds.vdis, fields=fields.vdi),
        _image_target("vhd", seeds.vhds, fields=fields.vhd, repair=fields.vhd_sums),
        _image_target(
            "systems", seeds.systems, repair=seeds.gpt_sums, words=_BOOT_WORDS
        ),
        Target(name="grub-menu", seeds=seeds.grub_menus, read=_grub, words=_BOOT_WORDS),
        Target(name="boot-entry", seeds=seeds.entry_texts, read=_entries, words=_BOOT_WORDS),
        Target(
            name="extract", seeds=seeds.copied, read=_extract, documented=(BadImage,),
            resize=False, fields=fields.ext,
        ),
    )
}  # fmt: skip
