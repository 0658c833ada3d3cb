"""The wizard in a browser: one process for each tab, for this machine alone.

textual-serve knows no passwords, so only loopback addresses are served, and a page of another
site that gets its name resolved to this machine is turned away by the name it asked for.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.problem import Problem, Refused
from engine.tools.extras import WEB, extra_hint
from engine.tools.program import module_command, modules_folder

if TYPE_CHECKING:
    from textual_serve.server import Server

_NAMES = frozenset({"localhost"})


def is_loopback(host: str) -> bool:
    """Whether a host, as a person or a browser names it, is this machine's loopback."""
    if host in _NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """Returns the host of a `Host` header, without the port."""
    if header.startswith("["):
        return header.partition("]")[0][1:]
    return header.partition(":")[0]


def serve(spec: Path | None, host: str, port: int) -> int:
    """Serves the wizard until Ctrl+C.

    Raises:
        Refused: The address is not loopback, the port is none, or textual-serve is missing.
    """
    check(host, port)
    server = make_server(spec, host, port)
    print(f"Diskwright on {server.public_url}, Ctrl+C ends it", file=sys.stderr)  # noqa: T201
    server.serve()
    return 0


def check(host: str, port: int) -> None:
    """Raises what speaks against serving there."""
    if not is_loopback(host):
        raise _refused(
            "serve-host",
            f"--host {host} is not a loopback address",
            "whoever reaches the port could write files as you: serve on 127.0.0.1 and forward "
            "the port with ssh -L",
        )
    if not 0 < port < 65536:
        raise _refused("serve-port", f"--port {port} is not a port", "give 1 to 65535")
    if importlib.util.find_spec("textual_serve") is None:
        raise _refused(
            "serve-missing",
            "textual-serve, which brings the wizard to the browser, is not installed",
            f"install it: {extra_hint(WEB)}",
        )


def make_server(spec: Path | None, host: str, port: int) -> Server:
    """Returns the server, which answers only requests that name a loopback host."""
    from aiohttp import web
    from aiohttp.typedefs import Handler
    from textual_serve.server import Server

    class Local(Server):
        """Turns other names for this machine away (DNS rebinding) and other sites' scripts."""

        async def _make_app(self) -> web.Application:
            app = await super()._make_app()
            app.middlewares.append(_only_local)
            return app

    @web.middleware
    async def _only_local(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        names = [request.host, *([origin.partition("://")[2]] if origin is not None else [])]
        if not all(is_loopback(host_of(name)) for name in names):
            raise web.HTTPForbidden(text="Diskwright answers this machine only\n")
        return await handler(request)

    # Where a package keeps its modules to itself, only this process has them on its path.
    modules = ("env", f"PYTHONPATH={modules_folder()}")
    words = (*modules, *module_command("tui.__main__", *([str(spec)] if spec else [])))
    return Local(shlex.join(words), host=host, port=port, title="Diskwright")


def _refused(code: str, message: str, hint: str) -> Refused:
    return Refused([Problem(code, "error", "", message, hint)])
