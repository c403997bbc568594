"""Sessions and their agents: whose claims are whose, what they cost, and who was told of what.

A session is one run of a client, an agent one worker inside it ("" is the session itself).
"""

from __future__ import annotations

import time

from hypervisor.config import store
from hypervisor.ledger.agents import Agents
from hypervisor.ledger.embedded import connect
from hypervisor.ledger.ends import overtime
from hypervisor.ledger.outcomes import FINAL, WORKED, sql
from hypervisor.ledger.schema import LEASED
from hypervisor.ledger.tokens import number_of, token_no
from hypervisor.system.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Self


# A lease is renewed once so much of it is used up: a minute, of a short one its third.
_RENEW_US = 60_000_000
_OF_AGENT = (
    f"select i.*, c.no as claim_no, c.token, c.worker, c.lease_ms, i.turn - ({LEASED}) as "
    "lease_until, c.agent, c.sent_back, c.claimed_at, c.branch, c.worktree, q.name as queue_name, "
    "q.max_attempts, q.item_calls, q.item_ms, c.calls, c.ends_by "
    "from claim c join item i on i.no = c.item and i.claim = c.no "
    "join queue q on q.no = i.queue where i.turn < 0 and c.session = ? "
)


class Sessions(Agents):
    """The verbs of sessions: all of the ledger that most calls of tools need."""

    @classmethod
    def open(
        cls,
        root: str,
        *,
        create: bool = False,
        project: str | None = None,
        patience: float | None = None,
    ) -> Self:
        """Open the ledger of `root` in the store that this shell names; with `create`, make it if
        there is none.

        `project` names the project in a new ledger; without it a random name is made. `patience`
        is for how many seconds a server that doesn't answer is waited for.
        Raises NoLedger and LedgerError.
        """
        told = store.address()
        state = State.find(root)
        kept = store.check(root, told, state)
        if told is None:
            return cls(root, connect(root, state, create, project))
        from hypervisor.ledger.shared import open_shared

        kind: type[Any] = cls
        if cls is Sessions:
            # How a verb is said to a server hangs on the whole of them.
            from hypervisor.ledger.ledger import Ledger

            kind = Ledger
        name = kept[1] if kept else project
        opened: Self = open_shared(kind, root, told, name, create=create, patience=patience)
        return opened

    def meet(
        self,
        session: str,
        *,
        pid: int | None = None,
        pid_start: str | None = None,
        headless: bool | None = None,
        heard: bool = False,
    ) -> None:
        """Note a session, and what is known of it; `heard` says that its hooks work."""
        with self.write():
            now = time.time()
            self.change(
                "insert into session (id, pid, pid_start, headless, heard_at, seen_at, host) "
                "values (?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set "
                "pid = coalesce(excluded.pid, session.pid), "
                "pid_start = coalesce(excluded.pid_start, session.pid_start), "
                "headless = coalesce(excluded.headless, session.headless), "
                "heard_at = coalesce(excluded.heard_at, session.heard_at), "
                "seen_at = excluded.seen_at",
                (
                    session,
                    pid,
                    pid_start,
                    None if headless is None else int(headless),
                    now if heard else None,
                    now,
                    self._host(),
                ),
            )

    def session(self, session: str) -> Any:
        """Return the row of a session, or None."""
        return self.row("select * from session where id = ?", (session,))

    def inherit(self, session: str) -> None:
        """Give `session` what earlier sessions of the same client process have left alive.

        A client that clears its conversation goes on under a new name, and its workers with it.
        """
        row = self.session(session)
        if row is None or row["pid"] is None:
            return
        earlier = (
            "in (select id from session where pid = ? and pid_start = ? and id <> ? "
            "and coalesce(host, '') = coalesce(?, ''))",
            (row["pid"], row["pid_start"], session, row["host"]),
        )
        with self.write():
            for table, living in (("claim", "outcome is null"), ("agent", "ended_at is null")):
                self.change(
                    f"update {table} set session = ? where {living} and session {earlier[0]}",
                    (session, *earlier[1]),
                )
            self.change(
                "insert into told (session, queue, finish_no, state, asked) select ?, queue, "
                f"max(finish_no), max(state), max(asked) from told where session "
                f"{earlier[0]} group by queue "
                "on conflict (session, queue) do nothing",
                (session, *earlier[1]),
            )
            self.change(f"delete from told where session {earlier[0]}", earlier[1])

    def assign(
        self, session: str, agent: str, tokens: Iterable[str], *, unknown: bool = False
    ) -> list[str]:
        """Note that `agent` holds `tokens`; return those that were live, its session's, and
        nobody's yet. `unknown`: the session is one whose processes don't know it by name. What the
        session holds itself, with a person in it, has no bound of time but its lease."""
        made_in = "(session is null or session = ?)" if unknown else "session = ?"
        bound = "" if agent else "ends_by = null, "
        with self.write():
            return [
                token
                for token in tokens
                if self.change(
                    f"update claim set {bound}agent = ?, session = ? where no = ? and token = ? "
                    f"and {made_in} and agent is null and outcome is null",
                    (agent, session, number_of(token), token, session),
                )
            ]

    def held_by(self, session: str, agent: str | None = None) -> list[Any]:
        """Return the items that a session holds, or only one agent of it."""
        if agent is None:
            return self.rows(_OF_AGENT, (session,)).fetchall()
        return self.rows(_OF_AGENT + "and c.agent = ?", (session, agent)).fetchall()

    def claims_of(self, session: str, agent: str) -> dict[str, int]:
        """Return the claims that an agent of a session holds or has held, and those of the session
        of which it isn't known yet whose they are: token -> number of the queue."""
        rows = self.rows(
            "select c.token, i.queue from claim c join item i on i.no = c.item "
            "where c.session = ? and coalesce(c.agent, ?) = ?",
            (session, agent, agent),
        )
        return {row["token"]: row["queue"] for row in rows.fetchall()}

    def renew(self, session: str, agent: str) -> list[str]:
        """Renew the leases of an agent's claims that were not renewed in the last minute, or in the
        last third of a lease that is shorter than three."""
        now = self.lease_clock()
        held = self.held_by(session, agent)
        old = [row["token"] for row in held if (at := _renewal(row)) is not None and at <= now]
        return self.heartbeat(old) if old else []

    def next_look(self, held: Iterable[Any]) -> tuple[float | None, int | None]:
        """Return in how many seconds a call of who holds these (rows as of `held_by`) changes
        something again, and how many calls change nothing until then; None where none does."""
        now = self.lease_clock()
        times, calls = [], []
        for row in held:
            times += [at for at in (_renewal(row), row["ends_by"]) if at is not None]
            if row["agent"] and row["item_calls"] is not None:
                calls.append(row["item_calls"] - row["calls"])
        seconds = (min(times) - now) / 1_000_000 if times else None
        return seconds, min(calls, default=None)

    def add_calls(self, session: str, agent: str, calls: int) -> None:
        """Count so many tool calls more with each claim that an agent holds."""
        self._add_calls(self.held_by(session, agent), calls)

    def _add_calls(self, held: list[Any], calls: int) -> None:
        if held:
            with self.write():
                self.change_many(
                    "update claim set calls = calls + ? where no = ?",
                    [(calls, row["claim_no"]) for row in held],
                )

    def count_call(self, session: str, agent: str) -> list[Any]:
        """Count a tool call with each claim that an agent holds; return those (their rows, as of
        `held_by`, with `cause`) that have had more of them, or more time, than their queue allows.
        """
        held = self.held_by(session, agent)
        self._add_calls(held, 1)
        now = self.lease_clock()
        past = []
        for row in map(dict, held):
            if row["ends_by"] is not None and row["ends_by"] <= now:
                past.append(row | {"cause": overtime(row["item_ms"])})
            elif row["item_calls"] is not None and row["calls"] >= row["item_calls"]:
                cause = (
                    f"it took more than the {row['item_calls']} tool calls that an item may take"
                )
                past.append(row | {"cause": cause})
        return past

    def send_back(self, tokens: Sequence[str]) -> list[str]:
        """Note that a worker is sent back to report `tokens`; return those it wasn't before."""
        with self.write(durable=True):
            return [
                token
                for token in tokens
                if self.change(
                    "update claim set sent_back = 1 where no = ? and token = ? and sent_back = 0",
                    (number_of(token), token),
                )
            ]

    def sessions_at_work(self) -> list[Any]:
        """Return the sessions of this machine that hold claims or follow queues."""
        return self.rows(
            "select * from session where coalesce(host, '') = coalesce(?, '') "
            "and (id in (select session from told) or id in "
            "(select c.session from item i join claim c on c.no = i.claim "
            "where i.queue in (select no from queue) and i.turn < 0 and c.session is not null))",
            (self._host(),),
        ).fetchall()

    def callers(self) -> set[str]:
        """Return the names of all sessions and agents that the ledger knows."""
        rows = self.rows(
            "select id from session union select id from agent "
            "union select agent from claim where agent is not null"
        )
        return {row[0] for row in rows.fetchall()}

    def has_worked(self, session: str, queue: int) -> bool:
        """True if a worker of `session` has ever held an item of the queue."""
        found = self.row(
            "select 1 from claim c join item i on i.no = c.item where c.session = ? "
            "and i.queue = ? and coalesce(c.agent, '?') <> '' limit 1",
            (session, queue),
        )
        return found is not None

    def note_grant(self, queues: Iterable[int], what: str) -> None:
        """Note in the logs of queues that a hook has allowed a call by itself."""
        with self.write():
            for queue in queues:
                self._note(queue, "permitted", what)

    # -- what the user has agreed to --

    def note_asked(self, session: str, queue: int) -> None:
        """Note that `session` was told to ask its user whether to go on with a queue."""
        with self.write():
            self.change(
                "update told set asked = 1 where session = ? and queue = ? and asked = 0",
                (session, queue),
            )

    def note_answer(self, session: str) -> None:
        """Note that the user has said something in `session`: it answers what was asked."""
        if self.row("select 1 from told where session = ? and asked = 1", (session,)):
            with self.write():
                self.change("update told set asked = 2 where session = ? and asked = 1", (session,))

    def note_goes_on(self, session: str, queue: str) -> None:
        """Note that the user goes on with `queue` (a name, "*" for whichever it is)."""
        with self.write():
            self.change("update session set goes_on = ? where id = ?", (queue, session))

    def has_answered(self, session: str, queue: Any) -> bool:
        """True if the user has been asked in `session`, and has answered, or has gone on with the
        queue of this row by a command of its own. What the answer was is for its reader."""
        known = self.session(session)
        if known is not None and known["goes_on"] in ("*", queue["name"]):
            return True
        row = self.row(
            "select asked from told where session = ? and queue = ?", (session, queue["no"])
        )
        return row is not None and row["asked"] == 2

    # -- who was told of what --

    def note_commit(self, token: str, commit: str) -> None:
        """Note the commit that holds the work of a claim; its report names it."""
        with self.write():
            self.change(
                "update claim set commit_id = ? where no = ? and token = ?",
                (commit, token_no(token), token),
            )

    def note_commits(self, queue: int) -> None:
        """Note that workers of a generation commit, given its number."""
        with self.write():
            self.change("update queue set commits = 1 where no = ?", (queue,))

    def commit_of(self, token: str) -> str | None:
        """Return the commit noted with a claim, or None."""
        row = self.row("select commit_id from claim where no = ?", (token_no(token),))
        return row["commit_id"] if row else None

    def cost_of_ended(self, queue: str) -> dict[str, Any]:
        """Return what the ended items of `queue` cost on average: `tokens`, `seconds`, `items`.

        A mean is None where it is not known of any item.
        """
        row = self.row(
            "select count(*) as items, avg(c.ended_at - c.claimed_at) as seconds, "
            "avg(c.input_tokens + c.output_tokens + c.cache_read_tokens + c.cache_write_tokens) "
            "as tokens from item i join claim c on c.no = i.claim "
            f"where i.queue = ? and i.state in {sql(WORKED)}",
            (self.queue_row(queue)["no"],),
        )
        return dict(row)

    def follow(self, session: str, queue: str, *, all: bool = False) -> None:
        """Have `session` told of what ends in `queue` from now on; `all`: of what has, too."""
        row = self.queue_row(queue)
        if self.row("select 1 from told where session = ? and queue = ?", (session, row["no"])):
            return
        with self.write():
            row = self.queue_row(queue)
            last = self.row(
                "select max(finish_no) from item where queue = ? and finish_no < ?",
                (row["no"], self._engine.settled_before()),
            )[0]
            last = 0 if all else last
            self.change(
                "insert into told (session, queue, finish_no) values (?, ?, ?) "
                "on conflict (session, queue) do nothing",
                (session, row["no"], last or 0),
            )

    def unfollow(self, session: str) -> None:
        """Forget what a session followed: it will hear of nothing any more."""
        with self.write():
            self.change("delete from told where session = ?", (session,))

    def followed(self, session: str) -> list[Any]:
        """Return the queues that a session follows, each with `told_no` and `told_state`."""
        return self.rows(
            "select q.*, t.finish_no as told_no, t.state as told_state from told t "
            "join queue q on q.no = t.queue where t.session = ? order by q.no",
            (session,),
        ).fetchall()

    def is_attended(self, queue: int) -> bool:
        """True if a session or a pool that is still there has worked on the queue, or follows it.

        Those that are gone must have been noticed before: see `worker.settle`.
        """
        found = self.row(
            "select 1 from session s where s.id in (select session from told where queue = ?) "
            "or s.id in (select session from agent where queue = ? and ended_at is null) limit 1",
            (queue, queue),
        )
        return found is not None

    def ended_since(self, queue: int, finish_no: int) -> list[Any]:
        """Return the items of a queue that ended after `finish_no`, in order."""
        return self.rows(
            "select i.*, c.report from item i "
            "left join claim c on c.no = i.claim where i.queue = ? and i.state in "
            f"{sql(FINAL)} and i.finish_no > ? "
            "and i.finish_no < ? order by i.finish_no",
            (queue, finish_no, self._engine.settled_before()),
        ).fetchall()

    def tell(
        self, session: str, queue: int, old_no: int, finish_no: int, state: str | None, by: str
    ) -> bool:
        """Claim the telling of a digest: True for exactly one of those who try at once.

        `by` is the wake that carries it; it is noted with each item that is told for the first
        time.
        """
        with self.write(durable=True):
            told = bool(
                self.change(
                    "update told set finish_no = ?, state = ? "
                    "where session = ? and queue = ? and finish_no = ? "
                    "and (finish_no <> ? or coalesce(state, '') <> coalesce(?, ''))",
                    (finish_no, state, session, queue, old_no, finish_no, state),
                )
            )
            self.proven_by(
                "select 1 from told where session = ? and queue = ? and finish_no = ? "
                "and coalesce(state, '') = coalesce(?, '')",
                session,
                queue,
                finish_no,
                state,
            )
            if told:
                self.change(
                    "update item set told_at = ?, told_by = ? where queue = ? "
                    "and finish_no > ? and finish_no <= ? and told_at is null",
                    (time.time(), by, queue, old_no, finish_no),
                )
        return told


def _renewal(held: Any) -> int | None:
    """Return when the lease of a claim (a row as of `held_by`) is to be renewed, on the clock of
    leases; None where it goes as far as it may."""
    if held["ends_by"] is not None and held["lease_until"] >= held["ends_by"]:
        return None
    lease = held["lease_ms"] * 1000
    return int(held["lease_until"] - lease + min(_RENEW_US, lease // 3))
