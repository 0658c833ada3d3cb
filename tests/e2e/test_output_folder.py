"""What a build may touch in its output folder: files of its own, and no others."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.support.folders import contents_of
from tests.support.specs import plan_of, write_spec

COMPAT = ("compat=make-disk-image", "size.additional=8MiB")
EVERYTHING = (
    "layout.table=efi", "output.compress=zst", "output.bmap=true", "output.sbom=true",
    "boot.efi_variables=true",
)  # fmt: skip
RECORDS = ("SHA256SUMS", "manifest.json", "build.jsonl")
HYDRA = "nix-support/hydra-build-products"
NAMES = {
    **dict.fromkeys(
        ("demo.img", "demo.img.zst", "demo.img.bmap", "efi-vars.fd", "demo.spdx.json", *RECORDS),
        EVERYTHING,
    ),
    "nixos.img": COMPAT,
    "nixos.spdx.json": COMPAT,
    HYDRA: COMPAT,
}
"""Every name that a build writes, and overrides with which it does."""

Make = Callable[[Path], object]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    found = write_spec(tmp_path)
    status = tmp_path / "tree" / "var" / "lib" / "dpkg" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("Package: tool\nStatus: install ok installed\nVersion: 1\n\n")
    return found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def build(spec: Path, out: Path, overrides: Sequence[str] = (), *more: str) -> int:
    sets = [word for text in overrides for word in ("--set", text)]
    return main(["build", str(spec), "-o", str(out), "--quiet", *sets, *more])


def a_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"my": "own"}\n')


def a_link(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("nowhere")


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def an_empty_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_the_names_above_are_all_that_a_plan_lists(spec: Path) -> None:
    listed = {*plan_of(spec, EVERYTHING).writes, *plan_of(spec, COMPAT).writes}
    assert listed == set(NAMES)


def test_a_plan_lists_them_in_words_and_json(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--set", 'output.sign=["true"]', "--set", "hooks.after_build=true")

    assert main(["plan", str(spec), *more]) == 0
    text = capsys.readouterr().out
    assert main(["plan", str(spec), "--json"]) == 0

    assert (
        "\nwrites demo.img, demo.spdx.json, SHA256SUMS, manifest.json, build.jsonl, "
        'what "true" writes beside SHA256SUMS, what the hook adds to $OUT\n'
    ) in text
    assert json.loads(capsys.readouterr().out)["writes"] == [
        "demo.img", "demo.spdx.json", *RECORDS,
    ]  # fmt: skip


@pytest.mark.parametrize("make", [a_file, a_link])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_ours_is_refused(
    spec: Path, out: Path, name: str, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make(out / name)
    before = contents_of(out)

    assert build(spec, out, NAMES[name]) == 2

    said = capsys.readouterr().err
    assert f"error: {out}/{name} exists and no build of Diskwright is known to have" in said
    assert "give --force" in said
    assert contents_of(out) == before


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_the_place_of_a_file_is_refused_always(
    spec: Path, out: Path, name: str, force: tuple[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a_folder(out / name)
    before = contents_of(out)

    assert build(spec, out, NAMES[name], *force) == 2

    assert f"{out}/{name} cannot be written: it is a folder" in capsys.readouterr().err
    assert contents_of(out) == before


def test_a_link_in_the_place_of_a_folder_is_not_followed(
    spec: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = out.parent / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    (out / "nix-support").symlink_to(elsewhere)

    assert build(spec, out, COMPAT, "--force") == 2

    assert "nix-support is there and is not a folder" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


def test_force_replaces_what_is_listed_and_nothing_else(spec: Path, out: Path) -> None:
    for name in ("demo.img", *RECORDS, HYDRA, "notes"):
        a_file(out / name)

    assert build(spec, out, (), "--force") == 0

    for name in ("demo.img", *RECORDS):
        assert (out / name).read_text(errors="replace") != '{"my": "own"}\n'
    assert (out / HYDRA).read_text() == (out / "notes").read_text() == '{"my": "own"}\n'


def test_an_image_of_ours_is_replaced_on_demand_only(
    spec: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(spec, out) == 0
    before = contents_of(out)
    capsys.readouterr()

    assert build(spec, out) == 2

    said = capsys.readouterr().err.splitlines()
    assert said[1:] == ["more: diskwright explain output-exists"]
    assert f"{out}/demo.img exists" in said[0]
    assert "give --force to replace it" in said[0]
    assert contents_of(out) == before
    assert build(spec, out, (), "--force") == 0


def test_records_of_ours_are_replaced_once_their_image_is_gone(spec: Path, out: Path) -> None:
    assert build(spec, out, ("output.sbom=true",)) == 0
    (out / "demo.img").unlink()

    assert build(spec, out, ("output.sbom=true",)) == 0
    assert main(["verify", str(out)]) == 0


@pytest.mark.parametrize("cut", [None, 0, 5, 40])
def test_the_record_of_a_failed_build_is_no_obstacle(
    spec: Path, out: Path, cut: int | None
) -> None:
    assert build(spec, out, ("hooks.after_build=false",)) == 1
    assert [path.name for path in out.iterdir()] == ["build.jsonl"]
    if cut is not None:  # a full disk cut it short
        os.truncate(out / "build.jsonl", cut)

    assert build(spec, out) == 0


def test_a_second_spec_does_not_throw_away_the_records_of_the_first(
    spec: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(spec, out) == 0
    before = contents_of(out)

    assert build(spec, out, ("name=board",)) == 2

    said = capsys.readouterr().err
    assert f"{out}/manifest.json is the record of demo.img, which this build does not make" in said
    assert "choose another output folder" in said
    assert contents_of(out) == before
    assert build(spec, out, ("name=board",), "--force") == 0
    capsys.readouterr()
    assert main(["verify", str(out)]) == 3
    assert '"demo.img": is an image that no sum covers' in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, "not json", "[]", '{"schema": 1}', '{"schema": 2, "plan": {}}',
        '{"schema": 1, "tools": {}, "outputs": [], "plan": {"schema": 1, "outputs": []}}',
        '{"schema": 1, "tools": {}, "outputs": [], '
        '"plan": {"schema": 2, "outputs": [], "writes": ["manifest.json"]}}',
    ],
)  # fmt: skip
def test_other_manifests_are_not_ours(spec: Path, out: Path, text: str) -> None:
    out.mkdir()
    (out / "manifest.json").write_text(text)

    assert build(spec, out) == 2
    assert (out / "manifest.json").read_text() == text


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS", "build.jsonl"])
def test_an_empty_file_of_others_counts_too(spec: Path, out: Path, name: str) -> None:
    an_empty_file(out / name)

    # build.jsonl is empty where the disk of an earlier build was full, and loses nothing.
    assert build(spec, out) == (0 if name == "build.jsonl" else 2)


@pytest.mark.parametrize("name", ["demo.img", *RECORDS, "demo.spdx.json", "SHA256SUMS.sig"])
def test_a_file_that_appears_during_the_build_is_not_replaced(
    spec: Path, out: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = tmp_path / "signer"
    theirs = shlex.quote(str(out / name))
    signer.write_text(f'#!/bin/sh\necho theirs > {theirs}\necho signed > "$1.sig"\n')
    signer.chmod(0o755)
    overrides = (f'output.sign=["{signer}"]', "output.sbom=true")

    assert build(spec, out, overrides) == 1

    assert (out / name).read_text() == "theirs\n"
    assert f"{out}/{name} is there now" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {name, "build.jsonl"}


@pytest.mark.parametrize("folder", ["/dev/sdx", "/dev/null", "/proc/self/out", "/sys", "/dev/a/b"])
def test_folders_of_the_kernel_are_refused(
    spec: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = Path(folder).exists()

    assert build(spec, Path(folder)) == 2

    said = capsys.readouterr().err
    assert f"{folder} is below /" in said or f"{folder} is /" in said
    assert ("diskwright flash" in said) == folder.startswith("/dev/")
    assert Path(folder).exists() == there


@pytest.mark.parametrize("target", ["/dev", "/dev/shm", "/proc/self"])
def test_links_into_them_are_refused(spec: Path, out: Path, target: str) -> None:
    before = sorted(Path(target).iterdir())
    (out.parent / "link").symlink_to(target)

    assert build(spec, out.parent / "link" / "new") == 2
    assert not (Path(target) / "new").exists()
    if target == "/dev":
        assert sorted(Path(target).iterdir()) == before


@pytest.mark.parametrize("name", ["disk.img", "a.qcow2", "a.VHD", "disk.raw", "a.img.zst"])
def test_a_folder_named_like_an_image_is_refused_unless_it_is_there(
    spec: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / name

    assert build(spec, target) == 2

    said = capsys.readouterr().err
    assert f"{target} is named like an image, but the output is a folder" in said
    assert not target.exists()
    target.mkdir()
    assert main(["plan", str(spec), "-o", str(target)]) == 0


def test_the_output_of_a_nix_derivation_may_be_named_like_an_image(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "abc-nixos.img"
    monkeypatch.setenv("out", str(target))

    assert build(spec, target) == 0
    assert (target / HYDRA).read_text() == f"file raw-image {target}/demo.img\n"


def test_plan_looks_at_the_folder_that_it_is_given(
    spec: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_file(out / "manifest.json")

    assert main(["plan", str(spec), "-o", str(out)]) == 2
    assert f"{out}/manifest.json exists" in capsys.readouterr().err
