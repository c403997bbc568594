"""The pinned clients: Claude Code in several versions, Codex CLI."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from e2e import npm

PACKAGE = "@anthropic-ai/claude-code"
# The oldest that is supported, and the newest that is tested; or others, to see what differs.
VERSIONS = tuple(os.environ.get("HYPERVISOR_TEST_CLAUDE", "2.1.197 2.1.332").split())
# What permissions hang on is tested in the modes that people use; the oldest has no auto mode.
MODES = list(
    dict.fromkeys([(VERSIONS[0], "default"), (VERSIONS[-1], "default"), (VERSIONS[-1], "auto")])
)


@dataclass(frozen=True)
class Client:
    """One version of the client; `binary` is its native program, which needs no Node."""

    version: str
    binary: Path

    @property
    def arms_monitors(self) -> bool:
        """Whether this version starts a plugin's monitors in an interactive session."""
        return tuple(map(int, self.version.split("."))) > (2, 1, 197)


def client(version: str) -> Client:
    """The client of that version, from the cache; installed first if it is not there."""
    # The wrapper package depends on one package per platform; npm installs only the fitting one.
    pattern = f"node_modules/{PACKAGE}-*/claude"
    return Client(version, npm.program(PACKAGE, version, "claude", pattern))


def codex() -> Path:
    """Codex CLI's native program, which needs no Node."""
    pattern = "node_modules/@openai/codex-*/vendor/*/bin/codex"
    return npm.program("@openai/codex", "0.171.0", "codex", pattern)
