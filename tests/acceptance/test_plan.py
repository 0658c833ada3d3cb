"""`plan`: its JSON key by key, its defaults, its units, and that it writes nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.acceptance.conftest import Desk

MIB = 1 << 20
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TABLES = {"none": "none", "legacy": "mbr", "legacy+gpt": "gpt", "efi": "gpt", "hybrid": "gpt"}
PARTITION: dict[str, type | tuple[type, ...]] = {
    "number": int, "role": str, "start": int, "sectors": int, "bytes": int, "type": str,
    "guid": (str, type(None)), "name": (str, type(None)), "flags": list,
    "filesystem": (dict, type(None)),
}  # fmt: skip
FILESYSTEM: dict[str, type | tuple[type, ...]] = {
    "type": str, "label": str, "uuid": str, "block_size": int, "blocks": int, "inodes": int,
}  # fmt: skip
COMPAT = 'compat = "make-disk-image"\n'


def has(value: dict[str, Any], shape: dict[str, type | tuple[type, ...]]) -> None:
    for key, kind in shape.items():
        assert isinstance(value[key], kind), (key, value[key])


@pytest.mark.parametrize("compat", ["none", "make-disk-image"])
@pytest.mark.parametrize("table", TABLES)
def test_the_shape(desk: Desk, table: str, compat: str) -> None:
    spec = desk.spec(f'compat = "{compat}"\n[layout]\ntable = "{table}"\n')

    plan = desk.plan(spec, contents="tree")

    assert (plan["schema"], plan["name"], plan["compat"]) == (1, "demo", compat)
    disk = plan["disk"]
    assert disk["table"] == TABLES[table]
    assert disk["sector_size"] == 512
    assert (disk["guid"] is not None) == (disk["table"] == "gpt")
    assert disk["guid"] is None or UUID.fullmatch(disk["guid"])
    assert (disk["signature"] is not None) == (disk["table"] == "mbr")
    assert disk["signature"] is None or re.fullmatch("0x[0-9a-f]{8}", disk["signature"])
    for partition in plan["partitions"]:
        has(partition, PARTITION)
        assert partition["bytes"] == partition["sectors"] * 512
        assert (partition["start"] + partition["sectors"]) * 512 <= disk["bytes"]
        assert partition["role"] in {"esp", "bios-boot", "boot", "root"}
        gpt = disk["table"] == "gpt"
        assert UUID.fullmatch(partition["type"]) if gpt else partition["type"] == "0x83"
        assert (partition["guid"] is not None) == (partition["name"] is not None) == gpt
        assert (partition["filesystem"] is None) == (partition["role"] == "bios-boot")
    numbers = [partition["number"] for partition in plan["partitions"]]
    assert numbers == list(range(1, len(numbers) + 1))
    bare = [plan["filesystem"]] if table == "none" else []
    assert ("filesystem" in plan) == bool(bare)
    filesystems = bare + [one["filesystem"] for one in plan["partitions"] if one["filesystem"]]
    for filesystem in filesystems:
        has(filesystem, FILESYSTEM)
    (root,) = [one for one in filesystems if one["type"] == "ext4"]
    assert UUID.fullmatch(root["uuid"])
    size = plan["size"]
    assert size["mode"] == "auto"
    assert all({"key", "label", "bytes"} <= part.keys() for part in size["breakdown"])
    assert sum(part["bytes"] for part in size["breakdown"]) == disk["bytes"]
    assert size["contents"] == {
        "files": 4, "directories": 2, "symlinks": 1, "others": 0, "hard_links": 1,
        "bytes": sum(path.lstat().st_size for name in ("passwd", "group", "motd", "../.profile")
                     for path in [desk.folder / "tree/etc" / name]),
    }  # fmt: skip
    assert ("reference" in size) == (compat != "none")
    assert {"populate-root"} <= {step["id"] for step in plan["steps"]}
    assert all(isinstance(step["bytes"], int) and step["title"] for step in plan["steps"])
    for problem in plan["problems"]:
        assert problem["severity"] == "warning"
        assert {"code", "path", "message", "hint"} <= problem.keys()
    assert plan["outputs"] == ["demo.img" if compat == "none" else "nixos.img"]


def test_the_defaults(desk: Desk) -> None:
    (desk.folder / "demo.toml").write_text("schema = 1\n")

    plan = desk.plan(desk.folder / "demo.toml")

    assert plan["name"] == "disk"
    assert plan["outputs"] == ["disk.img"]
    esp, root = plan["partitions"]
    assert (esp["role"], esp["bytes"], esp["filesystem"]["type"]) == ("esp", 256 * MIB, "vfat")
    assert (root["role"], root["filesystem"]["label"]) == ("root", "root")


def test_the_defaults_in_compat(desk: Desk) -> None:
    plan = desk.plan(desk.spec(COMPAT))

    assert plan["size"]["reference"] == {
        "diskUsage": 16384, "fudge": 851, "requiredFilesystemSpace": 17235,
        "additionalSpace": 537919488, "diskSize": 538968064,
    }  # fmt: skip
    (root,) = plan["partitions"]
    assert (root["start"], root["type"], root["flags"]) == (2048, "0x83", [])
    assert root["filesystem"]["label"] == "nixos"
    assert root["filesystem"]["uuid"].upper() == "F222513B-DED1-49FA-B591-20CE86A2FE7F"
    assert [problem["code"] for problem in plan["problems"]] == ["no-guest-loader"]


def test_only_store_in_compat_has_its_own_label(desk: Desk) -> None:
    sets = ("nix.only_store=true", "nix.install_boot_loader=false")
    (root,) = desk.plan(desk.spec(COMPAT), *sets)["partitions"]
    assert root["filesystem"]["label"] == "nix-store"


def test_the_file_systems_uuid_follows_the_partitions_in_compat(desk: Desk) -> None:
    guid = "11111111-2222-3333-4444-555555555555"
    plan = desk.plan(desk.spec(f'{COMPAT}[layout]\ntable = "efi"\n'),
                     f"identity.root_partition_guid={guid}")  # fmt: skip
    root = plan["partitions"][1]
    assert (root["guid"], root["filesystem"]["uuid"]) == (guid, guid)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [("600", 600 * MIB), ('"600M"', 600 * MIB), ('"600MiB"', 600 * MIB), ('"1G"', 1 << 30),
     ('"600"', 600 * MIB), ('"614400KiB"', 600 * MIB), ('"0.5GiB"', 512 * MIB),
     ('"614400 KB"', 614400000)],
)  # fmt: skip
def test_units_of_the_disk(desk: Desk, written: str, wanted: int) -> None:
    spec = desk.spec(f'[layout]\ntable = "none"\n[size]\ndisk = {written}\n')

    plan = desk.plan(spec)

    assert (plan["disk"]["bytes"], plan["size"]["mode"]) == (wanted, "fixed")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [("34603008", 34603008), ('"33MiB"', 33 * MIB), ('"40M"', 40 * MIB), ('"40960K"', 40 * MIB),
     ('"64MB"', 64000000), ('"0.25GiB"', 256 * MIB)],
)  # fmt: skip
def test_units_of_the_esp(desk: Desk, written: str, wanted: int) -> None:
    plan = desk.plan(desk.spec(f"[size]\nboot = {written}\n"))
    assert plan["partitions"][0]["bytes"] == wanted


def test_a_bare_integer_of_additional_is_bytes(desk: Desk) -> None:
    figures = desk.plan(desk.spec(f"{COMPAT}[size]\nadditional = 8000000\n"))["size"]["reference"]
    assert figures["additionalSpace"] == 8000000 + MIB


@pytest.mark.parametrize("text", ["64M", "64MiB", "65536K", "67108864", "64 MiB", "0.0625G"])
def test_every_spelling_of_a_size_is_read_in_compat(desk: Desk, text: str) -> None:
    plan = desk.plan(desk.spec(COMPAT), f'size.additional="{text}"')
    assert plan["size"]["reference"]["additionalSpace"] == 65 * MIB


@pytest.mark.parametrize(
    ("boot", "last"), [("100M", 194559), ("256M", 499711), ("256MiB", 524287), ("512M", 999423)]
)
def test_boot_in_compat_is_where_the_esp_ends(desk: Desk, boot: str, last: int) -> None:
    sets = ("layout.table=efi", "size.disk=1024", f'size.boot="{boot}"')
    esp, root = desk.plan(desk.spec(COMPAT), *sets)["partitions"]
    assert esp["start"] == 16384
    assert esp["start"] + esp["sectors"] - 1 == last
    assert root["start"] == last + 1


@pytest.mark.parametrize(
    ("format_", "name"),
    [("raw", "img"), ("qcow2", "qcow2"), ("qcow2-compressed", "qcow2"), ("vdi", "vdi"),
     ("vpc", "vhd")],
)  # fmt: skip
def test_outputs(desk: Desk, format_: str, name: str) -> None:
    spec = desk.spec("")
    assert desk.plan(spec, f"output.format={format_}")["outputs"] == [f"demo.{name}"]
    both = desk.plan(spec, f"output.format={format_}", "boot.efi_variables=true")["outputs"]
    assert both == [f"demo.{name}", "efi-vars.fd"]


def test_sectors_of_4096_bytes(desk: Desk) -> None:
    plan = desk.plan(desk.spec('[layout]\nsector_size = 4096\n[size]\nboot = "300MiB"\n'))
    assert plan["disk"]["sector_size"] == 4096
    assert plan["disk"]["bytes"] % 4096 == 0
    assert [p["bytes"] for p in plan["partitions"]] == [4096 * p["sectors"]
                                                        for p in plan["partitions"]]  # fmt: skip


def test_identifiers_follow_from_the_name_or_the_seed(desk: Desk) -> None:
    def identifiers(*sets: str) -> set[str]:
        plan = desk.plan(desk.spec(""), *sets)
        found = {plan["disk"]["guid"]}
        for partition in plan["partitions"]:
            found |= {partition["guid"], partition["filesystem"]["uuid"]}
        return found

    seed = "identity.seed=11111111-2222-3333-4444-555555555555"
    mine = identifiers()
    assert len(mine) == 5
    assert identifiers() == mine
    assert not identifiers("name=other") & mine
    assert not identifiers(seed) & mine
    assert identifiers(seed) == identifiers(seed, "name=other")
    assert not identifiers("identity.deterministic=false") & mine


def test_an_error_is_in_the_plan_on_stderr_and_in_the_exit_code(desk: Desk) -> None:
    spec = desk.spec("[size]\ndisk = 1\n")

    machine, person = desk.run("plan", spec, "--json"), desk.run("plan", spec)

    assert machine.code == person.code == 2
    (problem,) = [p for p in machine.json["problems"] if p["severity"] == "error"]
    assert problem["path"] == "size.disk"
    assert problem["message"] in person.stderr
    assert problem["message"] in machine.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[layout]\ntabel = 'efi'\n", ("demo.toml", "layout.tabel", '"efi"', '"table"')),
        ("[layout]\ntable = 'gtp'\n", ("demo.toml", "layout.table", '"gtp"', '"legacy+gpt"')),
        ("[layout]\nsector_size = '512'\n", ("demo.toml", "layout.sector_size", '"512"')),
        ("colour = 'red'\n", ("demo.toml", "colour", '"red"', "valid here", "layout")),
        ("[size]\ndisk = ['4G']\n", ("demo.toml", "size.disk")),
        ("[nix]\nonly_store = 'yes'\n", ("demo.toml", "nix.only_store", '"yes"', "true")),
        ("[[contents]]\nsource = 'tree'\n", ("demo.toml", "contents[0].target", "missing")),
        ("[[contents]]\nsource = 'no'\ntarget = '/'\n", ("contents[0].source", "/no")),
        ("[size]\ndisk = '4XB'\n", ("size.disk", "4XB", "KiB")),
        ("[[contents]]\nsource = 'tree'\ntarget = '/'\nuser = 'root'\n", ("group", "user")),
        ("[[contents]]\nsource = 'tree'\ntarget = '/'\nuser = 'eve'\ngroup = 'users'\n",
         ("contents[0].user", "eve")),
        ("[layout]\n[layout]\n", ("demo.toml", "line 4")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(desk: Desk, text: str, words: tuple[str, ...]) -> None:
    ran = desk.run("plan", desk.spec(text))

    assert ran.code == 2
    for word in words:
        assert word in ran.stderr


def test_json_names_what_is_wrong_in_a_spec_that_cannot_be_read(desk: Desk) -> None:
    ran = desk.run("plan", desk.spec("[layout]\ntabel = 'efi'\n"), "--json")
    assert ran.code == 2
    (problem,) = ran.json["problems"]
    assert (problem["severity"], problem["path"]) == ("error", "layout.tabel")
    assert problem["message"] in ran.stderr


def test_every_mistake_is_told_at_once(desk: Desk) -> None:
    ran = desk.run("plan", desk.spec("[layout]\ntable = 'x'\ncolour = 1\n[size]\ndisk = '4XB'\n"))
    assert {"layout.table", "layout.colour", "size.disk"} <= set(re.findall(r"[\w.]+", ran.stderr))


def test_set_overrides_the_spec(desk: Desk) -> None:
    spec = desk.spec('[layout]\ntable = "legacy"\n')
    plan = desk.plan(spec, "layout.table=none", 'name="other name"', "size.disk=300")
    assert (plan["disk"]["table"], plan["name"]) == ("none", "other name")
    assert plan["disk"]["bytes"] == 300 * MIB


def test_contents_is_one_more_entry(desk: Desk) -> None:
    entry = '[[contents]]\nsource = "tree"\ntarget = "/"\n'
    given = desk.run("plan", desk.spec(""), "--json", "--contents", "tree")
    written = desk.run("plan", desk.spec(entry), "--json")
    assert given.stdout == written.stdout


def test_sources_are_relative_to_the_spec(desk: Desk) -> None:
    (desk.folder / "deep").mkdir()
    (desk.folder / "deep" / "demo.toml").write_text(
        'schema = 1\n[[contents]]\nsource = "../tree"\ntarget = "/"\n'
    )
    assert desk.plan(desk.folder / "deep" / "demo.toml")["size"]["contents"]["files"] == 4


def test_the_environments_epoch_wins(desk: Desk) -> None:
    spec = desk.small("[identity]\nsource_date_epoch = 5\n")
    ran = desk.run("plan", spec, SOURCE_DATE_EPOCH="soon")
    assert ran.code == 2
    assert "SOURCE_DATE_EPOCH" in ran.stderr
    assert desk.run("plan", spec, SOURCE_DATE_EPOCH="1700000000").code == 0


def test_nothing_is_written_anywhere(desk: Desk) -> None:
    home = desk.folder / "home"
    home.mkdir()
    spec = desk.small()
    before = desk.files()

    ran = desk.run("plan", spec, "--json", HOME=str(home), TMPDIR=str(home),
                   XDG_CACHE_HOME=str(home))  # fmt: skip

    assert ran.code == 0
    assert desk.files() == before


def test_text_shows_map_table_and_breakdown_on_stdout(desk: Desk) -> None:
    roomy = "size.additional=16MiB"  # with a journal there is no warning
    ran = desk.run("plan", desk.small(), "--set", roomy)

    assert ran.code == 0
    assert ran.stderr == ""
    plan = desk.plan(desk.folder / "demo.toml", roomy)
    for partition in plan["partitions"]:
        assert partition["guid"] in ran.stdout
    for part in plan["size"]["breakdown"]:
        assert re.search(rf"{re.escape(part['label'])} .* {part['bytes']:,}", ran.stdout)
