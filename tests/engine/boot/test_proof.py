"""The watch over a booting machine, with a QEMU that does what the test says."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.boot.qemu import VirtualMachine, diagnose, plain, unfinished
from engine.cli import boot, exits
from engine.cli.main import main
from engine.pipeline import proof
from engine.tools.failure import StepFailed
from tests.support.processes import alive, written_pid
from tests.support.tools import hide_tools

Qemu = Callable[[str], None]


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Qemu:
    """Returns a function that makes QEMU a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def write(script: str) -> None:
        tool = folder / "qemu-system-x86_64"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)

    return write


@pytest.fixture
def machine(tmp_path: Path) -> VirtualMachine:
    image = tmp_path / "disk, one.img"
    image.write_bytes(bytes(1 << 20))
    return VirtualMachine(
        image=str(image), format="raw", sector_size=512, memory_mib=64, accelerator="tcg"
    )


def test_arm64_has_a_machine_of_its_own(machine: VirtualMachine) -> None:
    arm = replace(machine, architecture="aarch64", code="code.fd", variables="vars.fd")
    words = " ".join(arm.argv())
    assert words.startswith("qemu-system-aarch64 -machine virt,accel=tcg -cpu cortex-a57 -m 64 ")
    assert proof.kvm_is_plausible("aarch64")[0] is False or platform.machine() == "aarch64"


@pytest.mark.parametrize(
    ("chain", "kernels", "architecture"),
    [
        (("ESP/EFI/BOOT/BOOTAA64.EFI: systemd-boot",), (), "aarch64"),
        (("ESP/EFI/BOOT/bootx64.efi: shim",), ("aarch64",), "x86_64"),
        ((), ("", "aarch64"), "aarch64"),
        ((), ("riscv64",), "x86_64"),
    ],
)
def test_an_image_is_for_what_its_firmware_starts(
    chain: tuple[str, ...], kernels: tuple[str, ...], architecture: str
) -> None:
    found = [{"architecture": one} for one in kernels]
    assert boot._architecture({"boots": {"uefi": {"chain": chain}}, "kernels": found}) == (
        architecture
    )


def booted(
    machine: VirtualMachine,
    expect: str = "login:",
    limit: float = 30,
    text: list[str] | None = None,
) -> proof.Verdict:
    on_text = (text if text is not None else []).append
    return asyncio.run(proof.boot(machine, expect=expect, limit=limit, on_text=on_text))


def test_it_ends_as_soon_as_the_console_shows_what_is_expected(
    qemu: Qemu, machine: VirtualMachine
) -> None:
    qemu("printf '\\033[2J\\033[01;01Hlog'; sleep 0.1; printf 'in: '; exec sleep 60")
    text: list[str] = []
    verdict = booted(machine, text=text)
    assert verdict.seen
    assert verdict.seconds < 30
    assert verdict.console == "login: "
    assert "".join(text) == "\x1b[2J\x1b[01;01Hlogin: "


def test_a_prompt_is_no_proof_where_dm_verity_complains(
    qemu: Qemu, machine: VirtualMachine
) -> None:
    said = "device-mapper: verity: 253:2: data block 67117 is corrupted"
    qemu(f"echo 'Linux version 6'; echo '{said}'; echo 'login: '; exec sleep 60")
    verdict = booted(machine)
    assert not verdict.seen
    assert verdict.meaning == "dm-verity read a block that is not what was hashed"
    assert verdict.seconds < 30
    qemu(f"echo '{said}'")
    assert not booted(machine, expect="").seen
    qemu("echo 'device-mapper: verity: sha256 using implementation \"sha256-ni\"'; echo login:")
    assert booted(machine).seen


def test_kvm_is_given_up_when_no_kernel_speaks(
    qemu: Qemu, machine: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "kvm_is_plausible", lambda architecture="x86_64": (True, ""))
    monkeypatch.setattr(proof, "KVM_SIGN_OF_LIFE_SECONDS", 0.5)
    qemu('case "$*" in *accel=kvm*) echo SeaBIOS; exec sleep 60 ;; esac; echo login:')
    verdict = booted(machine)
    assert (verdict.seen, verdict.accelerator) == (True, "tcg")
    assert "ran no kernel" in verdict.note
    assert asyncio.run(proof.choose_accelerator(machine))[0] == "tcg"


def test_kvm_is_kept_once_a_kernel_speaks(
    qemu: Qemu, machine: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "kvm_is_plausible", lambda architecture="x86_64": (True, ""))
    qemu('echo "Linux version 6"; sleep 0.1; echo "accel: $*"; echo login:')
    verdict = booted(machine)
    assert (verdict.seen, verdict.accelerator) == (True, "kvm")
    assert "accel=kvm" in verdict.console
    assert asyncio.run(proof.choose_accelerator(machine))[0] == "kvm"


def test_a_silent_machine_is_ended_when_time_is_up(
    qemu: Qemu, machine: VirtualMachine, tmp_path: Path
) -> None:
    qemu(f"echo $$ >{tmp_path}/pid; echo 'Kernel panic - not syncing: VFS: Unable to mount root fs'"
         "; exec sleep 60")  # fmt: skip
    verdict = booted(machine, limit=1)
    assert not verdict.seen
    assert "no initrd" in verdict.meaning
    assert verdict.last_lines(1) == ["Kernel panic - not syncing: VFS: Unable to mount root fs"]
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_cancelled_boot_leaves_no_process(
    qemu: Qemu, machine: VirtualMachine, tmp_path: Path
) -> None:
    qemu(f"echo $$ >{tmp_path}/pid; exec sleep 60")

    async def cancelled() -> None:
        task = asyncio.ensure_future(
            proof.boot(machine, expect="x", limit=60, on_text=lambda _: None)
        )
        pid = await written_pid(tmp_path / "pid")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(pid)

    asyncio.run(cancelled())


def test_what_qemu_says_when_it_refuses_is_passed_on(qemu: Qemu, machine: VirtualMachine) -> None:
    qemu("echo 'qemu: no such device' >&2; exit 1")
    with pytest.raises(StepFailed, match="no such device"):
        booted(machine)


def test_a_panic_is_no_proper_end(qemu: Qemu, machine: VirtualMachine) -> None:
    qemu("echo 'Kernel panic - not syncing'")
    assert not booted(machine, expect="").seen
    qemu("echo bye")
    assert booted(machine, expect="").seen


def test_neither_image_nor_variables_are_handed_over_for_writing(
    qemu: Qemu, machine: VirtualMachine, tmp_path: Path
) -> None:
    from dataclasses import replace

    template = tmp_path / "vars.fd"
    template.write_bytes(b"vars")
    qemu('for word; do echo "$word"; done; echo login:')
    console = booted(replace(machine, code="/code.fd", variables=str(template))).console
    assert "snapshot=on" in console
    assert "disk,, one.img" in console
    assert str(template) not in console
    assert template.read_bytes() == b"vars"


@pytest.mark.parametrize(
    ("console", "meaning"),
    [
        ("Gave up waiting for root file system device", "UUID"),
        ("BdsDxe: No bootable option", "no loader on the ESP"),
        ("Boot failed: not a bootable disk", "no boot code"),
        ("error: file `/boot/vmlinuz' not found.\ngrub rescue>", "GRUB started"),
        ("Linux version 6.1", "longer timeout"),
        ("SeaBIOS", "console=ttyS0"),
        ("", "nothing came"),
    ],
)
def test_the_end_of_a_console_is_explained(console: str, meaning: str) -> None:
    assert meaning in diagnose(console)


def test_escape_sequences_go_wherever_they_are_cut() -> None:
    text = "a\x1b[1;2Hb\x1b[0mc\x1b=d\r\n"
    for at in range(len(text)):
        rest = unfinished(text[:at])
        assert plain(text[: at - len(rest)]) + plain(rest + text[at:]) == "abcd\n"


def test_the_command_says_what_it_saw(
    qemu: Qemu, machine: VirtualMachine, capfd: pytest.CaptureFixture[str]
) -> None:
    qemu("echo 'debian login: '; exec sleep 60")
    assert main(["boot", machine.image, "--expect", "login:"]) == exits.DONE
    out, err = capfd.readouterr()
    assert out.startswith("debian login: ")
    assert "BIOS, tcg" in err
    assert "'login:' was seen" in err

    qemu("echo SeaBIOS; exec sleep 60")
    words = ["boot", machine.image, "--expect", "login:", "--timeout", "0.5"]
    assert main(words) == exits.NOT_SEEN
    assert "  | SeaBIOS" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{folder}/none.img"], "none.img"),
        (["{image}", "--efi-vars", "{folder}/none.fd"], "none.fd: there is no such file"),
        (["{image}", "--efi-vars", "{image}"], "no installed UEFI firmware has variables of that"),
        (["{image}", "--memory", "0"], "--memory is 0"),
        (["{folder}/disk.img.zst"], "zstd -d"),
    ],
)
def test_what_cannot_be_booted_is_refused(
    machine: VirtualMachine, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    words: list[str], said: str,
) -> None:  # fmt: skip
    (tmp_path / "disk.img.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(4096))
    filled = [word.format(folder=tmp_path, image=machine.image) for word in words]
    assert main(["boot", *filled]) == exits.REFUSED
    assert said in capsys.readouterr().err


def test_a_missing_qemu_is_named_with_its_package(
    machine: VirtualMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hide_tools(monkeypatch)
    assert main(["boot", machine.image]) == exits.REFUSED
    said = capsys.readouterr().err
    assert "qemu-system-x86_64 is not installed" in said
    assert "qemu-system-x86" in said


@pytest.mark.parametrize("words", [["--expect", "("], ["--timeout", "0"], ["--timeout", "soon"]])
def test_arguments_that_make_no_sense_are_refused(
    machine: VirtualMachine, words: list[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["boot", machine.image, *words])
    assert left.value.code == exits.REFUSED


def test_a_terminal_becomes_the_console(qemu: Qemu, machine: VirtualMachine) -> None:
    import pty
    import sys

    qemu('echo "serial is $*"; read line; echo "typed $line"')
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "engine.cli", "boot", machine.image])
    os.write(terminal, b"hello\n")
    shown = b""
    try:
        while b"typed hello" not in shown:
            shown += os.read(terminal, 4096)
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == exits.DONE
    assert b"Ctrl-A X ends it" in shown
    assert b"mon:stdio" in shown
