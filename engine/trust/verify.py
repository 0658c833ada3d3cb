"""Holds an output folder against its own records: sums, manifest and image must agree."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec

from engine.filesystems.verity.reader import HashTree
from engine.image.container import BadImage
from engine.inspect.image import Image, Part, open_image
from engine.pipeline.packing import DIGESTS, digests
from engine.plan.outputs import HYDRA, MANIFEST, RECORD
from engine.problem import Problem, Refused, quote
from engine.provenance import sums
from engine.spec.formats import FORMATS

_MAX_RECORD = 64 << 20
_IMAGES = {f".{format_.extension}": format_ for format_ in FORMATS.values()}
_FOREIGN_IMAGES = (".raw", ".iso")
_PACKED = ("", ".gz", ".xz", ".zst", ".bz2")
_ALL_IMAGES = tuple(
    f"{image}{packed}" for image in (*_IMAGES, *_FOREIGN_IMAGES) for packed in _PACKED
)
_SIGNS = (
    (0, b"QFI\xfb"), (64, b"\x7f\x10\xda\xbe"), (0, b"conectix"), (512, b"EFI PART"),
    (4096, b"EFI PART"), (1080, b"\x53\xef"),
)  # fmt: skip
"""Offset and bytes by which an image is known whatever its name: qcow2, VDI, VHD, a GPT, ext."""
_HEAD = 8192
_HASH = re.compile(r"(?:[0-9a-f]{2})+")
_NAMED = 5
"""Damaged blocks worth naming."""
_LISTS = tuple(form.name for form in sums.FORMS)
_NOT_LISTED = {RECORD, HYDRA, *_LISTS}
"""The record outlives the sums by a few lines, the products name this machine's folders."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: A file, or what of the image.
        verdict: "ok", "bad", or "not checked".
        why: What is wrong, or why it was not checked.
    """

    what: str
    verdict: Literal["ok", "bad", "not checked"]
    why: str = ""


def verify(outdir: Path) -> tuple[Finding, ...]:
    """Checks every sum, the manifest against the sums, and the image against the manifest.

    Raises:
        Refused: The folder has no list of digests.
        OSError: It cannot be read.
    """
    listed = _listed(outdir)
    findings = [*_sums(outdir, listed), *_others(outdir, listed)]
    manifest = _manifest(outdir)
    if manifest is None:
        findings.append(Finding(MANIFEST, "bad", "cannot be read as the record of a build"))
    else:
        findings += _outputs(manifest, listed)
        findings += _image(outdir, manifest)
    return tuple(findings)


Listed = Mapping[str, Mapping[str, str]]
"""Digests by algorithm, by name of the file."""


def _listed(outdir: Path) -> dict[str, dict[str, str]]:
    if outdir.is_file():
        message = f"{outdir} is a file, not the output folder of a build"
        hint = f"diskwright verify {shlex.quote(str(outdir.parent))}"
        raise Refused([Problem("no-sums", "error", "", message, hint)])
    found: dict[str, dict[str, str]] = {}
    lists = 0
    for form in sums.FORMS:
        path = outdir / form.name
        try:
            digests_of = sums.loads(_small(path), form)
        except FileNotFoundError:
            continue
        except sums.BadSums as error:
            raise Refused([Problem("bad-sums", "error", "", f"{path}: {error}")]) from None
        lists += 1
        for name, digest in digests_of.items():
            found.setdefault(name, {})[form.algorithm] = digest
    if not lists:
        message = f"{outdir} has no {sums.SHA256.name}: it is not the output folder of a build"
        hint = 'or of one with output.sums = "none", which leaves nothing to verify against'
        raise Refused([Problem("no-sums", "error", "", message, hint)])
    return found


def _small(path: Path) -> bytes:
    """Returns a record's bytes: of a regular file, of no more than a record can have."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_RECORD:
        raise OSError(errno.EINVAL, "no file that a build writes", str(path))
    return path.read_bytes()


def _sums(outdir: Path, listed: Listed) -> Iterator[Finding]:
    for name, expected in listed.items():
        parts = PurePosixPath(name).parts
        path = outdir / name
        if not parts or parts[0] == "/" or ".." in parts:
            yield Finding(quote(name), "bad", "leads out of the folder; it was not read")
            continue
        try:
            kind = path.lstat().st_mode
            if not stat.S_ISREG(kind):
                yield Finding(quote(name), "bad", "is not a regular file; it was not read")
                continue
            found = digests(path, expected, lambda done, total: None, lambda: False)
        except OSError as error:
            yield Finding(quote(name), "bad", os.strerror(error.errno or 0))
            continue
        why = "; ".join(
            f"{form.title} is {found[form.algorithm]}, recorded as {digest}"
            for form in sums.FORMS
            if (digest := expected.get(form.algorithm)) != found.get(form.algorithm)
        )
        yield Finding(quote(name), "bad" if why else "ok", why)


def _others(outdir: Path, listed: Listed) -> Iterator[Finding]:
    """Yields what lies in the folder and no sum vouches for."""
    for path in sorted(outdir.rglob("*")):
        name = path.relative_to(outdir).as_posix()
        if not path.is_dir() and name not in listed and name not in _NOT_LISTED:
            if name.startswith(_LISTS):
                why = "a signature; check it with the program that made it"
                yield Finding(quote(name), "not checked", why)
            elif _is_image(path):
                yield Finding(quote(name), "bad", "is an image that no sum covers")
            else:
                yield Finding(quote(name), "not checked", "no sum covers it")


def _is_image(path: Path) -> bool:
    """Whether a file is a disk image by its name or its first bytes."""
    if path.name.lower().endswith(_ALL_IMAGES):
        return True
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return any(head[at : at + len(sign)] == sign for at, sign in _SIGNS)


def _manifest(outdir: Path) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(_small(outdir / MANIFEST))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _outputs(manifest: dict[str, Any], listed: Listed) -> Iterator[Finding]:
    """Yields whether manifest and sums name the same outputs."""
    try:
        recorded = {
            output["path"]: {kind: output[kind] for kind in DIGESTS if kind in output}
            for output in manifest["outputs"]
        }
    except (KeyError, TypeError, AttributeError):
        yield Finding(f"{MANIFEST}, outputs", "bad", "are missing")
        return
    expected = {name: digest for name, digest in listed.items() if name not in {MANIFEST, *_LISTS}}
    if recorded == expected:
        yield Finding(f"{MANIFEST}, outputs", "ok")
    else:
        every = recorded.keys() | expected.keys()
        names = sorted(str(name) for name in every if recorded.get(name) != expected.get(name))
        why = f"not as in {' and '.join(_LISTS)}: {', '.join(names)}"
        yield Finding(f"{MANIFEST}, outputs", "bad", why)


def _image(outdir: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    """Yields whether the image is what the plan in the manifest says."""
    try:
        plan = manifest["plan"]
        names = [name for name in plan["outputs"] if str(name).endswith(tuple(_IMAGES))]
        if not names:
            yield Finding("image", "not checked", "only its compressed form is here")
            return
        format_ = next(row for suffix, row in _IMAGES.items() if str(names[0]).endswith(suffix))
        if not format_.readable:
            why = f"{format_.title} is not read here, so only its sum is checked"
            yield Finding("image", "not checked", why)
            return
        image = open_image(outdir / PurePosixPath(names[0]).name)
    except (KeyError, TypeError):
        yield Finding(f"{MANIFEST}, plan", "bad", "is missing")
        return
    except (OSError, BadImage) as error:
        yield Finding("image", "bad", f"cannot be read: {error}")
        return
    with image.disk:
        try:
            wrong = list(_differences(image, plan))
        except (KeyError, TypeError, AttributeError) as error:
            yield Finding(f"{MANIFEST}, plan", "bad", f"is not whole: {error!r}")
        except (BadImage, struct.error) as error:
            yield Finding("image", "bad", f"is damaged: {error}")
        else:
            verdict: Literal["ok", "bad"] = "bad" if wrong else "ok"
            yield Finding("image against the plan", verdict, "; ".join(wrong))


def _differences(image: Image, plan: dict[str, Any]) -> Iterator[str]:
    """Yields how table and file systems differ from the plan, a field at a time."""
    pairs: list[tuple[str, object, object]] = [
        ("bytes of the disk", plan["disk"]["bytes"], image.disk.size),
        ("table", plan["disk"]["table"], image.table.kind),
        ("disk GUID", plan["disk"]["guid"], image.table.guid),
        ("disk signature", plan["disk"]["signature"], _signature(image, plan)),
    ]
    parts = {part.partition.number if part.partition else 0: part for part in image.parts}
    planned = {partition["number"]: partition for partition in plan["partitions"]}
    if plan["disk"]["table"] == "none":
        planned = {0: {"filesystem": plan["filesystem"]}}
    pairs.append(("partitions", sorted(planned), sorted(parts)))
    for number in planned.keys() & parts.keys():
        pairs += _of_partition(number, planned[number], parts[number])
        yield from _sealed(number, plan, parts)
    for what, wanted, found in pairs:
        if _plain(wanted) != _plain(found):
            yield f"{what}: planned {wanted}, found {found}"


def _signature(image: Image, plan: dict[str, Any]) -> str | None:
    """Returns the disk signature where the plan has one: a GPT's protective MBR may hold any."""
    return image.table.signature if plan["disk"]["signature"] else None


def _of_partition(
    number: int, planned: dict[str, Any], part: Part
) -> Iterator[tuple[str, object, object]]:
    where = f"partition {number}"
    if part.partition is not None:
        for field in ("start", "sectors", "guid", "name"):
            yield f"{where}, {field}", planned[field], getattr(part.partition, field)
    wanted, found = planned.get("filesystem"), part.content
    if wanted is not None:
        yield f"{where}, file system", wanted["type"], found.type if found else part.trouble
    if wanted is not None and found is not None:
        yield f"{where}, label", wanted["label"], found.label
        yield f"{where}, UUID", wanted["uuid"], found.uuid


def _sealed(number: int, plan: dict[str, Any], parts: Mapping[int, Part]) -> Iterator[str]:
    """Yields what is no longer as its hash tree says, by the root hash in the plan."""
    tree = next((one for one in plan["partitions"] if one["number"] == number), None)
    described = None if tree is None else tree.get("verity")
    if not described:  # a disk without a table has no partition to hold one
        return
    where, root_hash, content = f"partition {number}", described["root_hash"], parts[number].content
    data = next((one for one in plan["partitions"] if one["id"] == described["data"]), None)
    if data is None or not _HASH.fullmatch(str(root_hash)):
        yield f"{where}, hash tree: the plan does not say what it is of"
    elif isinstance(content, HashTree) and data["number"] in parts:
        found = content.damaged(parts[data["number"]].window, str(root_hash))
        yield from (
            f"{where}, hash tree of {described['data']}: {one}" for one in islice(found, _NAMED)
        )


def _plain(value: object) -> str:
    return "" if value is None else str(value).lower()


def to_json(findings: tuple[Finding, ...]) -> str:
    """Returns the findings as `verify --json` prints them."""
    return json.dumps(
        {
            "schema": 1,
            "verified": not bad(findings),
            "findings": [
                {"what": found.what, "verdict": found.verdict, "why": found.why}
                for found in findings
            ],
        },
        indent=1,
    )


def to_text(findings: tuple[Finding, ...]) -> str:
    """Returns the findings for a terminal."""
    lines = [
        f"{found.verdict:<11}  {found.what}" + (f": {found.why}" if found.why else "")
        for found in findings
    ]
    lines.append(_verdict(findings))
    return "\n".join(lines)


def _verdict(findings: tuple[Finding, ...]) -> str:
    wrong = len(bad(findings))
    if wrong:
        return f"NOT verified: {wrong} of {len(findings)} are bad"
    unchecked = sum(found.verdict == "not checked" for found in findings)
    return f"verified, but for {unchecked} not checked" if unchecked else "verified"


def bad(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Returns the findings that speak against the folder."""
    return tuple(found for found in findings if found.verdict == "bad")
