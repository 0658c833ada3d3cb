from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from engine.provenance import sums
from engine.provenance.fsverity import FsVerity

NAMES = ("plain", "two words", "back\\slash", "new\nline", "-dash", "sub/file", "\udcff")


def test_sha256sum_accepts_the_file(tmp_path: Path) -> None:
    found = {}
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    listed = tmp_path / sums.SHA256.name
    listed.write_bytes(sums.dumps(found))

    subprocess.run(["sha256sum", "--strict", "-c", sums.SHA256.name], cwd=tmp_path, check=True)

    assert sums.loads(listed.read_bytes()) == found


def test_what_sha256sum_writes_is_read(tmp_path: Path) -> None:
    for name in NAMES[:5]:
        (tmp_path / name).write_text(name)
    printed = subprocess.run(
        ["sha256sum", "--", *NAMES[:5]], cwd=tmp_path, check=True, capture_output=True
    )

    assert sorted(sums.loads(printed.stdout)) == sorted(NAMES[:5])


@pytest.mark.parametrize("text", [b"x\n", b"0" * 64 + b"\n", b"0" * 63 + b"  a\n", b"\xff\xfe\n"])
def test_what_is_no_list_of_sums_is_refused(text: bytes) -> None:
    with pytest.raises(sums.BadSums, match="line 1"):
        sums.loads(text)


def test_a_list_is_as_fsverity_prints_it(tmp_path: Path) -> None:
    found = {}
    for name in NAMES[:2]:
        (tmp_path / name).write_text(name)
        digest = FsVerity()
        digest.data(memoryview(name.encode()))
        found[name] = digest.digest()

    said = subprocess.run(
        ["fsverity", "digest", "--", *NAMES[:2]], cwd=tmp_path, check=True, capture_output=True
    ).stdout

    assert sums.dumps(found, sums.FSVERITY) == said
    assert sums.loads(said, sums.FSVERITY) == found
