"""Texts of Nix: their pieces put together, and their indentation taken away."""

from __future__ import annotations

from engine.importers.nix_tree import NotKnown
from engine.nix.values import Path, Value

MOST_LETTERS = 1 << 20
"""The longest text that is put together."""


def line_ends(text: str) -> str:
    """Returns a text with its line ends as Nix has them."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def joined(pieces: list[Value]) -> Value:
    """Returns texts as one; what follows a path at the beginning belongs to it.

    Raises:
        NotKnown: The result is not such a text, or too long.
    """
    filled = [piece for piece in pieces if piece != ""]
    if filled and isinstance(filled[0], Path):
        more = joined(filled[1:])
        if not isinstance(more, str):
            raise NotKnown
        return Path(filled[0].text.rstrip("/") + more) if more else filled[0]
    texts = [piece for piece in filled if isinstance(piece, str)]
    # A path inside of a text would be copied to the store, under a name of its own.
    if len(texts) < len(filled) or sum(map(len, texts)) > MOST_LETTERS:
        raise NotKnown
    return "".join(texts)


def unindented(text: str) -> str:
    """Removes an indented text's first empty line and the blanks all its lines share."""
    lines = text.split("\n")
    if len(lines) > 1 and not lines[0].strip(" "):
        lines = lines[1:]
    filled = [line for line in lines if line.strip(" ")]
    shared = min((len(line) - len(line.lstrip(" ")) for line in filled), default=0)
    if lines and not lines[-1].strip(" "):
        lines[-1] = ""
    return "\n".join(line[min(shared, len(line) - len(line.lstrip(" "))) :] for line in lines)
