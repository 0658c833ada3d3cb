"""Sources made to lead a build astray: names, links, archives, races; and what may not leak."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.manifest.entry import SourceChanged
from engine.manifest.lookup import stream
from engine.manifest.scan import scan
from engine.pipeline.build import build
from engine.spec.load import load
from engine.spec.resolve import resolve
from tests.badinputs.trees import archive, member
from tests.engine.filesystems.ext4 import debugfs
from tests.support.folders import contents_of
from tests.support.specs import plan_of

ROOT = Path(__file__).parents[2]
_ROUNDS, _ENOUGH = 5000, 20
"""How often a race is run at most, and how often it must have been noticed to stop."""
HEAD = 'schema = 1\nname = "demo"\n[size]\nadditional = "4MiB"\nboot = "33MiB"\n'
TREE = '[[contents]]\nsource = "tree"\ntarget = "/"\n'
ESP = '[[contents]]\nsource = "esp"\ntarget = "/"\npartition = "esp"\n'
ODD = (
    b"-rf", b"--help", b"-", b"new\nline", b"tab\t", b"\xff\xfe", b"caf\xc3\xa9", b"[b]x[b]", b"*?",
    b"@@1048576", b"x?offset=5", b"::", b"$(touch pwned)", b"`touch pwned`", b"'\";|&<>", b"b\\n",
    b"\x1b[2J", b"%s%n", b"{0}", b"#", b"~", b" leading", b"trailing ", b"...", b"n" * 255,
)  # fmt: skip
ODD_ON_FAT = (
    "-rf", "--help", "-n.txt", "b]x.txt", "$(touch pwned)", "`touch pwned`", "@@1048576", "a;b",
    "café", "%s%n", "{0}", "#", "~", "'x'", "a long name, with commas & more.conf",
)  # fmt: skip


def spec_in(folder: Path, text: str) -> Path:
    spec = folder / "demo.toml"
    spec.write_text(HEAD + text)
    return spec


def built(spec: Path, out: Path, *overrides: str) -> tuple[Path, int]:
    """Builds, and returns the image and where its root begins."""
    plan = plan_of(spec, overrides)
    result = asyncio.run(build(plan, lambda event: None, outdir=out))
    assert result.status == "ok", result.message
    return out / "demo.img", plan.offset("root")


def test_names_that_a_tool_could_take_for_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, esp = os.fsencode(tmp_path / "tree"), tmp_path / "esp"
    os.mkdir(tree)
    esp.mkdir()
    for name in ODD:
        os.mkdir(tree + b"/d" + name[:200])
        with open(tree + b"/" + name, "wb") as file:
            file.write(name)
    for fat_name in ODD_ON_FAT:
        (esp / fat_name).write_text(fat_name)
        (esp / f"d{fat_name}").mkdir()
        (esp / f"d{fat_name}" / fat_name).write_text(fat_name)
    out = Path(os.fsdecode(b"/-o \xff@@1 ?offset=9 [x]\n::"[1:]))
    monkeypatch.chdir(tmp_path)

    image, offset = built(spec_in(tmp_path, TREE + ESP), tmp_path / out)

    assert not list(tmp_path.rglob("pwned"))
    plain = tmp_path / "image"
    image.rename(plain)
    nodes = debugfs.read(plain, offset, 2 * len(ODD) + 1)
    names = nodes[debugfs.ROOT].names
    assert set(names) - {b".", b"..", b"lost+found"} == {*ODD, *(b"d" + n[:200] for n in ODD)}
    assert {name: nodes[names[name]].data for name in ODD} == {name: name for name in ODD}
    monkeypatch.setenv("MTOOLS_SKIP_CHECK", "1")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    drive = f"{plain}@@{plan_of(tmp_path / 'demo.toml').offset('esp')}"
    for fat_name in ODD_ON_FAT:
        for path in (fat_name, f"d{fat_name}/{fat_name}"):
            copy = ("mtype", "-i", drive, f"::/{path}".replace("[", "\\["))
            assert subprocess.run(copy, check=True, capture_output=True).stdout == fat_name.encode()


def test_archives_lead_nowhere_but_into_the_image(tmp_path: Path) -> None:
    device = member("dev/null", tarfile.CHRTYPE)
    device.devmajor, device.devminor = 1, 3
    setuid = member("bin/su")
    setuid.mode, setuid.uid = 0o4755, 0
    archive(
        tmp_path / "a.tar",
        (member("/etc/absolute"), b"inside"),
        (member("host", tarfile.SYMTYPE, "/etc"), b""),
        (member("host/passwd"), b"inside, too"),
        (member("up", tarfile.SYMTYPE, "../../../../etc/passwd"), b""),
        (device, b""),
        (setuid, b"su"),
        (member("pipe", tarfile.FIFOTYPE), b""),
    )
    before = Path("/etc/passwd").read_bytes()
    spec = spec_in(tmp_path, '[[contents]]\nsource = "a.tar"\ntarget = "/"\nextract = true\n')

    image, offset = built(spec, tmp_path / "out", "layout.table=none")

    assert Path("/etc/passwd").read_bytes() == before
    nodes = debugfs.read(image, offset, 11)
    top = nodes[debugfs.ROOT].names

    def at(*path: bytes) -> debugfs.Node:
        number = debugfs.ROOT
        for name in path:
            number = nodes[number].names[name]
        return nodes[number]

    assert at(b"etc", b"absolute").data == b"inside"
    assert at(b"etc", b"passwd").data == b"inside, too"
    assert stat.S_ISLNK(at(b"up").mode)
    assert at(b"up").data == b"../../../../etc/passwd"
    assert (at(b"dev", b"null").mode, at(b"dev", b"null").rdev) == (0o020644, os.makedev(1, 3))
    assert stat.S_IMODE(at(b"bin", b"su").mode) == 0o4755
    assert stat.S_ISFIFO(at(b"pipe").mode)
    assert b"passwd" not in top


@contextmanager
def flipping(folder: Path, target: Path) -> Iterator[None]:
    """Swaps a folder for a link to another one and back, as fast as it goes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    stop = threading.Event()
    aside, link = folder.with_name("aside"), folder.with_name("link")

    def flip() -> None:
        while not stop.is_set():
            folder.rename(aside)
            link.symlink_to(target)
            link.rename(folder)
            folder.unlink()
            aside.rename(folder)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)


def test_a_folder_swapped_for_a_link_is_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "file").write_bytes(b"secret")
    (secret / "key").write_bytes(b"secret")
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    for number in range(20):
        (tree / "d" / f"{number}").write_bytes(b"public")
    (tree / "d" / "file").write_bytes(b"public")
    loaded = load(spec_in(tmp_path, TREE))
    settings, _ = resolve(loaded.spec, loaded.base, {})
    noticed = 0

    with flipping(tree / "d", secret):
        for _ in range(_ROUNDS):
            manifest = scan(settings).volumes["root"]
            assert manifest.get(b"d/key") is None
            try:
                for _, _, piece in stream(manifest):
                    assert bytes(piece) == b"public"
            except (SourceChanged, OSError):
                noticed += 1
            if noticed >= _ENOUGH:
                break

    assert noticed, "the race never happened"


async def test_a_file_that_became_a_fifo_does_not_block(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "log").write_text("x")
    os.mkfifo(tree / "pipe")
    plan = plan_of(spec_in(tmp_path, TREE), ["layout.table=none"])
    (tree / "log").unlink()
    os.mkfifo(tree / "log")

    result = await build(plan, lambda event: None, outdir=tmp_path / "out")

    assert result.step == "populate-root"
    assert "tree/log" in (result.message or "")


async def test_a_file_that_grows_while_it_is_read_is_told(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "log").write_bytes(b"x" * (8 << 20))
    plan = plan_of(spec_in(tmp_path, TREE), ["layout.table=none"])
    stop = threading.Event()

    def grow() -> None:
        with (tree / "log").open("ab") as log:
            while not stop.is_set():
                log.write(b"more")
                log.flush()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        result = await build(plan, lambda event: None, outdir=tmp_path / "out")
    finally:
        stop.set()
        thread.join()

    assert result.status == "failed"
    assert "tree/log changed after it was scanned" in (result.message or "")


def test_of_two_builds_at_once_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    hook = "until test -e ../../go; do sleep 0.1; done"
    spec = spec_in(tmp_path, f'{TREE}[hooks]\nafter_build = "{hook}"')
    out = tmp_path / "out"
    command = [sys.executable, "-m", "engine.cli", "build", str(spec)]
    command += ["-o", str(out), "--events", "-"]

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert any(b'"hook"' in line for line in first.stdout)
        second = subprocess.run(
            [*command[:-2], "--force"], cwd=ROOT, capture_output=True, text=True
        )
        (tmp_path / "go").touch()
        first.stdout.read()

    assert (second.returncode, first.returncode) == (2, 0)
    assert "in use by another build" in second.stderr
    assert main(["inspect", str(out / "demo.img")]) == 0


def test_a_hook_is_shown_before_it_runs_and_planning_runs_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tree").mkdir()
    hook = f"touch {tmp_path}/ran"
    spec = spec_in(tmp_path, f'{TREE}[hooks]\nafter_build = "{hook}"\n')
    before = contents_of(tmp_path)

    assert main(["plan", str(spec), "--json"]) == 0

    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["commands"] for step in steps if step["id"] == "hook"] == [[["bash", "-c", hook]]]
    assert main(["plan", str(spec)]) == 0
    assert hook in capsys.readouterr().out
    assert contents_of(tmp_path) == before


@pytest.mark.parametrize("hook", ["env", "env >&2; exit 3"])
def test_no_secret_of_the_environment_is_written_anywhere(tmp_path: Path, hook: str) -> None:
    secret = "hunter2-0123456789"
    (tmp_path / "tree").mkdir()
    spec = spec_in(tmp_path, f'{TREE}[hooks]\nafter_build = "{hook}"\n')
    environment = os.environ | {
        "SECRET": secret, "AWS_SECRET_ACCESS_KEY": secret, "GITHUB_TOKEN": secret,
        "DISKWRIGHT_TRACEBACK": "1",
    }  # fmt: skip

    ran = subprocess.run(
        [sys.executable, "-m", "engine.cli", "build", spec, "-o", tmp_path / "out"],
        cwd=ROOT, capture_output=True, env=environment,
    )  # fmt: skip

    assert ran.returncode == (0 if hook == "env" else 1)
    assert b"SOURCE_DATE_EPOCH=" in ran.stdout + ran.stderr  # the hook did print its environment
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written
    for text in (ran.stdout, ran.stderr, *(path.read_bytes() for path in written)):
        assert secret.encode() not in text


def test_a_crash_report_tells_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET", "hunter2-0123456789")
    monkeypatch.setenv("DISKWRIGHT_TRACEBACK", "1")

    def crash(*args: object, **kwargs: object) -> None:
        environment = dict(os.environ)
        raise RuntimeError(f"{len(environment)} variables")

    monkeypatch.setattr("engine.planning.plan_spec", crash)
    (tmp_path / "tree").mkdir()

    assert main(["plan", str(spec_in(tmp_path, TREE))]) == 70
    assert "hunter2" not in "".join(capsys.readouterr())
