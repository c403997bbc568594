"""What is printed where a file, a folder, git or a store is not as it should be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from hypervisor.agents import client
from hypervisor.system import keys
from hypervisor.system.errors import HypervisorError
from mends.queues import Told, after, becomes, conflicting, ended, hands_out, is_fine, prints, said, unmerged
from mends.typed import A, Case, Shop
from worker.branches.support import commit_all, do, done, git, take
from worker.support import write_task


def refused(what: Callable[[], object]) -> str:
    try:
        what()
    except HypervisorError as error:
        return str(error)
    raise AssertionError("nothing was said")


def open_to_all(shop: Shop) -> str:
    shop.opens(A)
    (shop.root / ".hypervisor").chmod(0o755)
    return shop.says("next", "q")


def tracked(shop: Shop) -> str:
    shop.opens(A)
    shop.repository()
    git(shop.root, "add", "-f", ".hypervisor/id")
    git(shop.root, "commit", "-qm", "by mistake")
    return shop.says("open", "q", "tasks")


def strangers(shop: Shop) -> str:
    """The user's own folder knows nothing of the state here."""
    shop.opens(A)
    other = shop.root.parent / "state"
    other.mkdir()
    shop.env["HYPERVISOR_STATE"] = str(other)
    return shop.says("next", "q")


def opens_anew(shop: Shop, told: Told) -> bool:
    shop.env.pop("HYPERVISOR_STATE", None)
    return shop.run("open", "q", "tasks").returncode == 0


def linked(shop: Shop) -> str:
    shop.opens(A)
    (shop.root / ".hypervisor/undo").mkdir(exist_ok=True)
    (shop.root / ".hypervisor/undo/it's").symlink_to("/etc/hostname")
    return shop.says("adopt", "--yes")


def other_state(value: str) -> Callable[[Shop], str]:
    def told(shop: Shop) -> str:
        shutil.rmtree(shop.root / ".hypervisor")
        shop.env["HYPERVISOR_STATE"] = None
        shop.opens(A)
        shop.env["HYPERVISOR_STATE"] = value
        return shop.says("next", "q")

    return told


def other_store(shop: Shop) -> str:
    shop.opens(A)
    shop.env["HYPERVISOR_STORE"] = "postgresql://nobody@localhost:1/nothing"
    return shop.says("next", "q")


def not_executable(shop: Shop) -> str:
    program = shop.root / "it's"
    program.write_text("#!/bin/sh\n")
    return refused(lambda: client.find(str(program), ""))


def read_only(shop: Shop) -> str:
    shop.opens(A)
    (shop.root / f"tasks/{A}.md").chmod(0o444)
    shop.ends("done")
    return shop.says("summary", "q")


def is_written(shop: Shop, told: Told) -> bool:
    shop.run("summary", "q")
    return "status: done" in (shop.root / f"tasks/{A}.md").read_text()


def merged_then_undone(shop: Shop) -> str:
    """What a worker committed on a branch is merged, and the queue undone."""
    unmerged()(shop)
    shop.run("integrate", "q")
    git(shop.root, "reset", "-q", "--hard")
    return shop.says("undo", "q")


def is_gone(shop: Shop, told: Told) -> bool:
    return not (shop.root / "new.py").exists()


def own_file(shop: Shop, *, is_new: bool) -> str:
    """A worker has changed a file, and told so; then its queue is undone."""
    (shop.root / "it's.py").write_text("before")
    write_task(shop.root, A)
    shop.repository()
    shop.opens()
    name = "its new.py" if is_new else "it's.py"
    (shop.root / name).write_text("after")
    claim = shop.takes()
    shop.run("done", claim.token, "--summary", "x", "--files", name)
    return shop.says("undo", "q")


def is_done_by_hand(shop: Shop) -> str:
    shop.opens(A)
    shop.ends("done")
    return shop.says("retry", "q", A)


def target_gone(shop: Shop) -> str:
    unmerged()(shop)
    git(shop.root, "branch", "other")
    return shop.says("integrate", "q", "--into", "other")


def blocked(shop: Shop) -> str:
    ended("blocked")(shop)
    return shop.says("preflight", "tasks")


def foreign_lock(shop: Shop) -> str:
    write_task(shop.root, A)
    (shop.root / ".hypervisor/locks" / keys.key(A)).mkdir()
    return shop.says("preflight", "tasks")


CASES = [
    Case("system/state.py: chmod 700 {}", open_to_all, hands_out),
    Case("system/state.py: git rm -r -q --cached {}", tracked, is_fine),
    Case("system/state.py: mv {} {}", strangers, opens_anew),
    Case("system/state.py: rm {}", linked, lambda s, told: (
        s.run("adopt", "--yes").returncode == 0 and hands_out(s, told))),
    Case("system/state.py: unset {}", other_state("/no where"), hands_out),
    Case("system/notes.py: unset {}", other_state("no path"), hands_out),
    Case("config/store.py: unset {}", other_store, hands_out),
    Case("agents/client.py: chmod +x {}", not_executable, lambda s, told: os.access(
        s.root / "it's", os.X_OK)),
    Case("tasks/guard.py: chmod u+w {}", read_only, is_written),
    Case("worker/what_stays.py: git revert --no-edit{} {}", merged_then_undone, is_gone),
    Case("worker/what_stays.py: git branch -D {}", lambda s: (unmerged()(s), s.says("undo", "q"))[1],
         is_fine),
    Case("worker/retry.py: hypervisor undo {} {}", is_done_by_hand, lambda s, told: (
        s.run("retry", "q", A).returncode == 0)),
    Case("intake/preflight/check.py: hypervisor {} {} {}", blocked, becomes("ready")),
    Case("ledger/lock_view.py: hypervisor unlock {}", foreign_lock, lambda s, told: (
        "1 ready" in s.says("preflight", "tasks"))),
]  # fmt: skip
