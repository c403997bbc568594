"""Prints docs/reference.md: all that is said there is read from the program itself.

    python tools/reference

`tests/run tests/docs --rewrite` writes the file; a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "src"))

import command_line
import faces
import settings

HEAD = """\
# Reference

Every command, option, exit code, setting, hook, tool and schema. This page is printed by the
program (`tools/reference`) and compared with it by a test; don't edit it.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, *contents(), *command_line.words(), *command_line.exit_codes()]
    parts += [*command_line.verbs()]
    parts += [*settings.settings(), *faces.session_commands(), *faces.hooks(), *faces.monitors()]
    parts += [*faces.tools(), *faces.schemas(), *command_line.variables()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def contents() -> Iterator[str]:
    names = (
        "Words", "Exit codes", "Commands", "Settings", "Commands in a session", "Hooks", "Monitors",
        "Tools of the MCP server", "Schemas", "Environment variables",
    )  # fmt: skip
    yield " · ".join(f"[{name}](#{name.lower().replace(' ', '-')})" for name in names)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(page(), end="")
