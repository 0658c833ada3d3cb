"""Times planning and building an image of a closure of many store paths.

    python -m benchmarks.closure [--paths 1500] [--files 40]

The closure is made once, in a store of the benchmark's own, from a fixed seed. A plan is timed as
the command line makes it, process and all; the build's steps as its record has them.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import places
from engine.events import StepFinished, decode
from tests.support.nixos import Lab, make_lab

_TOP = """\
derivation {{ name = "top"; system = builtins.currentSystem; builder = "${{./busybox}}/busybox";
  args = [ "sh" "-c" "echo $paths > $out" ]; paths = [ {paths} ]; }}
"""


def make_closure(lab: Lab, folder: Path, paths: int, files: int) -> str:
    """Fills the store; returns a path that refers to all of it."""
    generator = random.Random(1)
    for number in range(paths):
        package = folder / f"package{number}-1.{number % 7}"
        for index in range(files):
            file = package / ("lib" if index % 3 else "share/doc") / f"file{index}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(generator.randbytes(generator.randrange(200, 6000)))
    packages = map(str, sorted(folder.iterdir()))
    added = lab.nix("nix-store", "--store", str(lab.folder), "--add", *packages).split()
    listed = " ".join(f'(builtins.storePath "{path}")' for path in added)
    top = lab.sources / "top.nix"
    top.write_text(_TOP.format(paths=listed))
    return lab.nix("nix-build", "--store", str(lab.folder), str(top), "--no-out-link")


def timed(argv: list[str], lab: Lab) -> float:
    """Returns the seconds that a command takes."""
    begun = time.monotonic()
    environment = {**os.environ, **lab.environment}
    subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--paths", type=int, default=1500)
    parser.add_argument("--files", type=int, default=40, help="in each path")
    parser.add_argument("--folder", type=places.made, help="where store and image are made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="closure-", dir=arguments.folder) as name:
        folder = Path(name)
        lab = make_lab(folder / "lab")
        path = make_closure(lab, folder / "packages", arguments.paths, arguments.files)
        spec = folder / "closure.toml"
        spec.write_text(
            f'schema = 1\n[layout]\ntable = "none"\n[nix]\nstore = "{lab.folder}"\n'
            f'additional_paths = ["{path}"]\n'
        )
        command = [sys.executable, "-m", "engine.cli"]
        for attempt in ("first", "second", "third"):
            print(f"plan, {attempt} time: {timed([*command, 'plan', str(spec)], lab):.2f} s")
        outdir = folder / "out"
        seconds = timed([*command, "build", str(spec), "-o", str(outdir), "--quiet"], lab)
        print(f"build: {seconds:.2f} s")
        for line in (outdir / "build.jsonl").read_bytes().splitlines():
            event = decode(line)
            if isinstance(event, StepFinished):
                print(f"  {event.id}: {event.seconds:.2f} s")
        subprocess.run(["chmod", "-R", "u+w", str(lab.folder)], check=True)


if __name__ == "__main__":
    main()
