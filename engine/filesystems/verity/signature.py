"""The signature of a root hash as a partition holds it, and the keys that it is made with.

Source: UAPI Group, Discoverable Partitions Specification, "Verity": a JSON object with the root
hash, the SHA-256 of the certificate and a PKCS#7 signature of the root hash's hexadecimal digits,
in base64, filled up with zeros.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

_LARGEST = 1 << 16
"""Bytes of a PEM file that is looked at."""
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATE = b"CERTIFICATE"
_ENCRYPTED = (b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
_RSA = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
"""rsaEncryption, 1.2.840.113549.1.1.1, in DER (RFC 8017, appendix A.1)."""


class BadKey(ValueError):
    """A file is not the key or the certificate that it should be; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a private key.

    Attributes:
        repeatable: Two signatures of the same bytes are the same, as RSA's are (PKCS #1 v1.5).
    """

    repeatable: bool


def read_key(path: str) -> Key:
    """Looks at a private key, which stays where it is.

    Raises:
        BadKey: It is not one that openssl takes without asking.
        OSError: It cannot be read.
    """
    data = _read(path)
    if any(mark in data for mark in _ENCRYPTED):
        raise BadKey("is encrypted, and a build asks for no passphrase")
    for name, body in _PEM.findall(data):
        if name.endswith(b"PRIVATE KEY"):
            return Key(name.startswith(b"RSA") or _RSA in _der(body))
    raise BadKey("holds no private key in PEM")


def fingerprint(path: str) -> str:
    """Returns the SHA-256 of a certificate in hexadecimal.

    Raises:
        BadKey: The file holds none in PEM.
        OSError: It cannot be read.
    """
    for name, body in _PEM.findall(_read(path)):
        if name == _CERTIFICATE:
            return hashlib.sha256(_der(body)).hexdigest()
    raise BadKey("holds no certificate in PEM")


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_LARGEST)


def _der(body: bytes) -> bytes:
    try:
        return base64.b64decode(body)
    except binascii.Error as error:
        raise BadKey(f"is damaged: {error}") from error


def dumps(root_hash: str, certificate: str, signature: bytes) -> bytes:
    """Returns the bytes of a signature's partition.

    Args:
        root_hash: In hexadecimal.
        certificate: Its fingerprint.
        signature: PKCS#7 in DER.
    """
    fields = {
        "rootHash": root_hash,
        "certificateFingerprint": certificate,
        "signature": base64.b64encode(signature).decode(),
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
