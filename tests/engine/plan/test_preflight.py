"""Every obstacle is found before anything is written, with numbers, and its fix removes it."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from engine.filesystems.fat.geometry import smallest
from engine.manifest.entry import Entry
from engine.plan.host import Volume
from engine.plan.model import Plan
from engine.plan.plan import make_plan
from engine.problem import Problem, errors
from engine.spec.settings import ContentSettings, Settings
from engine.units import format_exact, parse_size
from tests.engine.plan.support import (
    MIB,
    Contents,
    codes,
    file,
    host,
    manifest,
    plan,
    resized,
    settings,
    symlink,
)

GIB = 1 << 30
BIG = Contents(manifest([file(b"big", 3 * GIB)]))
BOOTABLE = Contents(esp=manifest([file(b"KERNEL", 300 * MIB)]))


def only(made: Plan) -> Problem:
    (problem,) = made.problems
    return problem


def fixed(wanted: Settings, problem: Problem) -> Settings:
    """Settings after the problem's own fix."""
    assert problem.fix is not None
    ((path, value),) = problem.fix.edits
    assert isinstance(value, str)
    match path:
        case "size.disk":
            return resized(wanted, disk=parse_size(value, bare=MIB))
        case "size.boot":
            return resized(wanted, boot=parse_size(value), boot_text=value)
        case "size.additional":
            return resized(wanted, additional=parse_size(value), additional_text=value)
        case "layout.table":
            return replace(wanted, layout=replace(wanted.layout, table="legacy+gpt"))
    raise AssertionError(path)


@pytest.mark.parametrize(
    ("wanted", "contents", "code", "path"),
    [
        (settings("efi", disk="1GiB"), BIG, "contents-too-large", "size.disk"),
        (settings("legacy", disk="1GiB"), BIG, "contents-too-large", "size.disk"),
        (settings("none", disk="1GiB"), BIG, "contents-too-large", "size.disk"),
        (
            settings("hybrid", compat="make-disk-image", disk=1024),
            BIG, "contents-too-large", "size.disk",
        ),
        (
            settings("legacy", compat="make-disk-image", additional="0"),
            Contents(manifest([file(b"f", 50 * MIB)])),
            "contents-too-large", "size.additional",
        ),
        (settings("efi", disk="100MiB"), Contents(), "disk-too-small", "size.disk"),
        (
            settings("efi", compat="make-disk-image", disk=100),
            Contents(), "parted-refuses", "size.boot",
        ),
        (
            settings("efi", compat="make-disk-image", boot="1G", additional="0"),
            Contents(), "root-too-small", "size.additional",
        ),
        (settings("legacy", disk="1MiB"), Contents(), "disk-too-small", "size.disk"),
        (settings("none", disk="8KiB"), Contents(), "root-too-small", "size.disk"),
        (settings("efi", disk="17TiB"), Contents(), "root-too-large", "size.disk"),
        (settings("none", disk="16TiB"), Contents(), "root-too-large", "size.disk"),
        (settings("hybrid", disk="100TiB", filesystem="ext2"), Contents(), "root-too-large",
         "size.disk"),
        (settings("legacy+gpt", disk="18691697672704B"), Contents(), "root-too-large", "size.disk"),
        (
            settings("efi", compat="make-disk-image", disk=20 << 20),
            Contents(), "root-too-large", "size.disk",
        ),
        (
            settings("none", compat="make-disk-image", additional="17T"),
            Contents(), "root-too-large", "size.additional",
        ),
        (settings("efi", boot="32MiB"), Contents(), "esp-too-few-clusters", "size.boot"),
        (
            settings("efi", sector_size=4096, boot="256MiB"),
            Contents(), "esp-too-few-clusters", "size.boot",
        ),
        (settings("efi"), BOOTABLE, "esp-too-small", "size.boot"),
        (
            settings("legacy", additional="3TiB"),
            Contents(), "disk-too-large-for-mbr", "layout.table",
        ),
    ],
)  # fmt: skip
def test_error_whose_fix_solves_it(
    wanted: Settings, contents: Contents, code: str, path: str
) -> None:
    problem = only(plan(wanted, contents))
    assert (problem.code, problem.path, problem.severity) == (code, path, "error")
    assert any(char.isdigit() for char in problem.message)
    assert plan(fixed(wanted, problem), contents).problems == ()


def many(files: int) -> Contents:
    return Contents(manifest([file(b"%d" % index) for index in range(files)]))


def test_a_disk_with_too_few_inodes_and_its_fix() -> None:
    wanted = settings("none", compat="make-disk-image", disk=256)
    test_error_whose_fix_solves_it(wanted, many(70_000), "too-few-inodes", "size.disk")


@pytest.mark.parametrize("table", ["none", "legacy+gpt", "efi", "hybrid"])
def test_largest_disk_is_the_largest(table: str) -> None:
    wanted = settings(table, disk="17TiB")
    problem = only(plan(wanted))
    better = fixed(wanted, problem)
    assert better.size.disk is not None
    assert problem.fix is not None
    assert problem.fix.label == f"Shrink the disk to {format_exact(better.size.disk)}"
    above = resized(better, disk=better.size.disk + MIB)
    assert errors(plan(above).problems)


def test_contents_that_no_file_system_holds_have_no_fix() -> None:
    wanted = settings("none", compat="make-disk-image", additional="1G")
    huge = Contents(manifest([file(b"%d" % index, 4 << 40) for index in range(5)]))
    assert [problem.fix for problem in errors(plan(wanted, huge).problems)] == [None]


@pytest.mark.parametrize("table", ["none", "legacy+gpt", "efi"])
def test_more_additional_space_than_a_file_system_can_have_is_one_problem(table: str) -> None:
    problem = only(plan(settings(table, additional="17TiB")))
    assert (problem.code, problem.path) == ("contents-too-large", "contents")
    assert "blocks are too many" in problem.message


@pytest.mark.parametrize("table", ["none", "legacy", "efi"])
def test_smallest_disk_is_the_smallest(table: str) -> None:
    wanted = settings(table, disk="1GiB")
    problem = only(plan(wanted, BIG))
    least = parse_size(problem.hint.removeprefix("the smallest disk that works is ").split(";")[0])
    assert not errors(plan(resized(wanted, disk=least), BIG).problems)
    assert errors(plan(resized(wanted, disk=least - MIB), BIG).problems)


@pytest.mark.parametrize("compat", ["none", "make-disk-image"])
@pytest.mark.parametrize("table", ["none", "legacy", "efi"])
def test_a_disk_is_grown_with_room_to_write(table: str, compat: str) -> None:
    wanted = settings(table, disk="1GiB", compat=compat)
    better = plan(fixed(wanted, only(plan(wanted, BIG))), BIG)
    assert better.problems == ()
    assert better.root.free_bytes >= 16 * MIB
    assert dict(better.root.parts)["journal"]


def test_where_an_empty_esp_is_what_takes_the_room_the_hint_says_so() -> None:
    small = Contents(manifest([file(b"site", 3 * MIB)]))
    wanted = settings("efi", disk="100MiB")
    problem = only(plan(wanted, small))
    assert 'with size.boot = "33MiB" this one is enough' in problem.hint
    assert plan(settings("efi", disk="100MiB", boot="33MiB"), small).problems == ()
    assert "size.boot" not in only(plan(settings("efi", disk="40MiB"), small)).hint


def test_an_esp_of_4k_sectors_is_by_default_what_fat32_needs() -> None:
    made = plan(settings("efi", sector_size=4096))
    assert made.problems == ()
    assert made.volume("esp").bytes == smallest(sector_size=4096)


@pytest.mark.parametrize(
    ("wanted", "size", "codes_"),
    [
        (settings("none", disk="64MiB"), 55 * MIB, []),
        (settings("none", disk="64MiB"), 58 * MIB, ["volume-nearly-full"]),
        (settings("none", disk="6MiB"), MIB, ["no-journal"]),
        (settings("none", disk="6MiB", filesystem="ext3"), MIB, ["no-journal"]),
        (settings("none", disk="6MiB", filesystem="ext2"), MIB, []),
        (settings("none", additional="0"), 58 * MIB, []),
        (settings("none", additional="0", filesystem="ext3"), MIB, ["no-journal"]),
    ],
)
def test_a_root_that_fits_and_lacks_something_is_warned_of(
    wanted: Settings, size: int, codes_: list[str]
) -> None:
    made = plan(wanted, Contents(manifest([file(b"data", size)])))
    assert codes(made.problems) == codes_
    assert not errors(made.problems)


def test_inodes_are_made_for_many_files_in_a_fixed_disk() -> None:
    assert plan(settings("none", disk="128MiB"), many(30_000)).problems == ()


def test_entries_that_fat_cannot_hold() -> None:
    esp = manifest([symlink(b"link", b"x"), file(b"EFI"), file(b"efi")])
    assert codes(plan(settings("efi"), Contents(esp=esp)).problems) == ["entry-unwritable"] * 2


def test_metadata_that_fat_drops_is_a_warning() -> None:
    made = plan(settings("efi"), Contents(esp=manifest([file(b"A", uid=7)])))
    assert codes(made.problems) == ["drops-metadata"]
    assert errors(made.problems) == ()


def test_entries_that_ext4_cannot_hold() -> None:
    root = manifest([Entry(b"x", stat.S_IFLNK | 0o777, size=5000, target=b"y" * 5000)])
    problem = only(plan(settings(), Contents(root)))
    assert problem.code == "entry-unwritable"
    assert "/x" in problem.message
    assert "5,000" in problem.message


def test_many_entries_of_a_kind_are_counted() -> None:
    esp = manifest([symlink(b"%03d" % index, b"x") for index in range(50)])
    found = plan(settings("efi"), Contents(esp=esp)).problems
    assert len(found) == 21
    assert "30 more" in found[-1].message


@pytest.mark.parametrize(
    ("distribution", "package"),
    [
        ("debian", "apt-get install fdisk"),
        ("arch", "pacman -S util-linux"),
        (None, "debian: fdisk"),
    ],
)
def test_missing_tool_names_its_package(distribution: str | None, package: str) -> None:
    machine = host(without="sfdisk", distribution=distribution)  # type: ignore[arg-type]
    problem = only(plan(settings("efi"), machine=machine))
    assert problem.code == "tool-missing"
    assert package in problem.hint


def test_tool_that_is_not_needed_may_be_missing() -> None:
    assert plan(settings("none"), machine=host(without="sfdisk")).problems == ()
    assert plan(settings("efi"), machine=host(without="qemu-img")).problems == ()


def test_tool_that_is_too_old() -> None:
    problem = only(plan(settings("efi", output="qcow2"), machine=host(old="qemu-img")))
    assert problem.code == "tool-too-old"
    assert "0.1" in problem.message
    assert "5.1" in problem.message


def test_output_that_exists(tmp_path: Path) -> None:
    machine = host(outdir=tmp_path, existing=["disk.img"])
    assert only(plan(settings(), machine=machine)).code == "output-exists"
    assert plan(settings(), machine=replace(machine, force=True)).problems == ()


def test_output_folder_within_a_source() -> None:
    held = ContentSettings(
        index=0, source=Path("/a/tree"), target=b"/", mode="", user="", group="", extract=False,
        exclude=(), volume="root",
    )  # fmt: skip
    wanted = replace(settings(), contents=(held,))
    inside, beside = (host(outdir=Path(name)) for name in ("/a/b/../tree/out/1", "/a/tree2"))

    found = only(plan(wanted, machine=inside))

    assert (found.code, found.severity) == ("output-in-source", "warning")
    assert plan(wanted, machine=beside).problems == ()
    spared = replace(settings(), contents=(replace(held, exclude=("/out",)),))
    assert plan(spared, machine=inside).problems == ()


def test_output_folder_without_room() -> None:
    volume = Volume(path=Path("/out"), type="ext4", free_bytes=2 * GIB)
    problem = only(plan(settings(), BIG, host(volume=volume)))
    assert problem.code == "output-full"
    assert f"{2 * GIB:,}" in problem.message


def test_an_update_needs_no_room_for_what_stays() -> None:
    volume = Volume(path=Path("/out"), type="xfs", free_bytes=2 * GIB)
    problem = only(plan(settings(), BIG, replace(host(volume=volume), held=3 * GIB)))
    assert (problem.code, problem.severity) == ("output-full", "warning")
    problem = only(plan(settings(), BIG, replace(host(volume=volume), held=GIB // 2)))
    assert (problem.code, problem.severity) == ("output-full", "error")


def test_a_conversion_takes_room_beside_the_image() -> None:
    volume = Volume(path=Path("/out"), type="ext4", free_bytes=4 * GIB)
    machine = host(volume=volume)
    assert plan(settings(), BIG, machine).problems == ()
    assert only(plan(settings(output="qcow2"), BIG, machine)).code == "output-full"


def test_output_in_memory_is_a_warning() -> None:
    volume = Volume(path=Path("/shm"), type="tmpfs", free_bytes=9 * GIB)
    problem = only(plan(settings(), machine=host(volume=volume)))
    assert (problem.code, problem.severity) == ("output-in-memory", "warning")


def test_output_folder_that_is_none() -> None:
    volume = Volume(path=Path("/out"), type="ext4", free_bytes=9 * GIB, usable=False)
    problem = only(plan(settings(), machine=host(volume=volume)))
    assert (problem.code, problem.severity) == ("output-not-writable", "error")
    assert "/out" in problem.message


def test_earlier_problems_come_first_and_once() -> None:
    earlier = Problem("x", "error", "name", "is wrong")
    made = make_plan(settings(disk="1GiB"), BIG.volumes, host(), (earlier, earlier))
    assert codes(made.problems) == ["x", "contents-too-large"]
