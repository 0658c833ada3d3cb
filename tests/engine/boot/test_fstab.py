"""/etc/fstab: when it is written, what it says, and what it finds wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.boot import grub_home
from engine.boot.cmdline import finding
from engine.manifest.lookup import stream
from engine.manifest.memory import file_of
from engine.manifest.mounted import mounted
from engine.plan.model import Plan
from engine.planning import Planner
from engine.spec.load import loads

VOLUMES = """\
schema = 1
name = "fstab"
size.disk = "1GiB"
size.boot = "40MiB"
size.additional = "8MiB"
[[volume]]
id = "esp"
mount = "/boot/efi"
[[volume]]
id = "home"
grow = 1
[[volume]]
id = "attic"
size = "8MiB"
mount = "/home/attic stairs"
flags = ["read-only"]
[[contents]]
source = "tree"
target = "/"
"""
CONTENTS = """
[[contents]]
source = "tree"
target = "/"
"""
FOREIGN = """\
# /etc/fstab
UUID=11111111-2222-3333-4444-555555555555 / ext4 defaults 0 1
/dev/sda3 none swap sw 0 0
tmpfs /tmp tmpfs defaults 0 0
LABEL=root /mnt ext4 noauto 0 0
"""


def planned(folder: Path, spec: str, fstab: str | None = None) -> Plan:
    (folder / "tree" / "etc").mkdir(parents=True, exist_ok=True)
    if fstab is not None:
        (folder / "tree" / "etc" / "fstab").write_text(fstab)
    planner = Planner(folder, {})
    resolved = planner.resolve(loads(spec))
    return planner.plan(resolved, planner.read(resolved.settings), force=True)


def written(plan: Plan) -> str:
    entry = plan.root.manifest.get(b"etc/fstab")
    assert entry is not None
    return b"".join(bytes(piece) for _, _, piece in stream([entry])).decode()


def test_it_names_every_mounted_volume_parents_first(tmp_path: Path) -> None:
    made = planned(tmp_path, VOLUMES)
    uuids = {one.id: one.filesystem.uuid for one in made.volumes if one.filesystem}
    assert written(made).splitlines()[1:] == [
        f"UUID={uuids['root']} / ext4 defaults 0 1",
        f"UUID={uuids['esp']} /boot/efi vfat umask=0077 0 2",
        f"UUID={uuids['home']} /home ext4 defaults,x-systemd.growfs 0 2",
        f"UUID={uuids['attic']} /home/attic\\040stairs ext4 ro 0 2",
    ]


def test_the_contents_own_stays(tmp_path: Path) -> None:
    assert written(planned(tmp_path, VOLUMES, "proc /proc proc defaults 0 0\n")).startswith("proc")


def test_one_that_only_has_comments_is_as_good_as_none(tmp_path: Path) -> None:
    text = "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n\n"
    assert " /home ext4 " in written(planned(tmp_path, VOLUMES, text))


@pytest.mark.parametrize(("value", "there"), [("auto", False), ("write", True), ("keep", False)])
def test_without_mounts_it_is_written_on_request_alone(
    tmp_path: Path, value: str, there: bool
) -> None:
    made = planned(tmp_path, f'schema = 1\nlayout.fstab = "{value}"' + CONTENTS)
    assert (made.root.manifest.get(b"etc/fstab") is not None) == there


@pytest.mark.parametrize(
    ("table", "mounts"), [("legacy+boot", ["/", "/boot"]), ("efixbootldr", ["/", "/boot", "/efi"])]
)
def test_a_layout_with_several_mounts_has_one(
    tmp_path: Path, table: str, mounts: list[str]
) -> None:
    made = planned(tmp_path, f"schema = 1\nlayout.table = '{table}'" + CONTENTS)
    listed = [line.split() for line in written(made).splitlines()[1:]]
    assert [fields[1] for fields in listed] == mounts
    assert all(fields[0].startswith("UUID=") for fields in listed)


def test_what_the_image_does_not_have_is_named_and_the_fix_solves_it(tmp_path: Path) -> None:
    made = planned(tmp_path, "schema = 1" + CONTENTS, FOREIGN)
    (problem,) = [one for one in made.problems if one.code == "fstab-unknown-device"]
    assert "line 2: UUID=11111111-2222-3333-4444-555555555555 for /" in problem.message
    assert "line 3: /dev/sda3 for none" in problem.message
    assert "tmpfs" not in problem.message
    assert "LABEL" not in problem.message
    assert problem.fix is not None
    assert problem.fix.edits == (("layout.fstab", "write"),)


KINDS = """\
schema = 1
layout.table = "gpt"
[[volume]]
id = "root"
label = "rootfs"
[[volume]]
id = "swap"
size = "4MiB"
label = "my swap"
[[volume]]
id = "data"
format = "btrfs"
mount = "/data"
size = "140MiB"
subvolumes = ["@d:/data", "@x"]
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("LABEL=rootfs / xfs defaults 0 1", "LABEL=rootfs for / as xfs (here ext4)"),
        ("LABEL=rootfs / ext3 defaults 0 1", "LABEL=rootfs for / as ext3 (here ext4)"),
        ("LABEL=rootfs / xfs,ext4 defaults 0 1", ""),
        ("LABEL=rootfs / auto defaults 0 1", ""),
        ("PARTLABEL=swap none ext4 sw", "PARTLABEL=swap for none as ext4 (here swap)"),
        (r"LABEL=my\040swap none swap sw", ""),
        (r'LABEL="my\040swap" none swap sw', ""),
        (r"LABEL=my\040other none swap sw", r"LABEL=my\040other for none (here UUID="),
        ("UUID=1111 /x ext4 noatime,nofail 0 2", ""),
        ("/dev/disk/by-designator/root / ext4", ""),
        ("PARTLABEL=data /data btrfs subvol=/@d", ""),
        ("PARTLABEL=data /data btrfs subvol=/", ""),
        ("PARTLABEL=data /data btrfs compress=zstd,subvol=@nope",
         "the subvolume @nope of PARTLABEL=data for /data (here @d, @x)"),
    ],
)  # fmt: skip
def test_a_line_is_held_against_what_the_volume_is(tmp_path: Path, line: str, told: str) -> None:
    made = planned(tmp_path, KINDS + CONTENTS, f"{line}\n")
    found = [one.message for one in made.problems if one.code == "fstab-unknown-device"]
    assert bool(found) == bool(told)
    assert not told or f": line 1: {told}" in found[0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/swapfile none swap sw 0 0", "/swapfile, which nothing brings"),
        ("/var/swap/one swap swap", "/var/swap/one, which nothing brings"),
        ("/holes none swap sw", "/holes, which has holes, and swapon refuses such a file"),
        ("/link none swap sw", ""),
        (r"/my\040swap none swap sw", ""),
        ("/swapfile none swap sw,nofail 0 0", ""),
        ("/run/swap none swap sw", ""),
        ("/dev/zram0 none swap sw", ""),
    ],
)
def test_a_swap_file_that_nobody_brings_is_told(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/my swap").write_bytes(bytes(range(256)) * 256)
    (tmp_path / "tree/link").symlink_to("/my swap")
    with (tmp_path / "tree/holes").open("wb") as file:
        file.truncate(1 << 20)

    made = planned(tmp_path, KINDS + CONTENTS, f"{line}\n")

    found = [one for one in made.problems if one.code.startswith("fstab-")]
    assert [one.code for one in found] == ["fstab-swap-file"] * bool(told)
    assert not told or f": line 1: {told};" in found[0].message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sda1 / ext4 defaults 0 1", "sda1 is not a device"),
        ("UUDI=11 / ext4 defaults 0 1", "UUDI=11 is not a device"),
        ("UUID= / ext4 defaults 0 1", "UUID= is not a device"),
        ("swapfile none swap sw 0 0", "swapfile is not a device"),
        ("LABEL=rootfs data ext4", "data is not a mount point"),
        ("/dev/sda1 /data", "2 of the 3 fields"),
        ("yes", "1 of the 3 fields"),
        ("sda1 /x ext4 noauto", ""),
        ("server:/x /x nfs defaults", ""),
        ("//server/x /x cifs", ""),
        ("host9p /x 9p trans=virtio", ""),
        ("proc /proc proc defaults", ""),
        ("ID=nvme-x /x auto nofail", ""),
    ],
)
def test_a_line_that_makes_no_sense_is_told(tmp_path: Path, line: str, told: str) -> None:
    made = planned(tmp_path, KINDS + CONTENTS, f"# what follows\n\n{line}\n")

    found = [one for one in made.problems if one.code.startswith("fstab-")]
    assert [one.code for one in found] == ["fstab-bad-line"] * bool(told)
    assert not told or f": line 3: {told}" in found[0].message


def test_a_folder_bound_elsewhere_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "tree/srv/there").mkdir(parents=True)
    text = "/srv/there /a none bind\n/srv/not /b none defaults,rbind\n/img /c squashfs loop\n"

    made = planned(tmp_path, KINDS + CONTENTS, text)

    (problem,) = [one for one in made.problems if one.code.startswith("fstab-")]
    assert "line 2: /srv/not, which nothing brings, for /b; line 3: /img, " in problem.message
    assert "line 1" not in problem.message


def test_a_volume_of_subvolumes_alone_has_a_kernel_looked_for(tmp_path: Path) -> None:
    """They are made in the virtual machine, though no file goes in."""
    made = planned(tmp_path, KINDS + CONTENTS, "")
    assert made.boot.filler is not None


def test_planning_again_keeps_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "tree" / "etc").mkdir(parents=True)
    planner = Planner(tmp_path, {})
    resolved = planner.resolve(loads(VOLUMES))
    first = planner.read(resolved.settings).installed.volumes["root"]
    assert planner.read(resolved.settings).installed.volumes["root"] is first


def test_a_root_that_is_not_mounted_has_no_table(tmp_path: Path) -> None:
    spec = VOLUMES.replace("[[contents]]", '[[volume]]\nid = "root"\nmount = ""\n[[contents]]')

    plan = planned(tmp_path, spec)

    assert all(
        volume.filesystem.manifest.get(b"etc/fstab") is None
        for volume in plan.volumes
        if volume.filesystem is not None
    )


SUBVOLUMES = """\
schema = 1
name = "fstab"
size.boot = "40MiB"
[[volume]]
id = "root"
format = "btrfs"
compression = "zstd"
free = "8MiB"
flags = ["grow-file-system"]
subvolumes = ["@:/", "@home:/home", "@usr:/usr", "@spare"]
{more}
[[contents]]
source = "tree"
target = "/"
"""


@pytest.mark.parametrize(
    ("more", "top", "found"),
    [
        ("", ",subvol=@", ("rootflags=subvol=@",)),
        ('default_subvolume = "@"', "", ()),
    ],
)
def test_subvolumes_are_named_unless_a_mount_shows_them_anyway(
    tmp_path: Path, more: str, top: str, found: tuple[str, ...]
) -> None:
    made = planned(tmp_path, SUBVOLUMES.format(more=more))
    root = f"UUID={made.root.uuid}"
    entry = made.root.manifest.get(b"@/etc/fstab")
    assert entry is not None
    text = b"".join(bytes(piece) for _, _, piece in stream([entry])).decode()
    assert [line for line in text.splitlines() if "btrfs" in line] == [
        f"{root} / btrfs defaults,compress=zstd{top},x-systemd.growfs 0 1",
        f"{root} /home btrfs defaults,compress=zstd,subvol=@home 0 2",
        f"{root} /usr btrfs defaults,compress=zstd,subvol=@usr 0 2",
    ]
    words = finding(made.settings)
    assert words[0] == (f"root={root}", "rw")
    assert words[1:-1] == (found,) * bool(found)
    assert words[-1] == (f"mount.usr={root}", "mount.usrfstype=btrfs",
                         "mount.usrflags=rw,subvol=@usr")  # fmt: skip
    seen = {entry.path for entry in made.root_tree}
    assert seen >= {b"etc/fstab", b"home", b"usr"}
    assert b"@spare" not in seen
    assert {entry.path for entry in made.root.manifest} >= {b"@", b"@/home", b"@home", b"@spare"}


def test_grub_finds_its_menu_in_a_subvolume(tmp_path: Path) -> None:
    made = planned(tmp_path, SUBVOLUMES.format(more=""))
    tree = mounted(made.settings.volumes, {"root": made.root_tree})
    home = grub_home.find(made.settings, tree, (), ())
    assert home.prefix.endswith(")/@/boot/grub")
    assert home.file(file_of(b"boot/vmlinuz", b"", mtime_ns=0)).path == "/@/boot/vmlinuz"
    assert home.file(file_of(b"home/vmlinuz", b"", mtime_ns=0)).path == "/@home/vmlinuz"
