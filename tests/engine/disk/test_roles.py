"""The table of roles, held against what util-linux knows of partition types."""

from __future__ import annotations

import subprocess

import pytest

from engine.disk.roles import ROLES, role_of
from tests.support.tools import run_tool

NAMES = {
    "esp": "EFI System", "xbootldr": "Linux extended boot", "bios-boot": "BIOS boot",
    "home": "Linux home", "srv": "Linux server data", "var": "Linux variable data",
    "tmp": "Linux temporary data", "swap": "Linux swap", "data": "Linux filesystem",
}  # fmt: skip
BY_MACHINE = {
    "root": "Linux root ({})", "usr": "Linux /usr ({})", "root-verity": "Linux root verity ({})",
    "usr-verity": "Linux /usr verity ({})", "root-verity-sig": "Linux root verity sign. ({})",
    "usr-verity-sig": "Linux /usr verity sign. ({})",
}  # fmt: skip
MACHINES = {"x86_64": "x86-64", "aarch64": "ARM-64"}


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """Names by GUID, as sfdisk prints them."""
    command = ("sfdisk", "--label", "gpt", "--list-types")
    told: subprocess.CompletedProcess[str] = run_tool(
        command, capture_output=True, text=True, check=True
    )
    rows = (line.split(None, 1) for line in told.stdout.splitlines() if "-" in line[:9])
    return {row[0]: row[1].strip() for row in rows}


@pytest.mark.parametrize("key", NAMES)
def test_types_are_those_of_util_linux(key: str, known: dict[str, str]) -> None:
    assert known[ROLES[key].gpt] == NAMES[key]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("key", BY_MACHINE)
def test_types_by_machine(key: str, machine: str, known: dict[str, str]) -> None:
    name = BY_MACHINE[key].format(MACHINES[machine])
    assert known[ROLES[key].type("gpt", machine)] == name


def test_readers_tell_the_roles_that_types_tell() -> None:
    told = [role for role in ROLES.values() if role.key not in {"boot", "data", "raw"}]
    for role in told:
        assert {role_of(type_) for type_ in role.types - {ROLES["data"].gpt}} == {role.key}
