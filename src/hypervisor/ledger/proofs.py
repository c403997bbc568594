"""How far an accepted end is known to be so, and the words for it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

CLAIMED, CHECKED, JUDGED, REVIEWED = "claimed", "checked", "judged", "reviewed"
# By its worker's word alone, by a command of the queue, by a second model, by a person: the last
# that holds counts.
PROOFS = (CLAIMED, CHECKED, JUDGED, REVIEWED)


def of_report(report: Mapping[str, object]) -> str | None:
    """Return the proof of an end as it is accepted: its report names the check that it passed. What
    a rule has decided is nobody's claim."""
    if report.get("rule"):
        return None
    return CHECKED if report.get("verify") else CLAIMED


def told(counts: Mapping[str, int]) -> str | None:
    """Return in words how many done items have which proof (`Queries.proofs`): `58 done: 41
    checked, 17 only claimed`; None where none is done."""
    parts = [
        f"{counts[proof]} {'only ' if proof == CLAIMED else ''}{proof}"
        for proof in reversed(PROOFS)
        if counts[proof]
    ]
    return f"{sum(counts.values())} done: {', '.join(parts)}" if parts else None
