"""The form of a volume reaches every key, and makes of its answers what was answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.disk.roles import ROLES
from engine.spec.keys import KEYS
from engine.spec.model import VolumeEntry
from tui.volume_form import AMOUNTS, NOWHERE, ROWS, USUAL, VolumeForm

GIVEN = {
    "role": VolumeEntry(id="one", role="srv"),
    "format": VolumeEntry(id="one", format="vfat"),
    "mount": VolumeEntry(id="one", mount="/opt"),
    "size": VolumeEntry(id="one", size="8MiB"),
    "free": VolumeEntry(id="one", free="8MiB"),
    "grow": VolumeEntry(id="one", grow=3),
    "min": VolumeEntry(id="one", free="8MiB", min="64MiB"),
    "label": VolumeEntry(id="one", label="cellar"),
    "uuid": VolumeEntry(id="one", uuid="4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    "guid": VolumeEntry(id="one", guid="4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    "name": VolumeEntry(id="one", name="cellar"),
    "type": VolumeEntry(id="one", type="0x83"),
    "flags": VolumeEntry(id="one", flags=("read-only", "no-auto")),
    "compression": VolumeEntry(id="one", format="erofs", compression="lz4"),
    "subvolumes": VolumeEntry(id="one", format="btrfs", subvolumes=("@:/srv", "@spare")),
    "default_subvolume": VolumeEntry(
        id="one", format="btrfs", subvolumes=("@",), default_subvolume="@"
    ),
    "source": VolumeEntry(id="one", role="raw", source="boot.img"),
    "offset": VolumeEntry(id="one", role="raw", source="boot.img", offset="8KiB"),
    "verity": VolumeEntry(id="one", role="root-verity", verity="root"),
    "after": VolumeEntry(id="one", after="root"),
}
"""An entry for each key, that a form for a new volume can be brought to."""


def filled(entry: VolumeEntry) -> VolumeForm:
    """Returns a form for a new volume, with the answers that make an entry."""
    form = VolumeForm(VolumeEntry(id="new"), None, others=("esp", "root"))
    if entry.role:
        form.choose("role", entry.role)
    if entry.format:
        form.choose("format", entry.format)
    for key in AMOUNTS:
        if getattr(entry, key) is not None:
            form.choose("rule", key)
            form.texts["amount"] = str(getattr(entry, key))
    if entry.compression:
        form.choose("compression", entry.compression)
    for key in form.texts:
        value = getattr(entry, key, None)
        if value and key != "amount":
            form.texts[key] = ", ".join(value) if isinstance(value, tuple) else str(value)
    return form


@pytest.mark.parametrize("key", VolumeEntry.__struct_fields__)
def test_every_key_has_a_row_that_fits_some_volume(key: str) -> None:
    row = next(row for row in ROWS if row.key == ("rule" if key in AMOUNTS else key))
    assert row.label
    assert f"volume[].{key}" in KEYS
    if key == "id":
        return
    wanted = GIVEN.get(key) or VolumeEntry(id="one", role="root-verity-sig", **{key: "text"})  # type: ignore[arg-type]
    form = filled(wanted)
    assert form.shows(row.key)
    assert form.made() == wanted
    again = VolumeForm(wanted, None, others=("esp", "root"))
    assert again.made() == wanted


@given(
    st.sampled_from([*ROLES]), st.sampled_from([USUAL, *AMOUNTS]), st.text(max_size=8),
    st.dictionaries(st.sampled_from([row.key for row in ROWS]), st.text(max_size=5)),
)  # fmt: skip
def test_any_answers_make_an_entry_or_a_problem(
    role: str, rule: str, amount: str, texts: dict[str, str]
) -> None:
    form = VolumeForm(VolumeEntry(id="new"), None, others=("root",))
    form.choose("role", role)
    form.choose("rule", rule)
    form.texts |= {key: text for key, text in texts.items() if key in form.texts}
    form.texts["amount"] = amount
    entry = form.made()
    assert isinstance(entry, VolumeEntry)
    problem = form.problem()
    assert problem is None or problem.severity == "error"
    for row in ROWS:
        assert isinstance(form.help(row), str)
        assert form.label(row) or row.key == "amount"
        assert not row.choices or form.choices(row.key)


def test_nowhere_is_not_nothing_said() -> None:
    form = VolumeForm(VolumeEntry(id="home", mount=""), None)
    assert form.texts["mount"] == NOWHERE
    assert form.made() == VolumeEntry(id="home", mount="")
    form.texts["mount"] = ""
    assert form.made() == VolumeEntry(id="home")
    form.texts["after"] = "gone"
    assert form.problem() is None, "a form without others does not ask what it follows"


def test_a_name_that_is_no_volume_is_told_with_those_there_are() -> None:
    form = VolumeForm(VolumeEntry(id="one", after="gone"), None, others=("esp", "root"))
    problem = form.problem()
    assert problem is not None
    assert problem.path == "volume[0].after"
    assert "esp, root" in problem.message


def test_a_format_without_a_label_is_not_asked_for_one() -> None:
    form = VolumeForm(VolumeEntry(id="data", format="squashfs"), None)
    assert not form.shows("label")
    assert not form.shows("uuid")
    form.choose("format", "ext4")
    assert form.shows("label")
    assert form.shows("uuid")
    # What a spec has nevertheless can be seen, and removed.
    assert VolumeForm(VolumeEntry(id="data", format="squashfs", label="x"), None).shows("label")
