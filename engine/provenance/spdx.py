"""A software bill of materials: SPDX 2.3 as JSON, a function of its arguments alone.

Source: The System Package Data Exchange (SPDX) Specification, version 2.3; package URLs after
the purl specification.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from engine import __version__
from engine.provenance.package import Package
from engine.provenance.packages import Inventory

_DOCUMENT, _IMAGE = "SPDXRef-DOCUMENT", "SPDXRef-Image"
_UNKNOWN = "NOASSERTION"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_YEAR = 9999
# Whose packages these are, where os-release does not say.
_VENDORS = {"deb": "debian", "apk": "alpine", "rpm": "fedora"}


def file_name(stem: str) -> str:
    """Returns what the bill of materials of an image is called."""
    return f"{stem}.spdx.json"


def dumps(inventory: Inventory, *, name: str, seed: str, epoch: int) -> bytes:
    """Returns the document.

    Args:
        inventory: The packages.
        name: Of the image.
        seed: UUID that the document's own identifier derives from.
        epoch: Seconds since 1970 that stand for its time of creation.
    """
    described = [(_identifier(package), package) for package in inventory.packages]
    packages = [_package(key, package, inventory.distribution) for key, package in described]
    digest = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()
    key = uuid.uuid5(uuid.UUID(seed), f"spdx/{name}/{digest}")
    image: dict[str, Any] = {
        "SPDXID": _IMAGE,
        "name": name,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "comment": "Read from " + ", ".join(f"/{path}" for path in inventory.databases),
    }
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{quote(name, safe='')}-{key}",
        "creationInfo": {"created": _time(epoch), "creators": [f"Tool: diskwright-{__version__}"]},
        "packages": [image, *packages],
        "relationships": [
            _relation(_DOCUMENT, "DESCRIBES", _IMAGE),
            *(_relation(_IMAGE, "CONTAINS", key) for key, _ in described),
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _package(key: str, package: Package, distribution: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "SPDXID": key,
        "name": package.name,
        "versionInfo": package.version,
        "supplier": _supplier(package.supplier),
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl(package, distribution),
            }
        ],
    }
    if re.match(r"https?://\S+$", package.homepage):
        described["homepage"] = package.homepage
    if package.license:
        described["licenseComments"] = f"The package database says: {package.license}"
    if package.source and package.source != package.name:
        described["sourceInfo"] = f"built from the source package {package.source}"
    return described


def purl(package: Package, distribution: str) -> str:
    """Returns the package's URL, such as pkg:deb/debian/bash@5.2-1?arch=amd64."""
    vendor = "" if package.kind == "nix" else distribution or _VENDORS[package.kind]
    parts = [package.kind, *([vendor] if vendor else []), quote(package.name, safe="")]
    version = f"@{quote(package.version, safe='')}" if package.version else ""
    architecture = f"?arch={quote(package.architecture, safe='')}" if package.architecture else ""
    return f"pkg:{'/'.join(parts)}{version}{architecture}"


def _identifier(package: Package) -> str:
    text = f"{package.kind}/{package.name}/{package.version}/{package.architecture}"
    word = re.sub(r"[^A-Za-z0-9.-]", "-", f"{package.kind}-{package.name}")
    return f"SPDXRef-{word}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _supplier(text: str) -> str:
    """Returns who supplies a package, a mail address in parentheses as SPDX writes it."""
    name, _, mail = text.partition("<")
    if not name.strip():
        return _UNKNOWN
    address = mail.rstrip("> \t")
    return f"Person: {name.strip()} ({address})" if mail else f"Organization: {name.strip()}"


def _time(epoch: int) -> str:
    moment = _EPOCH + timedelta(seconds=epoch)
    return min(moment, datetime(_MAX_YEAR, 12, 31, tzinfo=UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
