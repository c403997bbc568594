"""What holds where `hypervisor.toml` says nothing: `defaults.toml`, in the shape of that file."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_read: dict[str, Any] = {}

FILE = f"{__file__.rpartition('/')[0]}/defaults.toml"


def defaults() -> dict[str, Any]:
    """Return the defaults; nobody may change what is returned."""
    if not _read:
        import tomllib

        with open(FILE, "rb") as file:
            _read.update(tomllib.load(file))
    return _read
