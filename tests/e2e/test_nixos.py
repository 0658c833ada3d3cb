"""A NixOS-like system, built by the real nix, imaged, verified by nix inside, and booted."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.boot.firmware import FirmwareKind
from engine.cli.main import main
from engine.events import AnyEvent, BuildFinished, Log, StepFinished, StepStarted, decode
from tests.support.booting import (
    Built,
    alone,
    boots,
    build_spec,
    cache_folder,
    check_tools,
    report,
)
from tests.support.busybox import Kernel, fetch_kernel
from tests.support.nixos import Lab, make_lab
from tests.support.specs import plan_of
from tests.support.tools import run_tool

NOBODY = 65534
ORDINARY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
    "--bounding-set=-all", "--inh-caps=-all",
)  # fmt: skip
PROJECT = Path(__file__).parents[2]

SPEC = """\
schema = 1
name = "lab"
[layout]
table = "{table}"
[size]
additional = "8MiB"
boot = "64MiB"
[boot]
loader = "{loader}"
cmdline = "panic=-1"
[nix]
system = "{system}"
store = "{store}"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(autouse=True)
def _in_the_lab(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)


def spec_of(
    folder: Path,
    lab: Lab,
    system: str,
    *,
    table: str = "none",
    loader: str = "none",
    more: str = "",
) -> Path:
    spec = folder / "lab.toml"
    text = SPEC.format(table=table, loader=loader, system=system, store=lab.folder)
    spec.write_text(text + more)
    return spec


def events_of(record: Path) -> list[AnyEvent]:
    return [decode(line) for line in record.read_bytes().splitlines()]


def extracted(built: Built, folder: Path) -> Path:
    """Unpacks the root file system of an image, by a tool that is not ours."""
    folder.mkdir()
    where = f"{built.image}?offset={built.plan.offset('root')}"
    run_tool(["debugfs", "-R", f"rdump / {folder}", where], check=True, capture_output=True)
    return folder


def verify(lab: Lab, root: Path) -> None:
    """Has nix check every path of a root's store against its database."""
    lab.nix("nix-store", "--store", str(root), "--verify", "--check-contents")


@pytest.mark.parametrize("table", ["none", "legacy", "legacy+gpt", "efi", "hybrid"])
def test_nix_verifies_the_store_of_every_layout(table: str, lab: Lab, tmp_path: Path) -> None:
    system = lab.build("toplevel")
    (tmp_path / "nixpkgs" / "lib").mkdir(parents=True)
    (tmp_path / "nixpkgs" / "lib" / "run me").write_text("#!/bin/sh\n")
    (tmp_path / "nixpkgs" / "lib" / "run me").chmod(0o755)
    spec = spec_of(tmp_path, lab, system, table=table, more='copy_channel = "nixpkgs"\n')

    root = extracted(build_spec(spec, tmp_path / "out"), tmp_path / "root")

    verify(lab, root)
    registered = lab.nix("nix", "path-info", "--store", str(root), "--all").split()
    listed = lab.nix("nix-store", "-qR", system).split()
    channel = (root / "nix/var/nix/profiles/per-user/root/channels-1-link").readlink()
    assert sorted(registered) == sorted([*listed, str(channel)])
    live = lab.nix("nix-store", "--store", str(root), "--gc", "--print-live").split()
    assert sorted(live) == sorted(registered)
    dead = lab.nix("nix-store", "--store", str(root), "--gc", "--print-dead").split()
    assert dead == []


def test_verifying_finds_what_is_not_as_registered(lab: Lab, tmp_path: Path) -> None:
    built = build_spec(spec_of(tmp_path, lab, lab.build("toplevel")), tmp_path / "out")
    root = extracted(built, tmp_path / "root")
    version = next(root.glob("nix/store/*-library-1.0/lib/version"))
    version.chmod(0o644)
    version.write_text("forged\n")

    with pytest.raises(AssertionError, match="was modified"):
        verify(lab, root)


def test_two_builds_from_two_stores_are_the_same_bytes(tmp_path: Path, lab: Lab) -> None:
    system = lab.build("toplevel")
    other = Lab(tmp_path / "other", lab.sources, lab.environment)
    assert other.build("toplevel") == system
    other.nix("nix-store", "--store", str(other.folder), "--optimise")
    first = build_spec(spec_of(tmp_path, lab, system, table="efi"), tmp_path / "one")
    second = build_spec(spec_of(tmp_path, other, system, table="efi"), tmp_path / "two")

    assert filecmp.cmp(first.image, second.image, shallow=False)


def test_a_store_alone(lab: Lab, tmp_path: Path) -> None:
    system = lab.build("toplevel")
    spec = spec_of(tmp_path, lab, system, more="only_store = true\n")
    built = build_spec(spec, tmp_path / "out")
    root = extracted(built, tmp_path / "root")

    listed = lab.nix("nix-store", "-qR", system).split()
    names = {path.name for path in root.iterdir()} - {"lost+found"}
    assert names == {Path(path).name for path in listed}
    assert built.plan.root.label == "nix-store"
    shown = run_tool(["blkid", "-p", "-o", "export", built.image], capture_output=True,
                           text=True, check=True).stdout  # fmt: skip
    assert f"UUID={built.plan.root.uuid}" in shown


@pytest.mark.parametrize(
    ("given", "name", "kind"),
    [
        ("raw", "nixos.img", "raw"),
        ("qcow2", "nixos.qcow2", "qcow2"),
        ("qcow2-compressed", "nixos.qcow2", "qcow2"),
        ("vdi", "nixos.vdi", "vdi"),
        ("vpc", "nixos.vhd", "vpc"),
    ],
)
def test_outputs_are_called_as_the_reference_calls_them(
    given: str, name: str, kind: str, tmp_path: Path
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(f'compat = "make-disk-image"\n[output]\nformat = "{given}"\n')
    built = build_spec(spec, tmp_path / "out", "size.additional=8M")

    assert built.image.name == name
    products = (built.outdir / "nix-support" / "hydra-build-products").read_text()
    assert products.splitlines()[0] == f"file {kind}-image {built.image}"


def test_a_flake_is_built_first_and_its_log_is_in_the_record(lab: Lab, tmp_path: Path) -> None:
    fresh = Lab(tmp_path / "fresh", lab.sources, lab.environment)
    spec = spec_of(tmp_path, fresh, f"path:{lab.sources}#lab")

    assert main(["plan", str(spec)]) == 2
    assert main(["build", str(spec), "-o", str(tmp_path / "out"), "--quiet"]) == 0

    events = events_of(tmp_path / "out" / "build.jsonl")
    assert isinstance(events[0], StepStarted)
    assert events[0].id == "nix-build"
    assert any(isinstance(e, Log) and "nixos-system-lab" in e.text for e in events)
    assert main(["plan", str(spec)]) == 0


def test_a_system_that_fails_to_build_shows_why(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(tmp_path, lab, f"-f {lab.sources}/system.nix -A broken")
    events = tmp_path / "events"

    code = main(["build", str(spec), "-o", str(tmp_path / "out"), "--events", str(events)])

    assert code == 1
    assert "the builder says no" in capsys.readouterr().err
    told = events_of(events)
    assert isinstance(told[-1], BuildFinished)
    assert (told[-1].status, told[-1].step) == ("failed", "nix-build")
    assert "broken" in (told[-1].message or "")
    assert not (tmp_path / "out").exists()


def test_a_system_that_nix_cannot_evaluate_shows_why(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(tmp_path, lab, f"path:{lab.sources}#nothing")

    assert main(["plan", str(spec)]) == 2
    assert "nothing" in capsys.readouterr().err
    assert main(["build", str(spec), "-o", str(tmp_path / "out")]) == 1
    assert "does not provide attribute" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def esp_files(built: Built, folder: Path, volume: str = "esp") -> dict[str, bytes]:
    """Returns the files of an image's ESP, or another FAT, by a tool that is not ours."""
    folder.mkdir()
    drive = f"{built.image}@@{built.plan.offset(volume)}"
    run_tool(["mcopy", "-s", "-i", drive, "::", str(folder)], check=True, capture_output=True)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_systems_own_installer_fills_the_esp(lab: Lab, tmp_path: Path) -> None:
    system = lab.build("toplevel")
    spec = spec_of(tmp_path, lab, system, table="efi", loader="nixos")
    built = build_spec(spec, tmp_path / "out")

    files = esp_files(built, tmp_path / "esp")

    assert files["EFI/BOOT/BOOTX64.EFI"] == b"MZ"
    assert files["kernels/linux"] == b"no kernel at all"
    assert f"init={system}/init" in files["loader/entries/lab.conf"].decode()
    again = build_spec(spec, tmp_path / "again")
    assert filecmp.cmp(built.image, again.image, shallow=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"lab.img", "build.jsonl"}
    assert not list((tmp_path / "out").glob(".*"))


def test_what_the_installer_puts_onto_an_extended_boot_partition_goes_there(
    lab: Lab, tmp_path: Path
) -> None:
    """As with boot.loader.efi.efiSysMountPoint = "/efi" and xbootldrMountPoint = "/boot"."""
    spec = spec_of(tmp_path, lab, lab.build("toplevel"), table="efixbootldr", loader="nixos")

    built = build_spec(spec, tmp_path / "out")

    assert built.plan.problems == ()
    esp = esp_files(built, tmp_path / "esp")
    boot = esp_files(built, tmp_path / "boot", "xbootldr")
    assert set(esp) == {"EFI/BOOT/BOOTX64.EFI"}
    assert set(boot) == {"kernels/linux", "kernels/initrd", "loader/entries/lab.conf"}


def test_the_installers_exit_status_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(tmp_path / "lab", status=7)
    spec = spec_of(tmp_path, lab, lab.build("toplevel"), table="efi", loader="nixos")

    assert main(["build", str(spec), "-o", str(tmp_path / "out")]) == 1

    assert "exited with status 7" in capsys.readouterr().err
    events = events_of(tmp_path / "out" / "build.jsonl")
    said = [event.text for event in events if isinstance(event, Log)]
    assert "installing for boot, NIXOS_INSTALL_BOOTLOADER=1" in said
    failed = [e.id for e in events if isinstance(e, StepFinished) and e.status == "failed"]
    assert failed == ["nixos-loader"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["build.jsonl"]


def test_an_installer_that_fills_the_esp_is_told_by_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(tmp_path / "lab", loader=os.urandom(40 << 20))
    spec = spec_of(tmp_path, lab, lab.build("toplevel"), table="efi", loader="nixos")
    spec.write_text(spec.read_text().replace("64MiB", "36MiB"))

    assert main(["build", str(spec), "-o", str(tmp_path / "out")]) == 1

    error = capsys.readouterr().err
    assert "the installer's files take" in error
    assert "size.boot" in error


def test_without_a_bootspec_there_is_nothing_to_start(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(tmp_path, lab, lab.build("extra"), table="efi", loader="systemd-boot")

    assert main(["build", str(spec), "-o", str(tmp_path / "out")]) == 2

    assert "boot.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_only_store_takes_nothing_else(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = 'only_store = true\n[[contents]]\nsource = "/etc/hostname"\ntarget = "/x"\n'
    spec = spec_of(tmp_path, lab, lab.build("toplevel"), more=entry)

    assert main(["plan", str(spec)]) == 2

    assert "is a Nix store and nothing else" in capsys.readouterr().err


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    """A real kernel."""
    with alone("kernel"):
        return fetch_kernel(cache_folder())


@pytest.fixture(scope="module")
def bootable(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a real kernel, and systemd-boot for its own installer to install."""
    loader = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi").read_bytes()
    return make_lab(tmp_path_factory.mktemp("bootable"), kernel, loader=loader)


def starts(lab: Lab, folder: Path, table: str, loader: str, firmware: FirmwareKind) -> None:
    """Builds an image, boots it, and compares what the system says of itself."""
    system = lab.build("toplevel")
    built = build_spec(spec_of(folder, lab, system, table=table, loader=loader), folder / "out")

    said = report(boots(built, firmware))

    assert said["store"] == ["0:30000 1775"]
    assert said["profile"] == [system]
    assert said["activated"] == ["activated"]
    assert f"init={system}/init" in said["cmdline"][0]
    if loader != "nixos":
        assert "from-bootspec" in said["cmdline"][0]


def test_in_compat_grub_takes_the_place_of_what_needs_a_machine(
    bootable: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system = bootable.build("toplevel")
    spec = tmp_path / "spec.toml"
    spec.write_text(f'compat = "make-disk-image"\n[nix]\nsystem = "{system}"\n')
    options = ("--set", f"nix.store={bootable.folder}", "--set", "size.additional=64M")

    assert main(["plan", str(spec), *options]) == 0
    assert "Diskwright's GRUB is installed instead" in capsys.readouterr().err
    overrides = (f"nix.store={bootable.folder}", "boot.loader=nixos")
    assert "nixos-guest" in [step.id for step in plan_of(spec, overrides).steps]


@pytest.mark.slow
@pytest.mark.parametrize("table", ["legacy", "legacy+gpt"])
def test_what_an_installer_writes_to_the_disk_starts_it(
    table: str, bootable: Lab, kernel: Kernel, tmp_path: Path
) -> None:
    spec = spec_of(tmp_path, bootable, bootable.build("toplevel"), table=table, loader="grub")
    lab = make_lab(tmp_path / "lab", kernel, code=plan_of(spec).boot.code)
    system = lab.build("toplevel")
    spec = spec_of(tmp_path, lab, system, table=table, loader="nixos")

    built = build_spec(spec, tmp_path / "out", "size.additional=64MiB")

    assert built.plan.boot.code is None
    check_tools(built)
    assert report(boots(built, "bios"))["profile"] == [system]


@pytest.mark.slow
def test_systemd_boot_finds_what_an_installer_puts_onto_an_extended_boot_partition(
    bootable: Lab, tmp_path: Path
) -> None:
    starts(bootable, tmp_path, "efixbootldr", "nixos", "uefi")


@pytest.mark.slow
def test_an_installer_in_a_machine_finds_a_boot_volume(kernel: Kernel, tmp_path: Path) -> None:
    """GRUB in the gap behind an MBR, its menu and the kernels on a FAT mounted at /boot."""
    first = make_lab(tmp_path / "first", kernel)
    (tmp_path / "own").mkdir()
    spec = spec_of(
        tmp_path / "own", first, first.build("toplevel"), table="legacy+boot", loader="grub"
    )
    lab = make_lab(tmp_path / "lab", kernel, code=plan_of(spec).boot.code)
    system = lab.build("toplevel")
    spec = spec_of(tmp_path, lab, system, table="legacy+boot", loader="nixos")

    built = build_spec(spec, tmp_path / "out")

    assert built.plan.problems == ()
    check_tools(built)
    files = esp_files(built, tmp_path / "boot", "boot")
    assert {"kernels/linux", "kernels/initrd", "grub/grub.cfg"} <= set(files)
    assert b"linux /kernels/linux" in files["grub/grub.cfg"]
    assert not list((extracted(built, tmp_path / "root") / "boot").iterdir())
    assert report(boots(built, "bios"))["profile"] == [system]


@pytest.mark.slow
def test_an_installer_finds_kernels_beside_the_esp(kernel: Kernel, tmp_path: Path) -> None:
    """As boot.loader.efi.efiSysMountPoint = "/boot/efi" with an ext4 at /boot wants it."""
    lab = make_lab(tmp_path / "lab", kernel, loader=b"MZ loader")
    volumes = (
        '[[volume]]\nid = "esp"\nmount = "/boot/efi"\n'
        '[[volume]]\nid = "boot"\nmount = "/boot"\nsize = "96MiB"\n[[volume]]\nid = "root"\n'
    )
    spec = spec_of(tmp_path, lab, lab.build("toplevel"), table="gpt", loader="nixos", more=volumes)

    built = build_spec(spec, tmp_path / "out")

    assert [step.id for step in built.plan.steps if "nixos" in step.id] == ["nixos-guest"]
    check_tools(built)
    assert esp_files(built, tmp_path / "esp") == {"EFI/BOOT/BOOTX64.EFI": b"MZ loader"}
    where = f"{built.image}?offset={built.plan.offset('boot')}"
    run_tool(["e2fsck", "-f", "-n", where], check=True, capture_output=True)
    shown = run_tool(["debugfs", "-R", "ls -p /kernels", where], capture_output=True, text=True)
    assert "/linux/" in shown.stdout
    assert "/initrd/" in shown.stdout


@pytest.mark.slow
def test_the_exit_status_comes_out_of_the_machine(
    kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And where there was no room for the kernels, what to make larger."""
    lab = make_lab(tmp_path / "lab", kernel, status=7)
    volumes = '[[volume]]\nid = "boot"\nmount = "/boot"\nsize = "4MiB"\n[[volume]]\nid = "root"\n'
    spec = spec_of(tmp_path, lab, lab.build("toplevel"), table="mbr", loader="nixos", more=volumes)
    outdir = tmp_path / "out"

    assert main(["build", str(spec), "-o", str(outdir)]) == 1

    error = capsys.readouterr().err
    assert "switch-to-configuration exited with status 7" in error
    assert "a volume is full" in error
    said = [e.text for e in events_of(outdir / "build.jsonl") if isinstance(e, Log)]
    assert "installing for boot, NIXOS_INSTALL_BOOTLOADER=1" in said
    assert [path.name for path in outdir.iterdir()] == ["build.jsonl"]


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("modules.dep", "has no modules.dep"),
        ("virtio_blk.ko", "has no virtio_blk"),
    ],
)
def test_a_guest_that_cannot_be_is_refused(
    lost: str, said: str, kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(tmp_path / "lab", kernel)
    (table,) = lab.sources.glob("modules/lib/modules/*/modules.dep")
    kept = [line for line in table.read_text().splitlines() if lost not in line]
    table.write_text("\n".join(kept))
    if lost == table.name:
        table.unlink()
    spec = spec_of(tmp_path, lab, lab.build("toplevel"), table="legacy", loader="nixos")

    assert main(["plan", str(spec)]) == 2

    error = capsys.readouterr().err
    assert said in error
    assert 'boot.loader = "grub"' in error


def test_without_a_static_busybox_its_package_is_named(
    bootable: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    spec = spec_of(tmp_path, bootable, bootable.build("toplevel"), table="legacy", loader="nixos")
    tools = tmp_path / "bin"
    tools.mkdir()
    shutil.copy("/bin/sh", tools / "busybox")  # a program that needs libraries
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    assert main(["plan", str(spec)]) == 2

    assert "needs a static busybox" in capsys.readouterr().err


def test_it_boots(bootable: Lab, tmp_path: Path) -> None:
    starts(bootable, tmp_path, "legacy", "grub", "bios")


@pytest.mark.slow
def test_a_call_with_nothing_but_a_system_boots(bootable: Lab, tmp_path: Path) -> None:
    system = bootable.build("toplevel")
    call, spec = tmp_path / "call.nix", tmp_path / "call.toml"
    call.write_text(f'{{ config.system.build.toplevel = builtins.storePath "{system}"; }}')
    assert main(["import", str(call), "-o", str(spec)]) == 0

    built = build_spec(spec, tmp_path / "out", f"nix.store={bootable.folder}")

    assert built.image.name == "nixos.img"
    assert report(boots(built, "bios"))["profile"] == [system]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "loader", "firmware"),
    [
        ("legacy+gpt", "grub", "bios"),
        ("efi", "systemd-boot", "uefi"),
        ("efi", "uki", "uefi"),
        ("efi", "nixos", "uefi"),
        ("hybrid", "grub", "bios"),
        ("hybrid", "grub", "uefi"),
        ("hybrid", "systemd-boot", "uefi"),
    ],
)
def test_it_boots_by_every_loader(
    table: str, loader: str, firmware: FirmwareKind, bootable: Lab, tmp_path: Path
) -> None:
    starts(bootable, tmp_path, table, loader, firmware)


@pytest.mark.skipif(os.getuid() != 0, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_gets_the_same_image_by_the_systems_own_installer(tmp_path: Path) -> None:
    if subprocess.run((*ORDINARY, sys.executable, "-c", "import msgspec")).returncode:
        pytest.skip("an ordinary user cannot start this Python")
    folder = Path("/var/tmp") / f"diskwright-{tmp_path.name}-{os.getpid()}"
    folder.mkdir()
    try:
        lab = make_lab(folder / "lab")
        spec = spec_of(folder, lab, lab.build("toplevel"), table="efi", loader="nixos")
        as_root = build_spec(spec, tmp_path / "out")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        argv = (*ORDINARY, sys.executable, "-m", "engine.cli", "build", spec, "-o", folder / "out")
        environment = {**os.environ, **lab.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(argv, cwd=PROJECT, env=environment, capture_output=True, text=True)

        assert done.returncode == 0, done.stderr
        assert filecmp.cmp(as_root.image, folder / "out" / "lab.img", shallow=False)
    finally:
        shutil.rmtree(folder)
