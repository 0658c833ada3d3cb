"""The steps of a build, one function for each id of `engine.plan.steps`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from engine.pipeline.steps import (
    checksum,
    convert,
    esp,
    guest,
    hook,
    identifiers,
    loader,
    nixos,
    pack,
    prove,
    publish,
    record,
    root,
    sbom,
    sign,
    table,
)
from engine.pipeline.work import Work

StepFunction = Callable[[Work], Awaitable[None]]

STEPS: Mapping[str, StepFunction] = {
    "allocate": table.allocate,
    "table": table.partition,
    "identifiers": identifiers.identify,
    "make-root": root.make,
    "populate-root": root.populate,
    "make-esp": esp.make,
    "nixos-loader": nixos.install,
    "populate-esp": esp.populate,
    "loader-boot-code": loader.boot_code,
    "nixos-guest": guest.install,
    "check-root": root.check,
    "check-esp": esp.check,
    "efi-variables": loader.efi_variables,
    "convert": convert.convert,
    "hook": hook.run,
    "prove": prove.prove,
    "pack": pack.pack,
    "sbom": sbom.write,
    "checksum": checksum.checksum,
    "record": record.record,
    "sign": sign.sign,
    "publish": publish.publish,
}
