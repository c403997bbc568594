"""What a queue's owner lays down for its workers: check, commands, tools, folders, bounds and
budget; what of that is used up; and what the user has agreed to."""

from __future__ import annotations

import time

from hypervisor.ledger.check import NAMED, USUAL, checks_of
from hypervisor.ledger.claim import loads
from hypervisor.ledger.options import BOUNDS, LIMITS
from hypervisor.ledger.part import Part
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.queues import Queues


class Terms(Part):
    """The verbs that change on which terms a queue is worked on."""

    _queues: Queues

    def set_check(
        self,
        queue: str,
        command: str | None,
        env: Sequence[str] = (),
        base: Sequence[str] = (),
        name: str = USUAL,
    ) -> None:
        """Give a queue a check, in the place of the one that it has by that name; without `command`
        it is built in.

        `env` are names of variables that it keeps though they look like secrets; `base` are paths,
        from the root, which it takes from the commit at which an item was handed out.
        """
        with self._store.write():
            row = self._queues.get(queue)
            if name == NAMED:
                self._store.change("update queue set scope = ? where no = ?", (NAMED, row.no))
            elif name == USUAL and command is not None:
                self.put_check(row.no, command, env, base)
            else:
                self._put_checks(row, {name: [command, list(env), list(base)]})
            self._queues.forget_known(row.no)
            told = command or name
            self._queues.note(row.no, "check", told if name in (USUAL, told) else f"{name}: {told}")

    def remove_check(self, queue: str, name: str) -> bool:
        """Take a check from a queue; False if it has none of that name."""
        with self._store.write():
            row = self._queues.get(queue)
            if name not in [check.name for check in checks_of(row)]:
                return False
            if name == NAMED:
                self._store.change("update queue set scope = null where no = ?", (row.no,))
            elif name == USUAL:
                self._store.change(
                    "update queue set verify = null, check_env = null, check_base = null "
                    "where no = ?",
                    (row.no,),
                )
            else:
                self._put_checks(row, {name: None})
            self._queues.forget_known(row.no)
            self._queues.note(row.no, "check removed", name)
        return True

    def set_instructions(self, queue: str, text: str) -> int:
        """Give a queue other instructions, for what is claimed from then on; return the number of
        that version."""
        with self._store.write():
            return self.put_instructions(self._queues.get(queue), text)

    def instructions(self, queue: int, version: int | None) -> str | None:
        """Return a version of a generation's instructions (None: the first, and of a queue that has
        no other), None where there are none."""
        row = self._store.row(
            "select content from instruction where queue = ? and version = ?", (queue, version or 1)
        )
        if row is None:
            row = self._store.row("select instructions from queue where no = ?", (queue,))
        told: str | None = row[0]
        return told

    def allow_commands(self, queue: str, commands: Sequence[str]) -> list[str]:
        """Have headless workers run command lines that begin so; return all that they may."""
        return self._allow(queue, "commands", "allowed", commands)

    def allow_paths(self, queue: str, paths: Sequence[str]) -> list[str]:
        """Let workers change these paths, although they steer; return all that they may."""
        return self._allow(queue, "may_write", "allowed", paths)

    def set_bounds(self, queue: str, **bounds: float) -> None:
        """Give a queue other bounds, those that are named: `item_calls`, `item_ms`, `item_usd` and
        `item_tokens`, what one claim may take before that ends it as an attempt (0: no bound); and
        `canary`, how many items are tried before the rest is (0: none).

        A bound of time holds for claims that are made from then on.
        """
        with self._store.write():
            self.put_bounds(self._queues.get(queue).no, bounds)

    def set_branches(self, queue: str, on: bool) -> None:
        """Note whether the workers of a queue work on branches of their own."""
        with self._store.write():
            self._store.change(
                "update queue set branches = ? where no = ?",
                (int(on), self._queues.get(queue).no),
            )

    def set_trial(self, queue: str, *, begun: bool) -> None:
        """Note that a session was told to try the first items of a queue, or has seen the end."""
        row = self._queues.get(queue)
        if begun or row.trial_at is not None:
            with self._store.write():
                at = time.time() if begun else None
                self._store.change("update queue set trial_at = ? where no = ?", (at, row.no))

    def allow_tools(self, queue: str, names: Sequence[str]) -> list[str]:
        """Give the workers of a queue tools of MCP servers (see `config.tools`); return all that
        they have."""
        return self._allow(queue, "tools", "tools", names)

    def tools(self, queue: str) -> tuple[str, ...]:
        """Return the tools that the workers of a queue were given; none for one that is over, or
        unknown."""
        row = self._queues.find(queue)
        if row is None or not row.tools:
            return ()
        over = not self._queues.at_work(row, None) and self._used(row)
        return () if over else tuple(loads(row.tools))

    def set_budget(self, queue: str, budget: Mapping[str, float]) -> None:
        """Give a queue the limits of `budget.limits` that are named; 0 takes one away."""
        with self._store.write():
            self.put_budget(self._queues.get(queue).no, budget)

    def tokens_used(self, queue: int) -> int | None:
        """Return the tokens that the agents of a queue are known to have used; None: of nobody."""
        used: int | None = self._store.row(
            "select sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens) "
            "from agent where queue = ?",
            (queue,),
        )[0]
        return used

    def usd_used(self, queue: int) -> tuple[float | None, list[str]]:
        """Return the dollars that the agents of a queue are known to have cost, None where that is
        known of nobody, and the models of those of which it is not though their tokens are."""
        rows = self._store.rows(
            "select usd, models from agent where queue = ? and input_tokens is not null", (queue,)
        ).fetchall()
        known = [row["usd"] for row in rows if row["usd"] is not None]
        without: dict[str, None] = {}
        for row in rows:
            if row["usd"] is None:
                models = loads(row["models"] or "{}")
                priceless = [name for name, of in models.items() if of["usd"] is None]
                without.update(dict.fromkeys(priceless))
        return sum(known) if known else None, list(without)

    def started_at(self, queue: Queue) -> float | None:
        """Return when the first item of a queue (its row) was claimed, or None (Unix time)."""
        if queue.started_at is not None:
            return float(queue.started_at)
        # Of items that came from an earlier generation, only what was held in this one counts.
        first: float | None = self._store.row(
            "select min(c.claimed_at) from claim c join item i on i.no = c.item "
            "where i.queue = ? and (c.ended_at is null or c.ended_at >= ?)",
            (queue.no, queue.opened_at),
        )[0]
        if first is not None:
            # Found once by a look at all claims, and kept.
            first = max(first, queue.opened_at)
            with self._store.write():
                self._store.change(
                    "update queue set started_at = ? where no = ?", (first, queue.no)
                )
        return first

    def paused_seconds(self, queue: int, since: float) -> float:
        """Return for how long a generation (its number) has been paused since then (Unix time)."""
        total, begun = 0.0, None
        for at, kind in self._store.rows(
            "select at, kind from event where queue = ? and kind in ('paused', 'open') order by no",
            (queue,),
        ):
            if kind == "paused":
                begun = at if begun is None else begun
            elif begun is not None:
                total += max(0.0, at - max(begun, since))
                begun = None
        return total if begun is None else total + max(0.0, time.time() - max(begun, since))

    def agree(self, queue: str, session: str | None = None) -> None:
        """Note that the user has agreed to what the rest of the queue costs.

        What the user has said in `session` is used up by that: the next question is asked anew.
        """
        with self._store.write():
            number = self._queues.get(queue).no
            self._queues.note(number, "agreed", "")
            self._store.change(
                "update told set asked = 0 where session = ? and queue = ?", (session, number)
            )
            self._store.change("update session set goes_on = null where id = ?", (session,))

    def has_agreed(self, queue: int) -> bool:
        """True if the user has agreed to the cost since items were last added."""
        last = self._store.row(
            "select kind from event where queue = ? "
            "and kind in ('agreed', 'added', 'opened', 'widened') order by no desc limit 1",
            (queue,),
        )
        return last is not None and last["kind"] == "agreed"

    def folders(self, queue: str) -> set[str]:
        """Return the folders outside of the root whose files were opened in `queue`, in any
        generation of it: what may be edited besides what is below the root."""
        rows = self._store.rows(
            "select folders from queue where project = ? and name = ? and folders is not null",
            (self._store.project, queue),
        )
        return {folder for row in rows.fetchall() for folder in loads(row["folders"])}

    # -- inside a write transaction --

    def _allow(self, queue: str, column: str, kind: str, more: Sequence[str]) -> list[str]:
        """Add to a list of a queue, and note it; return all that is in it then."""
        from json import dumps

        with self._store.write():
            row = self._queues.get(queue)
            allowed = list(dict.fromkeys([*loads(getattr(row, column) or "[]"), *more]))
            if more:
                self._store.change(
                    f"update queue set {column} = ? where no = ?", (dumps(allowed), row.no)
                )
                self._queues.note(row.no, kind, ", ".join(more))
        return allowed

    def _put_checks(self, queue: Queue, others: Mapping[str, object]) -> None:
        from json import dumps

        checks = {**loads(queue.checks or "{}"), **others}
        told = {name: check for name, check in checks.items() if check is not None}
        self._store.change(
            "update queue set checks = ? where no = ?", (dumps(told) if told else None, queue.no)
        )

    def put_check(self, queue: int, command: str, env: Sequence[str], base: Sequence[str]) -> None:
        from json import dumps

        kept = [dumps(list(names)) if names else None for names in (env, base)]
        self._store.change(
            "update queue set verify = ?, check_env = ?, check_base = ? where no = ?",
            (command, *kept, queue),
        )

    def check_answer(self, queue: Queue, schema: str | None) -> None:
        """Raise UsageError where answers were accepted in any generation of `queue` (its row) by
        another schema: they would stand in one table."""
        if schema is None or schema == queue.answer:
            return
        if queue.answer is not None and loads(schema) == loads(queue.answer):
            return
        found = self._store.row(
            "select 1 from queue q join item i on i.queue = q.no join claim c on c.no = i.claim "
            "where q.project = ? and q.name = ? and c.answer is not null "
            "and (c.verdict is null or c.verdict <> 'rejected') limit 1",
            (self._store.project, queue.name),
        )
        if found is not None:
            raise UsageError(
                f"queue {queue.name} has accepted answers by another schema",
                "choose another name for this one",
            )

    def put_sequence(self, queue: int, ids: Sequence[str]) -> None:
        """Note the order of the items' source, by their ids."""
        if ids:
            from hypervisor.ledger.reports import dumps

            self._store.change(
                "insert into source_order (queue, ids) values (?, ?) "
                "on conflict (queue) do update set ids = excluded.ids",
                (queue, dumps(ids)),
            )

    def put_instructions(self, queue: Queue, text: str) -> int:
        if text == queue.instructions:
            return queue.version or 1
        now = time.time()
        version = (queue.version or 1) + 1
        told = [(version, text, now)]
        if queue.version is None:
            told.append((1, queue.instructions or "", queue.opened_at))
        self._store.change_many(
            "insert into instruction (queue, version, content, at) values (?, ?, ?, ?)",
            [(queue.no, *one) for one in told],
        )
        self._store.change(
            "update queue set instructions = ?, version = ? where no = ?", (text, version, queue.no)
        )
        self._queues.forget_known(queue.no)
        self._queues.note(queue.no, "instructions", f"version {version}")
        return version

    def put_bounds(self, queue: int, bounds: Mapping[str, float]) -> None:
        columns = [one for one in (*LIMITS, *BOUNDS) if one in bounds]
        if columns:
            values = [bounds[one] if one == "canary" else bounds[one] or None for one in columns]
            sets = ", ".join(f"{one} = ?" for one in columns)
            self._store.change(f"update queue set {sets} where no = ?", (*values, queue))
            self._queues.forget_known(queue)

    def put_budget(self, queue: int, budget: Mapping[str, float]) -> None:
        for name in ("usd", "tokens", "ms"):
            if name in budget:
                self._store.change(
                    f"update queue set budget_{name} = ? where no = ?",
                    (budget[name] or None, queue),
                )

    def keep_tools(self, earlier: Queue, queue: Queue) -> None:
        """Keep what was given to a queue after the rest of it was done, for what was held."""
        if earlier.tools and not self._used(earlier):
            self._store.change("update queue set tools = ? where no = ?", (earlier.tools, queue.no))
            self._queues.note(queue.no, "tools", ", ".join(loads(earlier.tools)))

    def _used(self, queue: Queue) -> bool:
        """True if anything was handed out since the queue's workers were given their tools."""
        found = self._store.row(
            "select 1 from claim c join item i on i.no = c.item where i.queue = ? and "
            "c.claimed_at > (select max(at) from event where queue = ? and kind = 'tools') limit 1",
            (queue.no, queue.no),
        )
        return found is not None

    def note_folders(self, queue: Queue, folders: Iterable[str]) -> None:
        known = set(loads(queue.folders or "[]"))
        if not known.issuperset(folders):
            from json import dumps

            told = dumps(sorted(known.union(folders)))
            self._store.change("update queue set folders = ? where no = ?", (told, queue.no))
