"""Well-formed texts, and words that mean something to their readers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from engine.events import BuildFinished, BuildStarted, Log, Progress, StepStarted, encode

NIX_HASH = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
TOML_WORDS = (
    b"schema = 1", b"[layout]", b"[[contents]]", b"table = ", b'"efi"', b'"none"', b"[size]",
    b'"auto"', b'"4GiB"', b"-1", b"9999999999999999999", b"0x10", b"1e400", b"true", b"'''", b'"""',
    b"[boot]", b"[identity]", b"seed = ", b'"\\u0000"', b"\xff", b"compat = ", b'"make-disk-image"',
    b"nan", b"1979-05-27T07:32:00Z", b"{a = 1}", b"[[[", b'"1e9999999GiB"', b"disk = ", b"boot = ",
)  # fmt: skip
TAR_WORDS = (
    b"../../etc/passwd", b"/abs", b"0000000", b"\x80\xff\xff\xff\xff\xff\xff\xff", b"7777777",
    b"30 path=../../x\n", b"22 GNU.sparse.major=1\n", b"SCHILY.xattr.user.", b"ustar\x0000",
)  # fmt: skip
LAYER_WORDS = (b".wh..wh..opq", b".wh.", b".wh..", b"usr/bin/", b"../", b"d/e/f", b"bin/")
JSON_WORDS = (
    b'"\\ud800"', b"1e999", b"null", b"[[[[[[", b'"event"', b"9" * 40, b"-0", b'"\\u0000"', b"{}",
    b'"org.nixos.bootspec.v1"', b'"../../../k/bzImage"', b'"\\n"', b"\xff\xfe",
)  # fmt: skip
NIX_WORDS = (
    b"{ ", b" }", b"inherit x;", b"rec {", b"with x; ", b"''", b"${", b"\\", b"builtins.getFlake ",
    b"import <nixpkgs> ", b"diskSize = ", b"[", b"(", b"9" * 5000, b"-1.5e9", b"null", b"/*", b"#",
)  # fmt: skip
REPART_WORDS = (
    b"[Partition]\n", b"Type=root-x86-64-verity\n", b"Type=0fc63daf-8483-4772-8e79-3d69d8477de4\n",
    b"SizeMinBytes=", b"SizeMaxBytes=", b"9" * 40, b"1.999999E ", b"16E", b"CopyFiles=/a:/b:c\n",
    b"ExcludeFiles=/a/\n", b"Flags=0xffffffffffffffff\n", b"Flags=-1\n", b"Verity=hash\n", b"%%",
    b"%",
    b"VerityMatchKey=a\n", b"MountPoint=/a:b\n", b"Label=", b"\\\n", b"#", b";", b"=", b"\xff",
)  # fmt: skip
KICKSTART_WORDS = (
    b"part / ", b"part swap ", b"bootloader ", b"include x\n", b"--size ", b"--offset ",
    b"--align ",
    b"--source rawcopy ", b"--sourceparams=\"file=", b"--no-table ", b"--exclude-path ", b"${A}",
    b"${",
    b"--fstype=", b"--fsuuid ", b"--diskid 0x", b"9" * 40, b"s", b"'", b'"', b"\\\n", b"#",
    b"--=", b"--",
)  # fmt: skip
GENIMAGE_WORDS = (
    b"image x {", b"hdimage {", b"partition p {", b"}", b"= {", b"+=", b"offset = ", b"size = ",
    b"200%", b"0x", b"9" * 40, b"include(\"x\")", b"${A:-1}", b"${", b"/*", b"*/", b"//", b"#",
    b"'", b'"',
    b"in-partition-table = false", b"autoresize = true", b"mountpoint = \"/\"", b"verity {", b",",
    b"(",
)  # fmt: skip
BOOT_WORDS = (
    b"menuentry 'x' {", b"}", b"submenu x {", b"${a}", b"$root", b"set a=$a$a$a", b"linux /x",
    b"initrd ", b"if true; then", b"fi\n", b"for i in 1 2; do", b"\\\n", b"'", b'"', b"#", b"\n",
    b"source ", b"default=", b"title ", b"options ", b"../../x", b"+99-9.conf", b"~", b"^", b"ID=",
    b".osrel", b"$'", b"\xff\xfe", b"\0", b"HdrS", b"systemd-boot 999", b"architecture ",
)  # fmt: skip


def given(kind: str) -> Callable[[Path], Sequence[bytes]]:
    """Returns what gives the files of other tools that the importers' tests have."""

    def files(folder: Path) -> Sequence[bytes]:
        del folder
        top = Path(__file__).parents[1] / "engine" / "importers" / "given"
        found = [path for path in top.glob(f"*.{kind}") if path.is_file()]
        found += [path for path in top.glob(f"*.{kind}/*.conf") if path.is_file()]
        return [path.read_bytes() for path in sorted(found)]

    return files


def events(folder: Path) -> Sequence[bytes]:
    """The record of a build."""
    del folder
    events = (
        BuildStarted(plan={"schema": 1, "name": "x", "partitions": []}),
        StepStarted(id="allocate", title="Allocate", argv=("a", "b")),
        Progress(id="allocate", done=1, total=2),
        Log(id="allocate", stream="stdout", text="a line"),
        BuildFinished(status="failed", seconds=1.5, step="allocate", message="m", hint="h"),
    )
    return [b"\n".join(encode(event) for event in events) + b"\n"]


def bootspecs(folder: Path) -> Sequence[bytes]:
    """A bootspec with a specialisation, dense and indented."""
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


def literals(folder: Path) -> Sequence[bytes]:
    """Calls of make-disk-image as people write them."""
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


def argument_sets(folder: Path) -> Sequence[bytes]:
    """The same arguments as JSON."""
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


def closures(folder: Path) -> Sequence[bytes]:
    """What `nix path-info --json` prints, in its two forms."""
    del folder
    info = {"narHash": NIX_HASH, "narSize": 120, "references": ["/nix/store/a-b"], "ca": None}
    return [
        msgspec.json.encode({"/nix/store/a-b": info}),
        msgspec.json.encode([info | {"path": "/nix/store/a-b", "valid": True}]),
    ]


def outputs(folder: Path) -> Sequence[bytes]:
    """What tools print: progress, colours, bytes of no encoding."""
    del folder
    return [b"    (12.50/100%)\r    (100.00/100%)\r\nwarning: \x1b[31mred\x1b[0m\n\xff\xfe\n"]


def grub_menus(folder: Path) -> Sequence[bytes]:
    """A grub.cfg with most of what scripts have."""
    del folder
    return [
        b"""set default="${saved_entry}"
if [ -s $prefix/grubenv ]; then load_env; fi
search --no-floppy --fs-uuid --set=root 1111-2222 # a comment
menuentry 'A' --class x --id a "$x" { set gfxpayload=keep
  linux ($root)/vmlinuz-6.1 root=UUID=1 ro "quiet ${more}" \\
    splash
  initrd /ucode.img /initrd.img-6.1
}
submenu "More" { menuentry B { linuxefi /b ; initrdefi /c ; } }
source /boot/grub/custom.cfg
configfile ${prefix}/other.cfg
""",
    ]


def entry_texts(folder: Path) -> Sequence[bytes]:
    """A type 1 entry, an os-release, two versions, and a menu of extlinux."""
    del folder
    return [
        b"# comment\ntitle Some\nlinux /k\ninitrd /a\ninitrd /b\noptions a=b quiet\n",
        b'NAME="A \\"b\\""\nID=\'some\'\nVERSION_ID=7\\ 1\nPRETTY_NAME=x\n',
        b"1.2~rc1-3^4.el9\n1.2-3\n",
        b"DEFAULT a\nLABEL a\n  MENU LABEL ^A\n  KERNEL /k\n  APPEND initrd=/i root=x\n",
    ]
