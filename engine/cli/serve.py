"""`diskwright serve`: the wizard in a browser on this machine."""

from __future__ import annotations

import argparse

from engine.cli.planning import named_path

DEFAULT_PORT = 8000


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `serve`."""
    parser.add_argument("spec", type=named_path, nargs="?", metavar="SPEC", help="a spec to open")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="an address of this machine's loopback; no other is served (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        metavar="N",
        help=f"the port (default: {DEFAULT_PORT})",
    )


def run(args: argparse.Namespace) -> int:
    """Serves until Ctrl+C."""
    import importlib

    # By name: the engine imports no terminal UI, the command merely starts it.
    return int(importlib.import_module("tui.serve").serve(args.spec, args.host, args.port))
