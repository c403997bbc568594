"""The settings: the file of defaults as it is shipped."""

from __future__ import annotations

from collections.abc import Iterator

from hypervisor.config import defaults


def settings() -> Iterator[str]:
    yield "## Settings"
    yield (
        "Keys of `hypervisor.toml` and their defaults; [an example](settings.md). Words of "
        "`[status]` and names of `[preflight]` are added to the defaults, all else replaces them."
    )
    with open(defaults.FILE, encoding="utf-8") as file:
        yield f"```toml\n{file.read()}```"
