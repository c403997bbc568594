"""Sessions and their agents: whose claims are whose, what they cost, and who was told of what.

A session is one run of a client, an agent one worker inside it ("" is the session itself).
"""

from __future__ import annotations

import time

from hypervisor.config import caller
from hypervisor.ledger.agents import DOLLARS
from hypervisor.ledger.claim_ids import number_of, token_no
from hypervisor.ledger.ends import overtime
from hypervisor.ledger.outcomes import REPORTED, WORKED, sql
from hypervisor.ledger.part import Part
from hypervisor.ledger.rows import Held, Session, columns
from hypervisor.ledger.schema import LEASED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypervisor.ledger.claims import Claims
    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.rows import Agent


# How the names of pools begin: each is a session, and each process that it starts an agent of it.
POOL = "pool-"
# Where a session began whose processes nobody else can tell apart.
_NOWHERE = ""
# So many items tell the pace of a queue, at least and at most.
_PACE_FROM, _PACE_OF = 3, 50
# What is left costs what so many of the last have cost.
_TELLING = 1000
# A lease is renewed once so much of it is used up: a minute, of a short one its third.
_RENEW_US = 60_000_000
_ALL = f"select {columns(Session, 's')} from session s"
_OF_OTHERS = {
    "no": "i.no",
    "queue": "i.queue",
    "id": "i.id",
    "path": "i.path",
    "fingerprint": "i.fingerprint",
    "format": "i.format",
    "attempts": "i.attempts",
    "claim_no": "c.no",
    "lease_until": f"i.turn - ({LEASED})",
    "queue_name": "q.name",
    "max_attempts": "q.max_attempts",
    "item_calls": "q.item_calls",
    "item_ms": "q.item_ms",
    "abrupt": "i.abrupt",
    "used": "c.input_tokens + c.output_tokens + c.cache_read_tokens + c.cache_write_tokens",
    "item_usd": "q.item_usd",
    "item_tokens": "q.item_tokens",
}
_OF_AGENT = (
    f"select {columns(Held, 'c', **_OF_OTHERS)} "
    "from claim c join item i on i.no = c.item and i.claim = c.no "
    "join queue q on q.no = i.queue where i.turn < 0 and c.session = ? "
)


class Sessions(Part):
    _queues: Queues
    _claims: Claims

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
        with self._store.write():
            now = time.time()
            self._store.change(
                "insert into session (id, pid, pid_start, headless, heard_at, seen_at, host) "
                "values (?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set "
                "pid = coalesce(excluded.pid, session.pid), "
                "pid_start = coalesce(excluded.pid_start, session.pid_start), "
                "headless = coalesce(excluded.headless, session.headless), "
                "heard_at = coalesce(excluded.heard_at, session.heard_at), "
                "seen_at = excluded.seen_at, host = "
                "case when excluded.pid is null then session.host else excluded.host end",
                (
                    session,
                    pid,
                    pid_start,
                    None if headless is None else int(headless),
                    now if heard else None,
                    now,
                    self._store.place() or _NOWHERE,
                ),
            )

    def meet_caller(self) -> str | None:
        """Note the client's session around this process, and return it; None outside of one."""
        calling = caller.Caller()
        if calling.session is not None:
            self.meet(
                calling.session,
                pid=calling.pid,
                pid_start=calling.pid_start,
                headless=calling.headless,
            )
        return calling.session

    def find(self, session: str) -> Session | None:
        return self._store.one(Session, f"{_ALL} where id = ?", (session,))

    def inherit(self, session: str) -> None:
        """Give `session` what earlier sessions of the same client process have left alive.

        A client that clears its conversation goes on under a new name, and its workers with it.
        """
        row = self.find(session)
        if row is None or row.pid is None:
            return
        earlier = (
            "in (select id from session where pid = ? and pid_start = ? and id <> ? "
            "and coalesce(host, '') = coalesce(?, ''))",
            (row.pid, row.pid_start, session, row.host),
        )
        with self._store.write():
            for table, living in (("claim", "outcome is null"), ("agent", "ended_at is null")):
                self._store.change(
                    f"update {table} set session = ? where {living} and session {earlier[0]}",
                    (session, *earlier[1]),
                )
            self._store.change(
                "insert into told (session, queue, finish_no, state, asked) select ?, queue, "
                f"max(finish_no), max(state), max(asked) from told where session "
                f"{earlier[0]} group by queue "
                "on conflict (session, queue) do nothing",
                (session, *earlier[1]),
            )
            self._store.change(f"delete from told where session {earlier[0]}", earlier[1])

    def assign(
        self, session: str, agent: str, tokens: Iterable[str], *, unknown: bool = False
    ) -> list[str]:
        """Note that `agent` holds `tokens`; return those that were live, its session's, and
        nobody's yet. `unknown`: the session is one whose processes don't know it by name. What the
        session holds itself, with a person in it, has no bound of time but its lease."""
        made_in = "(session is null or session = ?)" if unknown else "session = ?"
        bound = "" if agent else "ends_by = null, "
        with self._store.write():
            return [
                token
                for token in tokens
                if self._store.change(
                    f"update claim set {bound}agent = ?, session = ? where no = ? and token = ? "
                    f"and {made_in} and agent is null and outcome is null",
                    (agent, session, number_of(token), token, session),
                )
            ]

    def held_by(self, session: str, agent: str | None = None) -> list[Held]:
        """Return the items that a session holds, or only one agent of it."""
        if agent is None:
            return self._store.all(Held, _OF_AGENT, (session,))
        return self._store.all(Held, _OF_AGENT + "and c.agent = ?", (session, agent))

    def heard(self, session: str, agent: str) -> list[Held]:
        """Return the items of an agent that has just been heard of. If its leases have run out, it
        gets back what nobody else has taken: see `Ends.come_back`."""
        held = self.held_by(session, agent)
        if held or not (lapsed := self.lapsed(session, agent)):
            return held
        self._claims.heartbeat(lapsed)
        return self.held_by(session, agent)

    def lost_by(self, session: str, agent: str) -> str | None:
        """Return the last claim of an agent that holds nothing, if it ended without a report."""
        last = self._store.row(
            "select token, outcome from claim where session = ? and agent = ? "
            "order by no desc limit 1",
            (session, agent),
        )
        if last is None or last["outcome"] in (None, *REPORTED):
            return None
        return None if self.held_by(session, agent) else str(last["token"])

    def claims_of(self, session: str, agent: str) -> dict[str, int]:
        """Return the claims that an agent of a session holds or has held, and those of the session
        of which it isn't known yet whose they are: token -> number of the queue."""
        rows = self._store.rows(
            "select c.token, i.queue from claim c join item i on i.no = c.item "
            "where c.session = ? and coalesce(c.agent, ?) = ?",
            (session, agent, agent),
        )
        return {row["token"]: row["queue"] for row in rows.fetchall()}

    def renew(self, session: str, agent: str) -> list[str]:
        """Renew the leases of an agent's claims that were not renewed in the last minute, or in the
        last third of a lease that is shorter than three, and take back those that ran out."""
        now = self._store.engine.lease_clock()
        held = self.held_by(session, agent)
        old = [row.token for row in held if (at := _renewal(row)) is not None and at <= now]
        old += self.lapsed(session, agent)
        return self._claims.heartbeat(old) if old else []

    def lapsed(self, session: str, agent: str) -> list[str]:
        """Return the claims of an agent that ran out of their leases, and that its word takes back
        (see `Ends.come_back`)."""
        found = self._store.rows(
            "select c.token from claim c join item i on i.no = c.item and i.lapsed = c.no "
            "where c.session = ? and c.agent = ? and i.state = 'ready'",
            (session, agent),
        )
        return [token for (token,) in found.fetchall()]

    def next_look(self, held: Iterable[Held]) -> tuple[float | None, int | None]:
        """Return in how many seconds a call of who holds these (rows as of `held_by`) changes
        something again, and how many calls change nothing until then; None where none does."""
        now = self._store.engine.lease_clock()
        times, calls = [], []
        for row in held:
            times += [at for at in (_renewal(row), row.ends_by) if at is not None]
            if row.agent and row.item_calls is not None:
                calls.append(row.item_calls - row.calls)
        seconds = (min(times) - now) / 1_000_000 if times else None
        return seconds, min(calls, default=None)

    def add_calls(self, session: str, agent: str, calls: int) -> None:
        """Count so many tool calls more with each claim that an agent holds."""
        self._add_calls(self.held_by(session, agent), calls)

    def count_call(self, session: str, agent: str) -> list[tuple[Held, str]]:
        """Count a tool call with each claim that an agent holds; return those that
        have had more of them, or more time, than their queue allows, each with the cause."""
        held = self.held_by(session, agent)
        self._add_calls(held, 1)
        now = self._store.engine.lease_clock()
        past = []
        for row in held:
            if row.ends_by is not None and row.ends_by <= now:
                past.append((row, overtime(row.item_ms or 0)))
            elif row.item_calls is not None and row.calls >= row.item_calls:
                cause = f"it took more than the {row.item_calls} tool calls that an item may take"
                past.append((row, cause))
            elif why := overspent(row):
                past.append((row, why))
        return past

    def send_back(self, tokens: Sequence[str]) -> list[str]:
        """Note that a worker is sent back to report `tokens`; return those it wasn't before."""
        with self._store.write(durable=True):
            return [
                token
                for token in tokens
                if self._store.change(
                    "update claim set sent_back = 1 where no = ? and token = ? and sent_back = 0",
                    (number_of(token), token),
                )
            ]

    def at_work(self) -> list[Session]:
        """Return the sessions that hold claims or follow queues."""
        return self._store.all(
            Session,
            f"{_ALL} where id in (select session from told) or id in "
            "(select c.session from item i join claim c on c.no = i.claim "
            "where i.queue in (select no from queue) and i.turn < 0 and c.session is not null)",
        )

    def is_gone(self, session: Session, agent: Agent | None = None) -> bool:
        """True only where it is certain that the process of a session, or of an agent of it, has
        ended: its number says something in the session's place alone (see `Store.place`), and no
        process outlives the boot of an embedded ledger's machine."""
        here, who = self._store.place(), agent or session
        if here is None or session.host == _NOWHERE:
            return False
        # Earlier ledgers of one machine name no place.
        if session.host == here or (session.host is None and not self._store.is_shared):
            return caller.is_gone(who.pid, who.pid_start)
        if session.host is None or self._store.is_shared:
            return False
        return session.host.partition(":")[0] != here.partition(":")[0]

    def callers(self) -> set[str]:
        """Return the names of all sessions and agents that the ledger knows."""
        rows = self._store.rows(
            "select id from session union select id from agent "
            "union select agent from claim where agent is not null"
        )
        return {row[0] for row in rows.fetchall()}

    def has_worked(self, session: str, queue: int) -> bool:
        """True if a worker of `session` has ever held an item of the queue."""
        found = self._store.row(
            "select 1 from claim c join item i on i.no = c.item where c.session = ? "
            "and i.queue = ? and coalesce(c.agent, '?') <> '' limit 1",
            (session, queue),
        )
        return found is not None

    def note_grant(self, queues: Iterable[int], what: str) -> None:
        """Note in the logs of queues that a hook has allowed a call by itself."""
        with self._store.write():
            for queue in queues:
                self._queues.note(queue, "permitted", what)

    def note_goes_on(self, session: str, queue: str) -> None:
        """Note that the user goes on with `queue` (a name, "*" for whichever it is)."""
        with self._store.write():
            self._store.change("update session set goes_on = ? where id = ?", (queue, session))

    def note_commit(self, token: str, commit: str) -> None:
        """Note the commit that holds the work of a claim; its report names it."""
        with self._store.write():
            self._store.change(
                "update claim set commit_id = ? where no = ? and token = ?",
                (commit, token_no(token), token),
            )

    def note_commits(self, queue: int) -> None:
        """Note that workers of a generation commit, given its number."""
        with self._store.write():
            self._store.change("update queue set commits = 1 where no = ?", (queue,))

    def commit_of(self, token: str) -> str | None:
        """Return the commit noted with a claim, or None."""
        row = self._store.row("select commit_id from claim where no = ?", (token_no(token),))
        return row["commit_id"] if row else None

    def costs_of_ended(self, queue: str) -> list[tuple[float, int | None, float | None]]:
        """Return what the last items of `queue` that were worked on and ended have cost, with all
        their claims, in the order of their ends: seconds, tokens and dollars, None where not
        known."""
        return self._store.rows(
            "select sum(c.ended_at - c.claimed_at), case when count(c.input_tokens) = count(*) "
            "then sum(c.input_tokens + c.output_tokens + c.cache_read_tokens "
            f"+ c.cache_write_tokens) end, {DOLLARS} "
            "from (select no, finish_no from item where queue = ? and finish_no is not null "
            f"and state in {sql(WORKED)} order by finish_no desc limit ?) as i "
            "join claim c on c.item = i.no where c.ended_at is not null "
            "group by i.no, i.finish_no order by i.finish_no",
            (self._queues.get(queue).no, _TELLING),
        ).fetchall()

    def pace(self, queue: int) -> float | None:
        """Return how many seconds an item of a generation (its number) takes, by the last that were
        worked on; of a call that got several, what they took together. None: too few are known."""
        row = self._store.row(
            "select sum(seconds), sum(items) from (select max(ended_at) - min(claimed_at) as "
            "seconds, count(*) as items from "
            "(select c.* from item i join claim c on c.no = i.claim "
            f"where i.queue = ? and i.state in {sql(WORKED)} order by c.no desc limit ?) as last "
            "group by coalesce(handout, no)) as calls",
            (queue, _PACE_OF),
        )
        if row[1] is None or row[1] < _PACE_FROM:
            return None
        return max(0.0, float(row[0])) / int(row[1])

    def pools(self) -> list[Session]:
        """Return the sessions of pools that still have agents or claims."""
        return self._store.all(
            Session,
            f"{_ALL} where id like ? and "
            "(id in (select session from agent where ended_at is null) "
            "or id in (select session from claim where outcome is null))",
            (f"{POOL}%",),
        )

    # -- inside a write transaction --

    def _add_calls(self, held: list[Held], calls: int) -> None:
        if held:
            with self._store.write():
                self._store.change_many(
                    "update claim set calls = calls + ? where no = ?",
                    [(calls, row.claim_no) for row in held],
                )


def overspent(held: Held) -> str | None:
    """Return in words that a claim (a row as of `held_by`) has cost more than its queue allows for
    an item; None where it has not, as far as is known."""
    from hypervisor.ledger.usage import dollars

    if held.item_usd is not None and (held.usd or 0) >= held.item_usd:
        return f"it cost more than the {dollars(held.item_usd)} that an item may cost"
    if held.item_tokens is not None and (held.used or 0) >= held.item_tokens:
        return f"it used more than the {held.item_tokens:,} tokens that an item may use"
    return None


def _renewal(held: Held) -> int | None:
    """Return when the lease of a claim (a row as of `held_by`) is to be renewed, on the clock of
    leases; None where it goes as far as it may."""
    if held.ends_by is not None and held.lease_until >= held.ends_by:
        return None
    lease = held.lease_ms * 1000
    return int(held.lease_until - lease + min(_RENEW_US, lease // 3))
