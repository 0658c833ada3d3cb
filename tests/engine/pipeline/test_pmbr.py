"""The protective MBR's flag: in the image as libparted reads it, and back in an imported spec."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.cli.main import main

SPEC = """\
schema = 1
name = "disk"
layout.table = "gpt"
layout.sector_size = {sector}
{more}
[[volume]]
id = "only"
role = "data"
format = "none"
size = "1MiB"
"""
ACTIVE_AT, TYPE_AT = 446, 450


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("active", [True, False])
def test_the_protective_entry_is_active_where_asked(
    tmp_path: Path, sector: int, active: bool
) -> None:
    spec, image, again = (tmp_path / name for name in ("s.toml", "out/disk.img", "again.toml"))
    more = f"layout.pmbr_boot = {str(active).lower()}"
    spec.write_text(SPEC.format(sector=sector, more=more))

    assert main(["build", str(spec), "-o", str(image.parent), "--quiet"]) == 0

    head = image.read_bytes()[:512]
    assert (head[ACTIVE_AT], head[TYPE_AT]) == (0x80 if active else 0, 0xEE)
    assert not any(head[ACTIVE_AT + 16 : 510])
    if sector == 512:
        told = subprocess.run(
            ("parted", "--script", image, "print"), check=True, capture_output=True, text=True
        ).stdout
        assert ("Disk Flags: pmbr_boot" in told) == active
        subprocess.run(("sgdisk", "-v", image), check=True, capture_output=True)
    assert main(["import", str(image), "-o", str(again)]) == 0
    assert ("pmbr_boot = true" in again.read_text()) == active
