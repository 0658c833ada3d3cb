"""Makes a systemd unit of what a container image runs.

Source: OCI image-spec, config.md; systemd.service(5), "Command lines" (quotes, `$` and `%`);
systemd.exec(5), RootDirectory= and Environment=.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from engine.manifest.entry import Entry
from engine.manifest.findings import Findings
from engine.manifest.lookup import Get, find
from engine.manifest.memory import directory, file_of, symlink
from engine.manifest.oci.image import ContainerImage
from engine.manifest.owners import Accounts
from engine.manifest.part import Part

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What Docker sets where an image does not."""
_UNITS = b"etc/systemd/system"
_WANTED = _UNITS + b"/multi-user.target.wants"
_PLAIN = re.compile(r"[A-Za-z0-9_/.,:=@+-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGNAL = re.compile(r"SIG[A-Z0-9+-]+|[0-9]+")
_READ_BY_OWNER = 0o600


def service(
    name: str, image: ContainerImage, entries: Sequence[Entry], target: bytes, made_ns: int,
    findings: Findings,
) -> Part | None:  # fmt: skip
    """Returns a unit, enabled, that runs an image's command; None where it cannot (reported).

    Args:
        name: Of the unit, without ".service".
        entries: The image's, with their paths on the disk.
        target: Where on the disk the image's root is; elsewhere than at the top, it becomes the
            service's root directory.
        made_ns: Time of what is made.
    """
    by_path = {entry.path: entry for entry in entries}

    def get(path: bytes) -> Entry | None:
        return by_path.get(b"/".join(part for part in (target, path) if part))

    environment = _environment(image, findings)
    command = _command(image, environment, get, findings)
    owner = _owner(image.process.user or "", get, findings)
    if command is None or owner is None:
        return None
    lines = [
        "[Unit]",
        f"Description={_specifiers(image.names[0] if image.names else name)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(_word(word, command=True) for word in command)}",
        *(f"Environment={_word(f'{key}={value}')}" for key, value in environment.items()),
        *_folders(image.process.working_dir or "/", target, get),
        *owner,
    ]
    signal = image.process.stop_signal or ""
    if _SIGNAL.fullmatch(signal):
        lines.append(f"KillSignal={signal}")
    lines += ["Restart=on-failure", "", "[Install]", "WantedBy=multi-user.target", ""]
    unit = name.encode() + b".service"
    made = [
        *(directory(path, mtime_ns=made_ns) for path in (b"etc", b"etc/systemd", _UNITS, _WANTED)),
        symlink(_WANTED + b"/" + unit, b"../" + unit, mtime_ns=made_ns),
        file_of(
            _UNITS + b"/" + unit, "\n".join(lines).encode(errors="replace"), mtime_ns=made_ns,
            mode=_READ_BY_OWNER if _is_secret(environment) else 0o644,
        ),
    ]  # fmt: skip
    return Part(origin=f"the unit {name}.service", entries=made)


def _is_secret(environment: dict[str, str]) -> bool:
    """Whether a variable looks like one that not every user may read."""
    return any(re.search("PASSWORD|SECRET|TOKEN", key, re.IGNORECASE) for key in environment)


def _environment(image: ContainerImage, findings: Findings) -> dict[str, str]:
    found: dict[str, str] = {"PATH": _PATH}
    for text in image.process.env or ():
        key, _, value = text.partition("=")
        if _VARIABLE.fullmatch(key) and "\0" not in value:
            found[key] = value
        else:
            findings.add(
                "variable-left-out",
                f"the image's variable {key!r} is left out: systemd takes letters, digits and _",
                "set it in the service's own script where it is needed",
                key="service",
                severity="warning",
            )
    return found


def _command(
    image: ContainerImage, environment: dict[str, str], get: Get, findings: Findings
) -> tuple[str, ...] | None:
    """Returns the command with the whole path of its program."""
    argv = image.process.argv
    if not argv or not argv[0]:
        findings.add(
            "no-command", "the image has no Entrypoint and no Cmd; there is nothing to run",
            "leave `service` out, and write a unit of your own", key="service",
        )  # fmt: skip
        return None
    program = argv[0]
    if "/" in program:
        places = [posixpath.join("/", image.process.working_dir or "/", program)]
    else:
        places = [posixpath.join("/", folder, program) for folder in environment["PATH"].split(":")]
    for place in places:
        entry = find(get, place.encode(errors="replace"))
        if entry is not None and entry.is_regular:
            return (posixpath.normpath(place), *argv[1:])
    findings.add(
        "no-command", f"the image is to run {program!r}, which is not in it",
        "leave `service` out, or correct the image", key="service",
    )  # fmt: skip
    return None


def _owner(user: str, get: Get, findings: Findings) -> list[str] | None:
    """Returns who runs it, in numbers: the names are those of the image, not of the disk."""
    if not user:
        return []
    name, _, group = user.partition(":")
    accounts = Accounts(get)
    uid = accounts.uid(name, findings)
    if uid is None:
        return None
    gid = accounts.gid(group, findings) if group else accounts.primary_group(name)
    if gid is None:
        return None
    return [f"User={uid}", f"Group={gid}"] if (uid, gid) != (0, 0) else []


def _folders(working: str, target: bytes, get: Get) -> list[str]:
    found = []
    if target:
        place = target.decode(errors="surrogateescape")
        found += [f"RootDirectory=/{_specifiers(place)}", "MountAPIVFS=yes"]
    entry = find(get, working.encode(errors="replace"))
    there = working.strip("/") == "" or (entry is not None and entry.is_directory)
    found.append(f"WorkingDirectory={'' if there else '-'}{_specifiers(working)}")
    return found


def _specifiers(text: str) -> str:
    """Returns a text in which systemd finds nothing to fill in, on one line."""
    return "".join(char if char.isprintable() else " " for char in text).replace("%", "%%")


def _word(word: str, *, command: bool = False) -> str:
    """Returns one word as a unit file quotes it."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if command:
        text = text.replace("$", "$$")
    text = "".join(
        char if char >= " " and char != "\x7f" else f"\\x{ord(char):02x}" for char in text
    )
    return text if _PLAIN.fullmatch(text) else f'"{text}"'
