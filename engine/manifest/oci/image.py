"""What a container image says about itself: its configuration and its layers."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

MOST_LAYERS = 512
"""Docker makes images of at most 127 layers; nothing else makes more than a few of those."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image is for, in Go's words ("linux", "amd64", "v7")."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def fits(self, wanted: Platform) -> bool:
        """Whether an image for this platform is one for the wanted one."""
        same = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        return same and (not wanted.variant or _variant(self) == _variant(wanted))


def _variant(platform: Platform) -> str:
    """Returns the variant; 64-bit ARM has one only (image-spec, "Platform Variants")."""
    if platform.architecture == "arm64":
        return platform.variant or "v8"
    return platform.variant


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        name: Of its blob in the store.
        digest: Algorithm and sum of the blob, or "" where only its content has one.
        size: Bytes of the blob, or None.
        diff_id: Algorithm and sum of the unpacked archive.
    """

    name: bytes
    digest: str
    size: int | None
    diff_id: str


class Process(msgspec.Struct, frozen=True, rename="pascal"):
    """What an image runs (image-spec, config.md, "config"); null where it says nothing."""

    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: list[str] | None = None
    working_dir: str | None = None
    user: str | None = None
    stop_signal: str | None = None
    exposed_ports: dict[str, object] | None = None
    volumes: dict[str, object] | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The command: Entrypoint, and Cmd as its arguments."""
        return (*(self.entrypoint or ()), *(self.cmd or ()))


class RootFs(msgspec.Struct, frozen=True):
    """The sums of the layers' content."""

    diff_ids: list[str] | None = None


class Config(msgspec.Struct, frozen=True):
    """The configuration of an image."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    rootfs: RootFs = RootFs()
    config: Process | None = None


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """One image of a store.

    Attributes:
        names: By which it can be chosen.
        digest: Of its manifest, or of its configuration where it has no manifest.
        layers: From the lowest up.
    """

    names: tuple[str, ...]
    digest: str
    platform: Platform
    layers: tuple[Layer, ...]
    process: Process
