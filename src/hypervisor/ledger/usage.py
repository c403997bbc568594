"""What an agent has used: its tokens, and what of its use stands in no transcript."""

from __future__ import annotations

from itertools import chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger.findings import ClaimRow
    from hypervisor.ledger.rows import Agent

Tokens = tuple[int, int, int, int]

KINDS = ("input", "output", "cache_read", "cache_write")

# What stands in no transcript, in the words that people are told.
REVIEWS = "auto mode's reviews"
SUMMARIES = "progress summaries"
COMPACTION = "compactions"
CUT_OFF = "requests that were cut off"
PARTIAL = "the ends of answers"
AT_WORK = "workers still at work"
UNHEARD = "work that no hook told of"
_BETWEEN = ", "


def by_kind(row: Agent | ClaimRow) -> dict[str, int | None] | None:
    """Return the tokens of an agent or a claim by their kinds, None where they are not known."""
    return None if row.input_tokens is None else dict(zip(KINDS, row.tokens, strict=True))


def joined(*kinds: str | None) -> str:
    """Return all that one of these texts of `unseen` names."""
    named = chain.from_iterable(text.split(_BETWEEN) for text in kinds if text)
    return _BETWEEN.join(sorted(set(named)))


def missing_of(agent: Agent) -> set[str]:
    """Return what of an agent's use (its row) stands in no transcript, in words for people; the
    agent's tokens are exact where that is empty."""
    unseen = agent.unseen
    found = {UNHEARD} if unseen is None else set(unseen.split(_BETWEEN)) - {""}
    if agent.ended_at is None:
        found.add(AT_WORK)
    elif not agent.complete:
        found.add(CUT_OFF)
    return found


def missing(agents: Iterable[Agent], *, unaccounted: bool) -> list[str]:
    """Return the same of all agents of a queue; `unaccounted` says that some of its claims belong
    to none. The sum of the agents' tokens is exact where the list is empty, else a lower bound."""
    found = set[str]().union(*map(missing_of, agents))
    return sorted(found | ({UNHEARD} if unaccounted else set()))
