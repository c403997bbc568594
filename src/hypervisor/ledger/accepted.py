"""What was accepted once, so that it is not worked on again: by the name of its queue, by source,
id and content for rows and plain files; by id and content for tasks, whose reports may get lost."""

from __future__ import annotations

from hypervisor.ledger.outbox import said_here
from hypervisor.ledger.part import Part
from hypervisor.system import digests
from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_AT_ONCE = 400
_DONE = (
    "select i.id, i.path, i.content, i.payload from queue q join item i on i.queue = q.no "
    "where q.project = ? and q.name = ? and i.state = 'done' and i.fingerprint is null "
    "and i.format is null"
)
_TASKS = (
    "select i.id, i.title, i.state, i.pending, i.content, q.name, q.state from queue q join item i "
    "on i.queue = q.no where q.project = ? and {} and i.id in"
)
_WHOLE_FILE = "i.fingerprint is not null"
_ONE_OF_MANY = "i.format is not null and i.fingerprint is null"


class AcceptedTask(NamedTuple):
    """A task that was done: in which queue, and what its file may have held before its report."""

    queue: str
    before: frozenset[str]


class Marked(NamedTuple):
    """One of the many items of a file that was done, and had its mark there."""

    no: int
    id: str
    path: str
    title: str
    format: str


class _Newest(NamedTuple):
    """The newest item under an id, with the name and state of its queue."""

    id: str
    title: str | None
    state: str
    pending: str | None
    content: str | None
    queue: str
    queue_state: str


def content_of(payload: object) -> str:
    """Return the digest of a row, whatever the order of its columns."""
    import json

    return digests.sha256(json.dumps(payload, sort_keys=True).encode())


class Accepted(Part):
    """The memory of what is done."""

    def of_queue(self, name: str) -> dict[tuple[str, str], set[str]]:
        """Return the contents with which rows and plain files were done in any generation of the
        queue `name`, by (id, path from the root or "")."""
        import json

        found: dict[tuple[str, str], set[str]] = {}
        for item_id, path, content, payload in self._store.rows(
            _DONE, (self._store.project, name)
        ).fetchall():
            if content is None and payload is not None:
                # It was opened by a release that kept no digest.
                content = content_of(json.loads(payload))
            if content is not None:
                found.setdefault((item_id, path or ""), set()).add(content)
        for item_id, path, content in self._store.rows(
            "select id, path, content from accepted where project = ? and queue = ?",
            (self._store.project, name),
        ).fetchall():
            found.setdefault((item_id, path), set()).add(content)
        return found

    def of_tasks(self, ids: Sequence[str]) -> dict[str, AcceptedTask]:
        """Return those of these tasks whose newest end is an accepted report that was written."""
        return {
            row.id: AcceptedTask(row.queue, frozenset(row.content.split()))
            for row in self._newest(ids)
            if row.state == "done" and row.pending is None and row.content is not None
        }

    def blocked(self, ids: Sequence[str]) -> dict[str, tuple[str, bool]]:
        """Return those of these tasks whose newest end is a report that they are blocked, or that
        were cancelled after one, each with its queue, and whether it stands in the newest
        generation of that."""
        return {
            row.id: (row.queue, row.queue_state != "replaced")
            for row in self._newest(ids)
            if row.state == "blocked" or (row.state == "cancelled" and row.content is not None)
        }

    def marked(self, ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """Return those of these items of files of many whose newest end is an accepted one that had
        its mark there, each with its queue and title; not what was undone."""
        return {
            row.id: (row.queue, row.title)
            for row in self._newest(ids, _ONE_OF_MANY)
            if row.state == "done" and row.pending is None and row.content
        }

    def _newest(self, ids: Sequence[str], which: str = _WHOLE_FILE) -> Iterable[_Newest]:
        found = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            rows = self._store.all(
                _Newest,
                f"{_TASKS.format(which)} ({marks}) order by i.no",
                (self._store.project, *some),
            )
            found.update({row.id: row for row in rows})
        return found.values()

    def tasks_in(self, queue: int) -> list[tuple[int, str, str, str]]:
        """Return the tasks of a generation (its number) that were done, and whose reports were
        written in this clone: number, id, path, and how the file looked then."""
        here, values = said_here(self._store)
        rows = self._store.rows(
            "select i.no, i.id, i.path, i.fingerprint from item i "
            "left join claim c on c.no = i.claim "
            "where i.queue = ? and i.state = 'done' and i.pending is null "
            "and i.content is not null and i.fingerprint is not null and i.path is not null "
            f"{here and f'and ({here}) '}order by i.no",
            (queue, *values),
        )
        return [tuple(row) for row in rows.fetchall()]

    def marks_in(self, queue: int) -> list[Marked]:
        """Return the items of files of many that were done in a generation (its number), and had
        their marks there; not what was undone."""
        return self._store.all(
            Marked,
            "select no, id, path, title, format from item where queue = ? and state = 'done' "
            "and pending is null and content <> '' and fingerprint is null "
            "and format is not null and path is not null order by no",
            (queue,),
        )

    def note(self, item: int, content: str) -> None:
        """Note what the file of an item (its number) holds as its work is handed in."""
        with self._store.write():
            self._store.change("update item set content = ? where no = ?", (content, item))

    def forget(self, queue: str, ids: Sequence[str]) -> None:
        """Forget that items of `queue` were done: somebody took their reports and marks back, and
        what of these was still to be written with them."""
        with self._store.write():
            self._store.change_many(
                # Of an item in a file of many nothing but this is known of what its file held.
                "update item set content = case when fingerprint is null then '' end, "
                "pending = case when pending = 'merge' then pending end "
                "where id = ? and (fingerprint is not null or format is not null) "
                "and queue in (select no from queue where project = ? and name = ?)",
                [(item_id, self._store.project, queue) for item_id in ids],
            )

    # -- inside a write transaction --

    def keep(self, queue: int, item: int | None = None) -> None:
        """Remember what was done in a generation, or of it in one item (their numbers), that is
        forgotten otherwise."""
        self._store.change(
            "insert into accepted (project, queue, id, path, content) "
            "select i.project, q.name, i.id, coalesce(i.path, ''), i.content from item i "
            "join queue q on q.no = i.queue where i.queue = ? and i.no = coalesce(?, i.no) "
            "and i.state = 'done' and i.content is not null and i.fingerprint is null "
            "and i.format is null on conflict do nothing",
            (queue, item),
        )
