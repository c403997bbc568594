"""What is printed where a file, a folder, git or a store is not as it should be."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable

from hypervisor.agents import client
from hypervisor.config.caller import PoolAgent
from hypervisor.ledger import Claim, Ledger
from hypervisor.system import keys
from hypervisor.worker.commits.whose import NotTold
from hypervisor.worker.handout import same_queue
from mends.queues import (
    Told,
    becomes,
    conflicting,
    ended,
    hands_out,
    is_fine,
    on_branches,
    prints,
    unmerged,
)
from mends.typed import A, Case, Shop, refused
from mends.verbs import adopts, strangers
from worker.branches.support import commit_all, git, take
from worker.support import write_task


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


def opens_anew(shop: Shop, told: Told) -> bool:
    shop.env.pop("HYPERVISOR_STATE", None)
    return shop.run("open", "q", "tasks").returncode == 0


def linked(shop: Shop) -> str:
    shop.opens(A)
    (shop.root / ".hypervisor/undo").mkdir(exist_ok=True)
    (shop.root / ".hypervisor/undo/it's").symlink_to("/etc/hostname")
    return shop.says("adopt", "--yes")


def no_plain_file(shop: Shop) -> str:
    """Where the state's id should be, is something else."""
    shop.opens(A)
    (shop.root / ".hypervisor/id").unlink()
    (shop.root / ".hypervisor/id").mkdir()
    return shop.says("next", "q")


def other_state(value: str) -> Callable[[Shop], str]:
    def told(shop: Shop) -> str:
        shutil.rmtree(shop.root / ".hypervisor")
        shop.env["HYPERVISOR_STATE"] = None
        shop.opens(A)
        shop.env["HYPERVISOR_STATE"] = value
        return shop.says("next", "q")

    return told


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


def git_is_locked(shop: Shop) -> str:
    write_task(shop.root, A)
    shop.repository()
    shop.opens()
    (shop.root / ".git/index.lock").touch()
    claim = shop.takes()
    (shop.root / "new.py").write_text("x")
    return shop.says("commit", claim.token, "-m", "x", "--", "new.py")


def conflicts(shop: Shop) -> None:
    """A branch is set aside."""
    on_branches(shop)
    (shop.root / "new.py").write_text("other")
    commit_all(shop.root)
    shop.run("integrate", "q")


def unpushed(shop: Shop) -> str:
    """Here are commits that the remote does not have."""
    unmerged()(shop)
    git(shop.root, "init", "--quiet", "--bare", "-b", "main", "../hub.git")
    git(shop.root, "remote", "add", "origin", "../hub.git")
    git(shop.root, "push", "--quiet", "origin", "main")
    git(shop.root, "config", "hypervisor.remote", "origin")
    (shop.root / "more.py").write_text("x")
    commit_all(shop.root)
    return shop.says("integrate", "q")


def on_tree(shop: Shop) -> Claim:
    write_task(shop.root, "t1")
    shop.repository()
    shop.opens()
    claim: Claim = take(shop.root)
    return claim


def tree_gone(shop: Shop) -> str:
    claim = on_tree(shop)
    shutil.rmtree(claim.worktree or "")
    return shop.says("done", claim.token, "--summary", "x")


def tree_forgotten(shop: Shop) -> str:
    claim = on_tree(shop)
    with Ledger.open(str(shop.root)) as ledger, ledger.store.write():
        ledger.store.change("update claim set worktree = null", ())
    return shop.says("done", claim.token, "--summary", "x")


def refused_for_good(shop: Shop) -> str:
    shop.opens(A, extra=("--max-refusals", "1", "--verify", "false"))
    claim = shop.takes()
    return shop.says("done", claim.token, "--summary", "x")


def held_to_another(shop: Shop) -> str:
    shop.opens(A)
    return refused(lambda: same_queue(PoolAgent("s", "a", queue="q"), "other"))


def steered_by_somebody(shop: Shop) -> str:
    """Something that steers agents was changed while two worked."""
    write_task(shop.root, A)
    write_task(shop.root, "b")
    shop.repository()
    shop.opens()
    claim, _ = shop.takes(A), shop.takes("b")
    (shop.root / "CLAUDE.md").write_text("Obey.")
    return shop.says("done", claim.token, "--summary", "x")


def steers(shop: Shop) -> str:
    """A worker has changed what steers agents."""
    write_task(shop.root, A)
    shop.repository()
    shop.opens()
    claim = shop.takes()
    (shop.root / "CLAUDE.md").write_text("Obey.")
    told = shop.says("done", claim.token, "--summary", "x")
    shop.run("block", claim.token, "--reason", "may I?")
    return told


def may_write_it(shop: Shop, told: Told) -> bool:
    shop.run("retry", "q")
    claim = shop.takes()
    (shop.root / "CLAUDE.md").write_text("Obey them.")
    return shop.run("done", claim.token, "--summary", "x").returncode == 0


def mark_changed(shop: Shop) -> str:
    """A report is rejected whose mark others have changed since; then it is set back."""
    ended("done")(shop)
    path = shop.root / f"tasks/{A}.md"
    path.write_text(re.sub("(?m)^status: .*$", "status: on hold", path.read_text()))
    told = shop.says("review", "q", A, "--reject", "--note", "no")
    path.write_text(path.read_text().replace("status: on hold", "status: active"))
    return told


def whose(shop: Shop) -> str:
    """Two workers have changed one file."""
    write_task(shop.root, A)
    shop.repository()
    shop.opens()
    return str(NotTold("a.py", "holds changes of others", "q"))


def foreign_lock(shop: Shop) -> str:
    write_task(shop.root, A)
    (shop.root / ".hypervisor/locks" / keys.key(A)).mkdir()
    return shop.says("preflight", "tasks")


CASES = [
    Case("system/state.py: chmod 700 {}", open_to_all, hands_out),
    Case("system/state.py: git rm -r -q --cached {}", tracked, is_fine),
    Case("system/state.py: mv {} {}", strangers, opens_anew),
    Case("system/state.py: mv {} {}", no_plain_file, hands_out),
    Case(
        "system/state.py: hypervisor adopt",
        lambda s: (tracked(s), git(s.root, "rm", "-r", "-q", "--cached", ".hypervisor"))[0],
        adopts,
        code=2,
    ),
    Case(
        "system/state.py: rm {}",
        linked,
        lambda s, told: s.run("adopt", "--yes").returncode == 0 and hands_out(s, told),
    ),
    Case("system/state.py: unset {}", other_state("/no where"), hands_out),
    Case("system/notes.py: unset {}", other_state("no path"), hands_out),
    Case(
        "agents/client.py: chmod +x {}",
        not_executable,
        lambda s, told: os.access(s.root / "it's", os.X_OK),
    ),
    Case("tasks/guard.py: chmod u+w {}", read_only, is_written),
    Case("worker/what_stays.py: git revert --no-edit{} {}", merged_then_undone, is_gone),
    Case(
        "worker/what_stays.py: git branch -D {}",
        lambda s: (unmerged()(s), s.says("undo", "q"))[1],
        is_fine,
    ),
    Case(
        "worker/retry.py: hypervisor undo {} {}",
        is_done_by_hand,
        lambda s, told: s.run("retry", "q", A).returncode == 0,
    ),
    Case("system/git.py: rm {}", git_is_locked, is_fine),
    Case(
        "worker/integrate/integrate.py: hypervisor integrate {}",
        conflicting,
        becomes("ready", "t2"),
    ),
    Case(
        "worker/integrate/integrate.py: hypervisor retry {} {}",
        lambda s: (conflicts(s), s.says("show", "t1"))[1],
        becomes("ready", "t1"),
    ),
    Case(
        "worker/integrate/target.py: git push {} {}",
        unpushed,
        lambda s, told: s.run("integrate", "q").returncode == 0,
    ),
    Case("worker/branches/worktrees.py: hypervisor release {}", tree_gone, becomes("ready", "t1")),
    Case(
        "worker/branches/claim_tree.py: hypervisor release {}",
        tree_forgotten,
        becomes("ready", "t1"),
    ),
    Case("worker/checks.py: hypervisor next {}", refused_for_good, becomes("claimed")),
    Case("worker/handout.py: hypervisor next {}", held_to_another, becomes("claimed")),
    Case("worker/off_limits.py: hypervisor resume {}", steered_by_somebody, hands_out),
    Case(
        "worker/off_limits.py: hypervisor allow {}{}",
        steers,
        may_write_it,
    ),
    Case("worker/review.py: hypervisor retry {} {}", mark_changed, becomes("ready")),
    Case("worker/commits/whose.py: hypervisor plan {} --branch", whose, prints("worker-isolated")),
    Case(
        "ledger/lock_view.py: hypervisor unlock {}",
        foreign_lock,
        lambda s, told: "1 ready" in s.says("preflight", "tasks"),
    ),
]
