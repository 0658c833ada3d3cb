"""What the contents and the command line name, and the image does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.boot.cmdline import mended, missing
from engine.boot.devices import Devices
from engine.plan.model import Plan
from engine.planning import Planner
from engine.problem import Fix, Problem
from engine.spec.edit import apply_fix
from engine.spec.load import loads
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from tests.engine.boot.trees import X86_KERNEL

SPEC = """\
schema = 1
name = "names"
layout.table = "gpt"
boot.loader = "systemd-boot"
[size]
boot = "40MiB"
[[volume]]
id = "esp"
[[volume]]
id = "root"
label = "system"
[[volume]]
id = "swap"
size = "1MiB"
[[contents]]
source = "tree"
target = "/"
"""
FOREIGN = "11111111-2222-3333-4444-555555555555"
SETTINGS = resolve(loads(SPEC), Path("/"), {})[0]
ROOT = SETTINGS.of_role("root")
SWAP = SETTINGS.of_role("swap")
assert ROOT is not None
assert SWAP is not None
HERE, GUID = f"UUID={ROOT.uuid}", ROOT.guid


def planned(folder: Path, spec: ImageSpec, **files: str) -> Plan:
    boot = {"boot/vmlinuz-6.1": X86_KERNEL, "boot/initrd.img-6.1": b"new"}
    texts = {path: text.encode() for path, text in files.items()}
    for path, data in {**boot, **texts}.items():
        (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / path).write_bytes(data)
    planner = Planner(folder, {})
    resolved = planner.resolve(spec)
    return planner.plan(resolved, planner.read(resolved.settings), force=True)


def named(plan: Plan) -> list[Problem]:
    return [one for one in plan.problems if one.code.endswith("-unknown-device")]


@pytest.mark.parametrize(
    ("words", "better"),
    [
        (f"quiet root=UUID={FOREIGN} ro", f"quiet root={HERE} ro"),
        (f"root=PARTUUID={FOREIGN}", f"root={HERE}"),
        ("root=LABEL=System", f"root={HERE}"),
        ('root="LABEL=my root" quiet', f"root={HERE} quiet"),
        (f"root=/dev/disk/by-uuid/{FOREIGN}", f"root={HERE}"),
        ("root=/dev/sda3", f"root={HERE}"),
        ("root=/dev/nvme0n1p1", f"root={HERE}"),
        ("root=/dev/mapper/vg-root rd.lvm.lv=vg/root", f"root={HERE}"),
        (f"quiet resume=UUID={FOREIGN}", f"quiet resume=UUID={SWAP.uuid}"),
        (f"rd.luks.uuid=luks-{FOREIGN} quiet", "quiet"),
        (f"rd.luks.name={FOREIGN}=root quiet", "quiet"),
        (f"cryptdevice=UUID={FOREIGN}:root quiet", "quiet"),
        ("rd.md.uuid=11111111:22222222:33333333:44444444 quiet", "quiet"),
        (f"mount.usr=UUID={FOREIGN} quiet", "quiet"),
        ("roothash=0123456789abcdef quiet", "quiet"),
        ("quiet rootfstype=xfs", "quiet rootfstype=ext4"),
        ("rootflags=noatime,subvol=@ quiet", "rootflags=noatime quiet"),
        ("rootflags=subvol=@ quiet", "quiet"),
        ("root=/dev/vg0/root quiet", f"root={HERE} quiet"),
        (f"real_root=UUID={FOREIGN}", f"real_root={HERE}"),
        ("systemd.mount-extra=LABEL=nope:/x:ext4 quiet", "quiet"),
        ("systemd.swap-extra=LABEL=nope quiet", "quiet"),
        (f"systemd.verity_root_data=PARTUUID={FOREIGN} quiet", "quiet"),
    ],
)
def test_a_command_line_is_mended(tmp_path: Path, words: str, better: str) -> None:
    spec = apply_fix(loads(SPEC), _set(words))
    (problem,) = named(planned(tmp_path, spec))
    assert (problem.path, problem.severity) == ("boot.cmdline", "warning")
    assert problem.fix is not None
    fixed = apply_fix(spec, problem.fix)
    assert fixed.boot.cmdline == better
    assert named(planned(tmp_path, fixed)) == []


def _set(words: str) -> Fix:
    return Fix("", (("boot.cmdline", words),))


@pytest.mark.parametrize(
    "words",
    [
        "console=ttyS0 quiet", f"root={HERE}", f"root=UUID={ROOT.uuid.upper()}",
        f"root=PARTUUID={ROOT.guid.lower()}", "root=LABEL=system", "root=PARTLABEL=root",
        "root=/dev/sda2", "root=/dev/vda2", "root=/dev/nfs", "root=gpt-auto", "root=live:CDLABEL=x",
        f"resume=UUID={SWAP.uuid}", "resume=/dev/vda3", "rd.luks=0", "rd.break", "",
        "init=/nix/store/x/init", 'dyndbg="file a.c +p"', "root=ZFS=pool/root",
        "rootfstype=xfs,ext4", "rootfstype=auto", "rootflags=data=journal", "root=/dev/zvol/a/b",
        "systemd.mount-extra=LABEL=nope:/x:ext4:nofail", "systemd.mount-extra=LABEL=system:/x",
    ],
)  # fmt: skip
def test_what_is_there_is_not_told(words: str) -> None:
    assert list(missing(words, Devices(SETTINGS))) == []


@given(st.text(max_size=60))
def test_any_text_is_looked_through(text: str) -> None:
    words = list(missing(text, Devices(SETTINGS)))
    assert list(missing(mended(text, words), Devices(SETTINGS))) == []


def test_the_swap_of_another_machine_is_left_out_where_there_is_none() -> None:
    none, _ = resolve(loads("schema = 1"), Path("/"), {})
    words = list(missing(f"quiet resume=UUID={FOREIGN}", Devices(none)))
    assert mended(f"quiet resume=UUID={FOREIGN}", words) == "quiet"


CRYPTTAB = f"""\
# name device key options
root UUID={FOREIGN} none luks
spare /dev/sdb1 none luks,nofail
file /var/disk.img none luks
"""


def test_a_crypttab_is_left_out_by_its_fix(tmp_path: Path) -> None:
    spec = loads(SPEC)
    (problem,) = named(planned(tmp_path, spec, **{"etc/crypttab": CRYPTTAB}))
    assert (problem.code, problem.path) == ("crypttab-unknown-device", "contents[0].exclude")
    assert f"line 2: UUID={FOREIGN} for root" in problem.message
    assert "sdb1" not in problem.message
    assert problem.fix is not None
    fixed = apply_fix(spec, problem.fix)
    made = planned(tmp_path, fixed)
    assert named(made) == []
    assert made.root.manifest.get(b"etc/crypttab") is None
    assert made.root.manifest.get(b"boot/vmlinuz-6.1") is not None


def test_a_crypttab_that_is_an_entry_of_its_own_is_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text(CRYPTTAB)
    spec = loads(SPEC + '[[contents]]\nsource = "mine"\ntarget = "/etc/crypttab"\n')
    (problem,) = named(planned(tmp_path, spec))
    assert problem.fix is not None
    assert len(apply_fix(spec, problem.fix).contents) == 1


def test_what_a_crypttab_opens_is_there_for_fstab(tmp_path: Path) -> None:
    files = {
        "etc/crypttab": f"data PARTUUID={GUID} none luks\n",
        "etc/fstab": "/dev/mapper/data /srv ext4 defaults 0 2\n/dev/mapper/none /x ext4 rw 0 2\n",
    }
    (problem,) = named(planned(tmp_path, loads(SPEC), **files))
    assert problem.code == "fstab-unknown-device"
    assert "line 2: /dev/mapper/none for /x" in problem.message
    assert "line 1" not in problem.message


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/kernel/cmdline", f"root=UUID={FOREIGN} ro quiet\n"),
        ("boot/cmdline.txt", f"console=tty1 root=UUID={FOREIGN} rootwait\n"),
        ("boot/loader/entries/a.conf", f"title a\nlinux /k\noptions root=UUID={FOREIGN} ro\n"),
        ("boot/grub/grub.cfg", f"menuentry a {{\n  linux /k root=UUID={FOREIGN} ro\n}}\n"),
        ("boot/extlinux/extlinux.conf", f"label a\n  kernel /k\n  append root=UUID={FOREIGN}\n"),
    ],
)
def test_command_lines_of_the_contents_are_looked_at(tmp_path: Path, path: str, text: str) -> None:
    spec = loads(SPEC.replace('"systemd-boot"', '"none"'))
    (problem,) = named(planned(tmp_path, spec, **{path: text}))
    assert f"/{path} names" in problem.message
    assert f"root=UUID={FOREIGN} (here root={HERE})" in problem.message
    assert problem.fix is not None
    assert named(planned(tmp_path, apply_fix(spec, problem.fix))) == []


@pytest.mark.parametrize(("number", "mends"), [("02", True), ("03", False)])
def test_a_board_gets_the_signature_that_its_command_line_names(
    tmp_path: Path, number: str, mends: bool
) -> None:
    spec = loads(SPEC.replace('"gpt"', '"mbr"').replace('"systemd-boot"', '"none"'))
    text = f"root=PARTUUID=0A1B2C3D-{number} rootwait\n"
    (problem,) = named(planned(tmp_path, spec, **{"boot/cmdline.txt": text}))
    assert (problem.fix is not None) == mends
    if problem.fix is not None:
        assert problem.fix.edits == (("identity.disk_signature", "0x0a1b2c3d"),)
        assert named(planned(tmp_path, apply_fix(spec, problem.fix))) == []


def test_a_file_that_cannot_be_read_is_the_builds_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr("engine.boot.references.read_text", refuse)
    assert named(planned(tmp_path, loads(SPEC), **{"etc/crypttab": CRYPTTAB})) == []
