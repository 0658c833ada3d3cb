"""What keeps an image from booting is said before anything is written, with what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.boot import firmware, parts
from engine.boot.parts import mkimage
from engine.cli import exits
from engine.cli.main import main
from engine.plan import host
from engine.tools.installed import installed
from tests.engine.boot.trees import ARM64_KERNEL, X86_KERNEL

MIB = 1 << 20

Arrange = Callable[[Path, pytest.MonkeyPatch], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a kernel, as far as anyone looks before booting it."""
    folder = tmp_path / "root"
    (folder / "boot").mkdir(parents=True)
    (folder / "etc").mkdir()
    (folder / "boot/vmlinuz-6.1").write_bytes(X86_KERNEL)
    (folder / "boot/initrd.img-6.1").write_bytes(b"initrd")
    (tmp_path / "spec.toml").write_text(
        'schema = 1\n[size]\nadditional = "8MiB"\nboot = "64MiB"\n'
        '[[contents]]\nsource = "root"\ntarget = "/"\n'
    )
    return folder


def refused(root: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    """Builds, which must be refused with nothing written; returns what was said."""
    folder = root.parent
    words = [word for override in overrides for word in ("--set", override)]
    before = sorted(folder.rglob("*"))
    code = main(["build", str(folder / "spec.toml"), "-o", str(folder / "out"), *words])
    said = capsys.readouterr().err
    assert code == exits.REFUSED, said
    assert sorted(folder.rglob("*")) == before
    return said


def nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contents as they are."""


def no_kernel(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "boot/vmlinuz-6.1").unlink()


def no_virt_firmware(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.plan.host.find_program", lambda extra: None)


def no_initrd(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "boot/initrd.img-6.1").unlink()


def elf_kernel(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "boot/vmlinuz-6.1").write_bytes(b"\x7fELF" + bytes(2000))


def arm_kernel(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "boot/vmlinuz-6.1").write_bytes(ARM64_KERNEL)


def large_kernel(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "boot/vmlinuz-6.1").write_bytes(X86_KERNEL + bytes(70 * MIB))


def large_core(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "mkimage", lambda target, prefix, modules: bytes(2 * MIB))


def boot_is_a_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "boot").rename(root / "lib")
    (root / "usr/lib/modules/6.1").mkdir(parents=True)
    (root / "lib/vmlinuz-6.1").rename(root / "usr/lib/modules/6.1/vmlinuz")
    (root / "lib/initrd.img-6.1").rename(root / "usr/lib/modules/6.1/initrd")
    (root / "boot").write_text("")


def no_grub(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "_GRUB", ())
    monkeypatch.setattr(firmware, "_GRUB_COMMANDS", ())


def no_systemd_boot(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "_SYSTEMD_BOOT", ())
    monkeypatch.setattr(firmware, "_SYSTEMD_COMMANDS", ())


def no_ovmf(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "_OVMF", ())


def arm_without_firmware(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm_kernel(root, monkeypatch)
    monkeypatch.setattr(firmware, "_AAVMF", ())


def riscv_kernel(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "boot/vmlinuz-6.1").write_bytes(bytes(0x38) + b"RSC\x05" + bytes(1024))


def no_qemu(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: tool for name, tool in installed().items() if "qemu" not in name}
    monkeypatch.setattr(host, "installed", lambda: found)


GRUB = ("boot.loader=grub", "layout.table=legacy")
SYSTEMD = ("boot.loader=systemd-boot", "layout.table=efi")

CASES: list[tuple[Arrange, tuple[str, ...], tuple[str, ...]]] = [
    (no_kernel, GRUB, ("boot.kernel", "no /boot/vmlinuz-*", "no /usr/lib/modules/*/vmlinuz")),
    (no_initrd, SYSTEMD, ("boot.initrd", "/boot/vmlinuz-6.1 has no initrd")),
    (nothing, (*GRUB, "boot.kernel=none/such"), ("boot.kernel", "'none/such'", "/none/such")),
    (nothing, (*GRUB, "boot.initrd=none/such"), ("boot.initrd", "/none/such")),
    (nothing, ("boot.loader=uki", "layout.table=legacy"), ("does not fit", "what fits: none, gru")),
    (nothing, ("boot.loader=grub", "layout.table=none"), ("boot.loader", "does not fit")),
    (nothing, (*GRUB, "layout.sector_size=4096"), ("layout.sector_size", "512-byte sectors only")),
    (elf_kernel, GRUB, ("/boot/vmlinuz-6.1", "not the ELF file vmlinux")),
    (arm_kernel, GRUB, ("GRUB is for x86_64", "kernel for aarch64")),
    (arm_kernel, ("boot.loader=uki", "layout.table=hybrid"), ("layout.table", "which has none")),
    (large_core, GRUB, ("core.img takes 4096 sectors of 512 bytes", "first partition has 2047")),
    (large_core, ("boot.loader=grub", "layout.table=hybrid"), ("BIOS boot partition has 2048",)),
    (large_kernel, SYSTEMD, ("size.boot", "the ESP's contents take 70.", "smallest ESP that work")),
    (boot_is_a_file, GRUB, ("GRUB cannot be prepared: /boot is not a directory",)),
    (no_grub, GRUB, ("GRUB for BIOS", "grub-pc-bin")),
    (no_grub, ("boot.loader=grub", "layout.table=efi"), ("GRUB for UEFI", "grub-efi-amd64-bin")),
    (no_systemd_boot, SYSTEMD, ("systemd-bootx64.efi", "systemd-boot-efi")),
    (no_systemd_boot, ("boot.loader=uki", "layout.table=efi"), ("linuxx64.efi.stub",)),
    (no_ovmf, (*SYSTEMD, "boot.prove=true"), ("boot.prove", "OVMF", "ovmf")),
    (no_ovmf, (*SYSTEMD, "boot.efi_variables=true"), ("boot.efi_variables", "OVMF")),
    (arm_without_firmware, (*SYSTEMD, "boot.prove=true"), ("QEMU and aarch64", "qemu-efi-aarch64")),
    (riscv_kernel, (*SYSTEMD, "boot.prove=true"), ("x86_64 and aarch64 only", "is for riscv64")),
    (
        no_virt_firmware,
        (*SYSTEMD, "boot.efi_variables=true"),
        ("boot.efi_variables", "virt-fw-vars of virt-firmware", "setup/extra efi"),
    ),
    (no_qemu, (*GRUB, "boot.prove=true"), ("qemu-system-x86_64 is not installed", "qemu-system")),
    (nothing, ("layout.table=none", "boot.prove=true"), ("boot.prove", "no firmware boots it")),
]


@pytest.mark.parametrize(
    ("arrange", "overrides", "expected"),
    CASES,
    ids=[f"{arrange.__name__}-{'-'.join(overrides)}" for arrange, overrides, _ in CASES],
)
def test_it_is_said_before_anything_is_written(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    arrange: Arrange, overrides: tuple[str, ...], expected: tuple[str, ...],
) -> None:  # fmt: skip
    arrange(root, monkeypatch)
    said = refused(root, capsys, *overrides)
    assert all(text in said for text in expected), said


def test_contents_keep_their_own_loader_configuration_but_not_the_loaders_place(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    esp = root.parent / "esp"
    (esp / "efi/boot").mkdir(parents=True)
    (esp / "efi/boot/bootx64.efi").write_bytes(b"MZ")
    spec = root.parent / "spec.toml"
    spec.write_text(
        spec.read_text() + '[[contents]]\nsource = "esp"\ntarget = "/"\npartition = "esp"\n'
    )
    said = refused(root, capsys, *SYSTEMD)
    assert "put /efi/boot/bootx64.efi" in said
    assert f"{esp}/efi/boot/bootx64.efi" in said


def test_the_fix_for_a_small_esp_works_and_leaves_room(root: Path) -> None:
    from engine.spec.edit import apply_fix
    from engine.spec.load import load
    from tests.support.specs import plan_of

    large_kernel(root, pytest.MonkeyPatch())
    spec = root.parent / "spec.toml"
    (problem,) = plan_of(spec, SYSTEMD).problems
    assert problem.fix is not None
    fixed = apply_fix(load(spec, SYSTEMD).spec, problem.fix)
    wanted = fixed.size.boot
    assert plan_of(spec, (*SYSTEMD, f'size.boot="{wanted}"')).problems == ()
    assert isinstance(wanted, str)
    (least,) = re.findall(r"the smallest ESP that works is (\d+)MiB", problem.hint)
    assert plan_of(spec, (*SYSTEMD, f'size.boot="{least}MiB"')).problems == ()
    assert plan_of(spec, (*SYSTEMD, f'size.boot="{int(least) - 1}MiB"')).problems
    assert int(wanted.removesuffix("MiB")) >= int(least) + 16


def test_a_core_image_of_this_machine_fits_everywhere(root: Path) -> None:
    from tests.support.specs import plan_of

    mkimage.cache_clear()
    spec = root.parent / "spec.toml"
    for table in ("legacy", "legacy+gpt", "hybrid"):
        for compat in ("none", "make-disk-image"):
            sizes = (f"compat={compat}", 'size.additional="8M"', 'size.boot="64M"')
            plan = plan_of(spec, ("boot.loader=grub", f"layout.table={table}", *sizes))
            code = plan.boot.code
            assert code is not None
            assert 64 < code.sectors <= code.room
            assert plan.volume("root").number == int(
                {"legacy": "1", "legacy+gpt": "2", "hybrid": "3"}[table]
            )
            assert [one.code for one in plan.problems if one.severity == "error"] == []


def test_replacing_settings_makes_a_new_answer() -> None:
    from engine.boot.install import LoaderCache, install
    from tests.engine.plan.support import Contents, settings

    cache, contents = LoaderCache(), Contents().volumes
    wanted = settings("efi")
    first = install(wanted, contents, cache)
    assert (
        install(replace(wanted, layout=replace(wanted.layout, label="x")), contents, cache) is first
    )
    assert (
        install(replace(wanted, boot=replace(wanted.boot, cmdline="quiet")), contents, cache)
        is not first
    )
    assert install(wanted, Contents().volumes, cache) is not first
