"""Items of a queue: added once, renewed while nobody has them in hand, and waiting for others."""

from __future__ import annotations

from hypervisor.ledger.accepted import content_of
from hypervisor.ledger.ends import EARLIER
from hypervisor.ledger.outcomes import SATISFYING
from hypervisor.ledger.part import Part
from hypervisor.ledger.rows import Item, OpenItem, Place, Ready, Taken, columns
from hypervisor.ledger.schema import ASIDE, NEVER, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.queues import Queues

_ALL = f"select {columns(Item, 'i')} from item i"
# A row has a payload and no fingerprint; triage keeps what it knows of a task with it.
_IS_FILE = (
    "(i.path is not null and i.format is null and (i.payload is null or i.fingerprint is not null))"
)
_IS_ROW = "payload is not null and format is null and fingerprint is null"
_IS_ASIDE = (
    "exists (select 1 from dependency d where d.project = i.project and d.after = ? "
    "and d.item = i.no)"
)


class NewItem:
    """An item to add. `after` holds the ids of items of the same queue that must come first;
    `fingerprint` is how the file looked, so that a claim knows whether to read it again; `files`
    are the paths that it touches, from the root and normal; `named` those that its text names;
    `content` is the digest of its file, where that was asked for; that of a row is made here.
    `format` is that of the file at its path, where that holds many items and this is one."""

    __slots__ = (
        "after", "content", "files", "fingerprint", "format", "id", "named", "path", "payload",
        "title",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        path: str | None = None,
        *,
        payload: object = None,
        title: str | None = None,
        fingerprint: str | None = None,
        after: Iterable[str] = (),
        files: Iterable[str] = (),
        named: Iterable[str] = (),
        content: str | None = None,
        format: str | None = None,
    ) -> None:
        self.id = id
        self.path = path
        self.payload = payload
        self.title = title
        self.fingerprint = fingerprint
        self.after = tuple(after)
        self.files = tuple(files)
        self.named = tuple(named)
        if payload is not None and fingerprint is None and format is None:
            content = content_of(payload)
        self.content = content
        self.format = format


class Opened:
    """What `open_queue` did: how many items were `added`, how many were `present` already, how many
    had ended and are open work `again`, how many were left out since they were `accepted` before,
    and the (id, queue) of those that are still open in another queue and were left there; `changed`
    are the limits of a queue at work that are others now, by column: (before, now). `is_new` says
    that a generation began."""

    __slots__ = (
        "accepted", "added", "again", "changed", "elsewhere", "generation", "is_new", "present",
        "queue",
    )  # fmt: skip

    def __init__(self, queue: str, generation: int) -> None:
        self.queue = queue
        self.generation = generation
        self.added = 0
        self.present = 0
        self.accepted = 0
        self.again = 0
        self.elsewhere: list[tuple[str, str]] = []
        self.changed: dict[str, tuple[float | None, float | None]] = {}
        self.is_new = False


class Items(Part):
    """The verbs that put items into queues."""

    _queues: Queues

    def all_open(self) -> dict[str, str]:
        """Return the queue of each item that is still open, by its id.

        One whose accepted end is not in its file yet is among them: the file looks like open work.
        What was pulled and given back is free for every queue.
        """
        return {row.id: row.name for row in self._taken()}

    def open_files(self) -> list[tuple[str, str | None]]:
        """Return the path of each file that an item which `all_open` tells of is in, from the root,
        and the item's id unless it is the whole file."""
        items = (
            "select i.path, "
            "case when i.format is null and (i.payload is null or i.fingerprint is not null) "
            "then null else i.id end "
            "from queue q join item i on i.queue = q.no where q.project = ? and i.path is not null"
        )
        rows = self._store.rows(
            f"{items} and i.pending is not null union all {items} and i.turn is not null",
            (self._store.project, self._store.project),
        )
        return [(path, item_id) for path, item_id in rows.fetchall()]

    def is_open(self, queue: str, item_id: str) -> bool:
        """True if an item waits in `queue`, is ready, or is at work."""
        row = self._queues.find(queue)
        return (
            row is not None
            and self._store.row(
                "select 1 from item where queue = ? and id = ? and turn is not null",
                (row.no, item_id),
            )
            is not None
        )

    def ended(self, queue: str, states: Sequence[str], *, again: bool = False) -> list[Item]:
        """Return the items of `queue` that ended as one of `states`, in the order of the queue;
        with `again`, those too that are ready again, with an attempt used up."""
        marks = ", ".join("?" * len(states))
        tried = "or state = 'ready' and attempts > forgiven" if again else ""
        return self._store.all(
            Item,
            f"{_ALL} where queue = ? and (state in ({marks}) and finish_no is not null {tried}) "
            "order by no",
            (self._queues.get(queue).no, *states),
        )

    def over(self, queue: str) -> frozenset[tuple[int, int]]:
        """Return the number of each item of `queue` that has ended and owes nothing, and the number
        of its end: what its source says from now on is newer than that."""
        row = self._queues.find(queue)
        rows = self._store.rows(
            "select no, finish_no from item where queue = ? and finish_no is not null "
            "and pending is null",
            (None if row is None else row.no,),
        )
        return frozenset((no, finish_no) for no, finish_no in rows.fetchall())

    def open_rows(self, queue: str) -> list[OpenItem]:
        """Return the items of `queue` that have not ended, in order; `aside` says of each whether
        it is set aside."""
        row = self._queues.get(queue)
        return self._store.all(
            OpenItem,
            f"select {columns(OpenItem, 'i', aside=_IS_ASIDE)} from item i "
            "where i.queue = ? and i.turn is not null order by i.turn",
            (ASIDE, row.no),
        )

    def next_rows(self, queue: str, most: int) -> list[OpenItem]:
        """Return the first `most` items of `queue` that are ready, in order."""
        return self._store.all(
            OpenItem,
            f"select {columns(OpenItem, 'i', aside=_IS_ASIDE)} from item i "
            "where i.queue = ? and i.turn >= 0 and i.turn < ? order by i.turn limit ?",
            (ASIDE, self._queues.get(queue).no, WAITING, most),
        )

    def paths(self, queue: str) -> list[str]:
        """Return the paths of the task files of `queue`, from the root."""
        rows = self._store.rows(
            "select path from item where queue = ? and fingerprint is not null "
            "and path is not null",
            (self._queues.get(queue).no,),
        )
        return [path for (path,) in rows.fetchall()]

    def has_below(self, queue: str, place: str) -> bool:
        """True if an item of `queue` is or stands in the file `place`, or lies in that folder; a
        path from the root."""
        below = "" if place == "." else f"{place}/"
        row = self._store.row(
            "select 1 from item where queue = ? and (path = ? or substr(path, 1, ?) = ?) limit 1",
            (self._queues.get(queue).no, place, len(below), below),
        )
        return row is not None

    def ids(self, queue: str) -> list[str]:
        """Return the ids of all items that any generation of `queue` has had."""
        rows = self._store.rows(
            "select distinct i.id from queue q join item i on i.queue = q.no "
            "where q.project = ? and q.name = ?",
            (self._store.project, queue),
        )
        return [item_id for (item_id,) in rows.fetchall()]

    def state_of(self, queue: str, item_id: str) -> str | None:
        """Return the state of an item of `queue`, None if there is no such item."""
        row = self._store.row(
            "select state from item where queue = ? and id = ?",
            (self._queues.get(queue).no, item_id),
        )
        return row["state"] if row else None

    def open_place(self, item_id: str) -> Place | None:
        others = {"state": "i.state", "queue_name": "q.name", "queue_state": "q.state"}
        return self._store.one(
            Place,
            f"select {columns(Place, 'c', **others)} from queue q "
            "join item i on i.queue = q.no and i.id = ? "
            "left join claim c on c.no = i.claim and i.turn < 0 "
            "where q.project = ? and i.turn is not null order by i.no desc limit 1",
            (item_id, self._store.project),
        )

    def find(self, queue: str, item_id: str) -> Item | None:
        row = self._queues.find(queue)
        if row is None:
            return None
        return self._store.one(Item, f"{_ALL} where queue = ? and id = ?", (row.no, item_id))

    def ready(self, queue: str, most: int | None = None, *, waiting: bool = False) -> list[Ready]:
        """Return the items of `queue` that are ready, and with `waiting` those that wait, in their
        order, at most `most`."""
        return self._store.all(
            Ready,
            f"select {columns(Ready, 'item', is_row=_IS_ROW)} from item "
            "where queue = ? and turn >= 0 and turn < ? order by turn limit ?",
            (
                self._queues.get(queue).no,
                NEVER if waiting else WAITING,
                NEVER if most is None else most,
            ),
        )

    def in_hand(self, paths: Sequence[str]) -> list[tuple[str, str]]:
        """Return (path, id) of the items that are a whole file, one of `paths`, and that somebody
        has in hand."""
        marks = ", ".join("?" * len(paths)) or "null"
        rows = self._store.rows(
            "select i.path, i.id from queue q join item i on i.queue = q.no where q.project = ? "
            "and i.turn < 0 and i.format is null "
            "and (i.payload is null or i.fingerprint is not null) "
            f"and i.path in ({marks})",
            (self._store.project, *paths),
        )
        return [(path, item_id) for path, item_id in rows.fetchall()]

    def moved(self, item: int, path: str) -> None:
        """Note that the file of an item (its number) is at `path` now, from the root."""
        with self._store.write():
            self._store.change("update item set path = ? where no = ?", (path, item))

    def retitled(self, item: int, title: str) -> None:
        """Note what an item (its number) says now, where it stands."""
        with self._store.write():
            self._store.change("update item set title = ? where no = ?", (title, item))

    def open_ids(self, queue: int) -> set[str]:
        """Return the ids of the items of a generation (its number) that have not ended."""
        rows = self._store.rows(
            "select id from item where queue = ? and turn is not null", (queue,)
        )
        return {item_id for (item_id,) in rows.fetchall()}

    def _taken(self) -> list[Taken]:
        selected = columns(Taken, "i", name="q.name", is_file=_IS_FILE)
        items = f"select {selected} from queue q join item i on i.queue = q.no where q.project = ?"
        return self._store.all(
            Taken,
            f"{items} and i.pending is not null union all {items} and i.turn is not null "
            "and (q.purpose <> 'pull' or i.turn < 0)",
            (self._store.project, self._store.project),
        )

    def ready_by_failed(self, queue: int) -> list[tuple[int, int]]:
        """Return (failed attempts, how many items with so many are ready) of a generation."""
        return self._store.rows(
            "select attempts - forgiven, count(*) from item where queue = ? and turn >= 0 "
            "and turn < ? group by 1",
            (queue, WAITING),
        ).fetchall()

    # -- inside a write transaction --

    def free(
        self, queue: Queue | None, items: Sequence[NewItem], opened: Opened, *, anew: bool
    ) -> list[NewItem]:
        """Return those of `items` that are open nowhere but in the generation `queue`: by their
        ids, and those that are a whole file by its path too. The others are noted in `opened`.
        `anew` says that they go into another generation after it."""
        by_id: dict[str, str] = {}
        by_path: dict[str, tuple[str, str]] = {}
        for row in self._taken():
            other = queue is None or row.queue != queue.no
            if other or (anew and row.pending is not None):
                by_id[row.id] = row.name
            # What is not in hand is handed out no more once another id stands in its file, unless
            # it goes by its path alone.
            in_hand = row.pending is not None or (row.turn or 0) < 0
            if row.path is not None and row.is_file and (in_hand or row.id == row.path):
                by_path[row.path] = row.id, row.name
        left = []
        for item in items:
            is_file = item.payload is None or item.fingerprint is not None
            is_file = is_file and item.format is None
            holder, name = by_path.get(item.path or "", (item.id, ""))
            if item.id in by_id:
                opened.elsewhere.append((item.id, by_id[item.id]))
            elif is_file and holder != item.id:
                # Its file is another item's: one worker on a file.
                opened.elsewhere.append((item.id, name))
            else:
                left.append(item)
        return left

    def hold(self, which: str, of: Iterable[tuple[object, ...]]) -> None:
        """Keep open items as they are until the end: whoever is at one of them is waited for."""
        if self._store.is_shared:
            for values in of:
                self._store.rows(
                    f"select no from item where {which} and turn is not null /*! for update */",
                    values,
                ).fetchall()

    def add(self, queue: Queue, items: Sequence[NewItem], opened: Opened) -> None:
        # Whoever ends one of these either sees that somebody waits for it, or has ended it before.
        self.hold(
            "queue in (select no from queue) and id = ?",
            sorted({(other,) for item in items for other in item.after}),
        )
        known = {
            row["id"]: (row["no"], row["state"])
            for row in self._store.rows(
                "select no, id, state from item where queue = ?", (queue.no,)
            )
        }
        given_back = dict(
            self._store.rows(
                "select i.id, i.no from queue q join item i on i.queue = q.no "
                "where q.project = ? and q.purpose = 'pull' and q.no <> ? and i.turn >= 0",
                (self._store.project, queue.no),
            ).fetchall()
        )
        fresh: dict[str, NewItem] = {}
        again: list[tuple[int, str, NewItem]] = []
        for item in items:
            if item.id in fresh:
                opened.present += 1
            elif item.id in known:
                opened.present += 1
                again.append((*known[item.id], item))
            elif item.id not in given_back:
                fresh[item.id] = item
            elif self._store.change(
                "update item set queue = ? where no = ? and turn >= 0",
                (queue.no, given_back[item.id]),
            ):
                opened.added += 1
                known[item.id] = given_back[item.id], "ready"
                again.append((*known[item.id], item))
            else:
                # Somebody has claimed it just now.
                opened.elsewhere.append((item.id, "pull"))
        position = self._store.engine.next_positions(len(fresh)) if fresh else 0
        self._store.change_many(
            "insert into item (path, title, payload, fingerprint, files, named, format, content, "
            "queue, project, id, position, turn, state) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (*_looks(item), queue.no, self._store.project, item.id, place, place, "ready")
                for place, item in enumerate(fresh.values(), position)
            ),
        )
        opened.added += len(fresh)
        self._renew(queue.no, again)
        for item in fresh.values():
            if item.after:
                number = self._store.row(
                    "select no from item where queue = ? and id = ?", (queue.no, item.id)
                )[0]
                self._wait(queue.no, number, item.after)

    def _renew(self, queue: int, items: list[tuple[int, str, NewItem]]) -> None:
        """Take over what is new about items that nobody has in hand yet."""
        items = [entry for entry in items if entry[1] in ("waiting", "ready")]
        self._store.change_many(
            "update item set path = ?, title = ?, payload = ?, fingerprint = ?, files = ?, "
            "named = ?, format = ?, content = ? where no = ? and turn >= 0",
            ((*_looks(item), number) for number, _, item in items),
        )
        for number, state, item in items:
            if item.after or state == "waiting":
                self._wait(queue, number, item.after)

    def _wait(self, queue: int, number: int, after: tuple[str, ...]) -> None:
        """Have an open item wait for `after`, or be ready where all of that is satisfied."""
        self._store.change("delete from dependency where item = ?", (number,))
        missing: list[str] = []
        met: list[str] = []
        for other in dict.fromkeys(after):
            row = self._store.row(
                "select state from item where queue = ? and id = ?", (queue, other)
            )
            is_met = row is not None and row["state"] in SATISFYING
            (met if is_met else missing).append(other)
        self._store.change_many(
            "insert into met (project, after, item) values (?, ?, ?) on conflict do nothing",
            [(self._store.project, other, number) for other in met],
        )
        self._store.change_many(
            "insert into dependency (project, after, item) values (?, ?, ?)",
            [(self._store.project, other, number) for other in missing],
        )
        if missing:
            self._store.change(
                "update item set state = 'waiting', turn = position + ?, waits = ?, "
                "cause = case when first_claimed_at is null then ? else cause end "
                "where no = ? and turn >= 0",
                (WAITING, len(missing), f"waits for {', '.join(missing)}", number),
            )
        else:
            self._store.change(
                f"update item set state = 'ready', turn = position, waits = 0, cause = {EARLIER} "
                "where no = ? and state = 'waiting'",
                (number,),
            )


def _looks(item: NewItem) -> tuple[str | None, ...]:
    import json

    payload = None if item.payload is None else json.dumps(item.payload, ensure_ascii=False)
    files, named = (
        json.dumps(paths, ensure_ascii=False) if paths else None
        for paths in (item.files, item.named)
    )
    content = item.content
    return item.path, item.title, payload, item.fingerprint, files, named, item.format, content
