"""What agents have used: read from their transcripts, which are kept.

Every reading may happen twice, late, or not at all: the last one tells most.
"""

from __future__ import annotations

import time

from hypervisor.ledger import usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.agents.usage import Usage
    from hypervisor.ledger import Ledger
    from hypervisor.ledger.rows import Agent
    from hypervisor.ledger.usage import Bill, OfModel, Tokens

# A tool call waits for this: a longer transcript is summed up at the agent's end.
_QUICK_BYTES = 4 << 20


def collect(
    ledger: Ledger,
    agent: str,
    *,
    wait: float = 0,
    clean: Callable[[bytes], bytes] | None = None,
    bill: Bill | None = None,
) -> None:
    """Sum up what an agent has used and keep its transcripts, each line passed to `clean`.

    The file lags behind the agent's end: for `wait` seconds its last message is waited for. `bill`
    is what its client says that it has cost.
    """
    row = ledger.agents.find(agent)
    if row is None or not row.transcript:
        return
    from hypervisor.agents import retention, transcripts

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
    items, cost = _shares(ledger, row, used, bill)
    ledger.agents.set_usage(agent, total, items, complete=used.complete, kept=kept, cost=cost)


def _shares(
    ledger: Ledger, row: Agent, used: Usage, bill: Bill | None = None
) -> tuple[dict[str, Tokens], usage.Cost]:
    """Return what the claims of an agent (its row) have used, by their tokens, and its cost: by the
    client's `bill`, or an earlier one, where there is one, else by list prices. A claim's share of
    a bill is in proportion to list prices."""
    from hypervisor.config import prices

    items = dict(used.items)
    names: dict[str | int | None, str] = {token: token for token in items}
    claims = ledger.agents.claims_of(row.id) if used.by_id else []
    for place, (item_id, figures) in enumerate(used.by_id):
        # The n-th share of an id is that of the n-th claim of it.
        at = next((at for at, (_, id, _) in enumerate(claims) if id == item_id), None)
        if at is not None:
            names[place] = claims.pop(at)[0]
            items[names[place]] = figures
    total: float | None = 0.0
    models: dict[str, OfModel] = {}
    shares: dict[str, tuple[str, float | None]] = {}
    for share, model, figures, hour in used.requests:
        usd = prices.usd(model, figures, hour)
        of = models.setdefault(model, {"tokens": dict.fromkeys(usage.KINDS, 0), "usd": 0.0})
        for kind, figure in zip(usage.KINDS, figures, strict=True):
            of["tokens"][kind] += figure
        of["usd"], total = _sum(of["usd"], usd), _sum(total, usd)
        if share in names:
            shares[names[share]] = model, _sum(shares.get(names[share], ("", 0.0))[1], usd)
    if bill is None and row.billed and row.usd is not None:
        import json

        bill = row.usd, json.loads(row.models or "{}")
    if bill is None:
        return items, usage.Cost(total if used.known else None, models, shares, False)
    ratio = bill[0] / total if total else None
    for token, (model, usd) in shares.items():
        shares[token] = model, None if usd is None or ratio is None else usd * ratio
    return items, usage.Cost(bill[0], bill[1] or models, shares, True)


def _sum(one: float | None, two: float | None) -> float | None:
    return None if one is None or two is None else one + two


def note(ledger: Ledger, agent: str, *, quick: bool = True) -> None:
    """Note what an agent at work has used until now, where its transcript tells; a `quick` note
    passes over a long one."""
    row = ledger.agents.find(agent)
    if row is None or not row.transcript or row.ended_at is not None:
        return
    from hypervisor.agents import transcripts

    try:
        if quick and transcripts.size_of(row.transcript) > _QUICK_BYTES:
            return
        used, _ = transcripts.read(row.transcript)
    except OSError:
        return
    if used.known:
        items, cost = _shares(ledger, row, used)
        ledger.agents.set_usage(agent, used.total, items, complete=False, cost=cost)


def look_again(ledger: Ledger, queue: str) -> None:
    """Read again what the agents of a queue have used: the hooks of one that has just ended its
    item may not have come that far."""
    for row in ledger.agents.of_queue(ledger.queues.get(queue).no):
        if row.ended_at is None:
            note(ledger, row.id)
        elif not row.complete:
            collect(ledger, row.id)


def note_unseen(ledger: Ledger, agent: str, kinds: str) -> None:
    """Note what of an agent's use stands in no transcript, in the words of `ledger.usage`: the
    agent's figures are a lower bound from then on. "" says that nothing is known to be missing."""
    row = ledger.agents.find(agent)
    if row is not None:
        told = usage.joined(row.unseen, kinds)
        if told != row.unseen:
            ledger.agents.set_unseen(agent, told)


def collect_all(ledger: Ledger, queue: str) -> None:
    """Read again what was incomplete when it was last read, or had no price."""
    for row in ledger.agents.of_queue(ledger.queues.get(queue).no):
        if not row.complete or (row.usd is None and row.models):
            collect(ledger, row.id)
