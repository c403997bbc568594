"""The agents of sessions: which are at work, how they ended, what they and their claims cost."""

from __future__ import annotations

import time

from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.part import Part
from hypervisor.ledger.rows import Agent, columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.usage import Cost, Tokens

_SEEN_SECONDS = 3
_USED_SECONDS = 15
# What claims cost together: not known where that of one is not.
DOLLARS = "case when count(c.usd) = count(*) then sum(c.usd) end"
_ALL = f"select {columns(Agent, 'a')} from agent a"


class Agents(Part):
    _queues: Queues

    def join(self, agent: str, session: str, queue: int, transcript: str | None) -> None:
        """Note that an agent works for a queue, also when it is handed nothing."""
        if self.find(agent) is None:
            with self._store.write():
                self._store.change(
                    "insert into agent (id, session, queue, transcript) values (?, ?, ?, ?) "
                    "on conflict (id) do nothing",
                    (agent, session, queue, transcript),
                )

    def names(self) -> list[tuple[str, str]]:
        """Return (agent, its queue) of all agents that the ledger knows."""
        rows = self._store.rows(
            "select a.id, q.name from agent a join queue q on q.no = a.queue where q.project = ?",
            (self._store.project,),
        )
        return [(row["id"], row["name"]) for row in rows.fetchall()]

    def names_of(self, session: str) -> list[str]:
        """Return the names of all agents of a session, ended or not."""
        rows = self._store.rows("select id from agent where session = ? order by id", (session,))
        return [row["id"] for row in rows.fetchall()]

    def note(
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
        with self._store.write():
            row = self._store.row(
                "select i.queue from claim c join item i on i.no = c.item "
                "where c.session = ? and c.agent = ? "
                "union all select queue from agent where session = ? and id = ? limit 1",
                (session, agent) * 2,
            )
            if row is None:
                return False
            now = time.time()
            self._store.change(
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

    def saw_tool(self, agent: str, tool: str) -> bool:
        """Note the last tool call of an agent; one that follows within seconds is passed over.

        True about four times a minute: that is when what it has used is worth a new look.
        """
        row = self.find(agent)
        now = time.time()
        if row is None or now - (row.seen_at or 0) < _SEEN_SECONDS:
            return False
        with self._store.write():
            self._store.change(
                "update agent set last_tool = ?, seen_at = ? where id = ?", (tool, now, agent)
            )
        return now // _USED_SECONDS != (row.seen_at or 0) // _USED_SECONDS

    def alive(self, session: str, queue: int | None = None) -> list[Agent]:
        """Return the agents of a session that are not known to have ended, of one queue or all."""
        return self._store.all(
            Agent,
            f"{_ALL} where session = ? and ended_at is null and queue = coalesce(?, queue)",
            (session, queue),
        )

    def count(self, queue: int) -> tuple[int, int]:
        """Return how many agents are known to have begun on a queue, of any session, and how many
        of them are not known to have ended."""
        row = self._store.row(
            "select count(*), count(*) - count(ended_at) from agent where queue = ?", (queue,)
        )
        return row[0], row[1]

    def unnoticed(self, session: str) -> bool:
        """True if a session has agents of whose end no notice has reached it yet."""
        found = self._store.row(
            "select 1 from agent where session = ? and noticed_at is null limit 1", (session,)
        )
        return found is not None

    def find(self, agent: str) -> Agent | None:
        return self._store.one(Agent, f"{_ALL} where id = ?", (agent,))

    def unsettled(self, session: str) -> list[str]:
        """Return the ended agents of a session whose transcript was incomplete when last read."""
        rows = self._store.rows(
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
        cost: Cost | None = None,
    ) -> None:
        """Note what an agent has used in all (None: not known) and for each of its claims, and what
        that has cost.

        The four figures are input, output, cache read and cache write tokens.
        """
        usd, models, claims, billed = cost or (None, {}, {}, False)
        if models:
            from json import dumps

            told = dumps(models)
        with self._store.write():
            self._store.change(
                "update agent set known = ?, complete = ?, input_tokens = ?, output_tokens = ?, "
                "cache_read_tokens = ?, cache_write_tokens = ?, kept = coalesce(?, kept), "
                "usd = ?, models = ?, billed = ? where id = ?",
                (int(total is not None), int(complete), *(total or (None,) * 4), kept,
                 usd, told if models else None, int(billed), agent),
            )  # fmt: skip
            nothing: tuple[str | None, float | None] = (None, None)
            self._store.change_many(
                "update claim set input_tokens = ?, output_tokens = ?, cache_read_tokens = ?, "
                "cache_write_tokens = ?, model = coalesce(?, model), usd = ? "
                "where no = ? and token = ? and agent = ?",
                [
                    (*figures, *claims.get(token, nothing), number_of(token), token, agent)
                    for token, figures in items.items()
                ],
            )

    def set_unseen(self, agent: str, unseen: str) -> None:
        """Note what of an agent's use stands in no transcript; "" for nothing."""
        with self._store.write():
            self._store.change("update agent set unseen = ? where id = ?", (unseen, agent))

    def unaccounted(self, queue: int) -> bool:
        """True if a queue has claims of none of its agents: nobody knows what they cost.

        What was closed as skipped before any worker heard of it cost nothing.
        """
        found = self._store.row(
            "select 1 from claim c join item i on i.no = c.item where i.queue = ? "
            "and coalesce(c.outcome, '') <> 'skipped' and not exists "
            "(select 1 from agent a where a.id = c.agent and a.queue = i.queue) limit 1",
            (queue,),
        )
        return found is not None

    def shares(self, queue: int) -> Iterator[tuple[int, list[int | None], float | None]]:
        """Yield the sums of the claims of each item of a queue whose use is known, in the order of
        the items' numbers: the number, tokens (input, output, read from the cache, written to it)
        and dollars (None: not known)."""
        found = self._store.rows(
            "select c.item, sum(c.input_tokens), sum(c.output_tokens), sum(c.cache_read_tokens), "
            f"sum(c.cache_write_tokens), {DOLLARS} "
            "from claim c join item i on i.no = c.item where i.queue = ? "
            "and c.input_tokens is not null group by c.item order by c.item",
            (queue,),
        )
        return ((item, tokens, usd) for item, *tokens, usd in found)

    def used_by_items(self, queue: int) -> tuple[int, float | None]:
        """Return the tokens of the claims of a queue that are known, and their dollars, None where
        those of one are not."""
        found = self._store.row(
            "select sum(c.input_tokens + c.output_tokens + c.cache_read_tokens "
            f"+ c.cache_write_tokens), {DOLLARS} from claim c join item i on i.no = c.item "
            "where i.queue = ? and c.input_tokens is not null",
            (queue,),
        )
        return int(found[0] or 0), found[1] if found[0] else 0.0

    def note_permission(self, queue: int, agent: str, call: str, rule: str) -> None:
        """Note that a worker asked for a permission, and the rule that would give it."""
        with self._store.write():
            self._store.change(
                "insert into permission (queue, agent, call, rule) values (?, ?, ?, ?)",
                (queue, agent, call, rule),
            )

    def permission_given(self, agent: str, call: str) -> None:
        """Note that a call which a worker asked permission for was carried out after all."""
        if self._store.row("select 1 from permission where agent = ? and call = ?", (agent, call)):
            with self._store.write():
                self._store.change(
                    "delete from permission where agent = ? and call = ?", (agent, call)
                )

    def lacks_permissions(self, agent: str) -> bool:
        """True if a worker has asked for a permission that it wasn't seen to be given."""
        return (
            self._store.row("select 1 from permission where agent = ? limit 1", (agent,))
            is not None
        )

    def claims_of(self, agent: str) -> list[tuple[str, str, str | None]]:
        """Return what an agent has claimed so far, in order: (token, id of the item, outcome)."""
        return self._store.rows(
            "select c.token, i.id, c.outcome from claim c join item i on i.no = c.item "
            "where c.agent = ? and c.session = (select session from agent where id = ?) "
            "order by c.no",
            (agent, agent),
        ).fetchall()

    def of_queue(self, queue: int) -> list[Agent]:
        """Return the agents of a queue, ended or not, oldest first."""
        return self._store.all(Agent, f"{_ALL} where queue = ?", (queue,))

    def started(
        self, agent: str, session: str, queue: int, pid: int, pid_start: str | None
    ) -> None:
        """Note an agent and its process; one of that name that has ended before lives again."""
        now = time.time()
        with self._store.write():
            self._store.change(
                "insert into agent (id, session, queue, pid, pid_start, seen_at) "
                "values (?, ?, ?, ?, ?, ?) on conflict (id) do update set pid = excluded.pid, "
                "pid_start = excluded.pid_start, seen_at = excluded.seen_at, last_tool = null, "
                "ended_at = null, how = null",
                (agent, session, queue, pid, pid_start, now),
            )

    def writes(self, agent: str, transcript: str, unseen: str) -> None:
        """Note where an agent's client keeps its transcript, and what does not stand in it."""
        with self._store.write():
            self._store.change(
                "update agent set transcript = ?, unseen = ? where id = ?",
                (transcript, unseen, agent),
            )

    def permissions(self, queue: str) -> list[str]:
        """Return the rules that workers of `queue` lacked."""
        rows = self._store.rows(
            "select distinct rule from permission where queue = ? order by rule",
            (self._queues.get(queue).no,),
        )
        return [row["rule"] for row in rows.fetchall()]

    def forget_permissions(self, queue: str) -> None:
        """Forget the rules that workers of `queue` lacked."""
        with self._store.write():
            number = self._queues.get(queue).no
            self._store.change("delete from permission where queue = ?", (number,))
