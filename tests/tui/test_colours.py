"""The colours of volumes stay apart: in every theme, in 16 colours, for all colour vision.

Computed, not looked at: colour blindness by the matrices of Machado, Oliveira and Fernandes (2009,
severity 1.0), distance by CIEDE2000 (Sharma, Wu and Dalal 2005). From about 10 on, two patches side
by side are two colours at a glance.
"""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.color import Color
from textual.theme import Theme

from engine.disk.roles import ROLES
from tests.tui.test_looks import contrast
from tui.theme import COLOURS, DARK, LIGHT, volume_variables
from tui.widgets.map_parts import grounds

APART = 12.0

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]
VISIONS: dict[str, Matrix] = {
    "all three cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# What terminals draw the names of 16 colours with: the VGA's palette, and xterm's.
VGA = {
    "black": "#000000", "red": "#aa0000", "green": "#00aa00", "blue": "#0000aa",
    "white": "#aaaaaa", "bright_yellow": "#ffff55", "bright_magenta": "#ff55ff",
    "bright_cyan": "#55ffff", "bright_white": "#ffffff",
}  # fmt: skip
XTERM = {
    "black": "#000000", "red": "#cd0000", "green": "#00cd00", "blue": "#0000ee",
    "white": "#e5e5e5", "bright_yellow": "#ffff00", "bright_magenta": "#ff00ff",
    "bright_cyan": "#00ffff", "bright_white": "#ffffff",
}  # fmt: skip


class _Ansi:
    ansi = True
    dark = True


ANSI = cast("Theme", _Ansi())


def named(palette: dict[str, str]) -> dict[str, str]:
    """Returns the colours of the 16-colour theme as a terminal draws them."""
    ansi = volume_variables(ANSI)
    return {
        name: palette[value.removeprefix("ansi_")]
        for name, value in ansi.items()
        if name.startswith("volume-") and value != "ansi_default"
    }


LOOKS = {
    "dark": volume_variables(DARK),
    "light": volume_variables(LIGHT),
    "vga": named(VGA),
    "xterm": named(XTERM),
}


def seen(colour: str, vision: Matrix) -> Triple:
    """Returns a colour in CIELAB, as eyes of a kind see it."""
    parts = [
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4
        for one in Color.parse(colour).normalized
    ]
    red, green, blue = (
        min(max(sum(a * b for a, b in zip(row, parts, strict=True)), 0), 1) for row in vision
    )

    def root(value: float) -> float:
        return value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116

    x = root((0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047)
    y = root(0.2126729 * red + 0.7151522 * green + 0.0721750 * blue)
    z = root((0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(first: Triple, second: Triple) -> float:
    """Returns the difference of two colours by CIEDE2000."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    more = 1 + 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    c1, c2 = math.hypot(a1 * more, b1), math.hypot(a2 * more, b2)
    h1 = math.degrees(math.atan2(b1, a1 * more)) % 360
    h2 = math.degrees(math.atan2(b2, a2 * more)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    middle = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    weight = (
        1
        - 0.17 * math.cos(math.radians(middle - 30))
        + 0.24 * math.cos(math.radians(2 * middle))
        + 0.32 * math.cos(math.radians(3 * middle + 6))
        - 0.20 * math.cos(math.radians(4 * middle - 63))
    )
    by_light = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2))
    by_chroma = (c2 - c1) / (1 + 0.045 * chroma)
    by_hue = hue / (1 + 0.015 * chroma * weight)
    bend = math.sin(math.radians(60 * math.exp(-(((middle - 275) / 25) ** 2))))
    twist = -2 * bend * math.sqrt(chroma**7 / (chroma**7 + 25**7)) * by_chroma * by_hue
    return math.sqrt(by_light**2 + by_chroma**2 + by_hue**2 + twist)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [  # from the test data of Sharma, Wu and Dalal
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_is_that_of_its_authors(first: Triple, second: Triple, wanted: float) -> None:
    assert distance(first, second) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("look", LOOKS)
def test_volumes_stay_apart(look: str, vision: str) -> None:
    colours = LOOKS[look]
    labs = [seen(colours[f"volume-{n}"], VISIONS[vision]) for n in range(1, COLOURS + 1)]
    for (a, first), (b, second) in combinations(enumerate(labs, start=1), 2):
        assert distance(first, second) >= APART, f"{a} and {b}"


@pytest.mark.parametrize("look", LOOKS)
def test_what_stands_on_a_volume_can_be_read(look: str) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 to 1."""
    colours = LOOKS[look]
    for name in (*map(str, range(1, COLOURS + 1)), "many"):
        ground = colours[f"volume-{name}"]
        assert contrast(colours[f"volume-{name}-text"], ground) >= 4.5, name


@given(st.lists(st.sampled_from([*ROLES, "gap", "other"]), max_size=14))
def test_neighbours_never_share_a_colour(roles: list[str]) -> None:
    found = [ground for ground in grounds(roles) if ground != "$volume-free"]
    assert all(a != b for a, b in pairwise(found))
    assert len(set(found)) == min(len(found), COLOURS)
    # What is added behind changes no colour before it.
    assert grounds([*roles, "home"])[: len(roles)] == grounds(roles)
