"""Batches for the page: the ledger's own verbs, carried out by many workers on a clock that runs
as fast as we like."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from hypervisor.ledger import Claim, Ledger, NewItem, Options

HOSTILE = '</script><img src=x onerror="document.title=1">'
START = 1_790_000_000.0
_SESSION = "5c0ffee0-session"
_VERBS = ("Rename", "Document", "Translate", "Test", "Simplify", "Check", "Describe", "Port")
_THINGS = (
    "the date parser", "the export of rulings", "the loader's retries", "the index builder",
    "the glossary", "the board's shortcuts", "the price table", "the import of addresses",
    "the scorer", "the upload form", "the survey's texts", "the slug cutter",
)  # fmt: skip
_DONE = (
    "Done as asked; the tests of the module pass.",
    "Both call sites use the new name now. The old one stays as an alias for a release.",
    "Rewrote the section and checked each example by running it. Two of them had gone stale, so "
    "they show today's output now.",
    "Three cases were missing: the empty list, a list of one, and a name with a comma in it.",
)
_BLOCKED = (
    ("The archive it reads from is not in this checkout.", "Say where the archive is kept."),
    ("Needs a decision: the two specifications contradict each other.", "Ask the project's owner."),
)
_FAILED = ("AssertionError: 3 rows expected, 2 found", "the service answered 500 three times")


class Clock:
    """The time of day for the ledger: it stands still until somebody sets it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have everything in this process see this clock."""
        with patch("time.time", lambda: self.now):
            yield


def titles(count: int, hostile: bool = True) -> list[str]:
    """Return titles as people write them, the seventh of them hostile."""
    made = [f"{verb} {thing}" for thing, verb in itertools.product(_THINGS, _VERBS)]
    random.Random(5).shuffle(made)
    listed = [
        made[number % len(made)]
        + (f", part {number // len(made) + 1}" if number >= len(made) else "")
        for number in range(count)
    ]
    if hostile and count > 6:
        listed[6] = HOSTILE
    return listed


def work_off(
    root: Path, queue: str, count: int, workers: int, *, hostile: bool = True, pause: bool = True
) -> float:
    """Open `queue` with `count` items and have `workers` agents end them; return the time it ends.

    Most succeed, some are blocked, fail for good or at first, die in a worker's hands or are given
    back; halfway through a rate limit frees all claims and pauses the queue for a while.
    """
    clock, chance = Clock(), random.Random(11)
    names = titles(count, hostile)
    items = [
        NewItem(f"inbox-{number:05x}", f"tasks/inbox/inbox-{number:05x}.md", title=title)
        for number, title in enumerate(names, 0x3A1)
    ]
    with Ledger.open(str(root), create=True) as ledger, clock.running():
        ledger.generations.open(
            queue,
            items,
            Options(
                instructions="Do what the task asks for.\nKeep each commit to one task, and run "
                "the tests of what you touched.",
                verify="make check",
                asked="tasks/inbox --where project=garden",
                preflight='{"skipped": 4, "held": 2, "broken": 1}',
            ),
        )
        ledger.followers.follow(_SESSION, queue)
        batch = _Batch(ledger, queue, clock, chance, workers, pause)
        batch.run()
        batch.settle(root)
        return clock.now


class _Batch:
    """Workers that take turns in the order of their times."""

    def __init__(
        self, ledger: Ledger, queue: str, clock: Clock, chance: random.Random, workers: int,
        pause: bool,
    ) -> None:  # fmt: skip
        self.ledger, self.queue, self.clock, self.chance = ledger, queue, clock, chance
        self.fates: dict[str, str] = {}
        self.used: dict[str, dict[str, tuple[int, int, int, int]]] = {}
        self.turns = [(START + 1.3 * place, place, None) for place in range(workers)]
        self.left = ledger.queues.stats(queue)["ready"]
        self.limit_at = self.left // 2 if pause else -1

    def run(self) -> None:
        """Have every worker claim and end items until none is left."""
        heapq.heapify(self.turns)
        while self.turns:
            at, worker, held = heapq.heappop(self.turns)
            self.clock.now = max(self.clock.now, at)
            if held is not None:
                self._end(worker, *held)
                if self.limit_at >= 0 and self.left <= self.limit_at:
                    self._rate_limit()
                    continue
            self._claim(worker)

    def _claim(self, worker: int) -> None:
        for claim in self.ledger.claims.claim(self.queue, f"worker-{worker + 1}", session=_SESSION):
            self._start(worker, claim)

    def _start(self, worker: int, claim: Claim) -> None:
        agent = f"a{worker:02x}3f{worker * 7919 % 4096:03x}"
        self.ledger.sessions.assign(_SESSION, agent, [claim.token])
        takes = min(400.0, self.chance.lognormvariate(3.6, 0.6))
        heapq.heappush(
            self.turns, (self.clock.now + takes, worker, (claim.token, claim.id, agent, takes))
        )

    def _end(self, worker: int, token: str, item: str, agent: str, took: float) -> None:
        figures = (int(took * 11), int(took * 60), int(took * 900), int(took * 120))
        self.used.setdefault(agent, {})[token] = figures
        fate = self.fates.pop(item, None) or self.chance.choices(
            ("done", "blocked", "failed", "failed once", "died", "released"), (85, 5, 3, 4, 2, 1)
        )[0]  # fmt: skip
        chance = self.chance
        if fate == "done":
            commit = f"{chance.getrandbits(40):010x}"
            files = [f"src/garden/{item}.py", f"docs/{item}.md"][: chance.randint(1, 2)]
            report = {"summary": chance.choice(_DONE), "commit": commit, "files": files}
            self.ledger.ends.finish(token, "done", report | {"verify": "make check"})
        elif fate == "blocked":
            reason, step = chance.choice(_BLOCKED)
            self.ledger.ends.finish(token, "blocked", {"reason": reason, "next_step": step})
        elif fate == "failed":
            self.fates[item] = "failed"
            self.ledger.ends.finish(token, "failed", {"reason": chance.choice(_FAILED)})
        elif fate == "failed once":
            self.fates[item] = "done"
            self.ledger.ends.finish(
                token, "failed", {"reason": "the check failed: make check, exit 2"}
            )
        else:
            self.fates[item] = "done"
            self.ledger.ends.end(token, fate, "API error 529" if fate == "died" else "not my field")
        self.left -= fate in ("done", "blocked")
        if chance.random() < 0.4:
            self._tell("hook")

    def _tell(self, by: str) -> None:
        """Tell the session of what has ended, a little late."""
        (row,) = self.ledger.followers.followed(_SESSION)
        told = self.ledger.followers.told(_SESSION)[row.no].no
        ended = self.ledger.followers.ended_since(row.no, told)
        if ended:
            late = self.chance.uniform(0.2, 3)
            self.clock.now += late
            self.ledger.followers.tell(_SESSION, row.no, told, ended[-1].finish_no, "open", by)
            self.clock.now -= late

    def _rate_limit(self) -> None:
        self.limit_at = -1
        waiting = [worker for _, worker, _ in self.turns]
        for _, _, held in self.turns:
            if held is not None:
                self.ledger.ends.end(held[0], "freed", "rate limit")
        self._tell("hook")
        self.ledger.pauses.pause(self.queue, "rate limit: resets in 40 min")
        self.clock.now += 2400
        self.ledger.pauses.resume(self.queue)
        self.turns = [
            (self.clock.now + place, worker, None) for place, worker in enumerate(waiting)
        ]
        heapq.heapify(self.turns)

    def settle(self, root: Path) -> None:
        """Have the agents end, and note what they used; the last of them ends unheard."""
        agents = list(self.used)
        kept = root / ".hypervisor" / "outputs" / self.queue
        kept.mkdir(parents=True, exist_ok=True)
        for agent in agents:
            self.clock.now += 0.7
            self.ledger.agents.note(agent, _SESSION, transcript="/gone.jsonl", how="completed")
            self.clock.now += 0.4
            if agent != agents[-1]:
                self.ledger.agents.note(agent, _SESSION, noticed_by="notice")
            path = kept / f"agent-{agent}.jsonl"
            path.write_text("{}\n")
            figures = self.used[agent]
            total = tuple(sum(column) for column in zip(*figures.values(), strict=True))
            self.ledger.agents.set_usage(
                agent,
                (total[0] + 900, total[1] + 400, total[2] + 9000, total[3] + 6000),
                figures,
                complete=True,
                kept=str(path.relative_to(root)),
            )
        self._tell("prompt")
