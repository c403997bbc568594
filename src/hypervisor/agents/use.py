"""What agents have used: read from their transcripts, which are kept.

Every reading may happen twice, late, or not at all: the last one tells most.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.usage import Tokens

# A tool call waits for this: a longer transcript is summed up at the agent's end.
_QUICK_BYTES = 4 << 20


def collect(
    ledger: Ledger, agent: str, *, wait: float = 0, clean: Callable[[bytes], bytes] | None = None
) -> None:
    """Sum up what an agent has used and keep its transcripts, each line passed to `clean`.

    The file lags behind the agent's end: for `wait` seconds its last message is waited for.
    """
    row = ledger.agents.find(agent)
    if row is None or not row.transcript:
        return
    from hypervisor.agents import retention, transcripts
    from hypervisor.ledger import usage

    until = time.monotonic() + wait
    while True:
        try:
            used, files = transcripts.read(row.transcript)
        except OSError:
            return
        if used.complete or time.monotonic() >= until:
            break
        time.sleep(0.05)
    name = ledger.queues.name_of(row.queue)
    kept = retention.keep(ledger.state, name, agent, files, clean)
    if used.compacted:
        note_unseen(ledger, agent, usage.COMPACTION)
    if used.partial:
        note_unseen(ledger, agent, usage.PARTIAL)
    total = used.total if used.known else None
    items = used.items | _by_token(ledger, agent, used.by_id)
    ledger.agents.set_usage(agent, total, items, complete=used.complete, kept=kept)


def _by_token(ledger: Ledger, agent: str, by_id: list[tuple[str, Tokens]]) -> dict[str, Tokens]:
    """Return an agent's shares by the tokens of its claims; the n-th share of an id is that of the
    n-th claim of it."""
    claims = ledger.agents.claims_of(agent) if by_id else []
    shares = {}
    for item_id, figures in by_id:
        at = next((at for at, (_, id, _) in enumerate(claims) if id == item_id), None)
        if at is not None:
            shares[claims.pop(at)[0]] = figures
    return shares


def note(ledger: Ledger, agent: str) -> None:
    """Note what an agent at work has used until now, where its transcript tells."""
    row = ledger.agents.find(agent)
    if row is None or not row.transcript or row.ended_at is not None:
        return
    from hypervisor.agents import transcripts

    try:
        if transcripts.size_of(row.transcript) > _QUICK_BYTES:
            return
        used, _ = transcripts.read(row.transcript)
    except OSError:
        return
    if used.known:
        items = used.items | _by_token(ledger, agent, used.by_id)
        ledger.agents.set_usage(agent, used.total, items, complete=False)


def look_again(ledger: Ledger, queue: str) -> None:
    """Read again what the agents of a queue have used: the hooks of one that has just ended its
    item may not have come that far."""
    for row in ledger.agents.costs(ledger.queues.get(queue).no)[0]:
        if row.ended_at is None:
            note(ledger, row.id)
        elif not row.complete:
            collect(ledger, row.id)


def note_unseen(ledger: Ledger, agent: str, kinds: str) -> None:
    """Note what of an agent's use stands in no transcript, in the words of `ledger.usage`: the
    agent's figures are a lower bound from then on. "" says that nothing is known to be missing."""
    from hypervisor.ledger import usage

    row = ledger.agents.find(agent)
    if row is not None:
        told = usage.joined(row.unseen, kinds)
        if told != row.unseen:
            ledger.agents.set_unseen(agent, told)


def collect_all(ledger: Ledger, queue: str) -> None:
    """Read again what was incomplete when it was last read."""
    for row in ledger.agents.costs(ledger.queues.get(queue).no)[0]:
        if not row.complete:
            collect(ledger, row.id)
