"""A design at work, without any screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.planning import Planner
from engine.spec.model import Content, ImageSpec
from tui.designing import DesignSession
from tui.document import Document, open_document
from tui.preview import REFUSED


def design_of(home: Path) -> DesignSession:
    spec = ImageSpec(contents=(Content(source="rootfs/", target="/"),))
    return DesignSession(Document(spec=spec, base=home), Planner(home, {}))


def planned(design: DesignSession) -> None:
    """Has a design planned at once, its sources read where that is needed."""
    resolved = design.resolve()
    if design.sources is None or not design.sources.answer(resolved.settings):
        design.sources = design.planner.read(resolved.settings)
    plan = design.planner.plan(resolved, design.sources, force=True)
    design.took(resolved, plan, scanning=False)


SESSIONS = ("designing", "viewing", "watching", "verbs", "comparing", "excerpt", "filing",
            "volume_form", "borders", "listing")  # fmt: skip


def test_sessions_need_no_screen() -> None:
    modules = ", ".join(f"tui.{name}" for name in SESSIONS)
    code = f"import sys, {modules}; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_edit_shows_what_it_changed(home: Path) -> None:
    design = design_of(home)
    planned(design)
    assert not list(design.preview.changes)
    before = design.preview.plan
    assert before is not None

    assert design.edit("size.additional", "1GiB", "free space")
    planned(design)

    after = design.preview.plan
    assert after is not None
    deltas = {change.what: change.delta for change in design.preview.changes}
    assert deltas["disk"] == after.disk.bytes - before.disk.bytes > 0


def test_a_value_that_is_refused_is_shown_until_it_is_mended(home: Path) -> None:
    design = design_of(home)
    planned(design)
    spec = design.spec

    assert not design.edit("size.disk", "a lot", "disk size", typing=True)
    assert design.spec == spec
    assert [p.path for p in design.preview.problems if p.code == REFUSED] == ["size.disk"]
    planned(design)
    assert any(p.code == REFUSED for p in design.preview.problems)

    assert design.edit("size.disk", "4GiB", "disk size", typing=True)
    planned(design)
    assert not any(p.code == REFUSED for p in design.preview.problems)


def test_undo_and_redo_name_what_they_did(home: Path) -> None:
    design = design_of(home)
    first = design.spec
    design.edit("size.disk", "4GiB", "disk size")

    assert design.undo() == "disk size"
    assert design.spec == first
    assert design.undo() == ""
    assert design.redo() == "disk size"
    assert design.spec.size.disk == "4GiB"


def test_a_spec_is_saved_where_a_link_leads_with_its_mode(home: Path) -> None:
    (home / "real").mkdir()
    spec = home / "real/disk.toml"
    spec.write_text("schema = 1\n")
    spec.chmod(0o600)
    link = home / "link.toml"
    link.symlink_to("real/disk.toml")

    document = open_document(link)
    document.save(ImageSpec(name="renamed"), link)

    assert link.is_symlink()
    assert "renamed" in spec.read_text()
    assert spec.stat().st_mode & 0o777 == 0o600


def test_a_spec_whose_file_is_gone_is_not_saved(home: Path) -> None:
    spec = home / "disk.toml"
    spec.write_text("schema = 1\n")
    document = open_document(spec)
    assert document.is_saved(document.spec)

    spec.unlink()

    assert not document.is_saved(document.spec)
