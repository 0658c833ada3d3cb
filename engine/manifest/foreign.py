"""Names what is taken for a tar archive and is another kind of file, by its first bytes."""

from __future__ import annotations

from engine.manifest.compressed import OTHERS, form_of

_KINDS = (
    (b"PK\3\4", "a zip archive", "unpack it with `unzip`, and give the folder"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it with `7z x`, and give the folder"),
    (b"Rar!", "a rar archive", "unpack it with `unrar x`, and give the folder"),
    (b"070701", "a cpio archive", "make a tar archive of it: `bsdtar -cf NEW.tar @OLD.cpio`"),
    (b"070702", "a cpio archive", "make a tar archive of it: `bsdtar -cf NEW.tar @OLD.cpio`"),
    (b"070707", "a cpio archive", "make a tar archive of it: `bsdtar -cf NEW.tar @OLD.cpio`"),
    (b"\xc7\x71", "a cpio archive", "make a tar archive of it: `bsdtar -cf NEW.tar @OLD.cpio`"),
    (
        b"!<arch>\n",
        "an ar archive, such as a Debian package",
        "get the tar archive out of it with `ar x`",
    ),
    (b"\xed\xab\xee\xdb", "an RPM package", "make a tar archive of it with `rpm2archive`"),
    (b"hsqs", "a squashfs file system", "make a tar archive of it with `sqfs2tar`"),
    (
        b"QFI\xfb",
        "a qcow2 image",
        "take its files out: `diskwright inspect IMAGE --extract NEW.tar`",
    ),
)
"""How other files begin (file(1) knows them by the same bytes), what they are, and what to do."""


def foreign(header: bytes) -> tuple[str, str] | None:
    """Returns what a file is that begins otherwise than a tar archive, and what to do with it.

    Args:
        header: The first block, unpacked where it is packed in a form that Diskwright reads.
    """
    for magic, what, tool in OTHERS:
        if header.startswith(magic):
            return what, f"unpack it with `{tool}` first"
    if form := form_of(header):
        return f"compressed twice ({form} inside)", "unpack it once"
    return next(((what, how) for magic, what, how in _KINDS if header.startswith(magic)), None)
