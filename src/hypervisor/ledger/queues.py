"""Queues: opened, added to, paused, cancelled; and the items that they hold."""

from __future__ import annotations

import os
import time

from hypervisor.ledger.adding import Adding, NewItem, Opened
from hypervisor.ledger.claim import loads
from hypervisor.ledger.ends import LIMITS, REPLACED, RESET
from hypervisor.ledger.schema import WAITING
from hypervisor.system.errors import UsageError
from hypervisor.system.state import shown
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

STATES = ("waiting", "ready", "claimed", "done", "blocked", "failed", "skipped", "cancelled")
OPEN_STATES = STATES[:3]
# Each part is answered by an index alone.
_COUNTS = (
    "select 'claimed', count(*) from item where queue = ? and turn < 0 "
    "union all select 'ready', count(*) from item where queue = ? and turn >= 0 and turn < ? "
    "union all select 'waiting', count(*) from item where queue = ? and turn >= ? "
    "union all select state, count(*) from item where queue = ? and finish_no is not null "
    "group by state"
)
# What a queue at work has, and whoever adds to it has to name again.
_KEPT = ("instructions", "verify", "scope", "commands", "may_write")
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class Queues(Adding):
    """The verbs of whoever owns a queue."""

    def open_queue(
        self,
        name: str,
        items: Iterable[NewItem],
        *,
        purpose: str = "work",
        instructions: str | None = None,
        verify: str | None = None,
        check_env: Sequence[str] = (),
        check_base: Sequence[str] = (),
        max_attempts: int = 3,
        max_deaths: int = 3,
        max_releases: int = 3,
        lease_seconds: float = 900,
        lock_dir: str | None = None,
        results_dir: str | None = None,
        source: str | None = None,
        preflight: str | None = None,
        asked: str = "",
        scope: str | None = None,
        commands: str | None = None,
        may_write: str | None = None,
        budget_tokens: int | None = None,
        budget_ms: int | None = None,
        yes_up_to: int | None = None,
        folders: Iterable[str] = (),
        bounds: dict[str, int] | None = None,
        first_bounds: dict[str, int] | None = None,
    ) -> Opened:
        """Open the queue `name`, or add to it while it is still at work; adding twice is harmless.

        A queue that has drained or was cancelled gets a new generation, and so does one whose
        `source` (what it was made from) has changed. `preflight` is kept for the summary, `asked`
        (the sources as the user named them) as an event.
        `check_env` and `check_base` are those of `set_check`.
        `scope` "named" keeps workers to the files that their task names; `commands` (JSON) are the
        beginnings of command lines that headless workers may run, and `may_write` (JSON) the paths
        that workers may change although they steer the next run. The budgets stop the hand-out
        when they are used up (see `budget`); the minutes count from the first claim, and one that
        is given to a queue at work replaces its earlier one. `yes_up_to` is the number of items for
        which the user has agreed to the cost beforehand. `folders` (absolute) are those outside
        of the root whose files are among the items: these may be edited. `bounds` are those of
        `set_bounds`, `first_bounds` what holds of them for a new generation where they say nothing.
        Raises UsageError if the queue is at work with other instructions, bounds or another check;
        where no check, commands or paths are named, those that it has stay.
        """
        # The name stands in commands that agents copy: nothing in it may mean anything to a shell.
        if not 1 <= len(name) <= 100 or name[0] in "-." or not _NAME.issuperset(name):
            raise UsageError(
                f"a queue can't be called '{one_line(name, 40)}'",
                "use up to 100 letters, digits, dots, dashes and underscores",
            )
        wanted = list(items)
        with self.write(durable=True):
            self._alone()
            self._expire()
            queue, earlier = self._newest(name), None
            if queue is not None and not self._at_work(queue, source):
                queue, earlier = None, queue
            at_work = queue is not None
            if queue is None:
                options = (
                    purpose, instructions, verify, max_attempts, max_deaths, max_releases,
                    round(lease_seconds * 1000), self._relative(lock_dir), results_dir, source,
                    preflight, scope, commands, may_write,
                )  # fmt: skip
                queue = self._new_queue(name, options)
                if earlier is not None:
                    self._keep_tools(earlier, queue)
                    self._end_generation(earlier, queue, {item.id for item in wanted})
                    queue = self._newest(name)
            elif (queue["instructions"], queue["scope"]) != (instructions, scope) or any(
                given is not None and given != queue[column]
                for column, given in (
                    ("verify", verify), ("commands", commands), ("may_write", may_write),
                )
            ):  # fmt: skip
                raise UsageError(
                    f"queue {name} is at work with other instructions or another --verify, "
                    "--scope, --allow-command or --may-write",
                    f"choose another name, or end it first: hypervisor cancel {name}",
                )
            elif preflight is not None:
                self.change("update queue set preflight = ? where no = ?", (preflight, queue["no"]))
            self._set_budget(queue["no"], budget_tokens, budget_ms)
            first = {} if at_work else first_bounds or {}
            self._set_bounds(queue["no"], first | (bounds or {}))
            self._note_folders(queue, folders)
            if yes_up_to is not None:
                self.change("update queue set yes_up_to = ? where no = ?", (yes_up_to, queue["no"]))
            if verify is not None:
                self._set_check(queue["no"], verify, check_env, check_base)
            opened = Opened(name, queue["generation"])
            self._add(queue, wanted, opened)
            if asked and (opened.added or not at_work):
                self._note(queue["no"], "asked", asked)
            if opened.added:
                self._note(queue["no"], "added", f"{opened.added} items")
        return opened

    def queue_row(self, queue: str) -> Any:
        """Return the row of the newest generation of `queue`. Raises UsageError if unknown."""
        row = self._newest(queue)
        if row is None:
            names = [name for (name,) in self.rows("select distinct name from queue limit 20")]
            known = f"queues here: {', '.join(names)}" if names else "hypervisor open QUEUE SOURCE"
            raise UsageError(f"no queue '{queue}' at {self.root}", known)
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

    def queue_names(self) -> set[str]:
        """Return the names of all queues that the ledger knows."""
        rows = self.rows("select distinct name from queue where project = ?", (self.project,))
        return {row["name"] for row in rows.fetchall()}

    def folders(self, queue: str) -> set[str]:
        """Return the folders outside of the root whose files were opened in `queue`, in any
        generation of it: what may be edited besides what is below the root."""
        rows = self.rows(
            "select folders from queue where project = ? and name = ? and folders is not null",
            (self.project, queue),
        )
        return {folder for row in rows.fetchall() for folder in loads(row["folders"])}

    def _note_folders(self, queue: Any, folders: Iterable[str]) -> None:
        known = set(loads(queue["folders"] or "[]"))
        if not known.issuperset(folders):
            from json import dumps

            told = dumps(sorted(known.union(folders)))
            self.change("update queue set folders = ? where no = ?", (told, queue["no"]))

    def set_check(
        self, queue: str, command: str, env: Sequence[str] = (), base: Sequence[str] = ()
    ) -> None:
        """Give a queue a check, in the place of the one that it has.

        `env` are names of variables that it keeps though they look like secrets; `base` are paths,
        from the root, which it takes from the commit at which an item was handed out.
        """
        with self.write():
            number = self.queue_row(queue)["no"]
            self._set_check(number, command, env, base)
            self._note(number, "check", command)

    def allow_commands(self, queue: str, commands: Sequence[str]) -> list[str]:
        """Have headless workers run command lines that begin so; return all that they may."""
        import json

        with self.write():
            row = self.queue_row(queue)
            allowed = list(dict.fromkeys([*json.loads(row["commands"] or "[]"), *commands]))
            self.change(
                "update queue set commands = ? where no = ?",
                (json.dumps(allowed) if allowed else None, row["no"]),
            )
            if commands:
                self._note(row["no"], "allowed", ", ".join(commands))
        return allowed

    def set_bounds(self, queue: str, **bounds: int) -> None:
        """Give a queue other bounds, those that are named: `item_calls` and `item_ms`, what one
        claim may take of tool calls and time before that ends it as an attempt (0: no bound); and
        `canary`, how many items are tried before the rest is (0: none).

        A bound of time holds for claims that are made from then on.
        """
        with self.write():
            self._set_bounds(self.queue_row(queue)["no"], bounds)

    def set_trial(self, queue: str, *, begun: bool) -> None:
        """Note that a session was told to try the first items of a queue, or has seen the end."""
        row = self.queue_row(queue)
        if begun or row["trial_at"] is not None:
            with self.write():
                at = time.time() if begun else None
                self.change("update queue set trial_at = ? where no = ?", (at, row["no"]))

    def note_stop(self, queue: int) -> None:
        """Note that a person has stopped workers of a generation, given its number."""
        with self.write():
            self.change(
                "update queue set stopped_at = coalesce(stopped_at, ?) where no = ?",
                (time.time(), queue),
            )
            self._note(queue, "stopped", "a person stopped workers")

    def forget_stop(self, queue: str) -> None:
        """Note that somebody goes on with a queue whose workers a person stopped."""
        row = self.queue_row(queue)
        if row["stopped_at"] is not None:
            with self.write():
                self.change("update queue set stopped_at = null where no = ?", (row["no"],))

    def allow_tools(self, queue: str, names: Sequence[str]) -> list[str]:
        """Give the workers of a queue tools of MCP servers (see `config.tools`); return all that
        they have."""
        with self.write():
            row = self.queue_row(queue)
            allowed = list(dict.fromkeys([*loads(row["tools"] or "[]"), *names]))
            if names:
                self._set_tools(row["no"], allowed)
                self._note(row["no"], "tools", ", ".join(names))
        return allowed

    def tools(self, queue: str) -> tuple[str, ...]:
        """Return the tools that the workers of a queue were given; none for one that is over, or
        unknown."""
        row = self._newest(queue)
        if row is None or not row["tools"]:
            return ()
        over = not self._at_work(row, None) and self._used(row)
        return () if over else tuple(loads(row["tools"]))

    def _used(self, queue: Any) -> bool:
        """True if anything was handed out since the queue's workers were given their tools."""
        found = self.row(
            "select 1 from claim c join item i on i.no = c.item where i.queue = ? and "
            "c.claimed_at > (select max(at) from event where queue = ? and kind = 'tools') limit 1",
            (queue["no"], queue["no"]),
        )
        return found is not None

    def _keep_tools(self, earlier: Any, queue: Any) -> None:
        """Keep what was given to a queue after the rest of it was done, for what was held."""
        if earlier["tools"] and not self._used(earlier):
            self._set_tools(queue["no"], loads(earlier["tools"]))
            self._note(queue["no"], "tools", ", ".join(loads(earlier["tools"])))

    def _set_tools(self, queue: int, names: Sequence[str]) -> None:
        from json import dumps

        self.change("update queue set tools = ? where no = ?", (dumps(list(names)), queue))

    def pause(self, queue: str, reason: str = "", *, resume_at: float | None = None) -> None:
        """Hand out nothing more; what is claimed may still be reported.

        With `resume_at` (Unix time) the queue is open again by itself from then on; without, it is
        resumed by a person, also where a limit had paused it before.
        """
        self._set_state(queue, ("open",), "paused", reason, resume_at)

    def limit(
        self, queue: str, reason: str, resume_at: float | None, *, once: bool = False
    ) -> bool:
        """Hand out nothing more until the service's limit ends, at `resume_at` if that is known;
        True if that is new. `reason` begins with one of LIMITS.

        A pause of another kind stays as it is; of two limits the later one counts. `once`: not
        again for the same reason, so that a person's `resume` holds.
        """
        with self.write():
            self._alone()
            row = self.queue_row(queue)
            paused = row["state"] == "paused"
            if not paused and row["state"] != "open":
                return False
            if paused and not (row["reason"] or "").startswith(LIMITS):
                return False
            if paused and (resume_at is None or (row["resume_at"] or 0.0) >= resume_at):
                return False
            if once and self.row(
                "select 1 from event where queue = ? and kind = 'paused' and detail = ?",
                (row["no"], reason),
            ):
                return False
            self.change(
                "update queue set state = 'paused', reason = ?, resume_at = ? where no = ?",
                (reason, resume_at, row["no"]),
            )
            # Its end is news again.
            self.change(
                "update told set state = null where queue = ? and state = 'reset'", (row["no"],)
            )
            self._note(row["no"], "paused", reason)
        return True

    def agree(self, queue: str, session: str | None = None) -> None:
        """Note that the user has agreed to what the rest of the queue costs.

        What the user has said in `session` is used up by that: the next question is asked anew.
        """
        with self.write():
            number = self.queue_row(queue)["no"]
            self._note(number, "agreed", "")
            self.change(
                "update told set asked = 0 where session = ? and queue = ?", (session, number)
            )
            self.change("update session set goes_on = null where id = ?", (session,))

    def has_agreed(self, queue: int) -> bool:
        """True if the user has agreed to the cost since items were last added."""
        last = self.row(
            "select kind from event where queue = ? "
            "and kind in ('agreed', 'added', 'opened', 'widened') order by no desc limit 1",
            (queue,),
        )
        return last is not None and last["kind"] == "agreed"

    def overloads(self, queue: int) -> int:
        """Return how many pauses since the last accepted report were for an overload."""
        found: int = self.row(
            "select count(*) from event where queue = ? and kind = 'paused' and detail like ? "
            "and at > (select coalesce(max(finished_at), 0) from item where queue = ?)",
            (queue, f"{LIMITS[1]}%", queue),
        )[0]
        return found

    def reset_at(self, queue: int) -> float | None:
        """Return when a limit ended by itself after which nobody has claimed anything, or None."""
        last = self.row(
            "select at, detail from event where queue = ? and kind in ('paused', 'open') "
            "order by no desc limit 1",
            (queue,),
        )
        if last is None or last["detail"] != RESET:
            return None
        claimed = self.row(
            "select 1 from claim c join item i on i.no = c.item where i.queue = ? "
            "and c.claimed_at >= ? limit 1",
            (queue, last["at"]),
        )
        at: float = last["at"]
        return at if claimed is None else None

    def resume(self, queue: str) -> None:
        """Hand out again after a pause."""
        self._set_state(queue, ("paused",), "open", "", None)

    def cancel(self, queue: str, reason: str = "") -> int:
        """End the queue: open items are cancelled, live claims are lost. Return how many items."""
        with self.write(durable=True):
            self._alone()
            row = self.queue_row(queue)
            self._hold("queue = ?", [(row["no"],)])
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
        counted = self.rows(_COUNTS, (queue, queue, WAITING, queue, WAITING, queue))
        return dict.fromkeys(STATES, 0) | dict(counted.fetchall())

    def drained(self, queue: str) -> bool:
        """True when nothing is ready or claimed, so that nothing waiting can become ready."""
        return self._is_drained(self.queue_row(queue)["no"])

    # -- inside a write transaction --

    def _alone(self) -> None:
        """Have others who open, pause or cancel wait; those who claim and report go on."""
        if self._engine.shared:
            self.change("/*! lock table queue in share row exclusive mode */")

    def _set_check(self, queue: int, command: str, env: Sequence[str], base: Sequence[str]) -> None:
        import json

        kept = [json.dumps(list(names)) if names else None for names in (env, base)]
        self.change(
            "update queue set verify = ?, check_env = ?, check_base = ? where no = ?",
            (command, *kept, queue),
        )

    def _set_bounds(self, queue: int, bounds: dict[str, int]) -> None:
        for column in ("item_calls", "item_ms", "canary"):
            if column in bounds:
                value = bounds[column] if column == "canary" else bounds[column] or None
                self.change(f"update queue set {column} = ? where no = ?", (value, queue))
        self._queues.pop(queue, None)

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
            "select 1 from item where queue = ? and turn < ? order by turn limit 1",
            (queue, WAITING),
        )
        return found is None

    def _relative(self, lock_dir: str | None) -> str:
        """Return a lock folder as it is stored: relative to the root, which may be moved."""
        folder = lock_dir or shown(self.root, "locks")
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
        self._hold("queue = ?", [(old["no"],)])
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
                "update queue set state = 'paused', reason = ?, resume_at = ? where no = ?",
                (old["reason"], old["resume_at"], new["no"]),
            )
        self.change(
            "update queue set state = 'replaced', ended_at = ? where no = ?", (now, old["no"])
        )

    def _new_queue(self, name: str, options: tuple[object, ...]) -> Any:
        last = self._newest(name)
        self.change(
            "insert into queue (project, name, generation, state, purpose, instructions, verify, "
            "max_attempts, max_deaths, max_releases, lease_ms, lock_dir, results_dir, source, "
            "preflight, scope, commands, may_write, opened_at) "
            "values (?, ?, ?, 'open', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self.project, name, last["generation"] + 1 if last else 1, *options, time.time()),
        )
        queue = self._newest(name)
        self._note(queue["no"], "opened", "")
        return queue

    def _set_state(
        self,
        queue: str,
        allowed: tuple[str, ...],
        state: str,
        reason: str,
        resume_at: float | None,
    ) -> None:
        with self.write():
            self._alone()
            row = self.queue_row(queue)
            limited = state == "paused" and (row["reason"] or "").startswith(LIMITS)
            if row["state"] == state and not limited:
                return
            if row["state"] not in (*allowed, state):
                raise UsageError(f"queue {queue} is {row['state']}", "open it again first")
            self.change(
                "update queue set state = ?, reason = ?, resume_at = ? where no = ?",
                (state, reason, resume_at, row["no"]),
            )
            self._note(row["no"], state, reason)
