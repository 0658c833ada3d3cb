#!/usr/bin/python3 -I
"""Diskwright, whose modules are below a folder of its own."""

import sys

sys.path.insert(0, "/usr/lib/diskwright")

from diskwright.engine.cli.main import main

sys.exit(main())
