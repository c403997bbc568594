"""From a pre-flight to an open queue: what is ready goes in, what waits for it goes in behind."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Mapping

from hypervisor.config.roots import create_state
from hypervisor.config.settings import Settings
from hypervisor.intake.preflight import Preflight
from hypervisor.intake.preflight.result import Entry
from hypervisor.ledger import Ledger, NewItem, Opened, Options, budget, markers
from hypervisor.ledger.options import USUAL
from hypervisor.system import uncommitted
from hypervisor.system.digests import digest_of
from hypervisor.system.errors import UsageError

_COMMITS = re.compile(r"\bcommits?\b", re.IGNORECASE)


def open_queue(
    root: str, settings: Settings, name: str, checked: Preflight, options: Options = USUAL
) -> Opened:
    """Open the queue `name` at `root` as `fill` does, in a ledger that is made if there is none.

    Raises Foreign for a state that git tracks.
    """
    with create(root, settings) as ledger:
        return fill(ledger, settings, name, checked, options)


def create(root: str, settings: Settings) -> Ledger:
    """Open the ledger of `root`, which is made if there is none. Raises Foreign as above."""
    # Asks whether git tracks anything of it: no command of a worker pays for that.
    create_state(root)
    return Ledger.open(root, create=True, project=settings.project)


def fill(
    ledger: Ledger, settings: Settings, name: str, checked: Preflight, options: Options = USUAL
) -> Opened:
    """Open the queue `name` with the items of a pre-flight, or add them to it.

    Items that are held only because they wait for items of the same pre-flight are added as
    waiting. The limits are the settings', where `options` don't say. Raises UsageError and
    LedgerError.
    """
    inside = {entry.id for entry in checked.ready}
    behind = [entry for entry in checked.held if entry.after]
    # An item may wait for another that waits itself, but not for one that stays outside.
    waiting: list[Entry] = []
    grown = True
    while grown:
        fitting = [e for e in behind if e.id not in inside and inside.issuperset(e.after)]
        inside.update(entry.id for entry in fitting)
        waiting += fitting
        grown = bool(fitting)
    done = {} if options.again else ledger.accepted.of_queue(name)
    items = [
        NewItem(
            entry.id,
            entry.path,
            payload=entry.payload,
            title=entry.title,
            fingerprint=entry.fingerprint,
            after=entry.after,
            files=entry.files,
            named=entry.named,
            content=entry.content or _content(ledger, entry, done),
            format=entry.format,
        )
        for entry in [*checked.ready, *waiting]
    ]
    left = {
        "skipped": len(checked.skipped),
        "held": len(checked.held) - len(waiting),
        "broken": len(checked.broken),
    }
    limits = settings.limits
    options = options._replace(
        usual={
            "max_attempts": limits.max_attempts,
            "max_deaths": limits.max_deaths,
            "max_lost": limits.max_lost,
            "max_releases": limits.max_releases,
            "lease_ms": limits.lease_seconds * 1000,
            **(options.usual or {}),
        },
        preflight=json.dumps(left),
        folders=checked.folders_outside(ledger.root),
        sequence=checked.sequence,
    )
    opened = ledger.generations.open(name, items, options)
    markers.mark(ledger, name)
    note_tree(ledger, name)
    attend(ledger, name)
    return opened


def _content(ledger: Ledger, entry: Entry, done: Container[tuple[str, str]]) -> str | None:
    """Return the digest of a plain file that was done in the queue once, None for all else."""
    if entry.path is None or entry.payload is not None or (entry.id, entry.path) not in done:
        return None
    return digest_of(os.path.join(ledger.root, entry.path))


def note_tree(ledger: Ledger, queue: str) -> None:
    """Note what is not committed now, before a queue is worked on: no item that it hands out has
    done that. While anything is in work, that can't be said."""
    row = ledger.queues.get(queue)
    uncommitted.forget_ended(ledger.state, ledger.queries.tokens_over())
    if not row.commits and _COMMITS.search(row.instructions or ""):
        ledger.sessions.note_commits(row.no)
    if not ledger.claims.live_tokens():
        uncommitted.note(ledger.state, uncommitted.of_queue(row.no))


def resume(ledger: Ledger, queue: str, limits: Mapping[str, float]) -> None:
    """Hand out again after a pause; the limits are those of `Terms.set_budget`.

    Raises UsageError for a queue that has ended, or whose budget is used up.
    """
    ledger.terms.set_budget(queue, limits)
    row = ledger.queues.get(queue)
    why = budget.reached(ledger, row)
    if why is not None:
        raise UsageError(f"queue {queue}: {why}", f"give it more: {budget.more(ledger, row)}")
    ledger.pauses.resume(queue)
    ledger.pauses.forget_stop(queue)
    note_tree(ledger, queue)
    markers.mark(ledger, queue)
    attend(ledger, queue)


def attend(ledger: Ledger, queue: str) -> None:
    """Have the client's session around this process, if there is one, hear of `queue`."""
    session = ledger.sessions.meet_caller()
    if session is not None:
        ledger.followers.follow(session, queue)
