"""The ledger against a simple model of it, over random histories with several workers."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from hypervisor.config.store import VARIABLE
from hypervisor.ledger import Ledger, NewItem, Options, clock
from hypervisor.system.errors import NotOwner

IDS = [f"i{number}" for number in range(7)]
QUEUES = ("p", "q")
WORKERS = st.sampled_from(["w1", "w2", "w3"])
LIMIT = 2
LEASE = 100.0


@dataclass
class Item:
    queue: str
    generation: int
    order: int
    state: str = "ready"
    after: set[str] = field(default_factory=set)
    token: str | None = None
    until: float = 0.0
    lapsed: str | None = None
    handout: str | None = None
    used: dict[str, int] = field(
        default_factory=lambda: {"attempts": 0, "deaths": 0, "releases": 0, "lost": 0}
    )
    report: Any = None

    @property
    def is_open(self) -> bool:
        return self.state in ("waiting", "ready", "claimed")


class Model(RuleBasedStateMachine):
    makes_locks = True

    @initialize()
    def start(self) -> None:
        self.root = tempfile.mkdtemp(prefix="hypervisor-model-")
        self.now = 0.0
        self.stop_the_clock()
        self.ledger = Ledger.open(self.root, create=True)
        self.items: list[Item] = []
        self.ids: list[str] = []
        self.tokens: dict[str, int] = {}
        self.ended: dict[str, str] = {}
        self.generation = dict.fromkeys(QUEUES, 0)
        self.queue_state = dict.fromkeys(QUEUES, "none")
        self.order = 0
        self.reports = 0
        self.foreign: set[str] = set()
        # Histories start where it gets interesting: items wait, two are held.
        self._open_queue("q", {id: {"i0"} if id in ("i5", "i6") else set() for id in IDS})
        self.claim("q", "w1", 2)

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.ledger.close()
            self.patch.undo()
            shutil.rmtree(self.root)

    def stop_the_clock(self) -> None:
        """Have the clock of leases say what `now` says."""
        self.patch = pytest.MonkeyPatch()
        begun = clock.monotonic_us()
        self.patch.setattr(clock, "monotonic_us", lambda: begun + round(self.now * 1e6))

    # -- the model --

    def _open(self, item_id: str) -> Item | None:
        found = [item for id, item in zip(self.ids, self.items, strict=True) if id == item_id]
        return next((item for item in found if item.is_open), None)

    def _newest(self, queue: str) -> list[tuple[str, Item]]:
        return [
            (id, item)
            for id, item in zip(self.ids, self.items, strict=True)
            if item.queue == queue and item.generation == self.generation[queue]
        ]

    def _drained(self, queue: str) -> bool:
        return not any(item.state in ("ready", "claimed") for _, item in self._newest(queue))

    def _behind(self) -> int:
        self.order += 1
        return self.order

    def _satisfy(self, item_id: str) -> None:
        for item in self.items:
            if item.state == "waiting" and item_id in item.after:
                item.after.discard(item_id)
                if not item.after:
                    item.state = "ready"

    def _id_of(self, item: Item) -> str:
        return self.ids[next(at for at, other in enumerate(self.items) if other is item)]

    def _end(self, item: Item, state: str) -> None:
        item.state = state
        if state in ("done", "skipped", "cancelled"):
            self._satisfy(self._id_of(item))

    def _give_back(self, item: Item, how: str, column: str | None) -> str:
        assert item.token is not None
        self.ended[item.token] = how
        if column is not None:
            item.used[column] += 1
            if item.used[column] >= LIMIT:
                self._end(item, "failed")
                return "failed"
            item.order = self._behind()
        item.lapsed = item.token if how == "expired" else None
        item.state, item.token = "ready", None
        return "ready"

    def _expire(self, *queues: str) -> None:
        late = [
            item
            for item in self.items
            if item.state == "claimed" and item.until < self.now and item.queue in queues
        ]
        for item in sorted(late, key=lambda item: (item.queue, item.until, self._row(item))):
            self._give_back(item, "expired", "lost")

    def _row(self, item: Item) -> int:
        return next(at for at, other in enumerate(self.items) if other is item)

    def _holder(self, token: str) -> Item | None:
        item = self.items[self.tokens[token]]
        held = item.state == "claimed" and item.token == token and item.until >= self.now
        return item if held else None

    def _speaks(self, token: str) -> Item | None:
        """The item of a token whose worker speaks: it comes back if nothing else has happened."""
        item = self.items[self.tokens[token]]
        if self._holder(token) is None:
            late = item.state == "claimed" and item.token == token
            lapsed = item.state == "ready" and item.lapsed == token
            if not (late or lapsed) or self._id_of(item) in self.foreign:
                return None
            if lapsed:
                item.used["lost"] -= 1
                del self.ended[token]
            item.state, item.token, item.lapsed = "claimed", token, None
            item.until = self.now + LEASE
        return item

    def _renew_beside(self, item: Item) -> None:
        for other in self.items:
            if (
                other.state == "claimed"
                and item.handout is not None
                and other.handout == item.handout
                and other.until - self.now < LEASE * 0.667
            ):
                other.until = self.now + LEASE

    # -- the verbs --

    @rule(
        queue=st.sampled_from(QUEUES),
        picked=st.permutations(IDS),
        count=st.integers(1, 5),
        data=st.data(),
    )
    def open_queue(self, queue: str, picked: list[str], count: int, data: Any) -> None:
        wanted = {
            id: data.draw(st.sets(st.sampled_from(IDS), max_size=2))
            if data.draw(st.booleans())
            else set()
            for id in picked[:count]
        }
        self._open_queue(queue, wanted)

    def _open_queue(self, queue: str, wanted: dict[str, set[str]]) -> None:
        opened = self.ledger.generations.open(
            queue,
            [NewItem(id, after=sorted(after)) for id, after in wanted.items()],
            Options(
                max_attempts=LIMIT,
                max_deaths=LIMIT,
                max_lost=LIMIT,
                max_releases=LIMIT,
                lease_seconds=LEASE,
            ),
        )
        self._expire(*QUEUES)
        before = dict(self._newest(queue))
        open_here = {id for id, item in before.items() if item.is_open}
        taken = {
            id
            for id in wanted
            if (at := self._open(id)) is not None and not (id in before and before[id] is at)
        }
        over = self.queue_state[queue] == "cancelled" or self._drained(queue)
        adds = not open_here.issuperset(wanted.keys() - taken)
        if self.queue_state[queue] == "none" or (over and adds):
            old = self._newest(queue)
            paused = self.queue_state[queue] == "paused"
            self.generation[queue] += 1
            moved = [item for id, item in old if item.is_open and id in wanted]
            for item in moved:
                item.generation += 1
            for item in [item for _, item in old if item.is_open and item not in moved]:
                self._end(item, "cancelled")
            self.queue_state[queue] = "paused" if paused and moved else "open"
        present = dict(self._newest(queue))
        fresh: list[tuple[str, Item]] = []
        elsewhere = []
        for id in wanted:
            if id in taken:
                standing = self._open(id)
                assert standing is not None
                elsewhere.append((id, standing.queue))
                continue
            if id in present:
                continue
            item = Item(queue, self.generation[queue], self._behind())
            fresh.append((id, item))
            self.ids.append(id)
            self.items.append(item)
        here = dict(self._newest(queue))
        for id, item in [(id, here[id]) for id in wanted if id in present] + fresh:
            if item.state in ("ready", "waiting"):
                item.after = {
                    other
                    for other in wanted[id]
                    if other not in here
                    or here[other].state not in ("done", "skipped", "cancelled")
                }
                item.state = "waiting" if item.after else "ready"
        assert opened.generation == self.generation[queue]
        assert opened.added == len(fresh)
        assert opened.elsewhere == elsewhere

    def _claimable(self, queue: str, n: int) -> list[tuple[str, Item]]:
        self._expire(queue)
        if self.queue_state[queue] != "open":
            return []
        ready = [(id, item) for id, item in self._newest(queue) if item.state == "ready"]
        taken: list[tuple[str, Item]] = []
        passed = []
        for id, item in sorted(ready, key=lambda pair: pair[1].order):
            if id in self.foreign:
                passed.append(item)
                continue
            taken.append((id, item))
            if len(taken) == n:
                break
        for item in passed:
            item.order = self._behind()
        return taken

    def _check_claims(self, claims: list[Any], expected: list[tuple[str, Item]]) -> None:
        assert [claim.id for claim in claims] == [id for id, _ in expected]
        for claim, (_, item) in zip(claims, expected, strict=True):
            assert all(
                int(claim.token.split("-")[0]) > int(old.split("-")[0]) for old in self.tokens
            )
            assert claim.attempt == item.used["attempts"] + 1
            item.state, item.token, item.until = "claimed", claim.token, self.now + LEASE
            item.lapsed, item.handout = None, claims[0].token if len(claims) > 1 else None
            self.tokens[claim.token] = self._row(item)

    @rule(worker=WORKERS, n=st.integers(1, 2))
    def claim_from_q(self, worker: str, n: int) -> None:
        self.claim("q", worker, n)

    @rule(queue=st.sampled_from(QUEUES), worker=WORKERS, n=st.integers(1, 3))
    def claim(self, queue: str, worker: str, n: int) -> None:
        if self.queue_state[queue] != "none":
            claims = self.ledger.claims.claim(queue, worker, n)
            self._check_claims(claims, self._claimable(queue, n))

    def _finish(self, token: str, outcome: str) -> str | None:
        item = self._holder(token)
        if item is None and self.ended.get(token) == outcome:
            return self.items[self.tokens[token]].state
        item = item or self._speaks(token)
        if item is None:
            return None
        self.ended[token] = outcome
        if outcome == "failed" and item.used["attempts"] + 1 < LIMIT:
            item.used["attempts"] += 1
            item.order = self._behind()
            item.state, item.token = "ready", None
            self._renew_beside(item)
            return "ready"
        if outcome == "failed":
            item.used["attempts"] += 1
        item.report = self.reports
        self._end(item, outcome)
        self._renew_beside(item)
        return outcome

    def _token(self, data: Any) -> str:
        """A token, mostly one of a live claim."""
        live = sorted(item.token for item in self.items if item.state == "claimed" and item.token)
        if live and data.draw(st.integers(0, 3)):
            return str(data.draw(st.sampled_from(live)))
        return str(data.draw(st.sampled_from(sorted(self.tokens))))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), outcome=st.sampled_from(["done", "failed", "blocked", "skipped"]))
    def finish(self, data: Any, outcome: str) -> None:
        token = self._token(data)
        self.reports += 1
        told = self.ledger.ends.finish_many([(token, outcome, {"n": self.reports})])
        assert told == [self._finish(token, outcome)]

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), queue=st.sampled_from(QUEUES), worker=WORKERS)
    def finish_and_claim(self, data: Any, queue: str, worker: str) -> None:
        if self.queue_state[queue] == "none":
            return
        token = self._token(data)
        self.reports += 1
        end = (token, "done", {"n": self.reports})
        states, claims = self.ledger.claims.finish_and_claim([end], queue, worker)
        expected = self._finish(token, "done")
        assert states == [expected]
        self._check_claims(claims, self._claimable(queue, 1) if expected else [])

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), how=st.sampled_from(["freed", "released", "died", "unreported"]))
    def give_back(self, data: Any, how: str) -> None:
        token = self._token(data)
        item = self._holder(token)
        column = {"released": "releases", "died": "deaths", "unreported": "attempts"}.get(how)
        if item is None:
            with pytest.raises(NotOwner):
                self.ledger.ends.end(token, how)
        else:
            assert self.ledger.ends.end(token, how) == self._give_back(item, how, column)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def heartbeat(self, data: Any) -> None:
        tokens = data.draw(st.lists(st.sampled_from(sorted(self.tokens)), unique=True))
        held = []
        for token in tokens:
            if item := self._speaks(token):
                held.append(token)
                self._renew_beside(item)
                item.until = self.now + LEASE
        assert self.ledger.claims.heartbeat([*tokens, "1-zzzz"]) == held

    @rule(seconds=st.sampled_from([1.0, LEASE / 2, LEASE + 1]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        self.ledger.ends.expire()
        self._expire(*QUEUES)

    @rule(queue=st.sampled_from(QUEUES), pause=st.booleans())
    def pause_or_resume(self, queue: str, pause: bool) -> None:
        if self.queue_state[queue] in ("open", "paused"):
            (self.ledger.pauses.pause if pause else self.ledger.pauses.resume)(queue)
            self.queue_state[queue] = "paused" if pause else "open"

    @rule(queue=st.sampled_from(QUEUES))
    def cancel(self, queue: str) -> None:
        if self.queue_state[queue] in ("open", "paused"):
            self.ledger.generations.cancel(queue)
            ended = [item for _, item in self._newest(queue) if item.is_open]
            for item in ended:
                if item.state == "claimed" and item.token:
                    self.ended[item.token] = "cancelled"
                item.state = "cancelled"
            for item in ended:
                self._satisfy(self._id_of(item))
            self.queue_state[queue] = "cancelled"

    @rule(id=st.sampled_from(IDS))
    def another_tool_locks_or_unlocks(self, id: str) -> None:
        path = os.path.join(self.root, ".hypervisor", "locks", id)
        if id in self.foreign:
            os.rmdir(path)
            self.foreign.discard(id)
            return
        try:
            os.mkdir(path)
        except FileExistsError:
            assert self.makes_locks and any(item.state == "claimed" for item in self.items)
        else:
            self.foreign.add(id)

    @rule()
    def the_process_ends_and_another_starts(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.root)

    # -- what always holds --

    @invariant()
    def both_tell_the_same(self) -> None:
        for queue in QUEUES:
            if self.queue_state[queue] == "none":
                continue
            told = {row.id: row for row in self.ledger.queries.results(queue)}
            expected = dict(self._newest(queue))
            assert {id: row.state for id, row in told.items()} == {
                id: item.state for id, item in expected.items()
            }
            assert sum(self.ledger.queues.stats(queue).values()) == len(expected)
            assert self.ledger.queues.drained(queue) == self._drained(queue)
            for id, item in expected.items():
                assert {name: getattr(told[id], name) for name in item.used} == item.used
                if item.state in ("done", "blocked", "skipped"):
                    assert told[id].report == {"n": item.report}
                if item.state == "claimed":
                    assert told[id].token == item.token

    @invariant()
    def no_item_is_open_twice_and_locks_match_the_claims(self) -> None:
        live = self.ledger.claims.live_tokens()
        assert sorted(live) == sorted(
            item.token for item in self.items if item.state == "claimed" and item.token
        )
        standing = set(os.listdir(os.path.join(self.root, ".hypervisor", "locks")))
        assert standing == (set(live.values()) if self.makes_locks else set()) | self.foreign
        assert len(set(live.values())) == len(live)
        assert self.ledger.items.all_open() == {
            id: item.queue for id, item in zip(self.ids, self.items, strict=True) if item.is_open
        }


class OnPostgres(Model):
    """The same histories in the shared store, each a project of one database."""

    makes_locks = False

    def stop_the_clock(self) -> None:
        from hypervisor.ledger import dialect

        self.patch = pytest.MonkeyPatch()
        begun = time.time_ns() // 1000
        # Nobody else writes, so that all that has ended is to be seen at once.
        self.patch.setattr(dialect, "clock", lambda: f"({begun} + {round(self.now * 1e6)})::bigint")
        self.patch.setenv(VARIABLE, ADDRESS[0])


ADDRESS: list[str] = []


@pytest.fixture(scope="class")
def database(postgres: Any) -> Iterator[None]:
    name = postgres.database()
    ADDRESS[:] = [postgres.address(name)]
    yield
    postgres.drop(name)


_SETTINGS = settings(
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestTheLedgerAgainstItsModel(Model.TestCase):  # type: ignore[misc]
    settings = _SETTINGS


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("database")
class TestTheSharedLedgerAgainstItsModel(OnPostgres.TestCase):  # type: ignore[misc]
    settings = settings(_SETTINGS, max_examples=settings.default.max_examples // 8)
