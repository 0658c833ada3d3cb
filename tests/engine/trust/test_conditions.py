"""That a check can fail for every condition: what depends on one is planted, and must be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.trust import plant
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
    "the machine's mke2fs.conf": "open('/etc/mke2fs.conf').read()",
    "the machine's e2fsck.conf": "os.path.exists('/etc/e2fsck.conf')",
    "the user's .mtoolsrc": "os.path.exists(os.path.expanduser('~/.mtoolsrc'))",
    "BASH_ENV": "os.environ.get('BASH_ENV')",
    "PARTED_GPT_APPLE": "os.environ.get('PARTED_GPT_APPLE')",
}
_UUID = "928b35c1-0000-4000-8000-000000000000"
_MKE2FS = f"mke2fs -q -F -t ext4 -U {_UUID} -E hash_seed={_UUID},root_owner=0:0 file 8M"
_FAT = (
    "rm -f file; mkfs.fat --invariant -C file 1440 >&2; "
    "echo x >Name; mcopy -i file Name ::/a-long-name.txt"
)
_DONE = "cat file; rm -f file Name"
# Each needs the machine's own configuration to be covered.
MACHINES = {"the machine's mke2fs.conf", "the machine's e2fsck.conf", "mke2fs", "mcopy"}
# What a tool sees; time zone and locale are the same for all tools.
HOOK = {
    "mke2fs": f"(unset MKE2FS_CONFIG; {_MKE2FS} 2>/dev/null || echo none >file); {_DONE}",
    "mcopy": f"(unset MTOOLS_NAME_NUMERIC_TAIL; {_FAT}); {_DONE}",
    "mcopy of the user": f"(unset MTOOLSRC MTOOLS_NAME_NUMERIC_TAIL; {_FAT}); {_DONE}",
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
    "the spec": "work.plan.identity.seed",
    "modification times": "(source / 'etc' / 'motd').stat().st_mtime_ns",
}
HOOK_CONTROL = {
    "the tools' time zone": "date +%z",
    "the tools' locale": 'printf "$LC_ALL $LANG"',
    "mke2fs as a build runs it": f"{_MKE2FS.replace('-t ext4', '-O extent')}; {_DONE}",
    "mcopy as a build runs it": f"{_FAT}; {_DONE}",
    "what a shell reads first": 'printf "$DISKWRIGHT_PLANTED$BASH_ENV$ENV$XZ_OPT$ZSTD_CLEVEL"',
}

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
                source = work.plan.contents[0].source
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
    if "settings of tools: the machine's" in unchanged:
        excused |= MACHINES
    differing = {output.name for output in report.outputs if not output.identical}
    same = {output.name for output in report.outputs if output.identical}
    assert not report.identical
    assert differing == (PLANTED.keys() | HOOK.keys()) - excused
    assert same - excused == CONTROL.keys() | HOOK_CONTROL.keys() | {"demo.img"}


# A build whose tools are told nothing of one variable of the table.
_FORGETFUL = """\
import engine.tools.influences as influences
from types import MappingProxyType
kept = {name: value for name, value in influences.FIXED.items() if name != "MKE2FS_CONFIG"}
influences.FIXED = MappingProxyType(kept)
"""


def test_a_build_that_goes_by_a_file_of_the_machine_is_found(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_spec(open_folder, esp=True)
    (open_folder / "plant").mkdir()
    planted = open_folder / "plant" / "sitecustomize.py"
    planted.write_text(_FORGETFUL)
    monkeypatch.setenv("PYTHONPATH", str(open_folder / "plant"))

    report = checked(spec, "layout.table=efi")

    row = next(row for row in report.rows if row.what == "settings of tools: the machine's")
    assert row.second or row.why
    assert report.identical == (not row.second)


def test_a_machine_that_allows_no_namespace_says_so(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plant, "unshare_command", lambda: ("sh", "-c", "echo not here; exit 1"))

    report = checked(write_spec(open_folder))

    rows = {row.what: row for row in report.rows}
    assert rows["settings of tools: the machine's"].second == ""
    assert "not here" in rows["settings of tools: the machine's"].why
    assert ".mtoolsrc" in rows["settings of tools: the user's"].second
    assert report.identical
