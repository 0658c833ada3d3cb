"""That a check can fail for every condition: what depends on one is planted, and must be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.trust.check import Report
from tests.engine.trust.support import checked
from tests.support.specs import write_spec

# Evaluated in the building process itself, where `work` is the step's and `source` a folder's.
PLANTED = {
    "output folder": "str(work.staging.outdir)",
    "depth of the output folder": "len(work.staging.outdir.parts)",
    "place of the sources": "str(source)",
    "inode numbers": "(source / 'etc' / 'motd').stat().st_ino",
    "link counts": "[path.stat().st_nlink for path in sorted(source.glob('many/*'))]",
    "order of directory listings": "os.listdir(source / 'many')",
    "order of entries": "[entry.name for entry in os.scandir(source / 'many')]",
    "own clock": "int(time.time()) // 86400",
    "own clock in nanoseconds": "time.time_ns() // (86400 * 10**9)",
    "TZ": "time.strftime('%H:%M', time.localtime(0))",
    "locale": "os.environ.get('LC_ALL')",
    "language": "os.environ.get('LANG')",
    "umask": "open('/proc/self/status').read().split('Umask:')[1].split()[0]",
    "processors": "len(os.sched_getaffinity(0))",
    "user": "os.geteuid()",
    "group": "os.getegid()",
    "hash seed": "hash('a name')",
    "HOME": "os.environ['HOME']",
    "TMPDIR": "os.environ.get('TMPDIR')",
    "USER": "os.environ.get('USER')",
    "COLUMNS": "os.environ.get('COLUMNS')",
    "EDITOR": "os.environ.get('EDITOR')",
}
# What a tool sees; time zone and locale are the same for all tools.
HOOK = {
    "the tools' output folder": 'printf "$OUT"',
    "the tools' working folder": "pwd",
    "the tools' clock": "date +%s",
    "the tools' umask": "umask",
    "the tools' processors": "nproc",
    "the tools' user": "id -u",
    "the tools' home": 'printf "$HOME"',
    "the tools' user name": 'printf "$USER"',
}
CONTROL = {
    "nothing": "sorted(os.listdir(source / 'many'))",
    "the spec": "work.plan.settings.seed",
    "modification times": "(source / 'etc' / 'motd').stat().st_mtime_ns",
}
HOOK_CONTROL = {"the tools' time zone": "date +%z", "the tools' locale": 'printf "$LC_ALL $LANG"'}

# Python runs it in every process that has its folder on PYTHONPATH (the module `site`).
_PLANT = """\
import importlib.util, os, sys, time
NAME = "engine.pipeline.steps.hook"
class Finder:
    def find_spec(self, name, path, target=None):
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(NAME)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            run = module.run
            async def planted(work):
                source = work.plan.settings.contents[0].source
                for name, text in VALUES.items():
                    work.staging.write(name, repr(eval(text)).encode())
                await run(work)
            module.run = planted
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Finder())
VALUES = """


def check_planted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Checks a spec whose build writes a file for each condition, with what it finds."""
    spec = write_spec(folder)
    for number in range(40):
        path = folder / "tree" / "many" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (folder / "plant").mkdir()
    (folder / "plant" / "sitecustomize.py").write_text(f"{_PLANT}{PLANTED | CONTROL!r}\n")
    monkeypatch.setenv("PYTHONPATH", str(folder / "plant"))
    for name in ("TZ", "LC_ALL", "TMPDIR", "COLUMNS", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    lines = [f'({text}) > "$OUT/{name}"\n' for name, text in (HOOK | HOOK_CONTROL).items()]
    with spec.open("a") as file:
        file.write(f"[hooks]\nafter_build = '''\n{''.join(lines)}'''\n")
    return checked(spec)


def test_what_depends_on_any_condition_is_found(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = check_planted(open_folder, monkeypatch)

    unchanged = {row.what: row.why for row in report.rows if not row.second}
    excused = set()
    if "processors" in unchanged:
        excused |= {"processors", "the tools' processors"}
    if "user and group id" in unchanged:
        excused |= {"user", "group", "the tools' user"}
    differing = {output.name for output in report.outputs if not output.identical}
    same = {output.name for output in report.outputs if output.identical}
    assert not report.identical
    assert differing == (PLANTED.keys() | HOOK.keys()) - excused
    assert same - excused == CONTROL.keys() | HOOK_CONTROL.keys() | {"demo.img"}
