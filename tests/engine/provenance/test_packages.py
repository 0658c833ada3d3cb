from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.manifest.manifest import Manifest
from engine.manifest.scan import scan
from engine.provenance import spdx
from engine.provenance.package import Package
from engine.provenance.packages import Inventory, inventory
from engine.spec.load import loads
from engine.spec.resolve import resolve

STATUS = """\
Package: base-files
Status: install ok installed
Maintainer: Some One <someone@example.org>
Architecture: amd64
Version: 12.4+deb12u5
Description: miscellaneous files
 Package: not-a-package

Package: libgcc-s1
Status: install ok installed
Architecture: amd64
Source: gcc-12
Version: 12.2.0-14
Homepage: http://gcc.gnu.org/

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
APK = """\
C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
L:MIT
o:musl
m:Timo <timo@alpinelinux.org>
U:https://musl.libc.org/
F:lib
R:libc.so

P:busybox
V:1.36.1-r5
A:x86_64
L:GPL-2.0-only
"""


def tree_of(tree: Path) -> Manifest:
    spec = loads(f'[[contents]]\nsource = "{tree}"\ntarget = "/"\n')
    settings, problems = resolve(spec, tree, {})
    assert not problems
    return scan(settings).volumes["root"]


def found_in(tree: Path, **files: str) -> Inventory:
    for name, text in files.items():
        path = tree / name.replace("__", "/")
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return inventory(tree_of(tree))


def test_dpkg(tmp_path: Path) -> None:
    found = found_in(tmp_path, var__lib__dpkg__status=STATUS, etc__x="")

    assert [(p.name, p.version, p.source) for p in found.packages] == [
        ("base-files", "12.4+deb12u5", ""),
        ("libgcc-s1", "12.2.0-14", "gcc-12"),
    ]
    assert found.databases == ("var/lib/dpkg/status",)


def test_dpkg_without_a_package_manager(tmp_path: Path) -> None:
    folder = tmp_path / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    (folder / "base").write_text("Package: base-files\nVersion: 12\nArchitecture: amd64\n")
    (folder / "base.md5sums").write_text("Package: no\n")

    assert [p.name for p in inventory(tree_of(tmp_path)).packages] == ["base-files"]


def test_apk(tmp_path: Path) -> None:
    found = found_in(tmp_path, lib__apk__db__installed=APK)

    assert [(p.name, p.version, p.license) for p in found.packages] == [
        ("busybox", "1.36.1-r5", "GPL-2.0-only"),
        ("musl", "1.2.4-r2", "MIT"),
    ]


def test_nix_store(tmp_path: Path) -> None:
    store = tmp_path / "nix/store"
    key = "0" * 32
    for name in ("glibc-2.38-44", "bash-interactive-5.2p26", "etc", "unit-dbus.service"):
        (store / f"{key}-{name}" / "x-1").mkdir(parents=True)
    (store / f"{key}-hello-2.12.drv").write_text("")
    (store / ".links").mkdir()

    names = [(p.name, p.version) for p in inventory(tree_of(tmp_path)).packages]

    assert names == [
        ("bash-interactive", "5.2p26"), ("etc", ""), ("glibc", "2.38-44"),
        ("unit-dbus.service", ""),
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="rpm is not installed")
def test_rpm(tmp_path: Path) -> None:
    spec = tmp_path / "thing.spec"
    spec.write_text(
        "Name: thing\nEpoch: 3\nVersion: 1.5\nRelease: 2\nSummary: A thing\nLicense: MIT\n"
        "URL: https://example.org/thing\nBuildArch: noarch\n%description\nA thing.\n%files\n"
    )
    top = tmp_path / "top"
    subprocess.run(
        ["rpmbuild", "-bb", "--define", f"_topdir {top}", spec], check=True, capture_output=True
    )
    package = next(top.rglob("*.rpm"))
    root = tmp_path / "root"
    database = ["--define", "_db_backend sqlite", "--define", f"_dbpath {root}/var/lib/rpm"]
    subprocess.run(
        ["rpm", *database, "-i", "--justdb", "--nodeps", "--noscripts", package],
        check=True, capture_output=True,
    )  # fmt: skip

    (thing,) = inventory(tree_of(root)).packages

    assert thing == Package(
        kind="rpm", name="thing", version="3:1.5-2", architecture="noarch",
        source="thing-1.5-2.src.rpm", homepage="https://example.org/thing", license="MIT",
    )  # fmt: skip


# rpm 4.18's headers of four packages, one of ten pages: put into hash databases by db_load of
# Berkeley DB 5.3 on either kind of machine, and into an ndb by rpm's own code, which deleted one
# and put it in again. Not every rpm can write these any more.
DATA = Path(__file__).parent / "data"
IN_RPM = [("alpha", "1.5-2"), ("beta", "1.5-2"), ("large", "3:1.5-2"), ("thing", "3:1.5-2")]


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("Packages", "var/lib/rpm/Packages"),
        ("Packages.big-endian", "var/lib/rpm/Packages"),
        ("Packages.db", "usr/lib/sysimage/rpm/Packages.db"),
    ],
)
def test_the_older_databases_of_rpm(tmp_path: Path, file: str, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    shutil.copy(DATA / file, tmp_path / place)

    found = inventory(tree_of(tmp_path))

    assert not found.unread
    assert found.databases == (place,)
    assert [(package.name, package.version) for package in found.packages] == IN_RPM
    assert found.packages[0].source == "alpha-1.5-2.src.rpm"


@pytest.mark.skipif(shutil.which("rpm") is None, reason="rpm is not installed")
@pytest.mark.parametrize("file", ["Packages", "Packages.big-endian"])
def test_rpm_finds_the_same_in_an_older_database(tmp_path: Path, file: str) -> None:
    shutil.copy(DATA / file, tmp_path / "Packages")
    ran = subprocess.run(
        ["rpm", "--define", "_db_backend bdb_ro", "--define", f"_dbpath {tmp_path}", "-qa", "--qf",
         "%{name} %|epoch?{%{epoch}:}|%{version}-%{release}\n"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "invalid %_db_backend" in ran.stderr:
        pytest.skip("this rpm reads its own kind only")

    assert sorted(tuple(line.split()) for line in ran.stdout.splitlines()) == IN_RPM


@pytest.mark.parametrize(
    ("file", "place", "at", "byte", "named"),
    [
        ("Packages", "var/lib/rpm/Packages", 20, 7, "not a whole number of pages"),
        ("Packages", "var/lib/rpm/Packages", 16, 3, "versions 8 to 10"),
        ("Packages.db", "var/lib/rpm/Packages.db", 13, 1, "pages of slots"),
        ("Packages.db", "var/lib/rpm/Packages.db", 32, 0, "no slot at byte 32"),
    ],
)
def test_damage_to_an_older_database_is_named(
    tmp_path: Path, file: str, place: str, at: int, byte: int, named: str
) -> None:
    data = bytearray((DATA / file).read_bytes())
    data[at] = byte
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(data)

    assert named in inventory(tree_of(tmp_path)).unread[0]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "var/lib/rpm"
    folder.mkdir(parents=True)
    (folder / "rpmdb.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)

    found = inventory(tree_of(tmp_path))

    assert not found.packages
    assert "rpmdb.sqlite: no rpm database" in found.unread[0]


def test_the_document_follows_the_format(tmp_path: Path) -> None:
    found = found_in(
        tmp_path, var__lib__dpkg__status=STATUS, usr__lib__os_release="",
        lib__apk__db__installed=APK, etc__os_release="ID=debian\n",
    )  # fmt: skip
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "etc/os-release").write_text('ID="devuan"\n')
    found = inventory(tree_of(tmp_path))
    seed = "3d0f2b1c-8f0e-4c58-9d9b-0a1f5d0e7c11"

    document = json.loads(spdx.dumps(found, name="demo", seed=seed, epoch=1_700_000_000))

    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    keys = [package["SPDXID"] for package in document["packages"]]
    assert len(set(keys)) == len(keys) == 5
    contained = {
        relation["relatedSpdxElement"] for relation in document["relationships"]
        if relation["relationshipType"] == "CONTAINS"
    }  # fmt: skip
    assert contained == set(keys[1:])
    purls = [p["externalRefs"][0]["referenceLocator"] for p in document["packages"][1:]]
    assert "pkg:deb/devuan/base-files@12.4%2Bdeb12u5?arch=amd64" in purls
    assert document["packages"][3]["supplier"] == "Person: Some One (someone@example.org)"
    again = json.loads(spdx.dumps(found, name="demo", seed=seed, epoch=1_700_000_000))
    assert again == document
