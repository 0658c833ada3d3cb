"""A detached signature of the checksums, by a command of the user's."""

from __future__ import annotations

import os

from engine.pipeline.work import Work
from engine.tools.failure import StepFailed

_AGENTS = ("GNUPGHOME", "GPG_TTY", "SSH_AUTH_SOCK")
"""Where signing programs find keys; no other step's tools get to see these."""


async def sign(work: Work) -> None:
    """Runs `output.sign` beside SHA256SUMS; what it writes there is published with the rest.

    Raises:
        StepFailed: It fails, or writes no new file.
    """
    before = set(work.staging.finished())
    extra = {name: os.environ[name] for name in _AGENTS if name in os.environ}
    for argv in work.step.argv:
        await work.tool(argv, extra=extra, verbatim=True)
    written = sorted(set(work.staging.finished()) - before)
    if not written:
        raise StepFailed(
            f"{work.step.argv[0][0]} wrote no signature beside SHA256SUMS",
            "`output.sign` needs a command that writes a file, as gpg --detach-sign does",
        )
    work.note(f"signed: {', '.join(written)}")
