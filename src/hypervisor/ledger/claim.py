"""A claim as its worker sees it."""

from __future__ import annotations

from hypervisor.ledger.check import checks_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.rows import Next


class Claim:
    """One item in one worker's hands. `attempt` counts from 1; `lease_seconds` is how long the
    claim stands without a heartbeat; `deaths` is how many workers died with the item or were lost,
    `plan` what one of them had stored; `renewed` is false where no hook renews the lease while the
    worker works; `base_commit` is the commit at which the task stood, `branch` and `worktree` are
    where to work, for work on branches; `asked` is what a reviewer wants otherwise, which the
    instructions say too; `file` is the path at which a worker finds the item's file, from the root
    or whole; `before` is why an earlier attempt ended, where a reason is known; `number` is the
    item's in the ledger; `answer` is the JSON schema of what its end brings."""

    __slots__ = (
        "answer", "asked", "attempt", "base_commit", "before", "branch", "checks", "deaths", "file",
        "fingerprint",
        "format", "id",
        "instructions", "lease_seconds", "number", "path", "payload", "plan", "queue", "renewed",
        "title", "token", "worktree",
    )  # fmt: skip

    def __init__(
        self, token: str, queue: Queue, item: Next, lease_ms: int, base_commit: str | None
    ) -> None:
        self.token = token
        self.queue = queue.name
        self.instructions = queue.instructions
        self.checks = checks_of(queue)
        self.answer = queue.answer
        self.id = item.id
        self.number = item.no
        self.path = item.path
        self.title = item.title
        self.payload: object = loads(item.payload) if item.payload else None
        self.fingerprint = item.fingerprint
        self.format = item.format
        self.attempt = item.attempts + 1
        self.deaths = item.deaths + item.lost + item.abrupt
        self.before = item.cause
        self.asked = None
        if item.note is not None:
            self.asked = f"An earlier report on this was rejected: {item.note}"
            rest = queue.instructions or "Do what the item asks for."
            self.instructions = f"{rest.rstrip()}\n\n{self.asked}"
            if (item.cause or "").endswith(f": {item.note}"):
                # The instructions say it.
                self.before = None
        self.plan = item.plan
        self.lease_seconds: float = lease_ms / 1000
        self.renewed = True
        self.base_commit = base_commit
        self.file = self.path
        self.branch: str | None = None
        self.worktree: str | None = None


def loads(text: str) -> Any:
    """Return what JSON text stands for."""
    # Costs more to import than a claim takes, and few items are rows.
    import json

    return json.loads(text)
