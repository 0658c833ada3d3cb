"""Times a whole build side by side with genimage from the same folder.

    python -m benchmarks.build [--files 70000] [--total 1400] [--rounds 3]

Both make a GPT disk of one size with an empty ESP and an ext4 root that holds the folder. Ours
also checks both file systems, reads back what it wrote, and computes the image's SHA-256 and
those of all sources; genimage does none of that. The first ratio is ours to genimage alone; for
the second, e2fsck and sha256sum have done those parts of it that they can. Best of all rounds each.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.populate import MIB, many_files, read_once

_SPEC = """schema = 1
name = "disk"
layout.table = "efi"
size.disk = "{disk}MiB"
size.boot = "64MiB"
contents = [{{ source = "root", target = "/" }}]
"""
_GENIMAGE = """image esp.vfat {{
  vfat {{
  }}
  empty = true
  size = 64M
}}
image root.ext4 {{
  ext4 {{
    use-mke2fs = true
    label = "root"
    extraargs = "-m 0 -N {inodes}"
  }}
  size = {root}M
}}
image disk.img {{
  hdimage {{
    partition-table-type = "gpt"
  }}
  partition esp {{
    image = "esp.vfat"
    partition-type-uuid = "U"
  }}
  partition root {{
    image = "root.ext4"
  }}
}}
"""


def root_size(files: int, total: int) -> int:
    """Returns MiB for a root file system that the files fill well.

    Beside the data, a file takes half a block for its last one and an inode, seven take a block
    for their directory; the rest is for the journal and the descriptors.
    """
    return total + files * 5 // 1024 + 96


def ours(folder: Path) -> float:
    """Builds with Diskwright and returns the seconds it took."""
    out = folder / "out-ours"
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "engine.cli", "build", str(folder / "disk.toml"), "-o", str(out),
         "--quiet"], check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    shutil.rmtree(out)
    return seconds


def theirs(folder: Path) -> tuple[float, float]:
    """Builds with genimage; returns the seconds it took, and those with checks and sum."""
    out, scratch = folder / "out-genimage", folder / "tmp"
    begin = time.perf_counter()
    subprocess.run(
        ["genimage", "--config", str(folder / "genimage.cfg"), "--rootpath", str(folder / "root"),
         "--tmppath", str(scratch), "--inputpath", str(folder), "--outputpath", str(out)],
        check=True, capture_output=True,
    )  # fmt: skip
    alone = time.perf_counter()
    subprocess.run(["e2fsck", "-fn", str(out / "root.ext4")], check=True, capture_output=True)
    subprocess.run(["sha256sum", str(out / "disk.img")], check=True, capture_output=True)
    end = time.perf_counter()
    shutil.rmtree(out)
    shutil.rmtree(scratch)
    return alone - begin, end - begin


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where trees and images are made")
    parser.add_argument("--files", type=int, default=70_000)
    parser.add_argument("--total", type=int, default=1400, help="MiB of all files")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="build-", dir=arguments.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "root").mkdir()
        many_files(folder / "root", arguments.files, arguments.total * MIB)
        read_once(folder / "root")
        root = root_size(arguments.files, arguments.total)
        (folder / "disk.toml").write_text(_SPEC.format(disk=root + 68), encoding="utf-8")
        (folder / "genimage.cfg").write_text(
            _GENIMAGE.format(root=root, inodes=arguments.files * 2), encoding="utf-8"
        )
        rounds = [(ours(folder), *theirs(folder)) for _ in range(arguments.rounds)]
    mine, alone, checked = (min(column) for column in zip(*rounds, strict=True))
    print(
        f"{arguments.files} files, {arguments.total} MiB: whole build {mine:.2f} s   "
        f"genimage {alone:.2f} s   ratio {mine / alone:.2f}   "
        f"genimage, e2fsck and sha256sum {checked:.2f} s   ratio {mine / checked:.2f}"
    )


if __name__ == "__main__":
    main()
