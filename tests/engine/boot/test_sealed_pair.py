"""An A/B pair of roots, each under a hash tree of its own: found by veritysetup, and booted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.boot.test_immutable import EXAMPLES, READY, changed, watched
from tests.support.booting import Built, alone, boots, build_spec, cache_folder
from tests.support.busybox import fetch_kernel
from tests.support.tools import run_tool

PAIR = """
[[volume]]
id = "root-a"
role = "root"
format = "erofs"
mount = "/"

[[volume]]
id = "root-a-verity"
role = "root-verity"
verity = "root-a"

[[volume]]
id = "root-b"
role = "root"
format = "erofs"

[[volume]]
id = "root-b-verity"
role = "root-verity"
verity = "root-b"

[[contents]]
source = "other/"
target = "/"
volume = "root-b"

[[contents]]
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The example with two roots in the place of its one."""
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    folder = tmp_path_factory.mktemp("pair")
    (folder / "immutable").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "version").write_text("the one to update to\n" * 5000)
    shutil.copy(EXAMPLES / "immutable/make.py", folder / "immutable")
    subprocess.run([sys.executable, folder / "immutable/make.py", kernel.package], check=True)
    text = (EXAMPLES / "immutable.toml").read_text()
    before, _, rest = text.partition('[[volume]]\nid = "root"\n')
    spec = folder / "pair.toml"
    spec.write_text(before + PAIR + rest.partition("[[contents]]\n")[2])
    return build_spec(spec, folder / "out")


def hashes(built: Built) -> dict[str, str]:
    plan = json.loads((built.outdir / "manifest.json").read_text())["plan"]
    trees = (one for one in plan["partitions"] if "verity" in one)
    return {one["id"]: str(one["verity"]["root_hash"]) for one in trees}


def cut(built: Built, name: str, folder: Path) -> Path:
    volume = built.plan.volume(name)
    alone_ = folder / name
    with built.image.open("rb") as image:
        image.seek(built.plan.offset(name))
        alone_.write_bytes(image.read(volume.bytes))
    return alone_


def test_each_root_is_sealed_by_a_tree_of_its_own(pair: Built, tmp_path: Path) -> None:
    found = hashes(pair)
    plan = json.loads((pair.outdir / "manifest.json").read_text())["plan"]
    (entry,) = plan["boot"]["menu"]
    words = [word for word in entry["options"].split() if word.startswith("roothash=")]
    assert words == [f"roothash={found['root-a-verity']}"]
    assert len(set(found.values())) == 2
    told = run_tool(("sfdisk", "--json", pair.image), check=True, capture_output=True)
    guids = {one["name"]: one["uuid"].replace("-", "").lower()
             for one in json.loads(told.stdout)["partitiontable"]["partitions"]}  # fmt: skip
    for name in ("root-a", "root-b"):
        root_hash = found[f"{name}-verity"]
        data, tree = cut(pair, name, tmp_path), cut(pair, f"{name}-verity", tmp_path)
        run_tool(("veritysetup", "verify", data, tree, root_hash), check=True)
        assert (guids[name], guids[f"{name}-verity"]) == (root_hash[:32], root_hash[32:])


@pytest.mark.slow
def test_the_first_of_them_boots_and_a_changed_bit_of_it_is_found(
    pair: Built, tmp_path: Path
) -> None:
    verdict = boots(pair, "uefi", expect=READY)
    assert "root is root by CRYPT-VERITY-" in verdict.console
    image = tmp_path / "changed.img"
    image.write_bytes(changed(pair, "root-a", b"This root is read through"))
    seen = watched(Built(pair.plan, image, tmp_path))
    assert not seen.seen
    assert seen.meaning == "dm-verity read a block that is not what was hashed"
    # What is not mounted is not read: the other root may be in the midst of an update.
    image.write_bytes(changed(pair, "root-b", b"the one to update to"))
    assert watched(Built(pair.plan, image, tmp_path)).seen
