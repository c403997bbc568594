"""The pool: keeps so many agents at work on a queue until nothing is left for them."""

from __future__ import annotations

import os
import selectors
import shutil
import time
from collections.abc import Callable, Sequence
from itertools import islice

from hypervisor import worker
from hypervisor.agents import reconcile, use
from hypervisor.agents.client import End, Headless, Start, Stream, Unfit
from hypervisor.agents.notify import Messenger
from hypervisor.agents.pool import endings, recovery
from hypervisor.agents.pool.breaker import Breaker
from hypervisor.agents.pool.finishing import Finishing
from hypervisor.agents.pool.launch import Launch, Running, View, view_of
from hypervisor.agents.pool.reaper import Reaper
from hypervisor.agents.pool.requests import Requests
from hypervisor.config import caller
from hypervisor.config.settings import load
from hypervisor.ledger import Claim, Ledger, budget, ladder
from hypervisor.ledger.options import Queue
from hypervisor.ledger.outcomes import OUTCOME, WORKED
from hypervisor.ledger.sessions import POOL, overspent
from hypervisor.system.errors import HypervisorError, mend_of
from hypervisor.system.lazy import all_modules
from hypervisor.system.redact import Redactor
from hypervisor.system.spans import span
from hypervisor.system.text import one_line
from hypervisor.worker.answers import LARGEST_OUTPUT
from hypervisor.worker.branches import claim_tree, worktrees
from hypervisor.worker.presence import missing
from hypervisor.worker.setup import lacking

TICK = 0.1
_TEND_SECONDS = 1.0
_SHOW_SECONDS = 0.25
_MODULES = 50
_LAG = 0.5  # a transcript may lag behind the end of its agent


class Pool:
    """`workers` agents of `client` at a time on `queue`. `run` returns when it is over."""

    def __init__(
        self,
        ledger: Ledger,
        queue: str,
        client: Headless,
        *,
        workers: int,
        items_each: int | None,
        seconds: float,
        force: bool = False,
        branch: bool = False,
        rungs: Sequence[Headless] = (),
        model: str | None = None,
        halt: int | None = None,
        printed: Callable[[Claim], None] | None = None,
        show: Callable[[View], None] = lambda view: None,
        session: str | None = None,
        stays: bool = False,
    ) -> None:
        """`items_each` is how many items an agent may claim before the next one takes over (None:
        any number), `seconds` how long it may run; `force` accepts open boxes of commands;
        with `branch` each item has a branch, and each command or agent a working tree. Of a queue
        with a ladder, `rungs` are the clients of all of its rungs, or `model` is the one on which
        all agents stand. `halt` is after how many failures of commands nothing more is started;
        `printed` is called with the claim of each command that has ended, in the order in which
        they were started. `session` is the pool's name, where it has one already. One that `stays`
        waits for what others hold: it may come back, and nobody may be there to start another."""
        self.ledger, self.queue, self.client = ledger, queue, client
        self.session = session or f"{POOL}{os.urandom(4).hex()}"
        self.cause = ""
        # Which of the items that are tried first is not done, and why.
        self.not_done = ""
        self._trying: int | None = None
        # What is told beside, in order.
        self.notes: dict[str, None] = {}
        self._workers, self._items_each, self._seconds = workers, items_each, seconds
        self._force, self._branch, self._show = force, branch, show
        self._halt, self._printed = halt, printed
        self.failures = 0
        # The claims of commands that have ended before one that was started earlier.
        self._ended: dict[int, Claim] = {}
        self._told = 0
        self._row = ledger.queues.get(queue)
        self._rungs = list(rungs)
        # The names of the rungs that agents stand on, None where there is no ladder.
        ladder_of = self._row.ladder
        self._names: list[str | None] = [model]
        if self._rungs and ladder_of:
            self._names = [one.word for one in ladder.rungs(ladder_of)]
        self._highest = ladder.place(ladder_of, model) if ladder_of and not self._rungs else None
        self._redactor = Redactor()
        self._selector = selectors.DefaultSelector()
        self._launch = Launch(ledger, self._row, self.session, self._selector, self._redactor)
        self._breaker = Breaker()
        self._requests = Requests()
        self._messenger = Messenger(ledger, queue)
        self._running: dict[int, Running] = {}
        self._started = 0
        self._next_start = self._tended = self._shown = 0.0
        # How many items were ready, and in hand, when what is ready was not for these agents.
        self._idle: tuple[int, int] | None = None
        self._stays = stays
        # Whether any process was started, and anything was handed out.
        self.begun = self.had_items = False
        limits = load(ledger.root).limits
        self._share = limits.window
        # What holds where nobody says is for workers without a bound of their own.
        usual = max(limits.item_minutes * 60_000, self._row.lease_ms)
        self._since: dict[str, float] = {}
        self._modules = all_modules(but="hypervisor.agents.mcp")
        self._item_ms = self._row.item_ms if (self._row.item_ms or usual) < usual else None

    def run(self) -> str:
        """Work until nothing is left, and return why it ended: drained, idle (what is left is not
        for these agents), paused, stopped, refused (`cause` says why), not done (of what is tried
        first; `not_done` says what).

        Raises HypervisorError where the ledger can't be used; agents are ended in any case.
        """
        own = os.getpid()
        self.ledger.sessions.meet(
            self.session, pid=own, pid_start=caller.started(own), headless=True
        )
        recovery.clean_up(self.ledger)
        self._launch.prepare()
        # Where nothing can be written, what would be handed out could not be given back.
        self.cause = lacking(self.ledger)
        try:
            with (
                Reaper(self.session, str(recovery.folder_of(self.session))) as reaper,
                self._requests,
            ):
                self._launch.reaper = reaper
                try:
                    self._work()
                finally:
                    self._stop_all()
                    self.client.clear_away(self.ledger.root)
        finally:
            self._selector.close()
            recovery.forget(self.ledger.state, self.session)
        reconcile.settle(self.ledger)
        self._show(self._view())
        why = self._why_over()
        if why != "stopped":
            self._messenger.finish(idle=why in ("idle", "refused"))
        return why

    def _work(self) -> None:
        while True:
            self._obey()
            if self._requests.stop:
                return
            self._start_more()
            if not self._running and self._is_over():
                return
            self._wait()
            now = time.monotonic()
            if now - self._tended >= _TEND_SECONDS:
                self._tended = now
                self._tend()
            if now - self._shown >= _SHOW_SECONDS:
                self._shown = now
                self._show(self._view())

    # -- when to go on --

    def _obey(self) -> None:
        if self._requests.drain:
            self.ledger.state.folder.write(worker.drain_mark(self.session), b"")

    def _is_over(self) -> bool:
        if self._requests.drain or self._gives_up():
            return True
        row = self.ledger.queues.get(self.queue)
        if row.state == "paused":
            return row.resume_at is None
        return row.state != "open" or not (self._awaits() or self.ledger.queues.ready(row.no, 1))

    def _gives_up(self) -> bool:
        idle = self._idle is not None and not self._awaits()
        return bool(self.cause or idle or self.not_done or self._halted())

    def _awaits(self) -> bool:
        """True if an item may come back from others, or has, and the pool is to be there then."""
        standing = self._standing()
        return self._stays and (standing[1] > 0 or self._idle not in (None, standing))

    def _standing(self) -> tuple[int, int]:
        counts = self.ledger.queues.counts(self._row.no)
        return counts["ready"], counts["claimed"]

    def _be_idle(self) -> None:
        """What is ready is not for these agents, unless some are at work still."""
        self._idle = None if self._running else self._standing()

    def _why_over(self) -> str:
        if self.cause:
            return "refused"
        if self.not_done:
            return "not done"
        if self._requests.stop or self._requests.drain:
            return "stopped"
        if self._halted():
            return "halted"
        row = self.ledger.queues.get(self.queue)
        if row.state != "open":
            return str(row.state)
        return "drained" if self.ledger.queues.drained(self.queue) else "idle"

    def _start_more(self) -> None:
        free = [slot for slot in range(1, self._workers + 1) if slot not in self._running]
        if not free or self._requests.drain or self._idle is not None or self._gives_up():
            return
        if time.monotonic() < self._next_start:
            return
        self.ledger.pauses.reopen()
        row = self.ledger.queues.get(self.queue)
        if row.state != "open":
            return
        self._trying = self._untried(row)
        if self._trying is not None:
            free = free[: max(0, self._trying - len(self._running))]
            if not free:
                return
        if self._running and worker.goes_alone(self.ledger, self.queue, self.session):
            self._next_start = time.monotonic() + _TEND_SECONDS
            return
        if self.client.one_item_each:
            for slot in free:
                if not self._start_command(slot):
                    return
        else:
            holding = {held.agent for held in self.ledger.sessions.held_by(self.session)}
            looking = [one for one in self._running.values() if one.agent.name not in holding]
            rung = self._wanted(row, [one.place.agent.model for one in looking])
            if rung is not None:
                self._start_if_free(row.no, len(looking), free[0], rung)
            elif not self._running and self._row.ladder:
                # What is ready waits for a rung on which nobody stands here.
                self._be_idle()

    def _wanted(self, row: Queue, looking: list[str | None]) -> int | None:
        """Return on which rung the next agent is to stand: the highest that has more items ready
        than agents `looking` for one, by their rungs; None where there is none. Without a ladder
        all is one rung."""
        if row.ladder is None:
            ready = self.ledger.queues.ready(row.no, self._workers + 1)
            return 0 if ready > len(looking) else None
        counts = ladder.ready(self.ledger, row)
        if self._highest is not None:
            return 0 if sum(counts[: self._highest + 1]) > len(looking) else None
        short = [at for at, name in enumerate(self._names) if counts[at] > looking.count(name)]
        return short[-1] if short else None

    def _untried(self, row: Queue) -> int | None:
        """Return how many items of the queue (its row) may be tried at once before the rest is, by
        what it was opened with; None: the rest may be started."""
        left = (row.canary or 0) - self.ledger.queues.counts(row.no)["done"]
        if left <= 0:
            return None
        tried = self.ledger.queries.not_done(row.no, 1)
        if tried and not self._running:
            self.not_done = f"{one_line(tried[0].id, 60)}: {one_line(tried[0].why, 200)}"
        return 0 if tried else left

    def _start_if_free(self, queue: int, looking: int, slot: int, rung: int) -> None:
        """Start an agent, unless what is ready waits for files that others are working on: it
        would find nothing, and cost what its start costs."""
        if missing(self.ledger, self.queue)[1]:
            self._be_idle()
            return
        waiting = self.ledger.claims.waiting_for_files(queue)
        if waiting and self.ledger.queues.counts(queue)["ready"] - waiting <= looking:
            self._next_start = time.monotonic() + _TEND_SECONDS
        else:
            self._start_agent(slot, rung)

    # -- starting --

    def _start_agent(self, slot: int, rung: int) -> None:
        self._started += 1
        client = self._rungs[rung] if self._rungs else self.client
        name = self._launch.name(client.name, self._started)
        try:
            tree = worktrees.lend(self.ledger.root, name) if self._branch else None
        except HypervisorError as error:
            self.cause = str(error)
            return
        items = self._items_each if self._trying is None else 1
        place = self._launch.place(name, items, tree, self._names[rung])
        try:
            self._begin(Running(slot, place, client), client.start(place), client.stream(place))
        except OSError as error:
            self.cause = f"{client.name} can't be started: {error.strerror or error}"
        self._next_start = time.monotonic() + client.start_gap

    def _start_command(self, slot: int) -> bool:
        """Claim an item and start its process; False if there is nothing to claim."""
        place = self._launch.place(self._launch.name(self.client.name, slot), 0)
        asking = caller.PoolAgent(self.session, place.agent.name, model=self._names[0])
        try:
            claims = worker.take(
                self.ledger, self.queue, asking.name, agent=asking, branch=self._branch
            )
        except HypervisorError as error:
            if not self._branch:
                raise
            self.cause = str(error)
            return False
        if not claims:
            # What is ready can't be had; `why_nothing` tells why.
            self._be_idle()
            return False
        self.had_items = True
        running = Running(slot, place, self.client, claim=claims[0])
        try:
            start = self.client.start(place, claims[0])
        except Unfit as unfit:
            endings.blocked(self.ledger, claims[0], str(unfit))
            self._count(claims[0])
            return True
        stream = self.client.stream(place)
        if claims[0].answer is not None or claims[0].payload is not None:
            # What comes of a row is wanted whole, with a schema or without.
            stream.output, stream.most_output = bytearray(), LARGEST_OUTPUT
        running.number = self._started
        self._started += 1
        try:
            self._begin(running, start, stream)
        except OSError as error:
            worker.give_back(self.ledger, [claims[0].token])
            self.cause = f"{start.words[0]} can't be started: {error.strerror or error}"
            return False
        return True

    def _begin(self, running: Running, start: Start, stream: Stream) -> None:
        self.begun = True
        tree = running.claim.worktree if running.claim else running.place.tree
        self._launch.begin(running, start, stream, tree or self.ledger.root)
        self._running[running.slot] = running

    # -- watching --

    def _wait(self) -> None:
        """Take in output until a tick has passed or an agent has ended, and deal with the ends."""
        for key, _ in self._selector.select(TICK):
            process, name = key.data
            if name:
                process.read(name, self._selector)
        for running in list(self._running.values()):
            if running.finishing is not None:
                if running.finishing.has_ended():
                    self._finished(running, running.finishing)
                continue
            self._mind_windows(running)
            if self._mind_use(running):
                return
            if running.process.has_ended():
                self._has_ended(running, None)
            elif time.monotonic() - running.process.begun > self._seconds:
                running.process.terminate()
                why = f"it ran longer than {span(self._seconds)}"
                self._has_ended(running, End("overtime", why))
            elif (over := running.process.stream.over()) is not None:
                running.process.terminate()
                self._has_ended(running, over)

    def _mind_windows(self, running: Running) -> None:
        """Hand out nothing more where too much of a usage window is used."""
        windows = running.process.stream.windows
        if windows != running.windows:
            running.windows = windows
            reconcile.near_limit(self.ledger, self.queue, windows, self._share)

    def _mind_use(self, running: Running) -> bool:
        """End an agent that has used more for an item than that may cost, and all once the queue's
        budget is used up; True if any was ended. What is used is looked at as often as the client
        tells that it is."""
        usages = running.process.stream.usages
        row = self.ledger.queues.get(self.queue) if usages != running.usages else self._row
        running.usages = usages
        limits = (row.budget_usd, row.budget_tokens, row.item_usd, row.item_tokens)
        if row is self._row or limits == (None,) * 4:
            return False
        name = running.agent.name
        self._note(running)
        use.note(self.ledger, name, quick=False)
        why = budget.stop(self.ledger, self.queue, spending=True)
        if why is not None:
            for one in self._running.values():
                one.process.terminate()
            for one in list(self._running.values()):
                self._has_ended(one, End("stopped", why))
            return True
        return self._end_over(
            running, [overspent(held) for held in self.ledger.sessions.held_by(self.session, name)]
        )

    def _end_over(self, running: Running, causes: list[str | None]) -> bool:
        """End an agent if there is a cause to, which costs its item an attempt."""
        cause = next(filter(None, causes), None)
        if cause is not None:
            running.process.terminate()
            self._has_ended(running, End("over", cause))
        return cause is not None

    def _tend(self) -> None:
        """Renew leases, note what the agents are at, write what is pending. Raises Foreign where
        the project is not there any more."""
        self.ledger.state.refuse_gone()
        held = self.ledger.sessions.held_by(self.session)
        now = self.ledger.store.engine.lease_clock()
        late = [row.token for row in held if row.lease_until - now < row.lease_ms * 1000 * 2 / 3]
        items = {row.agent: row.id for row in held}
        for running in self._running.values():
            if running.agent.name not in items:
                late += self.ledger.sessions.lapsed(self.session, running.agent.name)
        if late:
            self.ledger.claims.heartbeat(late)
        for running in self._running.values():
            running.item = items.get(running.agent.name)
            self._note(running)
        if self._item_ms is not None:
            most = f"it took longer than the {span(self._item_ms / 1000)} that an item may take"
            # By no wall clock, which may be set.
            begun = time.monotonic()
            self._since = {row.token: self._since.get(row.token, begun) for row in held}
            since = begun - self._item_ms / 1000
            late_ones = {row.agent for row in held if self._since[row.token] < since}
            for running in list(self._running.values()):
                if running.finishing is None and running.agent.name in late_ones:
                    self._end_over(running, [most])
        reconcile.settle(self.ledger)
        # A few at a time: most pools end before they need them.
        for _ in islice(self._modules, _MODULES):
            pass
        if self._stays and self._idle not in (None, self._standing()):
            self._idle = None
        self._messenger.tend()

    def _note(self, running: Running) -> None:
        stream = running.process.stream
        if stream.tool != running.tool:
            running.tool = stream.tool
            self.ledger.agents.saw_tool(running.agent.name, stream.tool)
        if not running.transcript:
            found = running.client.transcript(running.place, stream)
            if found:
                running.transcript = found
                self.ledger.agents.writes(running.agent.name, found, running.client.unseen)

    def _view(self) -> View:
        running = [self._running[slot] for slot in sorted(self._running)]
        return view_of(self.ledger, self.queue, running, draining=self._requests.drain)

    # -- ending --

    def _has_ended(self, running: Running, end: End | None) -> None:
        """The process has ended (`end` is None), or is ended now."""
        del self._running[running.slot]
        code = self._launch.end(running, sweep=end is not None or running.claim is None)
        end = end or running.process.stream.end(code)
        if running.claim is None:
            self._agent_ended(running, end)
            shutil.rmtree(running.place.folder, ignore_errors=True)
            self._take_back(running)
        else:
            self._finish(running, running.claim, end)

    def _agent_ended(self, running: Running, end: End) -> None:
        name = running.agent.name
        self._note(running)
        lacks = endings.agent_ended(self.ledger, self.queue, self.session, name, end)
        self.cause = self.cause or lacks
        how = f"{end.how}: {one_line(end.cause, 200)}" if end.cause else end.how
        self._note_end(running, how)
        lag = 0 if end.how in ("stopped", "overtime") else _LAG
        bill = running.process.stream.bill
        use.collect(self.ledger, name, wait=lag, clean=self._redactor.lines(), bill=bill)
        claims = self.ledger.agents.claims_of(name)
        self.had_items |= bool(claims)
        fruitful = any(outcome in WORKED for _, _, outcome in claims)
        if end.how == "finished" and not claims:
            # It asked and got nothing: what is ready is not for it, unless nothing is handed out.
            row = self.ledger.queues.get(self.queue)
            if row.state != "paused" and self._is_stuck(running):
                self._be_idle()
        self._consider(end, bool(claims), fruitful)

    def _is_stuck(self, running: Running) -> bool:
        """True if an agent that got nothing was one for which something is ready: on a ladder that
        may have gone to another of its rung, and what is left waits on another rung."""
        rung = self._wanted(self._row, [])
        return not self._row.ladder or (
            rung is not None and self._names[rung] == running.place.agent.model
        )

    def _consider(self, end: End, had_items: bool, fruitful: bool) -> None:
        if self._breaker.gives_up(end, had_items=had_items, fruitful=fruitful):
            self.cause = f"{self.client.name}: {end.cause}"

    def _finish(self, running: Running, claim: Claim, end: End) -> None:
        """Have the item of a command ended beside the loop; its slot stays taken meanwhile."""
        try:
            finishing = Finishing(self.ledger.root, running.agent, claim, end, force=self._force)
        except OSError as error:
            worker.give_back(self.ledger, [claim.token])
            self.cause = f"{claim.id} can't be ended: {error.strerror or error}; {mend_of(error)}"
            return
        finishing.watch(self._selector)
        running.finishing = finishing
        self._running[running.slot] = running

    def _finished(self, running: Running, finishing: Finishing) -> None:
        lacks, end = finishing.result(self._selector), finishing.end
        del self._running[running.slot]
        self.cause = self.cause or lacks
        # A command that fails speaks against its item, one that can't be run against itself.
        self._consider(end, False, fruitful=end.how != "refused")
        self._note_end(running, end.how)
        assert running.claim is not None
        self._count(running.claim)
        self._tell_printed(running.number, running.claim)

    def _count(self, claim: Claim) -> None:
        """Count an end that speaks against its item."""
        ended = OUTCOME.get(self.ledger.ends.said(claim.token) or "")
        self.failures += ended is not None and (ended.odd or ended.costs in ("attempts", "deaths"))

    def _halted(self) -> bool:
        return self._halt is not None and self.failures >= self._halt

    def _tell_printed(self, number: int, claim: Claim) -> None:
        if self._printed is None:
            return
        self._ended[number] = claim
        while self._told in self._ended:
            self._printed(self._ended.pop(self._told))
            self._told += 1

    def _stop_all(self) -> None:
        """End every agent; what they hold is free at no cost."""
        for running in self._running.values():
            if running.finishing is not None:
                running.finishing.ask_to_stop()
            else:
                running.process.terminate()
        for running in self._running.values():
            if running.finishing is not None:
                running.finishing.stop()
            else:
                self._launch.end(running, sweep=True)
        for running in self._running.values():
            name = running.agent.name
            self._note(running)
            end = End("stopped", "the pool was stopped")
            endings.agent_ended(self.ledger, self.queue, self.session, name, end)
            self._note_end(running, "stopped")
            use.collect(self.ledger, name, clean=self._redactor.lines())
            self._take_back(running)
        self._running.clear()

    def _note_end(self, running: Running, how: str) -> None:
        if why := running.process.unlogged:
            self.notes[f"the log of {running.agent.name} could not be written: {why}"] = None
        self.ledger.agents.note(running.agent.name, self.session, how=how)

    def _take_back(self, running: Running) -> None:
        if running.place.tree is not None:
            claim_tree.take_back(self.ledger, running.agent.name)
