"""One store for all tests of this folder: making it takes longer than any of them."""

from __future__ import annotations

import pytest

from tests.support.nixos import Lab, make_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A store with the system and one path beside it, its kernel no real one."""
    lab = make_lab(tmp_path_factory.mktemp("lab"))
    lab.build("toplevel")
    lab.build("extra")
    return lab


@pytest.fixture(scope="session")
def system(lab: Lab) -> str:
    """The system's store path."""
    return lab.build("toplevel")


@pytest.fixture(scope="session")
def extra(lab: Lab) -> str:
    """A store path that the system does not need."""
    return lab.build("extra")


@pytest.fixture(autouse=True)
def _in_the_lab(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
