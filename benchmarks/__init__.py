"""Timings beside the tools that people use today; see each module's own text."""

import os

# Python keeps what it has compiled, as on everybody's machine; without that, each process that is
# timed would compile the whole engine anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
