"""Sessions and their agents: whose claims are whose, what they cost, and who was told of what.

A session is one run of a client, an agent one worker inside it ("" is the session itself).
"""

from __future__ import annotations

import time

from hypervisor.ledger.claims import Claims, number_of, token_no
from hypervisor.ledger.schema import LEASED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from hypervisor.usage import Tokens

_RENEW_US = 60_000_000
_OF_AGENT = (
    f"select i.*, c.no as claim_no, c.token, c.worker, c.lease_ms, i.turn - ({LEASED}) as "
    "lease_until, c.agent, c.sent_back, c.claimed_at, q.name as queue_name, q.max_attempts "
    "from claim c join item i on i.no = c.item and i.claim = c.no "
    "join queue q on q.no = i.queue where i.turn < 0 and c.session = ? "
)


class Sessions(Claims):
    """The verbs of sessions."""

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
                "insert into session (id, pid, pid_start, headless, heard_at, seen_at) "
                "values (?, ?, ?, ?, ?, ?) on conflict (id) do update set "
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
            "in (select id from session where pid = ? and pid_start = ? and id <> ?)",
            (row["pid"], row["pid_start"], session),
        )
        with self.write():
            for table, living in (("claim", "outcome is null"), ("agent", "ended_at is null")):
                self.change(
                    f"update {table} set session = ? where {living} and session {earlier[0]}",
                    (session, *earlier[1]),
                )
            self.change(
                "insert into told (session, queue, finish_no, state) select ?, queue, "
                f"max(finish_no), max(state) from told where session {earlier[0]} group by queue "
                "on conflict (session, queue) do nothing",
                (session, *earlier[1]),
            )
            self.change(f"delete from told where session {earlier[0]}", earlier[1])

    def assign(self, session: str, agent: str, tokens: Iterable[str]) -> list[str]:
        """Note that `agent` holds `tokens`; return those that were live, its session's, and
        nobody's yet."""
        with self.write():
            return [
                token
                for token in tokens
                if self.change(
                    "update claim set agent = ? where no = ? and token = ? and session = ? "
                    "and agent is null and outcome is null",
                    (agent, number_of(token), token, session),
                )
            ]

    def held_by(self, session: str, agent: str | None = None) -> list[Any]:
        """Return the items that a session holds, or only one agent of it."""
        if agent is None:
            return self.rows(_OF_AGENT, (session,)).fetchall()
        return self.rows(_OF_AGENT + "and c.agent = ?", (session, agent)).fetchall()

    def renew(self, session: str, agent: str) -> list[str]:
        """Renew the leases of an agent's claims that were not renewed in the last minute."""
        now = self.lease_clock()
        old = [
            row["token"]
            for row in self.held_by(session, agent)
            if now - (row["lease_until"] - row["lease_ms"] * 1000) >= _RENEW_US
        ]
        return self.heartbeat(old) if old else []

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
        """Return the sessions that hold claims or follow queues."""
        return self.rows(
            "select * from session where id in (select session from told) or id in "
            "(select c.session from claim c join item i on i.no = c.item and i.claim = c.no "
            "where i.turn < 0 and c.session is not null)"
        ).fetchall()

    def has_worked(self, session: str, queue: int) -> bool:
        """True if a worker of `session` has ever held an item of the queue."""
        found = self.row(
            "select 1 from claim c join item i on i.no = c.item where c.session = ? "
            "and i.queue = ? and coalesce(c.agent, '?') <> '' limit 1",
            (session, queue),
        )
        return found is not None

    # -- what agents cost --

    def join(self, agent: str, session: str, queue: int, transcript: str | None) -> None:
        """Note that an agent works for a queue, also when it is handed nothing."""
        if self.agent(agent) is None:
            with self.write():
                self.change(
                    "insert into agent (id, session, queue, transcript) values (?, ?, ?, ?) "
                    "on conflict (id) do nothing",
                    (agent, session, queue, transcript),
                )

    def note_agent(
        self,
        agent: str,
        session: str,
        *,
        transcript: str | None = None,
        how: str | None = None,
        noticed_by: str | None = None,
    ) -> bool:
        """Note what is known of an agent; False if it is none of ours.

        `how` is how it ended; `noticed_by` is the way by which its session heard of that. The
        first word on each counts.
        """
        with self.write():
            row = self.row(
                "select i.queue from claim c join item i on i.no = c.item "
                "where c.session = ? and c.agent = ? "
                "union all select queue from agent where session = ? and id = ? limit 1",
                (session, agent) * 2,
            )
            if row is None:
                return False
            now = time.time()
            self.change(
                "insert into agent (id, session, queue, transcript, ended_at, how, noticed_at, "
                "noticed_by) values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set "
                "transcript = coalesce(agent.transcript, excluded.transcript), "
                "ended_at = coalesce(agent.ended_at, excluded.ended_at), "
                "how = coalesce(agent.how, excluded.how), "
                "noticed_at = coalesce(agent.noticed_at, excluded.noticed_at), "
                "noticed_by = coalesce(agent.noticed_by, excluded.noticed_by)",
                (
                    agent,
                    session,
                    row["queue"],
                    transcript,
                    now if how else None,
                    how,
                    now if noticed_by else None,
                    noticed_by,
                ),
            )
            return True

    def agents_alive(self, session: str, queue: int | None = None) -> list[Any]:
        """Return the agents of a session that are not known to have ended, of one queue or all."""
        return self.rows(
            "select * from agent where session = ? and ended_at is null "
            "and queue = coalesce(?, queue)",
            (session, queue),
        ).fetchall()

    def unnoticed_agents(self, session: str) -> bool:
        """True if a session has agents of whose end no notice has reached it yet."""
        found = self.row(
            "select 1 from agent where session = ? and noticed_at is null limit 1", (session,)
        )
        return found is not None

    def agent(self, agent: str) -> Any:
        """Return the row of an agent, or None."""
        return self.row("select * from agent where id = ?", (agent,))

    def unsettled_agents(self, session: str) -> list[str]:
        """Return the ended agents of a session whose transcript was incomplete when last read."""
        rows = self.rows(
            "select id from agent where session = ? and complete = 0 and "
            "coalesce(ended_at, noticed_at) is not null",
            (session,),
        )
        return [row["id"] for row in rows.fetchall()]

    def set_usage(
        self,
        agent: str,
        total: Tokens | None,
        items: dict[str, Tokens],
        *,
        complete: bool,
        kept: str | None = None,
    ) -> None:
        """Note what an agent has used in all (None: not known) and for each of its claims.

        The four figures are input, output, cache read and cache write tokens.
        """
        with self.write():
            self.change(
                "update agent set known = ?, complete = ?, input_tokens = ?, output_tokens = ?, "
                "cache_read_tokens = ?, cache_write_tokens = ?, kept = coalesce(?, kept) "
                "where id = ?",
                (int(total is not None), int(complete), *(total or (None,) * 4), kept, agent),
            )
            self.change_many(
                "update claim set input_tokens = ?, output_tokens = ?, cache_read_tokens = ?, "
                "cache_write_tokens = ? where no = ? and token = ? and agent = ?",
                [(*figures, number_of(token), token, agent) for token, figures in items.items()],
            )

    # -- who was told of what --

    def note_commit(self, token: str, commit: str) -> None:
        """Note the commit that holds the work of a claim; its report names it."""
        with self.write():
            self.change(
                "update claim set commit_id = ? where no = ? and token = ?",
                (commit, token_no(token), token),
            )

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
            "where i.queue = ? and i.state in ('done', 'blocked', 'failed')",
            (self.queue_row(queue)["no"],),
        )
        return dict(row)

    def follow(self, session: str, queue: str, *, all: bool = False) -> None:
        """Have `session` told of what ends in `queue` from now on; `all`: of what has, too."""
        with self.write():
            row = self.queue_row(queue)
            last = self.row("select max(finish_no) from item where queue = ?", (row["no"],))[0]
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

    def ended_since(self, queue: int, finish_no: int) -> list[Any]:
        """Return the items of a queue that ended after `finish_no`, in order."""
        return self.rows(
            "select i.*, c.report from item i "
            "left join claim c on c.no = i.claim "
            "where i.queue = ? and i.finish_no > ? order by i.finish_no",
            (queue, finish_no),
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
            if told:
                self.change(
                    "update item set told_at = ?, told_by = ? where queue = ? "
                    "and finish_no > ? and finish_no <= ? and told_at is null",
                    (time.time(), by, queue, old_no, finish_no),
                )
        return told

    def costs(self, queue: int) -> tuple[list[Any], dict[int, Any]]:
        """Return the agents of a queue, and the sums of the claims of each of its items, by the
        item's number. A figure is None where it is not known."""
        agents = self.rows("select * from agent where queue = ?", (queue,)).fetchall()
        items = self.rows(
            "select c.item, sum(c.input_tokens) as input, sum(c.output_tokens) as output, "
            "sum(c.cache_read_tokens) as cache_read, sum(c.cache_write_tokens) as cache_write "
            "from claim c join item i on i.no = c.item where i.queue = ? "
            "and c.input_tokens is not null group by c.item",
            (queue,),
        ).fetchall()
        return agents, {row["item"]: row for row in items}
