"""What an agent has used: its tokens, and what of its use stands in no transcript."""

from __future__ import annotations

from itertools import chain

from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypedDict

    from hypervisor.ledger.findings import ClaimRow
    from hypervisor.ledger.rows import Agent

    class OfModel(TypedDict):
        """What was used of one model: tokens by their kinds, and dollars, None where not known."""

        tokens: dict[str, int]
        usd: float | None

    # What a client says that a run has cost: dollars, and what was used of each model it names.
    Bill = tuple[float, dict[str, OfModel]]


Tokens = tuple[int, int, int, int]

KINDS = ("input", "output", "cache_read", "cache_write")

_TOLD = {"input": "input", "output": "output", "cache_read": "from the cache",
         "cache_write": "into the cache"}  # fmt: skip

# What stands in no transcript, in the words that people are told.
REVIEWS = "auto mode's reviews"
SUMMARIES = "progress summaries"
COMPACTION = "compactions"
CUT_OFF = "requests that were cut off"
PARTIAL = "the ends of answers"
AT_WORK = "workers still at work"
UNHEARD = "work that no hook told of"
_BETWEEN = ", "


class Cost(NamedTuple):
    """What an agent has cost: dollars in all (None: not known), what was used of each model, and of
    each claim, by its token, the model and the dollars. `billed` says that the client tells so."""

    usd: float | None
    models: dict[str, OfModel]
    claims: dict[str, tuple[str, float | None]]
    billed: bool


def tokens_of(row: Agent | ClaimRow) -> tuple[int | None, ...]:
    """Return what was used: input, output, read from the cache, written to it; None: not known."""
    return (
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
    )


def by_kind(row: Agent | ClaimRow) -> dict[str, int | None] | None:
    """Return the tokens of an agent or a claim by their kinds, None where they are not known."""
    return None if row.input_tokens is None else dict(zip(KINDS, tokens_of(row), strict=True))


def told(tokens: Mapping[str, int | None]) -> str:
    """Return in brackets how many of these tokens are of which kind: each has its own price."""
    kinds = ", ".join(f"{tokens[kind]:,} {_TOLD[kind]}" for kind in KINDS if tokens.get(kind))
    return f" ({kinds})" if kinds else ""


def dollars(usd: float | None) -> str:
    """Return dollars for people: $12.34, $0.0056, "an unknown price"."""
    if usd is None:
        return "an unknown price"
    return f"${usd:,.2f}" if usd >= 0.995 or not usd else f"${usd:.{2 if usd >= 0.1 else 4}f}"


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
