"""What the plugins of wic put onto a partition: files, raw bytes, a loader.

Source: Yocto Project Reference Manual, chapter OpenEmbedded Kickstart; wic's plugins/source.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.importers.draft import Draft
from engine.importers.kickstart import Command
from engine.importers.model import Candidate
from engine.importers.variables import unknown
from engine.spec.model import Content

_LOADERS = {"grub-efi": "grub", "systemd-boot": "systemd-boot"}


def root_of(candidate: Candidate, environment: Mapping[str, str]) -> str:
    """Returns the tree of files that an image is made of, as far as it is known, or ""."""
    if candidate.root is not None:
        return str(candidate.root.absolute())
    return environment.get("IMAGE_ROOTFS", "")


def raw_source(command: Command, params: Mapping[str, str], file: Path, draft: Draft) -> str | None:
    """Returns the file that rawcopy copies."""
    name = params.get("file", "")
    for key in (key for key in params if key != "file"):
        draft.note(command.where, f"{key} of --sourceparams", "a file is copied whole")
    if not name or unknown(name):
        draft.note(command.where, "--source rawcopy", f'it is not known which file "{name}" is',
                   "set the variable in the environment, or name the file as source")  # fmt: skip
        return None
    return str(file.absolute().parent / name)


def add_files(
    command: Command, source: str, volume: str, root: str, file: Path, draft: Draft
) -> None:
    """Adds the files of a partition, where it is known which these are."""
    if source in {"", "empty", "rawcopy"}:
        return
    if source not in {"rootfs", "extra_partition"} and not source.startswith("bootimg"):
        draft.note(command.where, f"--source {source}", "it is a plugin of wic",
                   f'name the files as contents with volume = "{volume}"')  # fmt: skip
        return
    if source != "rootfs":
        draft.note(command.where, f"what --source {source} puts on the partition",
                   "the build system of the image chooses it (IMAGE_BOOT_FILES and the like)",
                   f'name the files as contents with volume = "{volume}"')  # fmt: skip
        return
    folder = command.get("rootfs-dir") or root
    if not folder or unknown(folder):
        draft.note(command.where, "--source rootfs", "it is not known which tree of files that is",
                   "--root DIR, or IMAGE_ROOTFS in the environment, names it")  # fmt: skip
        return
    top = file.absolute().parent / folder / command.get("change-directory")
    draft.contents.append(
        Content(
            source=f"{top}/",
            target="/",
            exclude=tuple(_exclude(path) for path in command.lists.get("exclude-path", ())),
            volume=volume,
        )
    )
    for path in command.lists.get("include-path", ()):
        if unknown(path):
            draft.note(command.where, f"--include-path {path}", "it is not known which that is")
        else:
            draft.contents.append(
                Content(source=f"{file.absolute().parent / path}/", target="/", volume=volume)
            )


def _exclude(path: str) -> str:
    """Returns the pattern for a path; one that ends in a slash stays as an empty folder."""
    clean = path.strip("/")
    return f"/{clean}/**" if path.endswith("/") else f"/{clean}"


def loader_of(command: Command, source: str, params: Mapping[str, str], draft: Draft) -> str:
    """Returns the loader that a partition's plugin installs, as a spec names it."""
    if source in {"bootimg-pcbios", "bootimg_pcbios"}:
        draft.note(command.where, "SYSLINUX, which --source bootimg-pcbios installs",
                   "Diskwright installs GRUB for a BIOS", 'boot.loader = "grub"')  # fmt: skip
    name = params.get("loader", "")
    if name and name not in _LOADERS:
        draft.note(command.where, f"the loader {name}", "Diskwright does not install it",
                   "boot.loader has those that it does")  # fmt: skip
    return _LOADERS.get(name, "")
