"""Bootspec documents: what a NixOS system says of how it boots (NixOS RFC 125)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

BOOTSPEC_LIMIT = 1 << 20
SYSTEM_PROFILE = b"nix/var/nix/profiles/system"
_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_BOOTSPEC_KEY = "org.nixos.bootspec.v1"
_SPECIALISATION_KEY = "org.nixos.specialisation.v1"


class Bootspec(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a bootspec document that a menu needs."""

    init: str
    kernel: str
    label: str = ""
    kernel_params: tuple[str, ...] = ()
    initrd: str = ""


def generations(document: bytes) -> Iterator[tuple[str, Bootspec]]:
    """Yields what a boot.json describes: the system as "", then its specialisations by name.

    It ends where the document makes no sense.
    """
    try:
        fields = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        yield from _generation(fields, "")
        specialisations = msgspec.json.decode(
            fields.get(_SPECIALISATION_KEY, msgspec.Raw(b"{}")),
            type=dict[str, dict[str, msgspec.Raw]],
        )
        for name in sorted(specialisations):
            yield from _generation(specialisations[name], name)
    except _BAD_JSON:
        return


def _generation(fields: dict[str, msgspec.Raw], name: str) -> Iterator[tuple[str, Bootspec]]:
    raw = fields.get(_BOOTSPEC_KEY)
    if raw is not None:
        yield name, msgspec.json.decode(raw, type=Bootspec)
