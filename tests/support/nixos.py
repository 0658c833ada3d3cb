"""A store of the test's own, with a NixOS-like system that the real nix built."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.boot.grub import SECTOR, BootCode, boot_sector
from tests.support.busybox import GUEST_MODULES, MARKER, Kernel, make_initrd

_CONFIGURATION = """\
substituters =
build-users-group =
sandbox = false
sandbox-fallback = false
experimental-features = nix-command flakes
"""

# The builder is a file whose name busybox knows itself by; a bare ./busybox would lose it.
_SYSTEM = r"""
{ version ? "25.05", payload ? "one", system ? builtins.currentSystem }:
let
  tools = ./busybox;
  sh = "${tools}/busybox";
  run = name: script: derivation {
    inherit name system;
    builder = sh;
    args = [ "sh" "-euc" ("b=${sh}\n" + script) ];
  };
  shell = run "shell-1.36" ''
    $b mkdir -p $out/bin
    $b cp ${sh} $out/bin/busybox
    for name in sh mount cat ls mkdir poweroff stat readlink cp ln dd; do
      $b ln -s busybox $out/bin/$name
    done
  '';
  library = number: run "library-${number}" ''
    $b mkdir -p $out/lib
    echo ${number} ${payload} > $out/lib/version
    $b ln -s version $out/lib/current
  '';
  kernel = run "linux-6.1" "$b mkdir $out; $b cp ${./kernel} $out/bzImage";
  initrd = run "initrd" "$b mkdir $out; $b cp ${./initrd} $out/initrd";
  modules = run "linux-6.1-modules" "$b cp -r ${./modules} $out";
  documents = run "manual" "$b mkdir $out; echo ${library "1.0"} > $out/needs";
in rec {
  extra = run "extra-2.1" "echo ${library "2.0"} > $out";
  broken = run "broken" "echo the builder says no; exit 3";
  toplevel = run "nixos-system-lab-${version}" ''
    $b mkdir -p $out/bin $out/etc
    $b ln -s ${kernel}/bzImage $out/kernel
    $b ln -s ${initrd}/initrd $out/initrd
    $b ln -s ${modules} $out/kernel-modules
    $b ln -s ${documents} $out/sw
    echo -n ${version} > $out/nixos-version
    echo 'PRETTY_NAME="NixOS lab"' > $out/etc/os-release
    $b cat > $out/activate <<EOF
    #!${shell}/bin/sh
    ${shell}/bin/mkdir -p /etc /run /tmp /root
    ${shell}/bin/ln -sfn $out /run/current-system
    echo activated > /etc/activated
    EOF
    $b cat > $out/init <<EOF
    #!${shell}/bin/sh
    PATH=${shell}/bin
    mount -t proc proc /proc
    mount -t devtmpfs dev /dev 2>/dev/null
    mount -o remount,rw /
    $out/activate
    echo "REPORT store \$(stat -c '%u:%g %a' /nix/store)"
    echo "REPORT profile \$(readlink -f /nix/var/nix/profiles/system)"
    echo "REPORT activated \$(cat /etc/activated)"
    echo "REPORT cmdline \$(cat /proc/cmdline)"
    echo MARKER
    poweroff -f
    EOF
    $b cat > $out/bin/switch-to-configuration <<EOF
    #!${shell}/bin/sh
    PATH=${shell}/bin
    echo "installing for \$1, NIXOS_INSTALL_BOOTLOADER=\$NIXOS_INSTALL_BOOTLOADER"
    esp=/boot
    for place in /efi /boot/efi; do [ -d \$place ] && esp=\$place; done
    mkdir -p \$esp/EFI/BOOT /boot/loader/entries /boot/kernels
    cp ${kernel}/bzImage /boot/kernels/linux
    cp ${initrd}/initrd /boot/kernels/initrd
    cp ${./loader.efi} \$esp/EFI/BOOT/BOOTX64.EFI
    cat > /boot/loader/entries/lab.conf <<END
    title The lab's own
    linux /kernels/linux
    initrd /kernels/initrd
    options init=$out/init root=LABEL=LABEL console=ttyS0
    END
    if [ -b /dev/vda ]; then
      dd if=${./boot.img} of=/dev/vda bs=440 count=1 conv=notrunc
      dd if=${./core.img} of=/dev/vda bs=512 seek=SECTOR conv=notrunc
      mkdir -p /boot/grub
      boot=/boot
      [ "\$(stat -c %d /boot)" = "\$(stat -c %d /)" ] || boot=
      cat > /boot/grub/grub.cfg <<END
    linux \$boot/kernels/linux init=$out/init root=LABEL=LABEL console=ttyS0 panic=-1
    initrd \$boot/kernels/initrd
    boot
    END
    fi
    exit STATUS
    EOF
    $b chmod +x $out/init $out/activate $out/bin/switch-to-configuration
    $b cat > $out/boot.json <<EOF
    { "org.nixos.bootspec.v1": {
        "system": "x86_64-linux", "label": "NixOS lab ${version}", "toplevel": "$out",
        "init": "$out/init", "kernel": "${kernel}/bzImage", "initrd": "${initrd}/initrd",
        "kernelParams": [ "console=ttyS0", "from-bootspec" ] },
      "org.nixos.specialisation.v1": { "quiet": { "org.nixos.bootspec.v1": {
        "system": "x86_64-linux", "label": "NixOS lab ${version} quiet", "toplevel": "$out",
        "init": "$out/init", "kernel": "${kernel}/bzImage", "initrd": "${initrd}/initrd",
        "kernelParams": [ "console=ttyS0", "quiet" ] } } } }
    EOF
  '';
}
"""
_FLAKE = """\
{ outputs = { self }: {
    lab = (import ./system.nix { system = "x86_64-linux"; }).toplevel;
    broken = (import ./system.nix { system = "x86_64-linux"; }).broken;
  }; }
"""


@dataclass(frozen=True)
class Lab:
    """A store with the system in it.

    Attributes:
        folder: The store's root, as `--store` takes it.
        sources: Folder with system.nix and flake.nix.
        environment: For nix and whatever calls it.
    """

    folder: Path
    sources: Path
    environment: Mapping[str, str]

    def nix(self, *argv: str, check: bool = True) -> str:
        """Runs a nix command in the lab and returns what it prints."""
        done = subprocess.run(
            argv, env={**os.environ, **self.environment}, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def build(self, attribute: str, *arguments: str) -> str:
        """Builds an attribute of system.nix and returns its store path."""
        return self.nix(
            "nix-build", "--store", str(self.folder), str(self.sources / "system.nix"),
            "-A", attribute, "--no-out-link", *arguments,
        )  # fmt: skip

    def place(self, path: str) -> Path:
        """Returns where a store path lies on this machine."""
        return self.folder / path.lstrip("/")


def make_lab(
    folder: Path, kernel: Kernel | None = None, *, loader: bytes = b"MZ", label: str = "root",
    status: int = 0, code: BootCode | None = None,
) -> Lab:  # fmt: skip
    """Makes an empty store and the expressions of the system.

    Args:
        folder: Where everything goes.
        kernel: A real one, for a system that is to be booted.
        loader: What the system's own installer puts on the ESP.
        label: Of the root that the installed entry names.
        status: What the installer exits with.
        code: What it writes outside all partitions, where it finds a disk.
    """
    sources = folder / "sources"
    (sources / "busybox").mkdir(parents=True)
    binary = shutil.which("busybox")
    assert binary is not None, "busybox-static is not installed"
    shutil.copy(binary, sources / "busybox" / "busybox")
    if kernel is None:
        (sources / "kernel").write_bytes(b"no kernel at all")
        (sources / "initrd").write_bytes(b"no initrd either")
    else:
        shutil.copy(kernel.image, sources / "kernel")
        (sources / "initrd").write_bytes(make_initrd(kernel, folder))
    (sources / "loader.efi").write_bytes(loader)
    _modules(sources / "modules" / "lib" / "modules", kernel)
    text = _SYSTEM.replace("MARKER", MARKER).replace("LABEL=LABEL", f"LABEL={label}")
    lba = _boot_code(sources, code)
    text = text.replace("SECTOR", str(lba))
    (sources / "system.nix").write_text(text.replace("exit STATUS", f"exit {status}"))
    (sources / "flake.nix").write_text(_FLAKE)
    (folder / "conf").mkdir()
    (folder / "conf" / "nix.conf").write_text(_CONFIGURATION)
    (folder / "home").mkdir()
    environment = {
        "NIX_CONF_DIR": str(folder / "conf"),
        "NIX_REMOTE": str(folder / "store"),
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "home" / "cache"),
    }
    return Lab(folder / "store", sources, environment)


_FAT_MODULES = ("nls_cp437", "nls_ascii", "fat", "vfat")


def _modules(folder: Path, kernel: Kernel | None) -> None:
    """Fills lib/modules as a NixOS system's kernel-modules has it; without a kernel, with none."""
    if kernel is None:
        folder.mkdir(parents=True)
        return
    release = folder / kernel.release
    release.mkdir(parents=True)
    shutil.copy(kernel.modules / "modules.builtin", release)
    before: list[str] = []
    lines = []
    for name in (*GUEST_MODULES, *_FAT_MODULES):
        found = kernel.module(name)
        if found is not None:
            shutil.copy(found, release / found.name)
            lines.append(f"{found.name}: {' '.join(reversed(before))}\n")
            before.append(found.name)
    (release / "modules.dep").write_text("".join(lines))


def _boot_code(sources: Path, code: BootCode | None) -> int:
    """Writes what the installer puts on the disk; returns the sector that core.img goes to."""
    empty = bytes(SECTOR)
    (sources / "boot.img").write_bytes(boot_sector(code, empty) if code else empty)
    (sources / "core.img").write_bytes(code.core if code else b"")
    return code.lba if code else 1
