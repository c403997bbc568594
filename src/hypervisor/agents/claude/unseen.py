"""What Claude Code asks its service for workers beyond what stands in their transcripts."""

from __future__ import annotations

from hypervisor.ledger.usage import REVIEWS, SUMMARIES, joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_SUMMARIES = "CLAUDE_CODE_DISABLE_AGENT_PROGRESS_SUMMARIES"
_ENTRYPOINT = "CLAUDE_CODE_ENTRYPOINT"


def kinds(mode: str, environment: Mapping[str, str]) -> str:
    """Return the kinds of it, or "" for none, in a session with this permission `mode` and a hook's
    `environment`.

    Auto mode reviews what a worker did; sessions with a person, and those that another program
    drives, ask workers that take long for summaries of their progress.
    """
    found = []
    if mode == "auto":
        found.append(REVIEWS)
    if environment.get(_ENTRYPOINT) != "sdk-cli" and environment.get(_NO_SUMMARIES) != "1":
        found.append(SUMMARIES)
    return joined(*found)
