from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.spec.formats import FORMATS
from engine.spec.load import load
from engine.spec.resolve import resolve
from engine.trust.check import Request, check
from engine.trust.copies import copy_sources
from tests.engine.boot.trees import X86_KERNEL
from tests.engine.trust.support import checked
from tests.support.specs import write_spec

REFERENCE_FORMATS = ("raw", "qcow2", "qcow2-compressed", "vdi", "vpc")
EXAMPLES = Path(__file__).parents[3] / "examples"
LAYOUTS = ("none", "legacy", "legacy+gpt", "efi", "hybrid")


@pytest.mark.parametrize("format_", ["raw", "vpc"])
def test_another_user_elsewhere_makes_the_same_bytes(open_folder: Path, format_: str) -> None:
    spec = write_spec(open_folder, esp=True)

    report = checked(spec, f"output.format={format_}", "layout.table=hybrid")

    assert report.identical
    assert len(report.outputs) == 1
    assert report.outputs[0].first
    changed = {row.what for row in report.rows if row.second}
    assert {"own clock", "TZ", "umask", "order of directory listings", "sources"} <= changed
    assert "user and group id" in changed


@pytest.mark.slow
@pytest.mark.parametrize("compat", ["none", "make-disk-image"])
@pytest.mark.parametrize("format_", REFERENCE_FORMATS)
@pytest.mark.parametrize("table", LAYOUTS)
def test_every_layout_comes_out_the_same_in_every_format(
    tmp_path: Path, table: str, format_: str, compat: str
) -> None:
    esp = table in {"efi", "hybrid"} and compat == "none"
    spec = write_spec(tmp_path, esp=esp)

    overrides = (f"layout.table={table}", f"output.format={format_}", f"compat={compat}")
    report = checked(spec, *overrides, "size.boot=40M", "size.additional=16M")

    assert report.identical


@pytest.mark.slow
@pytest.mark.parametrize("format_", sorted(FORMATS.keys() - set(REFERENCE_FORMATS)))
def test_every_other_format_comes_out_the_same(tmp_path: Path, format_: str) -> None:
    spec = write_spec(tmp_path, esp=True)

    report = checked(spec, f"output.format={format_}", "layout.table=hybrid")

    assert report.identical


def test_all_that_is_made_of_the_image_comes_out_the_same(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    database = tmp_path / "tree" / "var" / "lib" / "dpkg" / "status"
    database.parent.mkdir(parents=True)
    database.write_text("Package: b\nVersion: 1\n\nPackage: a\nVersion: 2\n")

    report = checked(spec, "output.compress=xz", "output.bmap=true")

    assert report.identical
    assert [output.name for output in report.outputs] == [
        "demo.img", "demo.img.bmap", "demo.img.xz", "demo.spdx.json",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loader", "table"),
    [
        ("grub", "legacy"), ("grub", "legacy+gpt"), ("grub", "efi"), ("grub", "hybrid"),
        ("systemd-boot", "efi"), ("systemd-boot", "hybrid"), ("uki", "efi"), ("uki", "hybrid"),
    ],
)  # fmt: skip
def test_every_loader_comes_out_the_same(tmp_path: Path, loader: str, table: str) -> None:
    spec = write_spec(tmp_path)
    boot = tmp_path / "tree" / "boot"
    boot.mkdir()
    (boot / "vmlinuz-6.1-given").write_bytes(X86_KERNEL)
    (boot / "initrd.img-6.1-given").write_bytes(b"initrd" * 999)
    overrides = [f"boot.loader={loader}", f"layout.table={table}", "size.boot=64MiB"]
    if table == "efi":
        overrides.append("boot.efi_variables=true")

    report = checked(spec, *overrides)

    assert report.identical
    assert ("efi-vars.fd" in {output.name for output in report.outputs}) == (table == "efi")


def test_a_check_that_is_cancelled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_spec(tmp_path)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    loaded = load(spec)
    settings, _ = resolve(loaded.spec, loaded.base, {})
    request = Request(spec=spec, overrides=(), contents=(), settings=settings)
    said: list[str] = []

    async def cancelled() -> None:
        def listen(line: str) -> None:
            said.append(line)
            if line.startswith("second build: ==>"):
                task.cancel()

        task = asyncio.ensure_future(check(request, listen))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())

    assert said
    assert not list(folder.iterdir())


def test_a_difference_is_found_and_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec(tmp_path)
    # The two builds have different TMPDIRs, which a hook may well write into the image.
    hook = 'printf "$TMPDIR" | head -c 64 | dd of="$DISK_IMAGE" bs=1 seek=300 conv=notrunc'
    words = ["check", str(spec), "--set", f"hooks.after_build={json.dumps(hook)}"]

    assert main([*words, "--json", "--keep", str(tmp_path / "kept")]) == 3

    found = json.loads(capsys.readouterr().out)
    assert found["identical"] is False
    assert found["outputs"][0]["identical"] is False
    places = {piece["a"] for piece in found["difference"]["ranges"]}
    assert places == {"boot code in the first sector"}
    one, other = (Path(found["kept"][name], "demo.img") for name in ("first", "second"))
    assert main(["diff", str(one), str(other)]) == 3


def test_what_cannot_be_the_same_is_refused(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)

    assert main(["check", str(spec), "--set", "identity.deterministic=false"]) == 2


def test_a_build_that_fails_is_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec(tmp_path)

    assert main(["check", str(spec), "--set", 'hooks.after_build="exit 7"']) == 1
    assert "the first build ended" in capsys.readouterr().err


def test_copies_read_alike_and_lie_otherwise(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    tree = tmp_path / "tree"
    (tree / "etc").chmod(0o2751)
    os.setxattr(tree / "etc" / "motd", "user.note", b"x")
    os.utime(tree / "etc", ns=(1, 123_456_789))
    loaded = load(spec)
    settings, _ = resolve(loaded.spec, loaded.base, {})

    copies = copy_sources(settings.contents, tmp_path / "copies")

    copy = copies.sources[0]
    assert not copies.left
    ours = sorted(path.relative_to(tree) for path in tree.rglob("*"))
    assert sorted(path.relative_to(copy) for path in copy.rglob("*")) == ours
    for name in ours:
        one, other = (tree / name).lstat(), (copy / name).lstat()
        assert (one.st_mode, one.st_size, one.st_mtime_ns) == (
            other.st_mode, other.st_size, other.st_mtime_ns,
        )  # fmt: skip
        assert one.st_ino != other.st_ino
    assert os.getxattr(copy / "etc" / "motd", "user.note") == b"x"
    assert (copy / "etc" / "same").samefile(copy / "etc" / "motd")
    assert (copy / "hole").stat().st_blocks < 100
    assert any(
        (copy / name).lstat().st_nlink > (tree / name).lstat().st_nlink
        for name in ours
        if (tree / name).is_file()
    )


def test_every_checkout_of_the_examples_gives_the_same_image(tmp_path: Path) -> None:
    images = []
    for name, time in (("one", 1_800_000_000), ("two", 1_900_000_000)):
        folder = tmp_path / name
        shutil.copytree(EXAMPLES / "hello", folder / "hello", symlinks=True)
        shutil.copy(EXAMPLES / "hello.toml", folder)
        for path in folder.rglob("*"):
            os.utime(path, (time, time), follow_symlinks=False)
        assert (
            main(["build", str(folder / "hello.toml"), "-o", str(folder / "out"), "--quiet"]) == 0
        )
        images.append((folder / "out" / "hello.img").read_bytes())

    assert images[0] == images[1]
