"""A queue's ladder: the models on which its items are tried, one rung higher with each attempt."""

from __future__ import annotations

from hypervisor.system.errors import UsageError
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import listed, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger
    from hypervisor.ledger.options import Queue

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@[]")
_MOST = 10


class Rung(NamedTuple):
    """A `model`, and the client that it is one of, where that is said; `word` names both."""

    client: str | None
    model: str
    word: str


def rungs(told: str) -> list[Rung]:
    """Return the rungs of a ladder as a queue has it, from the lowest: `[CLIENT:]MODEL,…`. Raises
    UsageError."""
    found: list[Rung] = []
    for word in told.split(","):
        client, _, model = word.strip().rpartition(":")
        if not model or not _SAFE.issuperset(client + model):
            raise UsageError(
                f"{one_line(told, 80)} is not a ladder", "write its models: haiku,sonnet,opus"
            )
        rung = Rung(client or None, model, word.strip())
        for one in found:
            if one.model == model and (not client or one.client in (None, client)):
                raise UsageError(
                    f"the ladder has {one_line(model, 60)} twice",
                    "leave one out; --max-attempts says how often an item is tried, on the last "
                    "rung again and again",
                )
        found.append(rung)
    if len(found) > _MOST:
        raise UsageError(f"a ladder has at most {_MOST} rungs", "leave some out")
    return found


def place(ladder: str, model: str | None) -> int:
    """Return the rung, counted from 0, on which a worker with `model` stands: the highest of that
    name; the lowest where none is named. Raises UsageError for one that is not on the ladder."""
    if model is None:
        return 0
    known = rungs(ladder)
    found = [at for at, one in enumerate(known) if model in (one.model, one.word)]
    if not found:
        words = listed([one.word for one in known], _MOST, 60)
        raise UsageError(
            f"{one_line(model, 60)} is not on the queue's ladder", f"its rungs are {words}"
        )
    return found[-1]


def of_client(ladder: str, client: str, model: str) -> Rung:
    """Return the rung on which workers of `client` with `model` stand. Raises UsageError where
    there is none: another client's is not theirs."""
    known = rungs(ladder)
    at = place(ladder, model)
    for one in reversed(known):
        if model in (one.model, one.word) and one.client in (None, client):
            return one
    raise UsageError(
        f"{one_line(model, 60)} is a rung for {known[at].client}, not for {client}",
        f"--agent {known[at].client}, or another --model",
    )


def on_rung(ladder: str, failed: int) -> int:
    """Return the rung of an item with so many failed attempts."""
    return min(failed, len(rungs(ladder)) - 1)


def ready(ledger: Ledger, queue: Queue) -> list[int]:
    """Return how many items of a queue with a ladder (its row) are ready on each rung."""
    assert queue.ladder is not None
    counts = [0] * len(rungs(queue.ladder))
    for failed, count in ledger.items.ready_by_failed(queue.no):
        counts[min(failed, len(counts) - 1)] += count
    return counts
