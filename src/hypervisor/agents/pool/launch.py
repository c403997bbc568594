"""Starting agents: each in a place of its own, told to the reaper, the selector and the ledger."""

from __future__ import annotations

import json
import selectors
import time
from dataclasses import dataclass, field

from hypervisor.agents import retention
from hypervisor.agents.client import Headless, Place, Start, Stream
from hypervisor.agents.limits import Windows
from hypervisor.agents.pool import recovery
from hypervisor.agents.pool.finishing import Finishing
from hypervisor.agents.pool.process import Process
from hypervisor.agents.pool.reaper import Reaper
from hypervisor.config.caller import PoolAgent
from hypervisor.config.settings import load
from hypervisor.ledger import OPEN_STATES, Claim, Ledger
from hypervisor.ledger.options import Queue
from hypervisor.ledger.sessions import POOL
from hypervisor.system.redact import Redactor


@dataclass
class Running:
    """An agent in its slot. `claim` is the item of a command, the one of this `number` in its pool;
    `finishing` ends it, once the process has ended."""

    slot: int
    place: Place
    client: Headless
    claim: Claim | None = None
    finishing: Finishing | None = None
    process: Process = field(init=False)
    number: int = 0
    item: str | None = None
    tool: str = ""
    transcript: str = ""
    windows: Windows = field(default_factory=dict)
    usages: int = 0

    @property
    def agent(self) -> PoolAgent:
        """The agent's name in its pool."""
        return self.place.agent

    @property
    def shown_item(self) -> str | None:
        """How the item in its hands is called, or its id, where that is known."""
        return self.claim.title or self.claim.id if self.claim is not None else self.item

    @property
    def seconds(self) -> float:
        """How long its process has been running."""
        return time.monotonic() - self.process.begun


@dataclass(frozen=True)
class View:
    """Where a queue and its pool stand at a moment."""

    counts: dict[str, int]
    state: str
    reason: str
    resume_at: float | None
    draining: bool
    running: list[Running]

    @property
    def ended(self) -> int:
        """How many items have ended."""
        return self.total - sum(self.counts[state] for state in OPEN_STATES)

    @property
    def total(self) -> int:
        """How many items the queue has."""
        return sum(self.counts.values())


def view_of(ledger: Ledger, queue: str, running: list[Running], *, draining: bool) -> View:
    """Return where `queue` and the agents `running` stand now."""
    row = ledger.queues.get(queue)
    return View(
        counts=ledger.queues.counts(row.no),
        state=row.state,
        reason=row.reason or "",
        resume_at=row.resume_at,
        draining=draining,
        running=running,
    )


class Launch:
    """Starts the agents of the pool `session` on the queue of `row`."""

    def __init__(
        self,
        ledger: Ledger,
        row: Queue,
        session: str,
        selector: selectors.BaseSelector,
        redactor: Redactor,
    ) -> None:
        self._ledger, self._session, self._redactor = ledger, session, redactor
        self._queue, self._number = str(row.name), int(row.no)
        self._commands = tuple(json.loads(row.commands or "[]"))
        self._selector = selector
        self._most = load(ledger.root).limits.log_bytes
        self._folder = recovery.folder_of(session)
        self.reaper: Reaper | None = None

    def prepare(self) -> None:
        """Make the pool's folder."""
        self._folder.mkdir(mode=0o700)

    def name(self, kind: str, number: int) -> str:
        """Return the name of the agent of this kind and number."""
        return f"{kind}-{self._session[len(POOL) :]}-{number}"

    def place(
        self, name: str, items: int | None, tree: str | None = None, model: str | None = None
    ) -> Place:
        """Return a place for the agent `name`: it may claim so many `items`, works in `tree` if it
        has a working tree of its own, and stands on the rung of `model`."""
        folder = self._folder / name
        (folder / "tmp").mkdir(mode=0o700, parents=True, exist_ok=True)
        agent = PoolAgent(self._session, name, items, self._queue, model)
        return Place(self._ledger.root, self._queue, agent, folder, self._commands, tree)

    def begin(self, running: Running, start: Start, stream: Stream, cwd: str) -> None:
        """Start the process of `running` in the folder `cwd`. Raises OSError."""
        name = running.agent.name
        log = retention.names_of(name)[1]
        if running.claim is not None:
            log = retention.output_of(running.claim.id, running.claim.attempt)
        process = Process(
            start,
            stream,
            agent=name,
            cwd=cwd,
            logs=lambda: retention.folder_of(self._ledger.state, self._queue),
            log=log,
            most=self._most,
            redactor=self._redactor,
            apart=running.claim is None,
        )
        assert self.reaper is not None
        self.reaper.started(process.pid)
        running.process = process
        process.watch(self._selector)
        self._ledger.agents.started(
            name, self._session, self._number, process.pid, process.pid_start
        )

    def end(self, running: Running, *, sweep: bool) -> int:
        """End the process of `running` whole and return its exit code."""
        running.process.unwatch(self._selector)
        code = running.process.end(sweep=sweep)
        assert self.reaper is not None
        self.reaper.ended(running.process.pid)
        return code
