"""`diskwright boot`: boots an image in QEMU, for a person at a terminal or for a script."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import exits
from engine.cli.planning import named_path
from engine.cli.signals import cancellable

if TYPE_CHECKING:
    from engine.boot.qemu import VirtualMachine
    from engine.pipeline.proof import Verdict

_COMPRESSED = {b"\x28\xb5\x2f\xfd": "zstd -d", b"\xfd7zXZ\0": "unxz -k", b"\x1f\x8b": "gunzip -k"}
_TIMEOUT = 180.0
_MEMORY = 1024


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `boot`."""
    parser.add_argument("image", metavar="IMAGE", type=named_path, help="an image of any format")
    parser.add_argument(
        "--firmware", choices=("bios", "uefi", "both"),
        help="what to boot it with (default: UEFI if the image has an ESP, else BIOS)",
    )  # fmt: skip
    parser.add_argument(
        "--expect", metavar="REGEX", type=_regex,
        help="end well once the console shows this; exit 4 if it does not",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", metavar="S", type=_seconds, default=_TIMEOUT,
        help=f"seconds to wait for it, for each firmware (default: {_TIMEOUT:g})",
    )  # fmt: skip
    parser.add_argument(
        "--efi-vars",
        metavar="FILE",
        type=named_path,
        help="UEFI variables to start from; not changed",
    )
    parser.add_argument(
        "--memory", metavar="MIB", type=int, default=_MEMORY,
        help=f"memory of the machine in MiB (default: {_MEMORY})",
    )  # fmt: skip


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"no regular expression: {error}") from None
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Boots the image; 4 if its console does not show what is expected."""
    report = looked_into(args.image)
    machines = machines_of(
        args.image, report, firmware=args.firmware, efi_vars=args.efi_vars, memory=args.memory
    )
    broken = list(_broken_seals(report))
    if args.expect is None and sys.stdin.isatty() and sys.stdout.isatty():
        return _interactive(machines[0])
    code = cancellable(_all(args, machines, broken))
    if code is None:
        _say("cancelled")
        return exits.CANCELLED
    return code


def machines_for(path: Path) -> list[VirtualMachine]:
    """Returns the machines that can boot an image, each with what is usual.

    Raises:
        Refused: The image, QEMU or the firmware is missing.
    """
    return machines_of(path, looked_into(path))


def looked_into(path: Path) -> dict[str, Any]:
    """Returns what `inspect` says of an image.

    Raises:
        Refused: It cannot be read.
    """
    from engine.cli.images import no_texts, refused
    from engine.inspect.image import open_image
    from engine.inspect.report import image_report

    with refused():
        no_texts(path)
        _refuse_compressed(path)
        image = open_image(path)
        with image.disk:
            return image_report(image)


def machines_of(
    path: Path, report: dict[str, Any], *,
    firmware: str | None = None, efi_vars: Path | None = None, memory: int = _MEMORY,
) -> list[VirtualMachine]:  # fmt: skip
    """Returns a machine for each firmware.

    Args:
        path: The image.
        report: What `inspect` says of it.
        firmware: "bios", "uefi", "both", or None for UEFI if the image has an ESP, else BIOS.
        efi_vars: UEFI variables to start from.
        memory: In MiB.

    Raises:
        Refused: QEMU or the firmware is missing.
    """
    from engine.boot.qemu import BOARDS, VirtualMachine
    from engine.tools.distribution import distribution
    from engine.tools.installed import find
    from engine.tools.table import TOOLS, install_hint

    if memory <= 0:
        raise _refuse("bad-memory", f"--memory is {memory}, but must be above 0")
    has_esp = any(partition["role"] == "esp" for partition in report["partitions"])
    architecture = _architecture(report)
    board = BOARDS[architecture]
    if find(board.program) is None:
        hint = install_hint(TOOLS[board.program], distribution())
        raise _refuse("tool-missing", f"{board.program} is not installed", hint)
    chosen = firmware or ("uefi" if has_esp or efi_vars else "bios")
    kinds = ("bios", "uefi") if chosen == "both" else (chosen,)
    if unknown := [kind for kind in kinds if kind not in board.machines]:
        raise _refuse(
            "no-such-firmware",
            f"the image is for {architecture}, which has no {unknown[0].upper()}",
            "boot it with --firmware uefi",
        )  # fmt: skip
    pairs = [_firmware(efi_vars, architecture) if kind == "uefi" else ("", "") for kind in kinds]
    return [
        VirtualMachine(
            image=str(path.absolute()), format=report["format"],
            sector_size=report["disk"]["sector_size"], memory_mib=memory,
            accelerator="tcg", code=code, variables=variables, architecture=architecture,
        )
        for code, variables in pairs
    ]  # fmt: skip


def _broken_seals(report: dict[str, Any]) -> Iterator[str]:
    """Yields which volumes are not what was hashed; a note where that was not looked at.

    A kernel with loglevel=3 keeps dm-verity's complaint off the console, and one that reads no
    changed block has none: what was read here does not depend on either.
    """
    for seal in report["verity"]:
        if seal["intact"] is None:
            _say(
                f"note: {seal['data'] or seal['where']} is too large to be held against its hash "
                "tree here: that it is intact, only the kernel's silence tells, which loglevel=3 "
                "would feign"
            )
        elif not seal["intact"]:
            yield f"{seal['data'] or seal['where']} is not what its hash tree was made of"


def _architecture(report: dict[str, Any]) -> str:
    """Returns what an image is for: by what UEFI starts, else by its kernels."""
    from engine.boot.architecture import ARCHITECTURES
    from engine.boot.qemu import BOARDS

    started = " ".join(report["boots"].get("uefi", {}).get("chain", ())[:1]).upper()
    paths = {one.name: one.removable_path.decode().upper() for one in ARCHITECTURES}
    named = [name for name in BOARDS if paths[name] in started]
    kernels = [one["architecture"] for one in report["kernels"] if one["architecture"] in BOARDS]
    return next(iter([*named, *kernels]), "x86_64")


def _refuse_compressed(image: Path) -> None:
    from engine.image.container import open_file

    with os.fdopen(open_file(image), "rb") as file:
        head = file.read(max(map(len, _COMPRESSED)))
    for magic, command in _COMPRESSED.items():
        if head.startswith(magic):
            raise _refuse(
                "compressed-image", f"{image} is compressed, and QEMU cannot read it",
                f"unpack it first: {command} {shlex.quote(str(image))}",
            )  # fmt: skip


def _firmware(variables: Path | None, architecture: str) -> tuple[str, str]:
    """Returns the paths of UEFI code and of the variables to start from."""
    from engine.boot.firmware import PACKAGES, find_firmware
    from engine.tools.distribution import distribution
    from engine.tools.table import packages_hint

    if variables is not None and not variables.is_file():
        raise _refuse("efi-vars-missing", f"--efi-vars {variables}: there is no such file")
    given = str(variables.absolute()) if variables else ""
    pair = find_firmware(variables=given, architecture=architecture)
    if pair is not None:
        return str(pair.code), str(pair.variables)
    if find_firmware(architecture=architecture) is not None:
        raise _refuse(
            "efi-vars-unfit",
            f"--efi-vars {variables}: no installed UEFI firmware has variables of that size",
            "make it from the template of a firmware that is installed",
        )
    hint = packages_hint(PACKAGES[architecture], distribution())
    raise _refuse(
        "firmware-missing", f"no UEFI firmware for {architecture} for QEMU is installed", hint
    )


def _refuse(code: str, message: str, hint: str = "") -> Exception:
    from engine.problem import Problem, Refused

    return Refused([Problem(code, "error", "", message, hint)])


def _interactive(machine: VirtualMachine) -> int:
    """Gives the terminal to the machine's serial port until it ends."""
    import asyncio
    import shutil
    import subprocess
    import tempfile
    from dataclasses import replace

    from engine.pipeline.proof import choose_accelerator
    from engine.tools.environment import tool_environment

    accelerator, why = asyncio.run(choose_accelerator(machine))
    _say(f"{machine.firmware.upper()}, {accelerator} ({why}); Ctrl-A X ends it")
    with tempfile.TemporaryDirectory(prefix="diskwright-boot-") as folder:
        if machine.code:
            copy = Path(folder, "variables.fd")
            shutil.copyfile(machine.variables, copy)
            machine = replace(machine, variables=str(copy))
        machine = replace(machine, accelerator=accelerator, interactive=True)
        status = subprocess.run(machine.argv(), check=False, env=tool_environment()).returncode
    return exits.DONE if status == 0 else exits.FAILED


async def _all(args: argparse.Namespace, machines: list[VirtualMachine], broken: list[str]) -> int:
    from engine.pipeline.proof import boot
    from engine.tools.failure import StepFailed

    for machine in machines:
        try:
            verdict = await boot(
                machine, expect=args.expect or "", limit=args.timeout, on_text=_print
            )
        except StepFailed as failed:
            _say(f"error: {failed.message}" + (f"\nhint: {failed.hint}" if failed.hint else ""))
            return exits.FAILED
        sys.stdout.write("\n")
        sys.stdout.flush()
        _tell(verdict, args.expect)
        if not verdict.seen:
            return exits.NOT_SEEN
    for sentence in broken:
        _say(f"error: {sentence}, though the console shows no complaint (`diskwright inspect`)")
    return exits.NOT_SEEN if broken else exits.DONE


def _print(text: str) -> None:
    sys.stdout.write(text.encode(errors="surrogateescape").decode(errors="replace"))
    sys.stdout.flush()


def _tell(verdict: Verdict, expect: str | None) -> None:
    what = f"{expect!r} was" if expect else "the machine's own end was"
    how = f"{verdict.firmware.upper()}, {verdict.accelerator} ({verdict.note})"
    if verdict.seen:
        _say(f"{how}: {what} seen after {verdict.seconds:.1f} s")
        return
    _say(f"{how}: {what} not seen within {verdict.seconds:.1f} s: {verdict.meaning}")
    for line in verdict.last_lines():
        _say(f"  | {line}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
