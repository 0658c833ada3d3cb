"""What of a machine could change what tools write, and the answer to each: data.

`engine.tools.environment` sets the variables of this table and passes on nothing else that a tool
reads; `diskwright check` plants the hostile files and variables for its second build; and
docs/trust.md shows the rows.

Sources: mke2fs(8), mke2fs.conf(5), e2fsck.conf(5), libblkid(3), mtools(5), qemu(1), sfdisk(8),
zstd(1), xz(1), gzip(1), bash(1), nix.conf(5), tzset(3), locale(7), ld.so(8); what these programs
open was watched with strace, and what they ask for in their environment read from their strings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

_EMPTY = os.devnull


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """One thing beyond the command line that some tools go by.

    Attributes:
        tools: Who goes by it.
        reads: Files and variables.
        answer: Why it changes no image, for a person.
        ours: Variables that every tool gets.
        etc: Hostile files below /etc, by name, for `check` to plant.
        home: The same below the home folder.
        variables: Hostile variables; "~" at the start of a value is the home folder.
    """

    tools: str
    reads: str
    answer: str
    ours: Mapping[str, str] = field(default_factory=dict)
    etc: Mapping[str, str] = field(default_factory=dict)
    home: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


_MKE2FS_CONF = """\
[defaults]
\tbase_features = has_journal,bigalloc,extent
\tblocksize = 1024
\tinode_size = 128
\thash_alg = tea
\terrors = panic
\tflex_bg_size = 4
\tpacked_meta_blocks = 1
\treserved_ratio = 30
\tlazy_itable_init = 1
"""
_MTOOLS_CONF = "MTOOLS_NO_VFAT=1\nMTOOLS_LOWER_CASE=1\nMTOOLS_NAME_NUMERIC_TAIL=0\n"
_SHELL_PROFILE = "export DISKWRIGHT_PLANTED=1\numask 0177\n"
_OPENSSL_CONF = (
    "openssl_conf = planted\n[planted]\nproviders = some\n[some]\nnull = one\n[one]\nactivate = 1\n"
)

INFLUENCES = (
    Influence(
        tools="mke2fs",
        reads="/etc/mke2fs.conf, MKE2FS_*",
        answer="an empty configuration: every feature and figure is on the command line",
        ours={"MKE2FS_CONFIG": _EMPTY},
        etc={"mke2fs.conf": _MKE2FS_CONF},
        variables={"MKE2FS_CONFIG": "~/mke2fs.conf", "MKE2FS_FIRST_META_BG": "1"},
        home={"mke2fs.conf": _MKE2FS_CONF},
    ),
    Influence(
        tools="e2fsck",
        reads="/etc/e2fsck.conf",
        answer="an empty configuration",
        ours={"E2FSCK_CONFIG": _EMPTY},
        etc={"e2fsck.conf": "[options]\n\tbroken_system_clock = 1\n\treport_time = 1\n"},
    ),
    Influence(
        tools="e2fsprogs, util-linux (libblkid)",
        reads="/etc/blkid.conf, /run/blkid/blkid.tab, BLKID_FILE",
        answer="no configuration and no cache of devices",
        ours={"BLKID_CONF": _EMPTY, "BLKID_FILE": _EMPTY},
        etc={"blkid.conf": "SEND_UEVENT=no\nEVALUATE=scan\n"},
    ),
    Influence(
        tools="mtools",
        reads="/etc/mtools.conf, ~/.mtoolsrc, MTOOLS_*",
        answer="every switch that changes what is written is a variable, which goes before files",
        ours={
            "MTOOLSRC": _EMPTY,
            "MTOOLS_SKIP_CHECK": "1",
            "MTOOLS_FAT_COMPATIBILITY": "0",
            "MTOOLS_LOWER_CASE": "0",
            "MTOOLS_NO_VFAT": "0",
            "MTOOLS_DOTTED_DIR": "0",
            "MTOOLS_NAME_NUMERIC_TAIL": "1",
            "MTOOLS_TWENTY_FOUR_HOUR_CLOCK": "1",
            "MTOOLS_DATE_STRING": "yyyy-mm-dd",
            "DEFAULT_CODEPAGE": "850",
        },
        etc={"mtools.conf": _MTOOLS_CONF},
        home={".mtoolsrc": _MTOOLS_CONF},
        variables={"MTOOLS_LOWER_CASE": "1", "MTOOLS_NAME_NUMERIC_TAIL": "0"},
    ),
    Influence(
        tools="mkfs.fat, mkfs.xfs, xfs_repair, mkfs.btrfs, btrfs, mtools, libext2fs, libparted",
        reads="/etc/mtab, /etc/fstab",
        answer="asked only whether a device is in use; an image in the making is not one",
    ),
    Influence(
        tools="libparted",
        reads="the maker of this machine (`dmidecode`), PARTED_GPT_APPLE",
        answer="set to a machine that is not Apple's, for which Debian's writes a hybrid MBR",
        variables={"PARTED_GPT_APPLE": "1"},
    ),
    Influence(
        tools="sfdisk",
        reads="/etc/terminal-colors.d, LIBFDISK_DEBUG, ULPATH_DEBUG",
        answer="colours for a terminal, which it does not have; the variables are not passed on",
    ),
    Influence(
        tools="qemu-system-x86_64, qemu-system-aarch64",
        reads="/etc/qemu/*.conf",
        answer="not read (`-no-user-config`), and no default devices (`-nodefaults`)",
    ),
    Influence(
        tools="qemu-img, grub-mkimage, tar2sqfs",
        reads="no configuration; grub-mkimage its modules",
        answer="modules of GRUB are part of its version",
    ),
    Influence(
        tools="zstd, xz, gzip",
        reads="ZSTD_CLEVEL, ZSTD_NBTHREADS, XZ_DEFAULTS, XZ_OPT, GZIP",
        answer="not passed on; images are compressed in process, by libraries that ask for none",
        variables={
            "ZSTD_CLEVEL": "19",
            "ZSTD_NBTHREADS": "3",
            "XZ_DEFAULTS": "--block-size=64KiB",
            "XZ_OPT": "-9",
            "GZIP": "-1",
        },
    ),
    Influence(
        tools="openssl, veritysetup (libcrypto)",
        reads="/etc/ssl/openssl.cnf, OPENSSL_CONF, OPENSSL_MODULES",
        answer="an empty configuration: its own default algorithms",
        ours={"OPENSSL_CONF": _EMPTY},
        variables={"OPENSSL_CONF": "~/openssl.cnf", "OPENSSL_MODULES": "~"},
        home={"openssl.cnf": _OPENSSL_CONF},
    ),
    Influence(
        tools="bash (the hook)",
        reads="BASH_ENV, ENV, exported functions, ~/.bashrc",
        answer="not passed on; a shell that is given a command reads no profile",
        home={".bashrc": _SHELL_PROFILE, ".profile": _SHELL_PROFILE},
        variables={"BASH_ENV": "~/.bashrc", "ENV": "~/.bashrc"},
    ),
    Influence(
        tools="all",
        reads="LANG, LC_*, LANGUAGE, LOCPATH, terminfo, TERM",
        answer="one locale, C.UTF-8, and no terminal",
        ours={"LC_ALL": "C.UTF-8"},
    ),
    Influence(
        tools="all",
        reads="TZ, TZDIR, /etc/localtime, the time zone database",
        answer="a zone that needs no database",
        ours={"TZ": "UTC0"},
    ),
    Influence(
        tools="all",
        reads="LD_PRELOAD, LD_LIBRARY_PATH, GLIBC_TUNABLES, PYTHON*",
        answer="not passed on; /etc/ld.so.preload is the machine's, as its tools are",
        variables={"GLIBC_TUNABLES": "glibc.malloc.perturb=85"},
    ),
    Influence(
        tools="nix",
        reads="nix.conf of machine and user, NIX_*, proxies, keys",
        answer="an input: it has the user's own environment, and may decide which store path a "
        "name stands for; the bytes are those of the store path, which the plan shows",
    ),
    Influence(
        tools="`output.sign`",
        reads="the signer's own configuration and keys",
        answer="an input: what it makes is beside the image, never in it",
    ),
)

FIXED: Mapping[str, str] = {
    name: value for influence in INFLUENCES for name, value in influence.ours.items()
}
"""What every tool's environment holds because of the table."""

LIBPARTED: Mapping[str, str] = {"PARTED_GPT_APPLE": "0"}
"""What libparted, which is called in process, reads from its environment when it is loaded."""


def rows() -> tuple[str, ...]:
    """Returns the rows of the table in docs/trust.md."""
    return tuple(f"| {row.tools} | {row.reads} | {row.answer} |" for row in INFLUENCES)
