"""The codes of problems that the source can raise, found in its syntax trees.

A code is a literal where it stands: an argument of `Problem`, or of a function or class that hands
its own `code` on to one. What this cannot resolve is told, so that no code hides from it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
CARRIERS = {"Finding": "engine/manifest/findings.py", "BadImage": "engine/manifest/oci/errors.py"}
"""Classes that keep a code until a problem is made of it, and where they are."""
ADDER = "add"
"""Method of `Findings`: code, message and hint at least, unlike that of a set."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """A module's tree; which of its functions hand a code on, with its place; its own names."""

    path: str
    tree: ast.Module
    hands_on: dict[str, int | None] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    named: list[tuple[str, Function]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.named = list(self.functions())
        self.own = {
            node.name
            for node in ast.walk(self.tree)
            if isinstance(node, (ast.ClassDef, ast.FunctionDef))
        }

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Yields functions by the name under which they are called: a class by its own."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from (
                    (node.name, one)
                    for one in node.body
                    if isinstance(one, Function) and one.name == "__init__"
                )


@cache
def modules() -> list[Module]:
    """Returns all modules of the engine and the wizard."""
    paths = [path for top in ("engine", "tui") for path in sorted((ROOT / top).rglob("*.py"))]
    return [
        Module(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8")))
        for path in paths
    ]


def raised() -> tuple[dict[str, set[str]], list[str]]:
    """Returns the codes with the modules that raise them, and the places that are not literal."""
    codes: dict[str, set[str]] = {}
    unresolved: list[str] = []
    for module, call, _, found in calls_with_codes():
        for code in found:
            if code is None:
                unresolved.append(f"{module.path}:{call.lineno}")
            else:
                codes.setdefault(code, set()).add(module.path)
    for module in modules():
        for _, made in module.named:
            default = _default(made)
            if default is not None and made.name == "__init__":
                codes.setdefault(default, set()).add(module.path)
    return codes, unresolved


@cache
def calls_with_codes() -> list[tuple[Module, ast.Call, Function | None, tuple[str | None, ...]]]:
    """Returns the calls that are given a code: where, in which function, and what it can be."""
    every = modules()
    shared: dict[str, int | None] = {"Problem": 0, **dict.fromkeys(CARRIERS, None)}
    shared["Finding"] = 0
    known = -1
    while known != len(shared) + sum(len(one.hands_on) for one in every):
        known = len(shared) + sum(len(one.hands_on) for one in every)
        for module in every:
            for name, function in module.named:
                if _takes_code(function) and _hands_on(module, function, shared):
                    module.hands_on[name] = _place(function)
                    if not name.startswith("_") and name != ADDER:
                        shared[name] = _place(function)
    return [
        (module, call, caller, tuple(_literals(expression, caller)))
        for module in every
        for call, caller in _calls(module.tree)
        if (expression := _code_of(module, call, shared)) is not None
    ]


def _takes_code(function: Function) -> bool:
    return any(one.arg == "code" for one in [*function.args.args, *function.args.kwonlyargs])


def _hands_on(module: Module, function: Function, shared: dict[str, int | None]) -> bool:
    return any(
        isinstance(value := _code_of(module, call, shared), ast.Name) and value.id == "code"
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
    )


def _place(function: Function) -> int | None:
    names = [one.arg for one in function.args.args if one.arg not in {"self", "cls"}]
    return names.index("code") if "code" in names else None


def _default(function: Function) -> str | None:
    for argument, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if argument.arg == "code" and isinstance(value, ast.Constant) and value.value:
            return str(value.value)
    return None


def _code_of(module: Module, call: ast.Call, shared: dict[str, int | None]) -> ast.expr | None:
    """Returns the argument of a call that is a code, or None for other calls."""
    walks = module.path.startswith("engine/manifest/")
    if isinstance(call.func, ast.Name):
        name = call.func.id
        if name == "replace" and module.path.startswith("tui/"):
            return next((one.value for one in call.keywords if one.arg == "code"), None)
        if name == ADDER and walks and len(call.args) >= 3:
            return call.args[0]
        own = name in module.own and module.path != CARRIERS.get(name)
        table = module.hands_on if own else shared | module.hands_on
    elif isinstance(call.func, ast.Attribute) and call.func.attr == ADDER:
        return call.args[0] if walks and len(call.args) >= 3 else None
    else:
        return None
    if name not in table:
        return None
    for keyword in call.keywords:
        if keyword.arg == "code":
            return keyword.value
    place = table[name]
    return call.args[place] if place is not None and len(call.args) > place else None


def _calls(
    tree: ast.AST, function: Function | None = None
) -> Iterator[tuple[ast.Call, Function | None]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node, function
        yield from _calls(node, node if isinstance(node, Function) else function)


def _literals(expression: ast.expr, function: Function | None) -> Iterator[str | None]:
    """Yields what an expression can be; None where that is not written down here."""
    if isinstance(expression, ast.Constant):
        yield str(expression.value)
    elif isinstance(expression, ast.IfExp):
        yield from _literals(expression.body, function)
        yield from _literals(expression.orelse, function)
    elif isinstance(expression, ast.Attribute) and expression.attr == "code":
        return  # of a carrier, whose making is looked at where it is made
    elif isinstance(expression, ast.Name) and expression.id == "REFUSED":
        yield "refused-edit"
    elif isinstance(expression, ast.Name) and function is not None:
        arguments = [*function.args.args, *function.args.kwonlyargs]
        if expression.id == "code" and any(one.arg == "code" for one in arguments):
            return  # handed on
        values = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            and any(isinstance(one, ast.Name) and one.id == expression.id for one in node.targets)
        ]
        if not values:
            yield None
        for value in values:
            yield from _literals(value, function)
    else:
        yield None
