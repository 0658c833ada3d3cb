"""The other verbs, the arguments, the exit codes and the streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import Desk

VERBS = ("plan", "build", "inspect", "diff", "check", "boot", "import", "export", "doctor")


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_on_stdout_and_tells_of_set(desk: Desk, verb: str) -> None:
    ran = desk.run(verb, "--help")
    assert (ran.code, ran.stderr) == (0, "")
    assert f"usage: diskwright {verb}" in ran.stdout
    assert "--set" in ran.stdout


@pytest.mark.parametrize("words", [(), ("demo.toml",), ("no.toml",)])
def test_the_wizard_without_a_terminal_is_refused(desk: Desk, words: tuple[str, ...]) -> None:
    desk.small()
    ran = desk.run(*words)
    assert (ran.code, ran.stdout) == (2, "")
    assert "usage" in ran.stderr


@pytest.mark.parametrize(
    "words",
    [("plan",), ("plan", "no.toml"), ("plan", "demo.toml", "--nonsense"), ("nonsense",),
     ("build", "demo.toml"), ("plan", "demo.toml", "--set", "nonsense"),
     ("plan", "demo.toml", "--set", "size.nonsense=1"), ("plan", "demo.toml", "--contents", "no"),
     ("inspect", "no.img"), ("diff", "no.img", "demo.toml"), ("check", "no.toml"),
     ("boot", "no.img"), ("import", "no.nix", "-o", "x.toml"), ("export", "no.toml", "--format",
     "nix"), ("export", "demo.toml", "--format", "nonsense"), ("--nonsense",)],
)  # fmt: skip
def test_nonsense_is_refused(desk: Desk, words: tuple[str, ...]) -> None:
    desk.small()
    before = desk.files()

    ran = desk.run(*words)

    assert ran.code == 2
    assert ran.stderr
    assert desk.files() == before


@pytest.mark.parametrize("name", ["demo.toml", "empty", "zeros", "folder"])
def test_what_is_no_image_is_no_crash(desk: Desk, name: str) -> None:
    desk.small()
    (desk.folder / "empty").touch()
    (desk.folder / "zeros").write_bytes(bytes(1 << 20))
    (desk.folder / "folder").mkdir()
    assert desk.run("inspect", name).code in {0, 2}
    assert desk.run("inspect", name, "--json").code in {0, 2}
    assert desk.run("diff", name, name).code in {0, 2}


def test_inspect_shows_what_was_planned(desk: Desk) -> None:
    spec = desk.small()
    plan = desk.plan(spec)
    desk.run("build", spec, "-o", "out", "--quiet")

    seen = desk.run("inspect", "out/demo.img", "--json")

    assert seen.code == 0
    found = seen.json
    for key in ("bytes", "sector_size", "table", "guid"):
        assert found["disk"][key] == plan["disk"][key]
    for planned, partition in zip(plan["partitions"], found["partitions"], strict=True):
        for key in ("number", "start", "sectors", "bytes", "type", "guid", "name"):
            assert partition[key] == planned[key]
        for key in ("type", "label", "uuid", "block_size", "blocks"):
            assert partition["filesystem"][key] == planned["filesystem"][key]
    listing = desk.run("inspect", "out/demo.img", "/etc").stdout
    assert all(name in listing for name in ("motd", "issue", "passwd"))
    one = desk.run("inspect", "out/demo.img", "/etc/motd", "--json")
    assert one.code == 0
    assert "motd" in one.stdout
    assert desk.run("inspect", "out/demo.img", "/no/such").code == 2


@pytest.mark.parametrize("format_", ["qcow2", "qcow2-compressed", "vdi", "vpc"])
def test_diff_sees_through_formats(desk: Desk, format_: str) -> None:
    spec = desk.small()
    raw = desk.plan(spec)["outputs"][0]
    other = desk.plan(spec, f"output.format={format_}")["outputs"][0]
    desk.run("build", spec, "-o", "raw", "--quiet")
    desk.run("build", spec, "-o", "other", "--quiet", "--set", f"output.format={format_}")

    same = desk.run("diff", f"raw/{raw}", f"other/{other}", "--json")

    assert same.code == 0, same.stdout + same.stderr


def test_diff_names_what_differs(desk: Desk) -> None:
    spec = desk.small()
    desk.run("build", spec, "-o", "one", "--quiet")
    (desk.folder / "tree" / "etc" / "motd").write_text("world\n")
    desk.run("build", spec, "-o", "two", "--quiet")

    person = desk.run("diff", "one/demo.img", "two/demo.img")
    machine = desk.run("diff", "one/demo.img", "two/demo.img", "--json")

    assert person.code == machine.code == 3
    assert "/etc/motd" in person.stdout
    assert "/etc/motd" in str(machine.json)


def test_export_and_import_are_each_others_reverse(desk: Desk) -> None:
    spec = desk.spec(
        'compat = "make-disk-image"\n[layout]\ntable = "efi"\nlabel = "mine"\n'
        '[size]\ndisk = 2048\nboot = "300M"\n[output]\nformat = "qcow2"\n'
    )
    exported = desk.run("export", spec, "--format", "nix")
    assert exported.code == 0
    (desk.folder / "call.nix").write_text(exported.stdout)

    imported = desk.run("import", "call.nix", "-o", "again.toml")

    assert imported.code == 0, imported.stderr
    first, second = desk.plan(spec), desk.plan(desk.folder / "again.toml")
    for key in ("disk", "partitions", "outputs"):
        assert first[key] == second[key]


def test_import_reads_json_arguments(desk: Desk) -> None:
    (desk.folder / "args.json").write_text(
        '{"partitionTableType": "hybrid", "diskSize": 1024, "bootSize": "256M", "name": "n",'
        ' "label": "mine", "installBootLoader": false}'
    )

    imported = desk.run("import", "args.json", "-o", "spec.toml")

    assert imported.code == 0, imported.stderr
    plan = desk.plan(desk.folder / "spec.toml")
    assert plan["compat"] == "make-disk-image"
    assert [partition["start"] for partition in plan["partitions"]] == [16384, 34, 499712]
    assert plan["outputs"] == ["nixos.img"]


def test_import_does_not_overwrite(desk: Desk) -> None:
    spec = desk.small()
    (desk.folder / "args.json").write_text("{}")
    before = spec.read_bytes()
    assert desk.run("import", "args.json", "-o", "demo.toml").code == 2
    assert spec.read_bytes() == before


def test_doctor_names_tools_and_packages(desk: Desk) -> None:
    ran = desk.run("doctor", "--json")
    assert ran.code == 0
    assert all(name in ran.stdout for name in ("mke2fs", "sfdisk", "qemu-img", "e2fsprogs"))
    assert ran.json


def test_check_finds_a_build_the_same(desk: Desk) -> None:
    ran = desk.run("check", desk.small())
    assert ran.code == 0, ran.stdout + ran.stderr


def test_check_finds_what_a_clock_gets_in(desk: Desk) -> None:
    hook = 'date +%s%N | dd of="$DISK_IMAGE" bs=1 seek=440 conv=notrunc'
    ran = desk.run("check", desk.small(f"[hooks]\nafter_build = '''{hook}'''\n"))
    assert ran.code == 3, ran.stdout + ran.stderr


def test_boot_that_shows_nothing_is_4(desk: Desk) -> None:
    spec = desk.small('[layout]\ntable = "legacy"\n')
    desk.run("build", spec, "-o", "out", "--quiet")

    ran = desk.run("boot", Path("out/demo.img"), "--firmware", "bios", "--expect", "never",
                   "--timeout", "2")  # fmt: skip

    assert ran.code == 4
