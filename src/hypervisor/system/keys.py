"""Ids as file names: an id from a task file never becomes a path unencoded."""

from __future__ import annotations

_FIRST = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_SAFE = _FIRST | frozenset(b".")
_LONGEST = 200
_HEAD = 120
# What each byte is written as, but for one in front.
_SHOWN = [chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in range(256)]


def key(item_id: str) -> str:
    """Return the name under which `item_id` is locked and stored.

    A plain id (`[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}`) is its own key, so that tools which lock by
    the bare id meet ours. Other bytes are percent-encoded; what gets too long for a file name
    keeps its head and ends in `~` and 128 bits of its hash. Two ids never share a key.
    """
    raw = item_id.encode("utf-8", "surrogatepass")
    if 0 < len(raw) <= _LONGEST and raw[0] in _FIRST and _SAFE.issuperset(raw):
        return item_id
    encoded = "".join(map(_SHOWN.__getitem__, raw))
    if raw and raw[0] not in _FIRST:
        encoded = f"%{raw[0]:02X}{encoded.removeprefix(_SHOWN[raw[0]])}"
    if 0 < len(encoded) <= _LONGEST:
        return encoded
    import hashlib

    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return f"{encoded[:_HEAD].rsplit('%', 1)[0] or '%'}~{digest}"
