"""Presets: words that ship with the program, one file each, for those who say `preset = "NAME"`."""

from __future__ import annotations

import os

from hypervisor.config.toml import read_raw, read_toml
from hypervisor.system.errors import UsageError
from hypervisor.system.late import late
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDER = os.path.join(os.path.dirname(__file__), "presets")
_END = ".toml"
_KEY = late(r"""[^#]*\bpreset\b["']?\s*=""")


def names() -> tuple[str, ...]:
    """Return the names of the presets there are."""
    files = sorted(os.listdir(FOLDER))
    return tuple(name.removesuffix(_END) for name in files if name.endswith(_END))


def table(name: str) -> dict[str, Any]:
    """Return what a preset says, in the shape of the settings; nobody may change what is returned.

    "" is the preset that says nothing. Raises UsageError for a name that no preset has.
    """
    if not name:
        return {}
    if name not in names():
        raise UsageError(f"no preset '{one_line(name, 40)}'", f"there is: {', '.join(names())}")
    return read_toml(os.path.join(FOLDER, f"{name}{_END}"))


def named_in(told: dict[str, object], path: str) -> str | None:
    """Return the preset that `told` of the file at `path` names, None where it doesn't say.

    Raises UsageError, with file and line, for one that there isn't.
    """
    name = told.get("preset")
    if not isinstance(name, str):
        # What is not text at all is refused with the other keys of a wrong type.
        return None
    try:
        table(name)
    except UsageError as error:
        raise UsageError(f"{_place(path, name)}: {error.message}", error.fix) from None
    return name


def knowing(assignees: set[str]) -> str | None:
    """Return the first preset that names one of these assignees, which are in lower case."""
    for preset in names():
        told = table(preset)
        people, rules = told.get("preflight", {}), told.get("triage", {})
        known = {rules.get("judgement"), rules.get("automatable"), *people.get("humans", ())}
        if known & assignees:
            return preset
    return None


def _place(path: str, name: str) -> str:
    """Return the path, with the line that names the preset."""
    lines = read_raw(path).decode("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if _KEY.match(line) and name in line:
            return f"{one_line(path)}:{number}"
    return one_line(path)
