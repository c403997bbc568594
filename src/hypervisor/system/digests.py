"""Hashes without the library's package, which loads all of OpenSSL for them."""

from __future__ import annotations

import sys


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex digits."""
    # Where others have loaded it already, it is several times as fast.
    module = sys.modules.get("hashlib")
    if module is None:
        try:
            module = __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256")
        except ImportError:
            module = __import__("hashlib")
    return str(module.sha256(data).hexdigest())


def digest_of(path: str) -> str | None:
    """Return the SHA-256 of a file in hex digits; None for one that can't be read."""
    import hashlib

    try:
        with open(path, "rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError:
        return None


def keyed(data: bytes, key: bytes) -> str:
    """Return 16 bytes of BLAKE2b over `data` with `key`, in hex digits."""
    try:
        module = __import__("_blake2")
    except ImportError:
        module = __import__("hashlib")
    return str(module.blake2b(data, key=key, digest_size=16).hexdigest())
