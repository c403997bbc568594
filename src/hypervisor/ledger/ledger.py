"""The ledger of one root: what became of each item, and what is still to be told and written."""

from __future__ import annotations

import os
import time

from hypervisor.config import store
from hypervisor.ledger import driver as sqlite3
from hypervisor.ledger.branches import Merges
from hypervisor.ledger.embedded import connect, identity, refuse_programs
from hypervisor.ledger.ends import REPLACED
from hypervisor.ledger.pools import Pools
from hypervisor.ledger.queries import Looks
from hypervisor.ledger.schema import NEVER, WAITING
from hypervisor.ledger.sqlite import unusable
from hypervisor.ledger.store import LedgerError, no_ledger
from hypervisor.ledger.tokens import number_of, token_no
from hypervisor.system.state import LEDGER, STATE, Foreign, State

# Rows that are asked for by their numbers at once.
_AT_ONCE = 500

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from hypervisor.ledger.sessions import Sessions

# A notice that has not come after so long is taken for lost.
NOTICE_SECONDS = 120


class Ledger(Looks, Merges, Pools):
    """All verbs of the queue. `Ledger.open(root)` gives one; it is a context manager."""

    @classmethod
    def of(cls, part: Sessions) -> Ledger:
        """Return the whole ledger of which `part` is open; closing either closes both."""
        return part if isinstance(part, cls) else cls(part.root, part.engine)

    def is_settled(self, queue: str) -> bool:
        """True when nothing of `queue` is open or pending, and every session that follows it has
        been told of its end, has no worker on it any more, and isn't known to live: one that does
        may still ask, in any turn. For a while the client's own notices of the workers' ends are
        waited for, to be counted."""
        row = self._newest(queue)
        if row is None:
            return True
        if row["state"] in ("open", "paused") and not self._is_drained(row["no"]):
            return False
        return not self.row(
            "select (select count(*) from item where queue = ? and pending is not null "
            "and pending <> 'merge') + "
            "(select count(*) from told where queue = ? and finish_no < "
            "(select coalesce(max(finish_no), 0) from item where queue = ?)) + "
            "(select count(*) from agent where queue = ? "
            "and (ended_at is null or noticed_at is null and ended_at > ?) "
            "and session in (select session from told where queue = ?)) + "
            "(select count(*) from told join session on session.id = told.session "
            "where queue = ? and pid is not null and coalesce(host, '') = coalesce(?, ''))",
            (*(row["no"],) * 4, time.time() - NOTICE_SECONDS, *(row["no"],) * 2, self._host()),
        )[0]

    def permissions(self, queue: str) -> list[str]:
        """Return the rules that workers of `queue` lacked."""
        rows = self.rows(
            "select distinct rule from permission where queue = ? order by rule",
            (self.queue_row(queue)["no"],),
        )
        return [row["rule"] for row in rows.fetchall()]

    def forget_permissions(self, queue: str) -> None:
        """Forget the rules that workers of `queue` lacked."""
        with self.write():
            number = self.queue_row(queue)["no"]
            self.change("delete from permission where queue = ?", (number,))

    def results(self, queue: str, since: int = 0) -> Iterator[Any]:
        """Yield the items of `queue`, in order, each with its accepted report if it has one.

        With `since`, only those that ended after that `finish_no`, in the order of their end.
        The columns are those of `item`, and `token`, `worker`, `outcome`, `report` (a dict or
        None), `claimed_at`, `ended_at` of the claim that was accepted or is live.
        """
        number = self.queue_row(queue)["no"]
        if since:
            which = "where i.queue = ? and i.finish_no > ? and i.finish_no < ? order by i.finish_no"
            return self._results(which, (number, since, self._engine.settled_before()))
        return self._results("where i.queue = ? order by i.no", (number,))

    def results_of(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield the items with these numbers, in order, as `results` does."""
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            yield from self._results(f"where i.no in ({marks}) order by i.no", some)

    def _results(self, which: str, values: Sequence[object]) -> Iterator[Any]:
        from hypervisor.system.quick_json import loads

        found = self.rows(
            "select i.*, c.token, c.worker, c.outcome, c.report as report_text, c.claimed_at, "
            f"c.ended_at from item i left join claim c on c.no = i.claim {which}",
            values,
        )
        return (
            dict(row) | {"report": loads(row["report_text"]) if row["report_text"] else None}
            for row in found
        )

    def told_of(self, queue: int) -> list[tuple[str, float]]:
        """Return by which wake, and how many seconds late, a session heard of each ended item."""
        rows = self.rows(
            "select told_by, told_at - finished_at from item "
            "where queue = ? and told_at is not null and finished_at is not null",
            (queue,),
        )
        return [(by, delay) for by, delay in rows]

    def pending(self, limit: int | None = 200) -> list[Any]:
        """Return items whose accepted end still has to be written into their task file, but for
        those whose branch is not merged yet.

        At most `limit` of them: those that were not tried before, then the oldest.
        """
        return self.rows(
            "select i.*, q.name as queue_name, q.max_attempts, c.token, c.worker, c.outcome, "
            "c.attempt, c.report, c.branch, c.merge, c.merged_at "
            "from item i join queue q on q.no = i.queue join claim c on c.no = i.claim "
            "where i.pending is not null and i.pending <> 'merge' and q.project = ? "
            "order by i.pending not in ('report', 'cause'), i.finish_no limit ?",
            (self.project, NEVER if limit is None else limit),
        ).fetchall()

    def awaits_writing(self, token: str) -> bool:
        """True if the end that `token` brought is still to be written into the task file."""
        number = number_of(token)
        found = self.row(
            "select 1 from claim c join item i on i.no = c.item where c.no = ? and c.token = ? "
            "and i.claim = c.no and i.pending is not null",
            (number, token),
        )
        return found is not None

    def task_paths(self, queue: str) -> list[str]:
        """Return the paths of the task files of `queue`, from the root."""
        rows = self.rows(
            "select path from item where queue = ? and fingerprint is not null "
            "and path is not null",
            (self.queue_row(queue)["no"],),
        )
        return [path for (path,) in rows.fetchall()]

    def state_of(self, queue: str, item_id: str) -> str | None:
        """Return the state of an item of `queue`, None if there is no such item."""
        row = self.row(
            "select state from item where queue = ? and id = ?",
            (self.queue_row(queue)["no"], item_id),
        )
        return row["state"] if row else None

    def open_place(self, item_id: str) -> Any:
        """Return where an item is open, or None: `queue_name`, `state`, and of a live claim
        `token`, `worker` and `claimed_at`."""
        return self.row(
            "select i.state, i.path, q.name as queue_name, q.state as queue_state, c.token, "
            "c.worker, c.claimed_at from queue q join item i on i.queue = q.no and i.id = ? "
            "left join claim c on c.no = i.claim and i.turn < 0 "
            "where q.project = ? and i.turn is not null order by i.no desc limit 1",
            (item_id, self.project),
        )

    def item(self, queue: str, item_id: str) -> Any:
        """Return the row of an item of `queue`, or None."""
        row = self._newest(queue)
        return row and self.row(
            "select * from item where queue = ? and id = ?", (row["no"], item_id)
        )

    def ready_items(self, queue: str, most: int | None = None) -> list[Any]:
        """Return `id` and `path` of the items of `queue` that are ready, in their order, at most
        `most`; and as `is_row` whether one is a row of the file at its path."""
        return self.rows(
            "select id, path, payload is not null as is_row from item "
            "where queue = ? and turn >= 0 and turn < ? order by turn limit ?",
            (self.queue_row(queue)["no"], WAITING, NEVER if most is None else most),
        ).fetchall()

    def waiting_for_files(self, queue: int) -> int:
        """Return how many ready items of a generation name a file that is in work."""
        named = self.rows(
            "select files from item where queue = ? and turn >= 0 and turn < ? "
            "and files is not null",
            (queue, WAITING),
        ).fetchall()
        if not named:
            return 0
        at_work = self._files_at_work()
        return sum(at_work.meet_text(files) for (files,) in named)

    def meets_work(self, item: Any) -> bool:
        """True if an item (its row) names a file that is in work."""
        return item["files"] is not None and self._files_at_work().meet_text(item["files"])

    def written(self, token: str, fingerprint: str | None = None) -> None:
        """Note that the end that `token` brought stands in the task file, and how that looks now:
        what looks otherwise later was edited since."""
        self._set_pending(token, None, fingerprint)

    def moved(self, item: int, path: str) -> None:
        """Note that the file of an item (its number) is at `path` now, from the root."""
        with self.write():
            self.change("update item set path = ? where no = ?", (path, item))

    def unwritten(self, token: str, why: str) -> None:
        """Note why the end that `token` brought can't be written now; it stays pending."""
        self._set_pending(token, why)

    def _set_pending(self, token: str, pending: str | None, fingerprint: str | None = None) -> None:
        number = number_of(token)
        with self.write():
            self.change(
                "update item set pending = ?, fingerprint = coalesce(?, fingerprint) "
                "where pending is not null and claim = ? "
                "and no = (select item from claim where no = ? and token = ?)",
                (pending, fingerprint, number, number, token),
            )

    def place_of(self, token: str) -> tuple[str, str, bool, str | None]:
        """Return the queue and the worker of a claim that exists or existed, whether it has a
        branch, and the folder that it worked in if that was its worker's own worktree."""
        row = self.row(
            "select q.name, c.worker, c.branch, c.worktree from claim c "
            "join item i on i.no = c.item join queue q on q.no = i.queue where c.no = ?",
            (token_no(token),),
        )
        place: str = row["worktree"] or ""
        own = place.startswith(f"{STATE}/worktrees/{token}")
        here = os.path.join(self.root, place) if place and not own else None
        return row["name"], row["worker"], row["branch"] is not None, here

    def live_tokens(self) -> dict[str, str]:
        """Return the item's id of each live claim, by its token."""
        return dict(
            self.rows(
                "select c.token, i.id from queue q join item i on i.queue = q.no "
                "join claim c on c.no = i.claim where q.project = ? and i.turn < 0",
                (self.project,),
            ).fetchall()
        )


def adopt(root: str) -> None:
    """Make the copied ledger of `root` this machine's own: what was claimed elsewhere is freed.

    Old tokens end here, so a worker of the original can't report into the copy; locks that were
    copied along go. Raises NoLedger and LedgerError.
    """
    told = store.address()
    if told is not None:
        if _is_ours(root):
            raise LedgerError(
                f"{store.shown(told)}: a shared store needs no adopting: any machine may use it",
                f"for the embedded one: unset {store.VARIABLE}",
            )
        State.adopt(root)
        return
    folder = State.unproven(root)
    if folder is None or folder.look(LEDGER) is None:
        raise no_ledger(root)
    state = State.adopt(root)
    store.check(root, None, state)
    with Ledger(root, connect(root, state, adopting=True)) as ledger, ledger.write(durable=True):
        ledger.change(
            "update claim set outcome = 'freed', ended_at = ? where outcome is null", (time.time(),)
        )
        ledger.change(
            "update item set state = case when waits > 0 then 'waiting' else 'ready' end, "
            "turn = position + case when waits > 0 then ? else 0 end, claim = null "
            "where turn < 0",
            (WAITING,),
        )
        for queue in ledger.rows("select * from queue").fetchall():
            if queue["state"] == "replaced":
                ledger._cancel_items(queue["no"], REPLACED, "turn is not null", time.time())
            if not os.path.isabs(queue["lock_dir"]):
                ledger._sweep(ledger.lock_folder(queue))
        ledger.change_many(
            "insert into meta values (?, ?) on conflict (key) do update set value = excluded.value",
            [*identity(ledger.state), ("ledger", os.urandom(4).hex())],
        )


def contents(root: str) -> list[dict[str, Any]]:
    """Return the queues in the ledger of `root`, whoever made it: `name`, `state`, `items`,
    `verify` and `commands` of the newest generation of each.

    It is read from a copy, within bounds, and may say anything. Raises NoLedger and LedgerError.
    """
    folder = State.unproven(root)
    if folder is None or folder.look(LEDGER) is None:
        if store.address() is None:
            raise no_ledger(root)
        return []
    from hypervisor.system import unproven

    try:
        with unproven.copied(folder) as connection:
            refuse_programs(connection, f"{folder.path}/{LEDGER}")
            return [dict(row) for row in connection.execute(_CONTENTS)]
    except (OSError, sqlite3.Error) as error:
        raise unusable(f"{folder.path}/{LEDGER}", error) from None


_CONTENTS = (
    "select name, state, verify, commands, (select count(*) from item where queue = q.no) as items "
    "from queue q where generation = (select max(generation) from queue "
    "where project = q.project and name = q.name) order by no limit 1000"
)


def _is_ours(root: str) -> bool:
    try:
        return State.find(root) is not None
    except Foreign:
        return False
