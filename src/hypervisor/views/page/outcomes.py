"""How the page marks what became of items and claims: letters that its style sheet colours."""

from __future__ import annotations

from hypervisor.ledger.outcomes import AT_WORK, BY_RANK, OUTCOME, UNTRIED

# The marks, that which most wants a look first: it is seen where one colour stands for several.
RANK = {row.mark: row.rank for row in BY_RANK}


def claim_mark(how: str | None) -> str:
    """Return the mark of a claim that ended like that; None is one at work."""
    if how is None:
        return AT_WORK.mark
    return OUTCOME[how].mark if how in OUTCOME else UNTRIED.mark


def claim_words(how: str | None) -> str:
    """Return how a claim ended, in words."""
    if how is None:
        return AT_WORK.title
    return OUTCOME[how].words if how in OUTCOME else how
