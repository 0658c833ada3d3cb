from __future__ import annotations

import subprocess

import pytest

from engine.boot.osrelease import release_fields

TEXT = r"""
# A comment, then a blank line.

NAME=Some
ID="some"
  VERSION_ID='7'
PRETTY_NAME="Some \"System\" \\ \$7 \`x\`"
HOME_URL='https://example.org/?a=b'
VARIANT=a\ b
EMPTY=
ID=other
"""


def test_fields_have_the_values_that_a_shell_gives_them() -> None:
    found = release_fields(TEXT)
    assert list(found) == [
        "NAME", "ID", "VERSION_ID", "PRETTY_NAME", "HOME_URL", "VARIANT", "EMPTY",
    ]  # fmt: skip
    for name, value in found.items():
        script = f'{TEXT}\nprintf %s "${name}"'
        shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        assert value == shell.stdout, name


@pytest.mark.parametrize("text", ["", "=", "a b=c", "#ID=x", "export ID=x", "\0", '"'])
def test_what_is_no_assignment_is_no_field(text: str) -> None:
    assert release_fields(text) == {}


def test_an_unclosed_quote_is_kept_as_it_is() -> None:
    assert release_fields('ID="x') == {"ID": '"x'}
