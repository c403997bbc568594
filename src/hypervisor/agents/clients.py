"""The clients that headless workers run in: how each is started, held in bounds, and read.

A client has `check()`, which raises HypervisorError where it can't run at all; `start(place)`,
which returns how to start one process; and `stream()`, which reads what that process prints. What
it asks its service beyond what stands in its transcripts is named in `unseen`. The exit code alone
is never taken for the outcome: it is 0 after many a failure.
"""

from __future__ import annotations

from hypervisor.agents.client import End, Place, Start, Stream

__all__ = ["End", "Place", "Start", "Stream", "client"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

NAMES = ("gemini", "claude", "command")


def client(name: str, *, model: str | None, turns: int, words: Sequence[str]) -> Any:
    """Return the client called `name`. `words` is the command line of `command`, and what is added
    to those of the others."""
    if name == "gemini":
        from hypervisor.agents.gemini.client import Gemini

        return Gemini(model, turns, words)
    if name == "claude":
        from hypervisor.agents.claude.client import Claude

        return Claude(model, turns, words)
    from hypervisor.agents.command import Command

    return Command(words)
