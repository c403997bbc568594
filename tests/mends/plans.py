"""What a session is told to run: by `plan`, by hooks, and as a worker."""

from __future__ import annotations

from collections.abc import Callable

from hypervisor.ledger import Ledger
from mends.queues import becomes, lacking, on_branches, prints, said
from mends.typed import A, Case, Shop
from mends.verbs import SESSION
from worker.support import write_task


def plan(*before: str, ids: tuple[str, ...] = (A,)) -> Callable[[Shop], str]:
    """In a session `plan` is asked, after a queue was opened and these command lines typed."""

    def told(shop: Shop) -> str:
        shop.env = SESSION
        shop.opens(*ids)
        return said(shop, *before, "plan q")

    return told


def first_item_done(shop: Shop) -> str:
    told = plan()(shop)
    shop.ends("done")
    return told


def first_item_failed(shop: Shop) -> str:
    shop.env = SESSION
    shop.opens(A, "b")
    shop.run("plan", "q")
    shop.ends("blocked", "b")
    return shop.says("plan", "q")


def many_left(shop: Shop) -> str:
    """One of so many items is done that the user is asked about the rest."""
    shop.env = SESSION
    shop.opens(*(f"t{number:02}" for number in range(40)), extra=("--canary", "1"))
    shop.run("plan", "q")
    shop.ends("done", "t00")
    told = shop.says("plan", "q")
    # The user says yes, in a terminal of their own.
    shop.env = {}
    return told


def lacks_permissions(shop: Shop) -> str:
    lacking(shop)
    return shop.says("plan", "q")


def at_work(shop: Shop) -> str:
    shop.env = SESSION | {"CLAUDE_CODE_ENTRYPOINT": "sdk-cli"}
    shop.opens(A)
    claim = shop.takes()
    told = shop.says("plan", "q")
    shop.run("done", claim.token, "--summary", "x")
    return told


def on_a_branch(shop: Shop) -> str:
    on_branches(shop)
    with Ledger.open(str(shop.root)) as ledger:
        ledger.terms.set_branches("q", True)
    return shop.says("plan", "q")


def same_file(shop: Shop) -> str:
    """Many tasks name one file, in a repository."""
    for number in range(9):
        write_task(shop.root, f"t{number}", body="# T\n\nMend a.py.\n")
    (shop.root / "a.py").write_text("x")
    shop.repository()
    shop.opens()
    shop.run("plan", "q")
    shop.ends("done", "t0")
    return shop.says("plan", "q")


CASES = [
    Case("agents/next_step.py: hypervisor wait {}", first_item_done, prints("1 of 1 item ended")),
    Case("agents/next_step.py: hypervisor wait {}", at_work, prints("1 of 1 item ended")),
    Case(
        "agents/next_step.py: hypervisor plan {}", first_item_done, prints("nothing left"), code=3
    ),
    Case("agents/next_step.py: hypervisor retry {}", first_item_failed, becomes("ready", "b")),
    Case("agents/next_step.py: hypervisor plan {} --go-on", lacks_permissions, prints("Start ")),
    Case("agents/next_step.py: hypervisor plan {} --go-on", many_left, prints("Start ")),
    Case("agents/next_step.py: hypervisor integrate {}", on_a_branch, becomes("ready", "t2")),
    Case("agents/next_step.py: hypervisor summary {}", plan("cancel q"), prints("1 not attempted")),
    Case("agents/next_step.py: hypervisor plan {} --branch", same_file, prints("worker-isolated")),
]
