"""A batch directory as a queue: opened, worked on, counted."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple, TypedDict

from hypervisor.config.roots import is_outside
from hypervisor.config.settings import Settings, load
from hypervisor.intake import opening
from hypervisor.intake.preflight import Preflight, check
from hypervisor.intake.sources import Found, expand, lists
from hypervisor.ledger import Ledger, NoLedger, Options
from hypervisor.ledger.outcomes import FINAL
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.reading import NotReadable, json_value, open_file, read_descriptor, read_file
from hypervisor.system.text import shell
from hypervisor.triage import Unnamed, run, unnamed
from hypervisor.triage.batch_directory import results, shim
from hypervisor.triage.batch_directory.place import QUEUE_FILE, queue_name, shared_root
from hypervisor.worker.presence import missing
from hypervisor.worker.settle import settle

# What is known of the list that was opened last, so that nobody reads all tasks again.
_STATE = ".batch.json"


class Batch(NamedTuple):
    """A batch directory that is open as the queue `queue` in the ledger of `root`.

    `lines` is how many items its list names. `checked` is what pre-flight said if this call opened
    a new generation, else None; `added` is how many items this call added.
    """

    folder: str
    root: str
    queue: str
    lines: int
    added: int = 0
    checked: Preflight | None = None


class State(TypedDict):
    """What is kept of a list: the digest of its bytes (`source`), the queue that was opened from
    it, and the files that could not be queued."""

    source: str
    root: str
    queue: str
    lines: int
    again: list[str]


class Stats(TypedDict):
    """The counts of a batch; see `stats`."""

    queue: str
    root: str
    queue_total: int
    claimed: int
    completed: int
    remaining: int
    to_be_tried_again: int
    missing: int
    not_queued: int
    outcomes: dict[str, int]


def open_batch(folder: str) -> Batch:
    """Open the queue of a batch directory, or add to it what has become ready since.

    Makes `locks/`, `results/` and the shim. Several processes may call this at once: one of them
    reads the tasks, the others wait for it. Raises UsageError, LedgerError and OSError.
    """
    for name in ("locks", results.FOLDER):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    shim.put(folder)
    listed = os.path.join(folder, QUEUE_FILE)
    descriptor = -1
    try:
        descriptor, status = open_file(listed)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        raw = read_descriptor(descriptor, status.st_size, lists.LARGEST)
        digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
        state = _known(folder, digest)
        return _open(folder, raw, digest) if state is None else _refresh(folder, state)
    except NotReadable as error:
        raise UsageError(f"{listed}: {error.what}", error.fix) from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def work(batch: Batch, limit: int, stop: Callable[[], bool] = lambda: False) -> Iterator[run.Ended]:
    """Claim and triage up to `limit` items; yield each that ended."""
    ready: list[run.Ended] = []
    name = f"{os.uname().nodename}-{os.getpid()}"
    with Ledger.open(batch.root) as ledger:

        def told(ended: list[run.Ended]) -> None:
            for end in ended:
                results.write(batch.folder, name, end)
            ready.extend(ended)

        worker = run.Worker(ledger, batch.queue, name, _settings(batch.root), told)
        left = limit
        while left > 0 and not stop():
            count = worker.work(limit=min(left, run.BATCH), wait=False, stop=stop)
            yield from ready
            ready.clear()
            left -= count
            if count == 0:
                break


def not_assigned(batch: Batch) -> Unnamed | None:
    """Return what is assigned to nobody since the settings name nobody for it."""
    met = batch.checked.assignees if batch.checked is not None else set()
    return unnamed(_settings(batch.root).triage, met)


def stats(batch: Batch) -> Stats:
    """Return the counts of a batch.

    `queue_total` items are named in its list; `claimed`, `completed`, `remaining` and `not_queued`
    (what pre-flight left out) add up to them. `to_be_tried_again` are those that remain that a
    worker had before, `missing` those whose files are not there; `outcomes` divides `completed`.
    """
    with Ledger.open(batch.root) as ledger:
        settle(ledger)
        number = ledger.queues.get(batch.queue).no
        states, again = ledger.queues.counts(number), ledger.queries.tried_before(number)
        gone = missing(ledger, batch.queue, None)[0]
        if not states["ready"] and not states["claimed"]:
            results.complete(batch.folder, ledger, batch.queue)
    items = sum(states.values())
    remaining = states["ready"] + states["waiting"]
    return {
        "queue": batch.queue,
        "root": batch.root,
        "queue_total": max(batch.lines, items),
        "claimed": states["claimed"],
        "completed": items - states["claimed"] - remaining,
        "remaining": remaining,
        "to_be_tried_again": len(again),
        "missing": len(gone),
        "not_queued": max(0, batch.lines - items),
        "outcomes": {name: states[name] for name in FINAL},
    }


def _settings(root: str) -> Settings:
    """Return the settings of a root. Where nobody names a preset, these scripts keep the words that
    they have always had."""
    return load(root, preset="aops")


def _open(folder: str, raw: bytes, digest: str) -> Batch:
    """Open a new generation of the queue, from the list as it is now."""
    cwd = os.getcwd()
    root = shared_root(raw, folder, cwd)
    listed = f"@{os.path.join(folder, QUEUE_FILE)}"
    found = list(
        expand(
            [listed],
            root=root,
            cwd=cwd,
            settings=_settings(root),
            lists_lead_out=_may_lead_out(folder),
        )
    )
    checked = _check(found, root, queue_name(folder))
    name = queue_name(folder)
    state = State(source=digest, root=root, queue=name, lines=len(found), again=[])
    return _add(folder, state, checked, fresh=True)


def _refresh(folder: str, state: State) -> Batch:
    """Look again at what could not be queued before: a lock may have gone, a file been mended."""
    root = state["root"]
    again = [path for path in state["again"] if os.path.lexists(path)]
    if not again:
        return Batch(folder, root, state["queue"], state["lines"])
    if not _may_lead_out(folder):
        again = [path for path in again if not is_outside(root, path)]
    found = [Found(path, origin=QUEUE_FILE) for path in again]
    return _add(folder, state, _check(found, root, state["queue"]), fresh=False)


def _may_lead_out(folder: str) -> bool:
    """Say whether the list of a batch directory may name files anywhere: if it is the user's."""
    return lists.is_users_own(os.path.join(folder, QUEUE_FILE))


def _check(found: list[Found], root: str, queue: str) -> Preflight:
    with ExitStack() as stack:
        try:
            ledger = stack.enter_context(Ledger.open(root))
        except NoLedger:
            ledger = None
        return check(
            found, root=root, settings=_settings(root), ledger=ledger, purpose="triage", queue=queue
        )


def _add(folder: str, state: State, checked: Preflight, *, fresh: bool) -> Batch:
    root, queue = state["root"], state["queue"]
    settings = _settings(root)
    run.tidy(root, queue, settings, checked)
    opened = opening.open_queue(
        root,
        settings,
        queue,
        run.with_children(root, settings, checked),
        Options(
            purpose="triage",
            max_attempts=1,
            lease_seconds=run.LEASE_SECONDS,
            lock_dir=os.path.join(folder, "locks"),
            source=state["source"],
            asked=shell(os.path.join(folder, QUEUE_FILE)),
        ),
    )
    if fresh and opened.generation > 1:
        results.put_aside(folder, opened.generation - 1)
    # Some may have been opened in another queue since they were checked.
    elsewhere = {item for item, _ in opened.elsewhere}
    left = [entry.path for entry in checked.ready if entry.id in elsewhere]
    left += [entry.path for entry in [*checked.held, *checked.broken]]
    again = sorted({os.path.join(root, path) for path in left if path is not None})
    results.replace(os.path.join(folder, _STATE), {**state, "again": again})
    told = checked if fresh else None
    return Batch(folder, root, queue, state["lines"], opened.added, told)


def _known(folder: str, digest: str) -> State | None:
    """Return what is known of this very list, if its queue is still where it was opened."""
    try:
        kept, _ = read_file(os.path.join(folder, _STATE), lists.LARGEST)
        told = json_value(kept.decode())
        if told["source"] != digest:
            return None
        again = [str(path) for path in told["again"]]
        state = State(
            source=digest,
            root=str(told["root"]),
            queue=str(told["queue"]),
            lines=int(told["lines"]),
            again=again,
        )
        with Ledger.open(state["root"]) as ledger:
            row = ledger.queues.get(state["queue"])
            return state if row.source == digest and row.state != "cancelled" else None
    except (
        OSError, ValueError, KeyError, TypeError, RecursionError, NotReadable, HypervisorError
    ):  # fmt: skip
        return None
