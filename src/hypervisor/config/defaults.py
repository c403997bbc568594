"""What holds where `hypervisor.toml` says nothing: `defaults.toml`, in the shape of that file."""

from __future__ import annotations

from functools import cache
from typing import Any

FILE = f"{__file__.rpartition('/')[0]}/defaults.toml"


@cache
def defaults() -> dict[str, Any]:
    """Return the defaults; nobody may change what is returned."""
    import tomllib

    with open(FILE, "rb") as file:
        return tomllib.load(file)
