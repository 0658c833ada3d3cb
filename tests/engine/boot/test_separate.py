"""Kernels, initrds and menus that lie on volumes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.boot.install import Installed, install
from engine.manifest.manifest import Manifest
from engine.manifest.mounted import mounted_at
from engine.problem import Problem
from engine.spec.edit import apply_fix
from engine.spec.load import loads
from engine.spec.resolve import resolve
from tests.engine.boot.test_install import BOOTABLE, content, paths
from tests.engine.boot.trees import X86_KERNEL, spread

Tree = dict[str, bytes | str]
IN_USR: Tree = {
    "usr/lib/modules/6.1/vmlinuz": X86_KERNEL, "usr/lib/modules/6.1/initrd": b"new",
    "boot/amd-ucode.img": b"early", "lib": "usr/lib",
    "usr/lib/os-release": b'ID=some\nPRETTY_NAME="Some System"\n',
}  # fmt: skip
LEGACY = "layout.table = 'legacy+boot'\nboot.loader = 'grub'"
EXTENDED = "layout.table = 'efixbootldr'\nboot.loader = 'systemd-boot'"


def made(text: str, files: Mapping[str, bytes | str]) -> Installed:
    settings, problems = resolve(loads(f"schema = 1\n{text}"), Path("/spec"), {})
    assert not problems
    return install(settings, spread(dict(files), mounted_at(settings.volumes)))


def own(*volumes: str, loader: str = "systemd-boot") -> str:
    listed = ", ".join(f"{{ {volume} }}" for volume in volumes)
    return f"layout.table = 'gpt'\nboot.loader = '{loader}'\nvolume = [{listed}]"


def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """Returns prefix and modules of the core images that will be made from now on."""
    asked: list[tuple[str, tuple[str, ...]]] = []

    def mkimage(target: str, prefix: str, modules: tuple[str, ...]) -> bytes:
        asked.append((prefix, modules))
        return b"core"

    monkeypatch.setattr("engine.boot.parts.mkimage", mkimage)
    return asked


def text(manifest: Manifest, path: str) -> str:
    return content(manifest, path).decode()


def test_entries_and_kernels_go_to_the_extended_boot_partition() -> None:
    done = made(EXTENDED, IN_USR)
    assert paths(done.volumes["esp"]) == [
        "EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi", "loader/loader.conf",
    ]  # fmt: skip
    assert paths(done.volumes["xbootldr"]) == [
        "amd-ucode.img", "loader/entries/some-6.1.conf", "some/6.1/initrd", "some/6.1/initrd1",
        "some/6.1/linux",
    ]  # fmt: skip
    said = text(done.volumes["xbootldr"], "loader/entries/some-6.1.conf")
    # Its five bytes have to be filled up, so that it cannot stay where it is.
    assert "initrd /some/6.1/initrd\ninitrd /some/6.1/initrd1\n" in said


@pytest.mark.parametrize(
    ("spec", "home"),
    [
        (EXTENDED, "xbootldr"),
        (own("id = 'esp', mount = '/boot', size = '64MiB'", "id = 'root'"), "esp"),
    ],
)
def test_what_is_on_the_partition_of_the_entries_is_named_in_its_place(
    spec: str, home: str
) -> None:
    done = made(spec, BOOTABLE)
    said = text(done.volumes[home], "loader/entries/some-6.1.conf")
    assert "linux /vmlinuz-6.1\ninitrd /initrd.img-6.1\n" in said
    assert not [path for path in paths(done.volumes[home]) if path.startswith("some/")]


def test_a_name_that_an_entry_cannot_hold_is_copied() -> None:
    kernel: Tree = {"boot/vmlinuz-6.1 é": X86_KERNEL, "boot/initrd.img-6.1 é": b"new"}
    done = made(EXTENDED, kernel)
    said = text(done.volumes["xbootldr"], "loader/entries/linux-6.1.conf")
    assert "linux /linux/6.1/linux\ninitrd /linux/6.1/initrd\n" in said


def test_on_an_mbr_nobody_looks_for_an_extended_boot_partition() -> None:
    spec = own("id = 'esp', size = '64MiB'", "id = 'xbootldr', size = '64MiB'", "id = 'root'")
    done = made(spec.replace("'gpt'", "'mbr'"), IN_USR)
    assert "loader/entries/some-6.1.conf" in paths(done.volumes["esp"])


@pytest.mark.parametrize(
    ("spec", "prefix"),
    [
        (LEGACY, "(,msdos1)/grub"),
        (EXTENDED.replace("systemd-boot", "grub"), "(,gpt2)/grub"),
        (own("id = 'esp', size = '64MiB'", "id = 'root'", "id = 'boot'", loader="grub"),
         "(,gpt3)/grub"),
        (own("id = 'esp', size = '64MiB'", "id = 'root'", loader="grub"), "(,gpt2)/boot/grub"),
    ],
)  # fmt: skip
def test_grub_has_its_menu_on_the_volume_that_is_mounted_at_boot(
    spec: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_for(monkeypatch)
    done = made(spec, BOOTABLE)
    assert done.boot.problems == ()
    assert asked == [(prefix, ())]
    home = next(v for v in done.volumes.values() if any(p.endswith("grub.cfg") for p in paths(v)))
    folder = prefix.partition("/")[2]
    beside = folder.removesuffix("grub")
    said = text(home, f"{folder}/grub.cfg")
    assert f"  linux '/{beside}vmlinuz-6.1' 'root=UUID=" in said
    assert f"  initrd '/{beside}initrd.img-6.1'\n" in said
    assert "search" not in said


def test_grub_searches_a_volume_that_is_not_its_own() -> None:
    spec = own("id = 'bios-boot'", "id = 'root'", "id = 'usr'", "id = 'boot'", loader="grub")
    done = made(spec, IN_USR)
    settings, _ = resolve(loads(f"schema = 1\n{spec}"), Path("/spec"), {})
    usr = settings.of_role("usr")
    assert usr is not None
    said = text(done.volumes["boot"], "grub/grub.cfg").splitlines()
    assert f"  search --no-floppy --fs-uuid --set=volume0 {usr.uuid}" in said
    (linux,) = (line for line in said if line.startswith("  linux"))
    assert linux.startswith("  linux ($volume0)'/lib/modules/6.1/vmlinuz' 'root=UUID=")
    assert "  initrd '/amd-ucode.img' ($volume0)'/lib/modules/6.1/initrd'" in said


def test_grub_has_copies_of_what_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "engine.boot.grub_home.find_grub", lambda target, name="": name != "erofs.mod"
    )
    asked = asked_for(monkeypatch)
    spec = own(
        "id = 'bios-boot'", "id = 'root'", "id = 'usr', format = 'erofs'", "id = 'boot'",
        loader="grub",
    )  # fmt: skip
    taken: Tree = {**IN_USR, "boot/initrd-6.1.img": b"of another"}
    done = made(spec, taken)
    assert done.boot.problems == ()
    assert asked == [("(,gpt4)/grub", ())]
    assert paths(done.volumes["boot"]) == [
        "amd-ucode.img", "grub/grub.cfg", "initrd-6.1.img", "initrd-6.1.img-2",
        "vmlinuz-6.1",
    ]  # fmt: skip
    assert content(done.volumes["boot"], "vmlinuz-6.1") == X86_KERNEL
    assert content(done.volumes["boot"], "initrd-6.1.img-2") == b"new"
    said = text(done.volumes["boot"], "grub/grub.cfg")
    assert "search" not in said
    assert "  linux '/vmlinuz-6.1' 'root=UUID=" in said
    assert "  initrd '/amd-ucode.img' '/initrd-6.1.img-2'\n" in said


def test_a_separate_usr_is_named_to_the_initrd_unless_the_spec_names_it() -> None:
    spec = own("id = 'esp', size = '64MiB'", "id = 'root'", "id = 'usr', format = 'erofs'")
    settings, _ = resolve(loads(f"schema = 1\n{spec}"), Path("/spec"), {})
    usr = settings.of_role("usr")
    assert usr is not None
    (entry,) = made(spec, IN_USR).boot.menu
    mount = f"mount.usr=UUID={usr.uuid} mount.usrfstype=erofs mount.usrflags=ro"
    assert f" rw {mount} console=ttyS0" in entry.options
    (entry,) = made(f"{spec}\nboot.cmdline = 'mount.usr=LABEL=u'", IN_USR).boot.menu
    assert entry.options.endswith(" rw mount.usr=LABEL=u")


def test_the_root_is_named_by_its_own_identifiers() -> None:
    uuid = "0f0e0d0c-0b0a-4908-8706-050403020100"
    spec = own(
        "id = 'esp', size = '64MiB'", f"id = 'a', role = 'root', mount = '/', uuid = '{uuid}'",
        "id = 'b', role = 'root'",
    )  # fmt: skip
    (entry, _) = made(spec, BOOTABLE).boot.menu
    assert entry.options.startswith(f"root=UUID={uuid} rw")
    read_only = spec.replace("mount = '/'", "mount = '/', flags = ['read-only']")
    (entry, _) = made(read_only, BOOTABLE).boot.menu
    assert entry.options.startswith(f"root=UUID={uuid} ro")


@pytest.mark.parametrize(
    ("table", "expected"), [("legacy", "root=PARTUUID=%s-01 rw"), ("efi", "root=PARTUUID=")]
)
def test_a_kernel_without_an_initrd_is_offered_the_partition(table: str, expected: str) -> None:
    loader = "grub" if table == "legacy" else "systemd-boot"
    spec = loads(f"schema = 1\nlayout.table = '{table}'\nboot.loader = '{loader}'")
    files: Tree = {"boot/vmlinuz-6.1": X86_KERNEL}

    def planned() -> tuple[Problem, ...]:
        settings, _ = resolve(spec, Path("/"), {})
        return install(settings, spread(files, mounted_at(settings.volumes))).boot.problems

    (problem,) = planned()
    assert problem.fix is not None
    settings, _ = resolve(spec, Path("/"), {})
    spec = apply_fix(spec, problem.fix)
    assert planned() == ()
    wanted = expected % settings.mbr_signature if "%" in expected else expected
    assert wanted in str(spec.boot.cmdline)
    assert str(spec.boot.cmdline).startswith("console=ttyS0 root=PARTUUID=")


WHOLE: Tree = {**BOOTABLE, **{f"{name}/mark": b"" for name in ("dev", "proc", "run", "sys")}}
"""With what a system mounts onto, which a root that can only be read has to bring."""
ESP, ROOT = "id = 'esp', size = '64MiB'", "id = 'root', format = '{}'"
CANNOT = [
    (own("id = 'bios-boot'", ROOT.format("erofs"), loader="grub"), "volume[1].format"),
    (own(ESP, ROOT.format("erofs"), loader="grub"), "boot.loader"),
    (own(ESP.replace("id", "format = 'ext4', id"), ROOT.format("ext4")), "volume[0].format"),
    (own(ESP, "id = 'xbootldr', format = 'ext4'", ROOT.format("ext4")), "volume[1].format"),
]


@pytest.mark.parametrize(("spec", "path"), CANNOT)
def test_what_a_loader_cannot_read_is_said_and_the_fix_solves_it(
    spec: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Newer GRUBs have a reader for EROFS.
    monkeypatch.setattr(
        "engine.boot.grub_home.find_grub", lambda target, name="": name != "erofs.mod"
    )
    authored = loads(f"schema = 1\n{spec}")

    def problems() -> tuple[Problem, ...]:
        settings, _ = resolve(authored, Path("/"), {})
        return install(settings, spread(WHOLE, mounted_at(settings.volumes))).boot.problems

    (problem,) = problems()
    assert (problem.path, problem.severity) == (path, "error")
    assert problem.fix is not None
    authored = apply_fix(authored, problem.fix)
    assert problems() == ()


def test_a_module_that_grub_has_goes_into_its_core(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_for(monkeypatch)
    monkeypatch.setattr("engine.boot.grub_home.find_grub", lambda target, name="": True)
    assert made(CANNOT[1][0], WHOLE).boot.problems == ()
    assert [modules for _, modules in asked] == [("erofs",)]


def test_a_root_that_can_only_be_read_brings_what_is_mounted_onto() -> None:
    """As tried: systemd goes back to its initrd, again and again, where the root has no /run."""
    uki = own(ESP, ROOT.format("squashfs"), loader="uki")
    assert made(uki, WHOLE).boot.problems == ()
    lacking = {name: data for name, data in WHOLE.items() if not name.startswith("run/")}
    (problem,) = made(uki, lacking).boot.problems
    assert (problem.code, problem.severity) == ("root-without-mount-points", "warning")
    assert "bring no /run, and on root, which can only be read," in problem.message
    assert made(own(ESP, ROOT.format("ext4"), loader="uki"), lacking).boot.problems == ()


def test_a_menu_of_the_contents_is_said_to_be_replaced() -> None:
    done = made(LEGACY, BOOTABLE | {"boot/grub/grub.cfg": b"stale"})
    assert [(p.code, p.severity) for p in done.boot.problems] == [("menu-replaced", "warning")]
    # FAT knows no case: there must not be a second file.
    done = made(LEGACY, BOOTABLE | {"boot/GRUB/x": b"", "boot/GRUB/grub.cfg": b"stale"})
    assert [path for path in paths(done.volumes["boot"]) if path.lower() == "grub/grub.cfg"] == [
        "GRUB/grub.cfg"
    ]
    assert b"menuentry" in content(done.volumes["boot"], "GRUB/grub.cfg")


def test_unified_kernel_images_go_to_the_extended_boot_partition() -> None:
    """systemd-boot, on the ESP, finds them there; firmware alone would not."""
    files = IN_USR | {"usr/lib/modules/6.0/vmlinuz": X86_KERNEL,
                      "usr/lib/modules/6.0/initrd": b"old"}  # fmt: skip
    extended = EXTENDED.replace("systemd-boot", "uki")
    one, two = made(extended, IN_USR), made(extended, files)
    assert paths(one.volumes["esp"]) == paths(two.volumes["esp"]) == [
        "EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi", "loader/loader.conf",
    ]  # fmt: skip
    assert paths(one.volumes["xbootldr"]) == ["EFI/Linux/some-system-6.1.efi", "amd-ucode.img"]
    assert "default" not in text(one.volumes["esp"], "loader/loader.conf")
    assert paths(two.volumes["xbootldr"]) == [
        "EFI/Linux/some-system-6.0.efi", "EFI/Linux/some-system-6.1.efi", "amd-ucode.img",
    ]  # fmt: skip
    assert "default some-system-6.1.efi\n" in text(two.volumes["esp"], "loader/loader.conf")
    assert two.boot.efi_entries == (("Some System", "EFI/systemd/systemd-bootx64.efi"),)
    ext4 = own("id = 'esp', size = '64MiB'", "id = 'xbootldr', format = 'ext4'", "id = 'root'",
               loader="uki")  # fmt: skip
    assert [problem.code for problem in made(ext4, IN_USR).boot.problems] == [
        "firmware-cannot-read"
    ]
