"""What every reader of a package database yields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """One installed package.

    Attributes:
        kind: Type of its package URL: "deb", "apk", "rpm" or "nix".
        source: Name of the source package, where that is another.
        supplier: Who maintains it, as the database says it.
        license: As the database says it, which need not be an SPDX expression.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    source: str = ""
    supplier: str = ""
    homepage: str = ""
    license: str = ""


class BadDatabase(ValueError):
    """A database is not of its form."""
