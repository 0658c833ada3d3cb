"""What systemd-boot and firmware make of the names and settings that are written to an ESP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.boot.architecture import X86_64
from engine.boot.install import Installed
from engine.boot.kernels import find
from engine.boot.menu import MenuEntry, distinct, slug
from engine.boot.systemd_boot import Names, Present, arranged, entry_files, loader_files
from engine.boot.uki import named_paths
from engine.inspect.booting.entry import BootEntry
from engine.inspect.booting.systemd import chosen, in_order
from engine.inspect.booting.type1 import Listed, counted, parse
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.manifest.memory import file_of
from tests.engine.boot.test_install import content, installed
from tests.engine.boot.trees import X86_KERNEL, tree

Files = dict[str, bytes | str]


def kernels(*versions: str) -> Files:
    files: Files = {"usr/lib/os-release": b'ID=some\nPRETTY_NAME="Some System"\n'}
    for version in versions:
        files |= {f"boot/vmlinuz-{version}": X86_KERNEL, f"boot/initrd.img-{version}": b"initrd"}
    return files


def started(esp: Iterable[Entry]) -> str:
    """Returns the kernel that systemd-boot starts, by the reader of finished images."""
    texts = {
        entry.path.decode(): read(entry, entry.size).decode()
        for entry in esp
        if entry.is_regular and entry.path.lower().startswith(b"loader/")
    }
    found = []
    for path, text in texts.items():
        if path.endswith(".conf") and "/entries/" in path.lower():
            fields = parse(text)
            identifier, tries = counted(path.rpartition("/")[2])
            entry = BootEntry(kind="type1", where=path, title="", linux=fields["linux"][0])
            found.append(
                Listed(
                    entry=entry, identifier=identifier, sort_key=fields.get("sort-key", ("",))[0],
                    version=fields.get("version", ("",))[0], tries_left=tries,
                )
            )  # fmt: skip
    (conf,) = (text for path, text in texts.items() if path.lower() == "loader/loader.conf")
    ordered = in_order(found)
    wanted = chosen(ordered, parse(conf).get("default", ("",))[-1])
    return (wanted or ordered[0]).entry.linux


def test_a_release_goes_before_its_candidates_without_a_fixed_default() -> None:
    done = installed(kernels("6.10.0", "6.10.0-rc5", "6.10.0~rc6", "6.10.0.old", "6.9.1"))
    assert started(done.volumes["esp"]) == "/some/6.10.0/linux"
    assert done.boot.menu[0].version == "6.10.0"
    # A kernel that the system installs later comes first by itself.
    assert b"default" not in content(done.volumes["esp"], "loader/loader.conf")


def test_a_default_is_named_where_no_order_holds_it() -> None:
    done = installed(kernels("6.10", "6.10.0-rc5"))
    assert done.boot.menu[0].version == "6.10"
    assert started(done.volumes["esp"]) == "/some/6.10/linux"
    assert b"default some-6.10.conf\n" in content(done.volumes["esp"], "loader/loader.conf")


def test_entries_of_the_contents_do_not_come_first() -> None:
    esp: Files = {"Loader/Entries/a.conf": b"title x\nsort-key a\nlinux /x\n", "x": b"MZ"}
    done = installed(kernels("6.1"), esp=esp)
    assert started(done.volumes["esp"]) == "/some/6.1/linux"
    assert done.boot.problems == ()


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        (b"timeout 9\n", "6.2"), (b"default some-6.1.conf\n", "6.1"), (b"default *6.1*\n", "6.1"),
        (b"default @saved\n", "6.2"), (b"#default some-6.1.conf\n", "6.2"),
        (b"default nothing\ndefault SOME-6.1.CONF\n", "6.1"), (b"default none-*\n", "6.2"),
    ],
)  # fmt: skip
def test_settings_of_the_contents_decide_what_the_plan_calls_the_default(
    conf: bytes, expected: str
) -> None:
    done = installed(kernels("6.1", "6.2"), esp={"loader/loader.conf": conf})
    assert done.boot.menu[0].version == expected
    assert started(done.volumes["esp"]) == f"/some/{expected}/linux"


def test_it_is_said_where_the_contents_leave_the_default_open() -> None:
    esp: Files = {"loader/loader.conf": b"timeout 1\n", "EFI/Linux/other.efi": b"MZ"}
    (problem,) = installed(kernels("6.1"), esp=esp).boot.problems
    assert (problem.severity, problem.code) == ("warning", "default-undecided")


def entry(version: str, title: str = "T", options: str = "root=x") -> MenuEntry:
    kernel = file_of(b"boot/k", b"", mtime_ns=0)
    return MenuEntry(
        title=title, version=version, kernel=kernel, initrds=(), options=options, origin="boot"
    )


def esp_files(entries: Sequence[MenuEntry], names: Names, there: Present) -> list[Entry]:
    """Returns all that systemd-boot has, on one partition."""
    loader = loader_files(entries, b"MZ", X86_64, names=names, there=there, mtime_ns=0)
    return [*loader, *entry_files(entries, names=names, there_as=lambda _: None, mtime_ns=0)]


def on_esp(*entries: MenuEntry) -> dict[str, str]:
    """Returns the texts that systemd-boot reads."""
    files = esp_files(entries, Names("some", ""), Present())
    texts = (file for file in files if file.path.endswith(b".conf"))
    return {file.path.decode(): read(file, file.size).decode() for file in texts}


@pytest.mark.parametrize("version", ["6.1+3", "6.1+0", "6.1.0+2-1", "6.1+", "+3", "6.1+deb12"])
def test_no_version_is_taken_for_tries_that_are_left(version: str) -> None:
    confs = [path for path in on_esp(entry(version)) if "/entries/" in path]
    assert [counted(path)[1] for path in confs] == [-1]
    assert counted(named_paths([entry(version)])[0].decode())[1] == -1


def test_names_that_fat_confuses_are_told_apart() -> None:
    versions = ("6.1-rc1", "6.1~rc1", "6.1-RC1", "6.1 rc1")
    entries = [entry(version) for version in versions]
    assert len({name.lower() for name in Names("some", "").of(entries)}) == len(versions)
    assert len({path.lower() for path in named_paths(entries)}) == len(versions)


def test_names_are_short_enough_for_fat_and_end_in_the_version() -> None:
    long = "x" * 300
    written = [*on_esp(entry("6.1" + long)), named_paths([entry("6", long)])[0].decode()]
    assert all(len(part) <= 255 for path in written for part in path.split("/"))
    assert named_paths([entry("6.1", long)])[0].endswith(b"-6.1.efi")
    assert len(Names(long, "").token) <= 64


def test_quotes_around_a_command_line_stay() -> None:
    # systemd-boot takes them off a value (loader.conf's syntax); lines are put together again.
    options = '"dyndbg=file a.c +p" root=/dev/vda2 "x=a b"'
    (text,) = (t for path, t in on_esp(entry("6", options=options)).items() if "/entries/" in path)
    lines = [line for line in text.splitlines() if line.startswith("options ")]
    values = [line.removeprefix("options ") for line in lines]
    assert not any(len(v) > 1 and v[0] == v[-1] == '"' for v in values)
    assert " ".join(values) == options


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(st.lists(_NAMES, max_size=6))
def test_file_names_are_never_alike_and_always_plain(texts: list[str]) -> None:
    names = distinct(slug(text) for text in texts)
    assert len({name.lower() for name in names}) == len(texts)
    for name in names:
        assert name.isascii()
        assert 0 < len(name) < 130
        assert name[0] != "."
        assert not set(name) & set('\\/:*?"<>| ')
        assert counted(f"{name}.conf")[1] == -1


_VERSION = st.text(st.sampled_from("0169.-+~_ rcoldRC^é"), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@example(["C", "+1", "^0R"], "")
@given(st.lists(_VERSION, min_size=1, max_size=4, unique=True), st.sampled_from(["", "a" * 32]))
def test_the_first_is_what_starts_whatever_the_versions(versions: list[str], identity: str) -> None:
    found = find(
        tree(kernels(*versions)), kernel=None, initrds=None, cmdline="",
        volumes=[("root=UUID=u", "rw")],
    ).entries  # fmt: skip
    if not found:
        return  # all of them are leftovers
    names = Names("some", identity)
    files = esp_files(found, names, Present())
    assert started(files) == f"/{names.token}/{names.of(found)[0]}/linux"
    assert len({file.path.lower() for file in files}) == len(files)
    # Under settings that say nothing, the plan's order follows the loader's.
    silent = Present(conf="timeout 3\n")
    ordered = arranged(found, names, silent)
    files = esp_files(ordered, names, silent)
    assert started([f for f in files if not f.path.endswith(b"loader.conf")] + [_silent()]) == (
        f"/{names.token}/{names.of(ordered)[0]}/linux"
    )


def _silent() -> Entry:
    return file_of(b"loader/loader.conf", b"timeout 3\n", mtime_ns=0)


def test_an_image_is_installed_with_those_names() -> None:
    done: Installed = installed(kernels("6.1-rc1", "6.1~rc1"), "boot.efi_variables = true")
    esp = [each.path for each in done.volumes["esp"] if each.path.endswith(b"/linux")]
    assert sorted(esp) == [b"some/6.1-rc1-2/linux", b"some/6.1-rc1/linux"]
