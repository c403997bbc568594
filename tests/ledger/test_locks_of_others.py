"""The ledger and other tools that lock the same items: passed over, never stolen."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger, NewItem, Options, locks
from hypervisor.system.folder import Folder
from hypervisor.system.keys import key
from ledger.support import Child, content, items, let_expire, locks_of, opened

pytestmark = pytest.mark.embedded

FOREIGN = {
    "a folder": lambda path: os.mkdir(path),
    "a file": lambda path: Path(path).touch(),
    "a file named .lock": lambda path: Path(path + ".lock").touch(),
    "a folder named .lock": lambda path: os.mkdir(path + ".lock"),
    "a link of another ledger": lambda path: os.symlink("1-abcd@0123abcd:host:1", path),
    "a dangling link": lambda path: os.symlink("nowhere", path),
}


def _folder(root: str) -> str:
    return os.path.join(root, ".hypervisor", "locks")


@pytest.mark.parametrize("kind", FOREIGN)
def test_an_item_that_another_tool_has_locked_is_passed_over_and_tried_again(
    root: str, ledger: Ledger, kind: str
) -> None:
    ledger.generations.open("q", items(3))
    FOREIGN[kind](os.path.join(_folder(root), "task-00001"))
    before = locks_of(root)
    claims = ledger.claims.claim("q", "w", 3)
    assert [claim.id for claim in claims] == ["task-00000", "task-00002"]
    assert ledger.claims.claim("q", "w", 3) == []
    assert ledger.claims.claim("q", "w", only="task-00001") == []
    assert not ledger.queues.drained("q")
    for claim in claims:
        ledger.ends.finish(claim.token, "done", {})
    ledger.claim_locks.sweep_queue("q")
    assert locks_of(root) == before, "a lock of another tool is never removed"
    standing = os.path.join(_folder(root), before[0])
    if os.path.isdir(standing) and not os.path.islink(standing):
        os.rmdir(standing)
    else:
        os.unlink(standing)
    assert [claim.id for claim in ledger.claims.claim("q", "w", 3)] == ["task-00001"]


def test_while_an_item_is_claimed_another_tool_cannot_lock_it(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", items(1))
    [claim] = ledger.claims.claim("q", "w")
    path = os.path.join(_folder(root), "task-00000")
    with pytest.raises(FileExistsError):
        os.mkdir(path)
    stands = locks.holder(Folder.at(_folder(root)), "task-00000")
    assert stands is not None and stands.kind == "link" and stands.owner is not None
    assert stands.owner.startswith(f"{claim.token}@{ledger.ledger_id}:")
    assert stands.owner.endswith(f":{os.getpid()}") and len(stands.owner) < 60
    ledger.ends.finish(claim.token, "done", {})
    os.mkdir(path)


def test_a_lock_that_somebody_replaced_stays_when_the_claim_ends(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", items(1))
    [claim] = ledger.claims.claim("q", "w")
    path = os.path.join(_folder(root), "task-00000")
    os.unlink(path)
    os.mkdir(path)
    assert ledger.ends.finish(claim.token, "done", {}) == "done"
    assert os.path.isdir(path)


def test_items_locked_by_others_at_the_front_do_not_slow_down_each_claim(
    root: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.generations.open("q", items(2100))
    for item in items(2000):
        os.mkdir(os.path.join(_folder(root), item.id))
    tried: list[int] = []
    take = locks.take

    def counted(*args: str) -> bool:
        tried[-1] += 1
        return take(*args)

    monkeypatch.setattr(locks, "take", counted)
    for _ in range(50):
        tried.append(0)
        assert len(ledger.claims.claim("q", "w")) == 1
    assert tried == [2001] + [1] * 49


def _claim_and_die(root: str, how: str) -> None:
    with opened(root) as ledger:
        if how == "between lock and commit":
            execute = ledger.store.connection.execute

            class Dying:
                in_transaction = True

                def __getattr__(self, name: str) -> object:
                    return getattr(ledger_connection, name)

                def execute(self, sql: str, *args: object) -> object:
                    if sql == "commit":
                        os.kill(os.getpid(), 9)
                    return execute(sql, *args)

            ledger_connection = ledger.store.connection
            ledger.store._write._connection = Dying()  # type: ignore[attr-defined]
        ledger.claims.claim("q", "w", lease_seconds=0.001)
        os.kill(os.getpid(), 9)


@pytest.mark.parametrize("how", ["between lock and commit", "after the commit"])
def test_the_lock_that_a_crash_left_goes_with_the_next_claim(
    root: str, ledger: Ledger, how: str
) -> None:
    ledger.generations.open("q", items(1))
    assert Child(_claim_and_die, root, how).wait() == -9
    assert locks_of(root) == ["task-00000"], "the crash came after the lock was made"
    let_expire(ledger)
    [claim] = ledger.claims.claim("q", "w")
    assert claim.deaths == (how == "after the commit")
    stands = locks.holder(Folder.at(_folder(root)), "task-00000")
    assert stands is not None and (stands.owner or "").startswith(claim.token)


def test_the_lock_of_a_finished_item_goes_when_its_queue_is_found_drained(
    root: str, ledger: Ledger
) -> None:
    ledger.generations.open("q", items(2))
    [claim] = ledger.claims.claim("q", "w")
    target = os.readlink(os.path.join(_folder(root), claim.id))
    ledger.ends.finish(claim.token, "done", {})
    os.symlink(target, os.path.join(_folder(root), claim.id))
    [other] = ledger.claims.claim("q", "w")
    assert ledger.claims.claim("q", "w") == [] and len(locks_of(root)) == 2
    ledger.ends.finish(other.token, "done", {})
    assert ledger.claims.claim("q", "w") == [] and locks_of(root) == []


def test_sweeping_leaves_the_locks_of_live_claims_and_of_others(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", items(2))
    ledger.claims.claim("q", "w")
    for name, owner in {"odd": f"x@{ledger.ledger_id}:h:1", "other": "1-abcd@feedbeef:h:1"}.items():
        os.symlink(owner, os.path.join(_folder(root), name))
    os.mkdir(os.path.join(_folder(root), "folder"))
    assert ledger.claim_locks.sweep_queue("q") == 1
    assert locks_of(root) == ["folder", "other", "task-00000"]


def test_a_claim_that_is_undone_leaves_no_lock(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", items(3))
    os.mkdir(os.path.join(_folder(root), "task-00000"))
    before = content(ledger)
    ledger.store.change(
        "create temp trigger no before insert on claim begin select raise(fail, 'no'); end"
    )
    with pytest.raises(Exception, match="no"):
        ledger.claims.claim("q", "w", 2)
    ledger.store.change("drop trigger temp.no")
    assert content(ledger) == before
    assert locks_of(root) == ["task-00000"]


HOSTILE = [
    "..", ".", "", "/etc/passwd", "../../x", "a/b", "a\0b", "a\nb", "$(touch x)", "`x`", "é" * 99,
    "x" * 300, "-rf", "a b", "%2e", "~",
]  # fmt: skip


def test_hostile_ids_stay_inside_the_lock_folder_and_apart(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem(id) for id in HOSTILE])
    outside = {path for path in Path(root).parent.rglob("*") if ".hypervisor" not in path.parts}
    claims = ledger.claims.claim("q", "w", 99)
    assert sorted(claim.id for claim in claims) == sorted(HOSTILE)
    assert locks_of(root) == sorted(key(id) for id in HOSTILE)
    assert len(locks_of(root)) == len(HOSTILE)
    now = {path for path in Path(root).parent.rglob("*") if ".hypervisor" not in path.parts}
    assert now == outside
    for claim in claims:
        ledger.ends.finish(claim.token, "done", {})
    assert locks_of(root) == []


def test_locks_of_a_batch_folder_outside_the_root_are_used(
    root: str, ledger: Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "batch" / "locks"
    ledger.generations.open("q", items(1), Options(lock_dir=str(folder)))
    [claim] = ledger.claims.claim("q", "w")
    assert os.listdir(folder) == ["task-00000"] and locks_of(root) == []
    ledger.ends.finish(claim.token, "done", {})
    assert os.listdir(folder) == []


def test_an_item_that_one_call_takes_from_the_dead_and_hands_out_is_locked(
    root: str, ledger: Ledger
) -> None:
    ledger.generations.open("q", items(3))
    ledger.claims.claim("q", "dead", 3, lease_seconds=0.001)
    time.sleep(0.002)
    claims = ledger.claims.claim("q", "w", 3)
    assert locks_of(root) == sorted(claim.id for claim in claims) == [item.id for item in items(3)]
    ledger.ends.release(claims[0].token, free=True)
    assert len(locks_of(root)) == 2


def test_each_call_of_a_process_has_a_lock_that_names_its_claim(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", items(3))
    for _ in range(3):
        [claim] = ledger.claims.claim("q", "w")
        owner = os.readlink(os.path.join(_folder(root), claim.id))
        assert owner.startswith(f"{claim.token}@{ledger.ledger_id}:")


def test_one_call_locks_its_items_for_one_owner_each_under_its_own_name(
    root: str, ledger: Ledger
) -> None:
    ledger.generations.open("q", items(3))
    claims = ledger.claims.claim("q", "w", 3)
    [owner] = {os.readlink(os.path.join(_folder(root), name)) for name in locks_of(root)}
    assert owner.startswith(f"{claims[0].token}@{ledger.ledger_id}:")
    ledger.ends.finish(claims[1].token, "done", {})
    assert locks_of(root) == ["task-00000", "task-00002"]


def test_where_a_lock_can_have_no_second_name_each_item_gets_a_link_of_its_own(
    root: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(locks.os, "link", refused)
    ledger.generations.open("q", items(3))
    assert len(ledger.claims.claim("q", "w", 3)) == 3
    assert len(locks_of(root)) == 3


def test_a_process_that_ends_and_claims_in_one_call_locks_each_item_in_turn(
    root: str, ledger: Ledger
) -> None:
    ledger.generations.open("q", items(3))
    [claim] = ledger.claims.claim("q", "w")
    os.utime(os.path.join(_folder(root), claim.id), (1, 1), follow_symlinks=False)
    for _ in range(2):
        [state], [claim] = ledger.claims.finish_and_claim([(claim.token, "done", {})], "q", "w")
        assert state == "done" and locks_of(root) == [claim.id]
        stands = locks.holder(Folder.at(_folder(root)), claim.id)
        assert stands is not None and stands.kind == "link"
        assert locks.maker_of(stands.owner) == ledger.ledger_id
        assert stands.since > 1_000_000, "it shows when this item was claimed"
    assert ledger.claims.finish_and_claim([(claim.token, "done", {})], "q", "w") == (["done"], [])
    assert locks_of(root) == []


@pytest.mark.parametrize("kind", ["a folder", "a file", "a link of another ledger"])
def test_what_took_the_place_of_our_last_lock_is_not_copied(
    root: str, ledger: Ledger, kind: str
) -> None:
    ledger.generations.open("q", items(2))
    [claim] = ledger.claims.claim("q", "w")
    path = os.path.join(_folder(root), claim.id)
    os.unlink(path)
    FOREIGN[kind](path)
    _, [second] = ledger.claims.finish_and_claim([(claim.token, "done", {})], "q", "w")
    stands = locks.holder(Folder.at(_folder(root)), second.id)
    assert stands is not None and locks.maker_of(stands.owner) == ledger.ledger_id
    ledger.ends.finish(second.token, "done", {})
    assert locks_of(root) == [claim.id]
