"""What workers say at the end of an item, made ready to be kept: work that needs no lock."""

from __future__ import annotations

from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.outcomes import REPORTED, WORKED
from hypervisor.ledger.proofs import of_report
from hypervisor.system.text import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# So much of a reason is kept with an item for whoever takes it up again.
_REASON = 1000

End = tuple[int, str, str, str, str | None, str | None]


def prepared(ends: Sequence[tuple[str, str, Mapping[str, object]]]) -> list[End]:
    """Return (number, token, outcome, report as text, proof, `answer` in it as text) of each end:
    this needs no lock."""
    for _, outcome, _ in ends:
        if outcome not in REPORTED:
            raise ValueError(f"{outcome!r} is none of {REPORTED}")
    found: list[End] = []
    for token, outcome, told in ends:
        answer = None
        if "answer" in told:
            answer = dumps(told["answer"])
            told = {name: value for name, value in told.items() if name != "answer"}
        proof = of_report(told) if outcome in WORKED else None
        found.append((number_of(token), token, outcome, dumps(told), proof, answer))
    return found


def dumps(report: object) -> str:
    # A report is never refused for bytes that are no text: they came out of some tool.
    from hypervisor.system import quick_json

    return whole(quick_json.dumps(report, ensure_ascii=False))


def reason_of(report: str | None) -> str | None:
    """Return why an end came, as its report (the text) says it; None where it says nothing."""
    if not report:
        return None
    from hypervisor.system.quick_json import loads

    told = loads(report)
    why = told.get("reason") or told.get("cause")
    return str(why)[:_REASON] if why else None


def summary_of(report: str | None) -> str | None:
    """Return the start of the summary of a report (the text), None where it has none."""
    if not report:
        return None
    from hypervisor.system.quick_json import loads

    summary = loads(report).get("summary")
    return str(summary)[:_REASON] if summary else None
