"""Pools of headless agents: a pool is a session, each process that it starts is an agent of it."""

from __future__ import annotations

import time

from hypervisor.ledger.schema import WAITING
from hypervisor.ledger.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

POOL = "pool-"


class Pools(Store):
    """The verbs of a pool."""

    def agent_started(
        self, agent: str, session: str, queue: int, pid: int, pid_start: str | None
    ) -> None:
        """Note an agent and its process; one of that name that has ended before lives again."""
        now = time.time()
        with self.write():
            self.change(
                "insert into agent (id, session, queue, pid, pid_start, seen_at) "
                "values (?, ?, ?, ?, ?, ?) on conflict (id) do update set pid = excluded.pid, "
                "pid_start = excluded.pid_start, seen_at = excluded.seen_at, last_tool = null, "
                "ended_at = null, how = null",
                (agent, session, queue, pid, pid_start, now),
            )

    def agent_writes(self, agent: str, transcript: str, unseen: str) -> None:
        """Note where an agent's client keeps its transcript, and what does not stand in it."""
        with self.write():
            self.change(
                "update agent set transcript = ?, unseen = ? where id = ?",
                (transcript, unseen, agent),
            )

    def held_since(self, at: float) -> list[Any]:
        """Return the items that were in somebody's hands at `at` (Unix time) or later."""
        return self.rows(
            "select distinct i.id, i.path, i.payload, i.files, q.instructions from claim c "
            "join item i on i.no = c.item join queue q on q.no = i.queue "
            "where c.ended_at is null or c.ended_at >= ?",
            (at,),
        ).fetchall()

    def in_this_tree(self, since: float) -> list[Any]:
        """Return the claims that were held at `since` (Unix time) or later, without a branch, on
        items of which any file is known: `no` is the item's."""
        return self.rows(
            "select i.no, i.id, i.named, i.files, c.token, c.claimed_at, c.outcome from claim c "
            "join item i on i.no = c.item where i.project = ? and c.branch is null "
            "and (c.ended_at is null or c.ended_at >= ?) "
            "and (i.named is not null or i.files is not null) "
            "and coalesce(c.outcome, '') <> 'skipped' order by c.no",
            (self.project, since),
        ).fetchall()

    def tokens_over(self) -> list[str]:
        """Return the tokens of all claims on items that have ended, where workers commit."""
        rows = self.rows(
            "select c.token from queue q join item i on i.queue = q.no join claim c "
            "on c.item = i.no where q.project = ? and q.commits = 1 and i.turn is null",
            (self.project,),
        )
        return [row["token"] for row in rows.fetchall()]

    def ready(self, queue: int, limit: int) -> int:
        """Return how many items of a queue are ready, counted up to `limit`."""
        count: int = self.row(
            "select count(*) from (select 1 from item where queue = ? and turn >= 0 and turn < ? "
            "limit ?) as found",
            (queue, WAITING, limit),
        )[0]
        return count

    def pools(self) -> list[Any]:
        """Return this machine's sessions of pools that still have agents or claims."""
        return self.rows(
            "select * from session where id like ? and coalesce(host, '') = coalesce(?, '') and "
            "(id in (select session from agent where ended_at is null) "
            "or id in (select session from claim where outcome is null))",
            (f"{POOL}%", self._host()),
        ).fetchall()
