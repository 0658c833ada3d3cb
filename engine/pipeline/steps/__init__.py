"""The steps of a build, one function for each verb of `engine.plan.steps`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from engine.pipeline.steps import (
    checksum,
    convert,
    guest,
    hook,
    identifiers,
    loader,
    nixos,
    pack,
    prove,
    publish,
    record,
    sbom,
    sign,
    table,
    update,
    volume,
    wrap,
)
from engine.pipeline.work import Work

StepFunction = Callable[[Work], Awaitable[None]]

STEPS: Mapping[str, StepFunction] = {
    "compare": update.compare,
    "allocate": table.allocate,
    "table": table.partition,
    "identifiers": identifiers.identify,
    "make": volume.make,
    "nixos-loader": nixos.install,
    "populate": volume.populate,
    "loader-boot-code": loader.boot_code,
    "nixos-guest": guest.install,
    "take-over": update.take_over,
    "check": volume.check,
    "efi-variables": loader.efi_variables,
    "convert": convert.convert,
    "hook": hook.run,
    "prove": prove.prove,
    "wrap": wrap.wrap,
    "pack": pack.pack,
    "sbom": sbom.write,
    "checksum": checksum.checksum,
    "record": record.record,
    "sign": sign.sign,
    "publish": publish.publish,
}
