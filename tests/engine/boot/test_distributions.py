"""Which kernel and which initrds are found in the roots of distributions, as they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.boot.kernels import KernelMenu, find
from engine.boot.names import Standing, standing
from tests.engine.boot.trees import ARM64_KERNEL, X86_KERNEL, tree, x86_kernel

K, A, I = X86_KERNEL, ARM64_KERNEL, b"initrd"  # noqa: E741 - kernel, arm64 kernel, initrd
Files = dict[str, bytes | str]


def menu(files: Files, cmdline: str = "") -> KernelMenu:
    return find(
        tree(files), kernel=None, initrds=None, cmdline=cmdline, volumes=[("root=UUID=u", "rw")]
    )


def listed(files: Files) -> list[tuple[str, ...]]:
    """Returns the paths of each entry's kernel and initrds; nothing may be wrong."""
    found = menu(files)
    assert [problem for problem in found.problems if problem.severity == "error"] == []
    return [(entry.kernel_path, *entry.initrd_paths) for entry in found.entries]


DISTRIBUTIONS: dict[str, tuple[Files, list[tuple[str, ...]]]] = {
    "debian": (
        {
            "boot/vmlinuz-6.1.0-9-amd64": K, "boot/initrd.img-6.1.0-9-amd64": I,
            "boot/vmlinuz-6.1.0-10-amd64": K, "boot/initrd.img-6.1.0-10-amd64": I,
            "boot/config-6.1.0-10-amd64": b"x", "boot/System.map-6.1.0-10-amd64": b"x",
            "vmlinuz": "boot/vmlinuz-6.1.0-10-amd64",
            "initrd.img": "boot/initrd.img-6.1.0-10-amd64",
            "vmlinuz.old": "boot/vmlinuz-6.1.0-9-amd64",
            "initrd.img.old": "boot/initrd.img-6.1.0-9-amd64",
        },
        [("/boot/vmlinuz-6.1.0-10-amd64", "/boot/initrd.img-6.1.0-10-amd64"),
         ("/boot/vmlinuz-6.1.0-9-amd64", "/boot/initrd.img-6.1.0-9-amd64")],
    ),
    "ubuntu, a release candidate of the mainline archive": (
        {
            "boot/vmlinuz-6.10.0-061000rc5-generic": K,
            "boot/initrd.img-6.10.0-061000rc5-generic": I,
            "boot/vmlinuz-6.10.0-061000-generic": K, "boot/initrd.img-6.10.0-061000-generic": I,
            "boot/vmlinuz": "vmlinuz-6.10.0-061000rc5-generic",
            "boot/initrd.img": "initrd.img-6.10.0-061000rc5-generic",
        },
        [("/boot/vmlinuz-6.10.0-061000-generic", "/boot/initrd.img-6.10.0-061000-generic"),
         ("/boot/vmlinuz-6.10.0-061000rc5-generic", "/boot/initrd.img-6.10.0-061000rc5-generic")],
    ),
    "fedora": (
        {
            "boot/vmlinuz-6.11.4-301.fc41.x86_64": K,
            "boot/initramfs-6.11.4-301.fc41.x86_64.img": I,
            "boot/initramfs-6.11.4-301.fc41.x86_64kdump.img": I,
            "boot/.vmlinuz-6.11.4-301.fc41.x86_64.hmac": b"x",
            "boot/vmlinuz-6.11.4-301.fc41.x86_64+debug": K,
            "boot/initramfs-6.11.4-301.fc41.x86_64+debug.img": I,
            "boot/vmlinuz-0-rescue-0123456789abcdef0123456789abcdef": K,
            "boot/initramfs-0-rescue-0123456789abcdef0123456789abcdef.img": I,
            "usr/lib/modules/6.11.4-301.fc41.x86_64/vmlinuz": K,
            "boot/loader/entries/0123456789abcdef0123456789abcdef-6.11.4.conf": b"title x",
        },
        [("/boot/vmlinuz-6.11.4-301.fc41.x86_64", "/boot/initramfs-6.11.4-301.fc41.x86_64.img"),
         ("/boot/vmlinuz-6.11.4-301.fc41.x86_64+debug",
          "/boot/initramfs-6.11.4-301.fc41.x86_64+debug.img"),
         ("/boot/vmlinuz-0-rescue-0123456789abcdef0123456789abcdef",
          "/boot/initramfs-0-rescue-0123456789abcdef0123456789abcdef.img")],
    ),
    "fedora's image mode": (
        {"usr/lib/modules/6.11.4-301.fc41.x86_64/vmlinuz": K,
         "usr/lib/modules/6.11.4-301.fc41.x86_64/initramfs.img": I},
        [("/usr/lib/modules/6.11.4-301.fc41.x86_64/vmlinuz",
          "/usr/lib/modules/6.11.4-301.fc41.x86_64/initramfs.img")],
    ),
    "arch": (
        {
            "boot/vmlinuz-linux": x86_kernel("6.17.1-arch1-1"), "boot/initramfs-linux.img": I,
            "boot/initramfs-linux-fallback.img": b"larger", "boot/intel-ucode.img": b"i",
            "boot/amd-ucode.img": b"a", "boot/vmlinuz-linux-lts": x86_kernel("6.12.51-1-lts"),
            "boot/initramfs-linux-lts.img": I,
        },
        [("/boot/vmlinuz-linux", "/boot/intel-ucode.img", "/boot/amd-ucode.img",
          "/boot/initramfs-linux.img"),
         ("/boot/vmlinuz-linux-lts", "/boot/intel-ucode.img", "/boot/amd-ucode.img",
          "/boot/initramfs-linux-lts.img")],
    ),
    "arch, the kernel with its modules only": (
        {"usr/lib/modules/6.17.1-arch1-1/vmlinuz": K, "boot/initramfs-linux.img": I,
         "usr/lib/modules/6.17.1-arch1-1/pkgbase": b"linux\n"},
        [("/usr/lib/modules/6.17.1-arch1-1/vmlinuz", "/boot/initramfs-linux.img")],
    ),
    "arch, with its fallback alone": (
        {"boot/vmlinuz-linux": K, "boot/initramfs-linux-fallback.img": I},
        [("/boot/vmlinuz-linux", "/boot/initramfs-linux-fallback.img")],
    ),
    "alpine": (
        {"boot/vmlinuz-virt": K, "boot/initramfs-virt": I, "boot/config-6.12.8-0-virt": b"x",
         "boot/amd-ucode.img": b"a"},
        [("/boot/vmlinuz-virt", "/boot/amd-ucode.img", "/boot/initramfs-virt")],
    ),
    "opensuse": (
        {
            "boot/vmlinuz-6.11.8-1-default": "../usr/lib/modules/6.11.8-1-default/vmlinuz",
            "usr/lib/modules/6.11.8-1-default/vmlinuz": K, "boot/initrd-6.11.8-1-default": I,
            "boot/vmlinuz": "vmlinuz-6.11.8-1-default", "boot/initrd": "initrd-6.11.8-1-default",
        },
        [("/usr/lib/modules/6.11.8-1-default/vmlinuz", "/boot/initrd-6.11.8-1-default")],
    ),
    "opensuse of arm64": (
        {
            "boot/Image-6.11.8-1-default": "../usr/lib/modules/6.11.8-1-default/Image",
            "usr/lib/modules/6.11.8-1-default/Image": A, "boot/initrd-6.11.8-1-default": I,
            "boot/Image": "Image-6.11.8-1-default", "boot/vmlinux-6.11.8-1-default.gz": b"\x1f\x8b",
            "boot/amd-ucode.img": b"a",
        },
        [("/usr/lib/modules/6.11.8-1-default/Image", "/boot/initrd-6.11.8-1-default")],
    ),
    "a newer kernel that is a link": (
        {"boot/vmlinuz-6.1": K, "boot/initrd.img-6.1": I, "boot/initrd.img-6.2": I,
         "boot/vmlinuz-6.2": "../usr/lib/modules/6.2/vmlinuz", "usr/lib/modules/6.2/vmlinuz": K},
        [("/usr/lib/modules/6.2/vmlinuz", "/boot/initrd.img-6.2"),
         ("/boot/vmlinuz-6.1", "/boot/initrd.img-6.1")],
    ),
    "a second name of a kernel": (
        {"boot/vmlinuz-6.1": K, "boot/initrd.img-6.1": I, "boot/vmlinuz-current": "vmlinuz-6.1"},
        [("/boot/vmlinuz-6.1", "/boot/initrd.img-6.1")],
    ),
    "void of arm64": (
        {"boot/vmlinux-6.6.3_1": A, "boot/initramfs-6.6.3_1.img": I},
        [("/boot/vmlinux-6.6.3_1", "/boot/initramfs-6.6.3_1.img")],
    ),
    "gentoo": (
        {"boot/kernel-6.6.30-gentoo": K, "boot/initramfs-6.6.30-gentoo.img": I,
         "boot/kernel-6.6.30-gentoo.old": K, "boot/early_ucode.cpio": b"u",
         "boot/intel-uc.img": b"i"},
        [("/boot/kernel-6.6.30-gentoo", "/boot/intel-uc.img", "/boot/early_ucode.cpio",
          "/boot/initramfs-6.6.30-gentoo.img"),
         ("/boot/kernel-6.6.30-gentoo.old", "/boot/intel-uc.img", "/boot/early_ucode.cpio",
          "/boot/initramfs-6.6.30-gentoo.img")],
    ),
    "gentoo's genkernel": (
        {"boot/kernel-genkernel-x86_64-5.15.9": K, "boot/initramfs-genkernel-x86_64-5.15.9": I,
         "boot/kernel-genkernel-x86_64-5.15.10": K, "boot/initramfs-genkernel-x86_64-5.15.10": I},
        [("/boot/kernel-genkernel-x86_64-5.15.10", "/boot/initramfs-genkernel-x86_64-5.15.10"),
         ("/boot/kernel-genkernel-x86_64-5.15.9", "/boot/initramfs-genkernel-x86_64-5.15.9")],
    ),
    "slackware": (
        {"boot/vmlinuz-generic-5.15.19": K, "boot/vmlinuz-generic": "vmlinuz-generic-5.15.19",
         "boot/initrd-generic-5.15.19.gz": I},
        [("/boot/vmlinuz-generic-5.15.19", "/boot/initrd-generic-5.15.19.gz")],
    ),
    "kernel-install": (
        {"boot/fedora/6.11.4/linux": K, "boot/fedora/6.11.4/initrd": I, "boot/efi/EFI/x": b"",
         "boot/loader/entries/fedora-6.11.4.conf": b"title x"},
        [("/boot/fedora/6.11.4/linux", "/boot/fedora/6.11.4/initrd")],
    ),
    "by hand": ({"boot/bzImage": K, "boot/initrd.img": I}, [("/boot/bzImage", "/boot/initrd.img")]),
    "by hand, links in the root": (
        {"vmlinuz": "data/k", "data/k": K, "initrd.img": "data/i", "data/i": I},
        [("/data/k", "/data/i")],
    ),
    "by hand, arm64": ({"boot/Image": A, "boot/initrd": I}, [("/boot/Image", "/boot/initrd")]),
}  # fmt: skip


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_kernels_of_distributions_are_found_with_their_initrds(name: str) -> None:
    files, expected = DISTRIBUTIONS[name]
    assert listed(files) == expected


LEFTOVERS = (
    ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".dpkg-bak", ".dpkg-dist", ".ucf-dist", ".rpmnew",
    ".rpmsave", ".rpmorig", ";5f3a9c01", ".pacnew", ".pacsave", ".pacsave.1", ".apk-new", ".new",
    ".new-6.1_2", ".tmp", ".part", ".swp", ".efi.signed", ".signed", ".sig", ".sign", ".asc",
    ".hmac", ".sha256", ".sha512sum", ".md5", ".old.dpkg-new",
)  # fmt: skip
COPIES = (
    ".old", ".old.1", ".OLD", "-old", ".bak", ".bak2", ".backup", ".orig", ".save", "~", ".~1~",
    "~1~", ".prev", "-backup", ".copy", " (copy)", ".old.old", ".old~",
)  # fmt: skip


@pytest.mark.parametrize(
    "ending", [*LEFTOVERS, *COPIES, "-rescue", ".unheard-of", ".zzz", ".copy 2"]
)
@pytest.mark.parametrize("version", ["6.1", "linux", "virt", "6.1.0-13-amd64"])
def test_what_lies_beside_a_kernel_neither_comes_first_nor_stops_a_plan(
    version: str, ending: str
) -> None:
    files: Files = {f"boot/vmlinuz-{version}": K, f"boot/initrd.img-{version}": I}
    beside = files | {f"boot/vmlinuz-{version}{ending}": K}
    assert listed(beside)[0] == (f"/boot/vmlinuz-{version}", f"/boot/initrd.img-{version}")
    if not ending.startswith((".unheard", ".zzz", ".copy 2")):
        complete = beside | {f"boot/initrd.img-{version}{ending}": b"old"}
        assert listed(complete)[0] == (f"/boot/vmlinuz-{version}", f"/boot/initrd.img-{version}")


@pytest.mark.parametrize("ending", LEFTOVERS)
def test_leftovers_are_no_kernels(ending: str) -> None:
    assert standing(f"vmlinuz-6.1{ending}") is None
    (problem,) = menu({f"boot/vmlinuz-6.1{ending}": K, f"boot/initrd.img-6.1{ending}": I}).problems
    assert problem.code == "no-kernel"


@pytest.mark.parametrize("ending", COPIES)
def test_copies_come_last_and_have_their_own_initrd(ending: str) -> None:
    assert standing(f"vmlinuz-6.1{ending}") is Standing.BACKUP
    files: Files = {
        "boot/vmlinuz-6.1": K, "boot/initrd.img-6.1": I, "boot/vmlinuz-5.10": K,
        "boot/initrd.img-5.10": I, f"boot/vmlinuz-6.1{ending}": K,
        f"boot/initrd.img-6.1{ending}": I,
    }  # fmt: skip
    assert listed(files)[2] == (f"/boot/vmlinuz-6.1{ending}", f"/boot/initrd.img-6.1{ending}")


def test_a_copy_is_booted_where_nothing_else_is_left() -> None:
    files: Files = {"boot/vmlinuz-6.1.old": K, "boot/initrd.img-6.1.old": I}
    assert listed(files) == [("/boot/vmlinuz-6.1.old", "/boot/initrd.img-6.1.old")]
    whole: Files = {"usr/lib/modules/6.1/vmlinuz": K, "boot/initrd.img-6.1": I}
    assert listed(files | whole) == [("/usr/lib/modules/6.1/vmlinuz", "/boot/initrd.img-6.1")]


@pytest.mark.parametrize(
    ("kernel", "initrd"),
    [("6.1.old", "initramfs-6.1.img.old"), ("6.1.old", "initrd.img-6.1"),
     ("6.1.gz", "initrd.img-6.1"), ("6.1.efi", "initramfs-6.1.img")],
)  # fmt: skip
def test_an_initrd_may_be_named_otherwise(kernel: str, initrd: str) -> None:
    files: Files = {f"boot/vmlinuz-{kernel}": K, f"boot/{initrd}": I}
    assert listed(files) == [(f"/boot/vmlinuz-{kernel}", f"/boot/{initrd}")]


def test_a_newer_kernel_without_its_initrd_still_stops_a_plan() -> None:
    found = menu({"boot/vmlinuz-6.1": K, "boot/initrd-6.1": I, "boot/vmlinuz-6.1.2": K})
    (problem,) = found.problems
    assert (problem.severity, problem.code) == ("error", "no-initrd")
    assert "/boot/vmlinuz-6.1.2" in problem.message


def test_an_empty_initrd_is_none() -> None:
    (problem,) = menu({"boot/vmlinuz-6.1": K, "boot/initrd-6.1": b""}).problems
    assert problem.code == "no-initrd"


def test_what_is_no_kernel_is_left_out_with_a_word() -> None:
    found = menu({"boot/vmlinuz-6.2": b"", "boot/vmlinuz-6.1": K, "boot/initrd-6.1": I})
    assert [entry.version for entry in found.entries] == ["6.1"]
    (problem,) = found.problems
    assert (problem.severity, problem.code) == ("warning", "kernel-unknown")
    assert "/boot/vmlinuz-6.2" in problem.message


def test_kernels_for_another_machine_are_left_out_with_a_word() -> None:
    found = menu(
        {"boot/vmlinuz-6.2": A, "boot/initrd-6.2": I, "boot/vmlinuz-6.1": K, "boot/initrd-6.1": I}
    )
    assert [entry.version for entry in found.entries] == ["6.2"]
    (problem,) = found.problems
    assert (problem.severity, problem.code) == ("warning", "kernel-architecture")


def test_microcode_alone_finds_no_root() -> None:
    (problem,) = menu({"boot/vmlinuz-6.1": K, "boot/amd-ucode.img": b"a"}).problems
    assert problem.code == "no-initrd"
    found = menu({"boot/vmlinuz-6.1": K, "boot/amd-ucode.img": b"a"}, "root=/dev/vda2")
    assert found.entries[0].initrd_paths == ("/boot/amd-ucode.img",)


def test_the_bytes_of_a_name_are_kept_for_paths_and_replaced_for_menus() -> None:
    found = menu({"boot/vmlinuz-6.1\udcff\x1b[2J": K, "boot/initrd.img-6.1\udcff\x1b[2J": I})
    (entry,) = found.entries
    assert entry.version == "6.1\ufffd\ufffd[2J"
    assert entry.initrd_paths == ("/boot/initrd.img-6.1\udcff\x1b[2J",)


_VERSIONS = st.from_regex(
    r"[0-9]\.[0-9]{1,2}(\.[0-9])?(-rc[0-9]|~rc[0-9]|-[a-z]{1,3})?", fullmatch=True
)


@given(st.lists(_VERSIONS, min_size=1, max_size=5, unique=True), st.data())
def test_no_copy_ever_comes_before_a_kernel(versions: list[str], data: st.DataObject) -> None:
    files: Files = {}
    for version in versions:
        files |= {f"boot/vmlinuz-{version}": K, f"boot/initrd.img-{version}": I}
        for ending in data.draw(st.sets(st.sampled_from(LEFTOVERS + COPIES), max_size=2)):
            files |= {f"boot/vmlinuz-{version}{ending}": K}
            if data.draw(st.booleans()):
                files |= {f"boot/initrd.img-{version}{ending}": I}
    kernels = [entry.version for entry in menu(files).entries]
    assert set(kernels[: len(versions)]) == set(versions)
