"""Queues: opened, added to, paused, cancelled; and the items that they hold."""

from __future__ import annotations

import os
import time

from hypervisor.config.roots import state_dir
from hypervisor.errors import UsageError
from hypervisor.ledger.ends import REPLACED, SATISFYING
from hypervisor.ledger.schema import WAITING
from hypervisor.ledger.sessions import Sessions
from hypervisor.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

STATES = ("waiting", "ready", "claimed", "done", "blocked", "failed", "skipped", "cancelled")
OPEN_STATES = STATES[:3]
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class NewItem:
    """An item to add. `after` holds the ids of items of the same queue that must come first;
    `fingerprint` is how the file looked, so that a claim knows whether to read it again."""

    __slots__ = ("after", "fingerprint", "id", "path", "payload", "title")

    def __init__(
        self,
        id: str,
        path: str | None = None,
        *,
        payload: Any = None,
        title: str | None = None,
        fingerprint: str | None = None,
        after: Iterable[str] = (),
    ) -> None:
        self.id = id
        self.path = path
        self.payload = payload
        self.title = title
        self.fingerprint = fingerprint
        self.after = tuple(after)


class Opened:
    """What `open_queue` did: how many items were `added`, how many were `present` already, and
    the (id, queue) of those that are still open in another queue and were left there."""

    __slots__ = ("added", "elsewhere", "generation", "present", "queue")

    def __init__(self, queue: str, generation: int) -> None:
        self.queue = queue
        self.generation = generation
        self.added = 0
        self.present = 0
        self.elsewhere: list[tuple[str, str]] = []


class Queues(Sessions):
    """The verbs of whoever owns a queue."""

    def open_queue(
        self,
        name: str,
        items: Iterable[NewItem],
        *,
        purpose: str = "work",
        instructions: str | None = None,
        verify: str | None = None,
        max_attempts: int = 3,
        max_deaths: int = 3,
        max_releases: int = 3,
        lease_seconds: float = 900,
        lock_dir: str | None = None,
        results_dir: str | None = None,
        source: str | None = None,
        preflight: str | None = None,
    ) -> Opened:
        """Open the queue `name`, or add to it while it is still at work; adding twice is harmless.

        A queue that has drained or was cancelled gets a new generation, and so does one whose
        `source` (what it was made from) has changed. `preflight` is kept for the summary.
        Raises UsageError if the queue is at work with other instructions or another check.
        """
        # The name stands in commands that agents copy: nothing in it may mean anything to a shell.
        if not 1 <= len(name) <= 100 or name[0] in "-." or not _NAME.issuperset(name):
            raise UsageError(
                f"a queue can't be called {one_line(name, 40)!r}",
                "use up to 100 letters, digits, dots, dashes and underscores",
            )
        wanted = list(items)
        with self.write(durable=True):
            self._expire()
            queue, earlier = self._newest(name), None
            if queue is not None and not self._at_work(queue, source):
                queue, earlier = None, queue
            if queue is None:
                options = (
                    purpose, instructions, verify, max_attempts, max_deaths, max_releases,
                    round(lease_seconds * 1000), self._relative(lock_dir), results_dir, source,
                    preflight,
                )  # fmt: skip
                queue = self._new_queue(name, options)
                if earlier is not None:
                    self._end_generation(earlier, queue, {item.id for item in wanted})
                    queue = self._newest(name)
            elif (queue["instructions"], queue["verify"]) != (instructions, verify):
                raise UsageError(
                    f"queue {name} is at work with other instructions or another --verify",
                    f"choose another name, or end it first: hypervisor cancel {name}",
                )
            elif preflight is not None:
                self.change("update queue set preflight = ? where no = ?", (preflight, queue["no"]))
            opened = Opened(name, queue["generation"])
            self._add(queue, wanted, opened)
        return opened

    def queue_row(self, queue: str) -> Any:
        """Return the row of the newest generation of `queue`. Raises UsageError if unknown."""
        row = self._newest(queue)
        if row is None:
            names = [name for (name,) in self.rows("select distinct name from queue limit 20")]
            known = f"queues here: {', '.join(names)}" if names else "hypervisor open QUEUE SOURCE"
            raise UsageError(f"no queue {queue!r} at {self.root}", known)
        return row

    def queue_name(self, number: int) -> str:
        """Return the name of the queue whose number is `number`."""
        name: str = self.row("select name from queue where no = ?", (number,))[0]
        return name

    def queues(self) -> list[Any]:
        """Return the newest generation of each queue, oldest first."""
        return self.rows(
            "select * from queue q where project = ? and generation = (select max(generation) "
            "from queue where project = q.project and name = q.name) order by no",
            (self.project,),
        ).fetchall()

    def pause(self, queue: str, reason: str = "") -> None:
        """Hand out nothing more; what is claimed may still be reported."""
        self._set_state(queue, ("open",), "paused", reason)

    def resume(self, queue: str) -> None:
        """Hand out again after a pause."""
        self._set_state(queue, ("paused",), "open", "")

    def cancel(self, queue: str, reason: str = "") -> int:
        """End the queue: open items are cancelled, live claims are lost. Return how many items."""
        with self.write(durable=True):
            row = self.queue_row(queue)
            now = time.time()
            held = self.rows(
                "select c.no as claim, c.token, i.id, q.lock_dir from item i "
                "join claim c on c.no = i.claim join queue q on q.no = i.queue "
                "where i.queue = ? and i.turn < 0",
                (row["no"],),
            ).fetchall()
            for item in held:
                self.change(
                    "update claim set outcome = 'cancelled', ended_at = ? where no = ?",
                    (now, item["claim"]),
                )
                self._unlock_after_commit(item)
            count = self._cancel_items(row["no"], reason or "cancelled", "turn is not null", now)
            self.change(
                "update queue set state = 'cancelled', reason = ?, ended_at = ? where no = ?",
                (reason, now, row["no"]),
            )
            self._note(row["no"], "cancelled", reason)
        return count

    def stats(self, queue: str) -> dict[str, int]:
        """Return how many items are in each of the eight states; they add up to the items."""
        return self.counts(self.queue_row(queue)["no"])

    def counts(self, queue: int) -> dict[str, int]:
        """Return `stats` of the generation whose number is `queue`."""
        counted = self.rows(
            "select state, count(*) from item where queue = ? group by state", (queue,)
        )
        return dict.fromkeys(STATES, 0) | dict(counted.fetchall())

    def drained(self, queue: str) -> bool:
        """True when nothing is ready or claimed, so that nothing waiting can become ready."""
        return self._is_drained(self.queue_row(queue)["no"])

    def open_items(self) -> dict[str, str]:
        """Return the queue of each item that is still open, by its id.

        One whose accepted end is not in its file yet is among them: the file looks like open work.
        """
        items = "select i.id, q.name from queue q join item i on i.queue = q.no where q.project = ?"
        return dict(
            self.rows(
                f"{items} and i.pending is not null union all {items} and i.turn is not null",
                (self.project, self.project),
            ).fetchall()
        )

    # -- inside a write transaction --

    def _newest(self, name: str) -> Any:
        return self.row(
            "select * from queue where project = ? and name = ? order by generation desc limit 1",
            (self.project, name),
        )

    def _at_work(self, queue: Any, source: str | None) -> bool:
        if queue["state"] in ("cancelled", "replaced"):
            return False
        if source is not None and source != queue["source"]:
            return False
        return source is not None or not self._is_drained(queue["no"])

    def _is_drained(self, queue: int) -> bool:
        found = self.row(
            "select 1 from item where queue = ? and turn < ? limit 1", (queue, WAITING)
        )
        return found is None

    def _relative(self, lock_dir: str | None) -> str:
        """Return a lock folder as it is stored: relative to the root, which may be moved."""
        folder = lock_dir or os.path.join(state_dir(self.root), "locks")
        inside = folder.startswith(self.root.rstrip("/") + "/")
        return os.path.relpath(folder, self.root) if inside else os.path.abspath(folder)

    def _cancel_items(self, queue: int, cause: str, which: str, now: float) -> int:
        """Cancel open items of a generation; `which` is a condition on them."""
        awaited = self.rows(
            "select distinct d.project, d.after from dependency d join item i on i.id = d.after "
            f"and i.project = d.project where i.queue = ? and i.{which}",
            (queue,),
        ).fetchall()
        count = self.change(
            "update item set state = 'cancelled', cause = ?, finished_at = ?, finish_no = ?, "
            f"turn = null where queue = ? and {which}",
            (cause, now, self.lease_clock(), queue),
        )
        for project, item_id in awaited:
            self._satisfy(project, item_id)
        return count

    def _end_generation(self, old: Any, new: Any, wanted: set[str]) -> None:
        """Move what is still open and `wanted` to the new generation, claims and all; cancel the
        rest but for live claims, which may still be reported."""
        rows = self.rows(
            "select no, id from item where queue = ? and turn is not null", (old["no"],)
        ).fetchall()
        now = time.time()
        moved = [(new["no"], no) for no, id in rows if id in wanted]
        self.change_many("update item set queue = ? where no = ?", moved)
        self._cancel_items(old["no"], REPLACED, "turn >= 0", now)
        if moved and old["state"] == "paused":
            # Whoever paused the work did not mean this one list of it.
            self.change(
                "update queue set state = 'paused', reason = ? where no = ?",
                (old["reason"], new["no"]),
            )
        self.change(
            "update queue set state = 'replaced', ended_at = ? where no = ?", (now, old["no"])
        )

    def _new_queue(self, name: str, options: tuple[object, ...]) -> Any:
        last = self._newest(name)
        self.change(
            "insert into queue (project, name, generation, state, purpose, instructions, verify, "
            "max_attempts, max_deaths, max_releases, lease_ms, lock_dir, results_dir, source, "
            "preflight, opened_at) values (?, ?, ?, 'open', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self.project, name, last["generation"] + 1 if last else 1, *options, time.time()),
        )
        queue = self._newest(name)
        self._note(queue["no"], "opened", "")
        return queue

    def _add(self, queue: Any, items: Iterable[NewItem], opened: Opened) -> None:
        known = {
            row["id"]: row
            for row in self.rows("select no, id, state from item where queue = ?", (queue["no"],))
        }
        elsewhere = self.open_items()
        fresh: dict[str, NewItem] = {}
        again: list[tuple[int, str, NewItem]] = []
        for item in items:
            if item.id in fresh:
                opened.present += 1
            elif item.id in known:
                opened.present += 1
                again.append((known[item.id]["no"], known[item.id]["state"], item))
            elif item.id in elsewhere:
                opened.elsewhere.append((item.id, elsewhere[item.id]))
            else:
                fresh[item.id] = item
        position = self.next_positions(len(fresh)) if fresh else 0
        self.change_many(
            "insert into item (path, title, payload, fingerprint, queue, project, id, position, "
            "turn, state) values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'ready')",
            (
                (*_looks(item), queue["no"], self.project, item.id, place, place)
                for place, item in enumerate(fresh.values(), position)
            ),
        )
        opened.added = len(fresh)
        self._renew(queue["no"], again)
        for item in fresh.values():
            if item.after:
                number = self.row(
                    "select no from item where queue = ? and id = ?", (queue["no"], item.id)
                )[0]
                self._wait(queue["no"], number, item.after)

    def _renew(self, queue: int, items: list[tuple[int, str, NewItem]]) -> None:
        """Take over what is new about items that nobody has in hand yet."""
        items = [entry for entry in items if entry[1] in ("waiting", "ready")]
        self.change_many(
            "update item set path = ?, title = ?, payload = ?, fingerprint = ? where no = ?",
            ((*_looks(item), number) for number, _, item in items),
        )
        for number, state, item in items:
            if item.after or state == "waiting":
                self._wait(queue, number, item.after)

    def _wait(self, queue: int, number: int, after: tuple[str, ...]) -> None:
        """Have an open item wait for `after`, or be ready where all of that is satisfied."""
        self.change("delete from dependency where item = ?", (number,))
        missing = []
        for other in dict.fromkeys(after):
            row = self.row("select state from item where queue = ? and id = ?", (queue, other))
            if row is None or row["state"] not in SATISFYING:
                missing.append(other)
        self.change_many(
            "insert into dependency (project, after, item) values (?, ?, ?)",
            [(self.project, other, number) for other in missing],
        )
        if missing:
            self.change(
                "update item set state = 'waiting', turn = position + ?, waits = ?, cause = ? "
                "where no = ?",
                (WAITING, len(missing), f"waits for {', '.join(missing)}", number),
            )
        else:
            self.change(
                "update item set state = 'ready', turn = position, waits = 0, cause = null "
                "where no = ? and state = 'waiting'",
                (number,),
            )

    def _set_state(self, queue: str, allowed: tuple[str, ...], state: str, reason: str) -> None:
        with self.write():
            row = self.queue_row(queue)
            if row["state"] == state:
                return
            if row["state"] not in allowed:
                raise UsageError(f"queue {queue} is {row['state']}", "open it again first")
            self.change(
                "update queue set state = ?, reason = ? where no = ?", (state, reason, row["no"])
            )
            self._note(row["no"], state, reason)

    def _note(self, queue: int, kind: str, detail: str) -> None:
        self.change(
            "insert into event (queue, at, kind, detail) values (?, ?, ?, ?)",
            (queue, time.time(), kind, detail),
        )


def _looks(item: NewItem) -> tuple[str | None, ...]:
    import json

    payload = None if item.payload is None else json.dumps(item.payload, ensure_ascii=False)
    return item.path, item.title, payload, item.fingerprint
