"""The command `diskwright`: finds the verb, runs it, turns what goes wrong into an exit code."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from engine import __version__
from engine.cli import exits, output
from engine.cli.problems import show_problems
from engine.cli.verbs import OVERRIDING, VERBS, parser_for
from engine.problem import Refused

_TRACEBACK = "DISKWRIGHT_TRACEBACK"
_COMPLETING = "_ARGCOMPLETE"
"""Is in the environment when a shell asks what could follow (see engine.cli.completion)."""
_YOUNG = 50_000
"""Objects between two runs of the garbage collector. What is imported stays; Python's own 700 have
it look at all of that again and again."""

_WIZARD_OPTIONS = frozenset({"--plain", "--ascii"})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
        argv: The arguments without the program's name; those of this process if None.

    Returns:
        The exit code, as `engine.cli.exits` names them.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if _COMPLETING in os.environ:
        importlib.import_module("engine.cli.completion").answer()
    signal.signal(signal.SIGTERM, _interrupt)
    gc.set_threshold(_YOUNG)
    output.show_all()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except Refused as refused:
        show_problems(refused.problems)
        return exits.REFUSED
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return exits.CANCELLED
    except BrokenPipeError:
        # The reader has seen enough; the interpreter's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except ModuleNotFoundError as error:
        return _missing(error)
    except Exception as error:
        if isinstance(error, OSError) and output.is_cause(error):
            print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return exits.FAILED
        _report(error)
        return exits.INTERNAL
    return code


atexit.register(gc.freeze)  # the interpreter need not look for garbage when it ends


def _dispatch(words: list[str]) -> int:
    first = words[0] if words else None
    if first in VERBS:
        verb = VERBS[first]
        args = parser_for(verb).parse_intermixed_args(words[1:])
        if args.set and first not in OVERRIDING:
            print(f"warning: {verb.name} plans no spec: --set changes nothing", file=sys.stderr)
        return verb.load().run(args)
    if first == "help" and len(words) > 1 and words[1] in VERBS:
        parser_for(VERBS[words[1]]).print_help()
        return exits.DONE
    if first == "help" and len(words) > 1:
        print(_unknown(words[1:]), file=sys.stderr)
        return exits.REFUSED
    if first in {"-h", "--help", "help"}:
        print(usage())
        return exits.DONE
    if first == "--version":
        print(f"diskwright {__version__}")
        return exits.DONE
    return _wizard(words)


def _wizard(words: list[str]) -> int:
    options = {word for word in words if word in _WIZARD_OPTIONS}
    words = [word for word in words if word not in options]
    spec = Path(words[0]) if words else None
    if len(words) > 1 or (words and words[0].startswith("-")) or not _known(spec):
        print(_unknown(words), file=sys.stderr)
        return exits.REFUSED
    if "--plain" in options:
        return int(importlib.import_module("tui.plain").run(spec))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(usage(), file=sys.stderr)
        print("\nthe wizard needs a terminal; `build` and `plan` do not", file=sys.stderr)
        return exits.REFUSED
    if os.environ.get("TERM") == "dumb":
        return int(importlib.import_module("tui.plain").run(spec))
    # By name: the engine imports no terminal UI, the command merely starts it.
    return int(importlib.import_module("tui.launch").run(spec, ascii_only="--ascii" in options))


def _known(spec: Path | None) -> bool:
    """Whether a word is meant as a file to open: it is there, or is named as a spec to be made."""
    return spec is None or spec.suffix == ".toml" or spec.exists()


def _unknown(words: list[str]) -> str:
    word = words[0]
    if word == "-":
        hint = "`diskwright plan -` and `build -` read a spec from standard input"
        return f"error: the wizard opens a file, not standard input ({hint})"
    import difflib  # of a mistake alone

    near = difflib.get_close_matches(word, VERBS, n=1)
    hint = f"did you mean `diskwright {near[0]}`?" if near else "see `diskwright --help`"
    return f"error: {word!r} is neither a verb nor a file ({hint})"


def usage() -> str:
    """Returns what `diskwright --help` prints."""
    width = max(len(name) for name in VERBS)
    verbs = "\n".join(f"  {verb.name:<{width}}  {verb.summary}" for verb in VERBS.values())
    return (
        "usage: diskwright [SPEC.toml]          open the wizard\n"
        "       diskwright IMAGE                look into a disk image\n"
        "       diskwright FILE.nix             design what another tool's file describes\n"
        "       diskwright --plain [SPEC.toml]  the wizard as questions and answers\n"
        "       diskwright VERB ...             work without it\n"
        "       diskwright VERB --help\n"
        "\n"
        "Designs and builds Linux disk images: no root, exact sizes, proof that they boot.\n"
        "\n"
        f"verbs:\n{verbs}\n"
        "\n"
        "exit codes: 0 done, 1 the build failed, 2 refused and nothing written,\n"
        "3 a difference was found, 4 the boot did not show what was expected, 130 cancelled"
    )


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Makes SIGTERM end a command as Ctrl+C does, cleaning up on the way."""
    raise KeyboardInterrupt


def _missing(error: ModuleNotFoundError) -> int:
    """Says what to install where the Python around Diskwright lacks a package."""
    from engine.tools.python_packages import missing

    problem = missing(error.name or "")
    if problem is None:
        _report(error)
        return exits.INTERNAL
    show_problems([problem])
    return exits.REFUSED


def _report(error: Exception) -> None:
    if os.environ.get(_TRACEBACK):
        traceback.print_exception(error)
        return
    last = traceback.extract_tb(error.__traceback__)[-1]
    print(
        f"internal error: {type(error).__name__}: {error}\n"
        f"in {last.name}, {Path(last.filename).name} line {last.lineno}. This is a fault of "
        f"Diskwright: please report it with the output of {_TRACEBACK}=1 set",
        file=sys.stderr,
    )
