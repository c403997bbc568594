"""What is printed of a queue: by `status`, `next`, `show`, `wait`, the summary and the page."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import time
from collections.abc import Callable

from hypervisor import worker
from hypervisor.ledger import Ledger
from mends.typed import A, Case, Shop
from worker.branches.support import do, done, git, take
from worker.support import write_task

Told = subprocess.CompletedProcess[str]


# -- situations: what brings them about, and returns what is printed --


def after(*verbs: str, item: str = A, options: tuple[str, ...] = ()) -> Callable[[Shop], str]:
    """A queue is opened over one task; then these command lines are typed, `page` for its page."""

    def told(shop: Shop) -> str:
        shop.opens(item, extra=options)
        return said(shop, *verbs)

    return told


def said(shop: Shop, *verbs: str) -> str:
    """Return what the last of these command lines prints; `page` is the text of the page."""
    told = ""
    for verb in verbs:
        if verb == "page":
            page = (shop.root / shop.run("report", "q").stdout.strip()).read_text()
            shown = re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^>]+>", "\n", page)
            told = html.unescape(re.sub(r"\n\s+", "\n", shown))
        else:
            told = shop.says(*verb.split())
    return told


def ended(outcome: str, *verbs: str, ids: int = 1) -> Callable[[Shop], str]:
    """Its items have ended so."""

    def told(shop: Shop) -> str:
        names = [A, *(f"t{number}" for number in range(1, ids))]
        shop.opens(*names, extra=("--max-attempts", "1"))
        for name in names:
            shop.ends(outcome, name)
        return said(shop, *verbs)

    return told


def missing(*verbs: str) -> Callable[[Shop], str]:
    """The only item's file is not there."""

    def told(shop: Shop) -> str:
        shop.opens(A)
        (shop.root / f"tasks/{A}.md").rename(shop.root / "away")
        return said(shop, *verbs)

    return told


def over_budget(*verbs: str) -> Callable[[Shop], str]:
    """The queue is paused, since the time that it may take is over."""

    def told(shop: Shop) -> str:
        shop.opens(A, "b", extra=("--budget", "1min"))
        shop.ends("done", "b")
        with Ledger.open(str(shop.root)) as ledger, ledger.store.write():
            ledger.store.change("update claim set claimed_at = claimed_at - 3600", ())
            ledger.store.change(
                "update queue set opened_at = opened_at - 3600, started_at = started_at - 3600", ()
            )
        shop.run("next", "q")
        return said(shop, *verbs)

    return told


def on_branches(shop: Shop, *merged: str) -> None:
    """Items t1 and t2, of which t2 waits for t1, and t1 is done on a branch."""
    write_task(shop.root, "t1")
    write_task(shop.root, "t2", extra="depends_on: [t1]\n")
    shop.repository()
    shop.opens()
    claim = take(shop.root, "t1")
    do(shop.root, claim, new_py="x")
    assert done(shop.root, claim) == "done"


def unmerged(*verbs: str) -> Callable[[Shop], str]:
    """What was done on a branch is not merged, and another item waits for that."""

    def told(shop: Shop) -> str:
        on_branches(shop)
        return said(shop, *verbs)

    return told


def boxes(shop: Shop) -> str:
    """An item is asked for by a file that holds two."""
    (shop.root / "todo.md").write_text("- [ ] Buy soil\n- [ ] Sow\n")
    shop.says("open", "q", "todo.md")
    return shop.says("show", "todo.md")


def conflicting(shop: Shop) -> str:
    """A branch is set aside, since it does not go together with what was committed meanwhile;
    somebody merges it by hand."""
    on_branches(shop)
    (shop.root / "new.py").write_text("other")
    git(shop.root, "add", "new.py")
    git(shop.root, "commit", "-qm", "other")
    told = shop.says("integrate", "q") + shop.says("status", "q") + shop.says("show", "t1")
    branch = re.search(r"on branch (\S+):", told)
    assert branch is not None, told
    git(shop.root, "merge", "-q", "-s", "ours", "-m", "by hand", branch[1])
    return told


def narrowed(*verbs: str) -> Callable[[Shop], str]:
    """The items of the queue are set aside, but for one."""

    def told(shop: Shop) -> str:
        write_task(shop.root, "b", extra="priority: 1\n")
        shop.opens(A)
        return said(shop, "open q --where priority=1", *verbs)

    return told


def thrown_away(*verbs: str) -> Callable[[Shop], str]:
    """Git has thrown the report on an item away."""

    def told(shop: Shop) -> str:
        write_task(shop.root, A)
        shop.repository()
        shop.opens()
        shop.ends("done")
        shop.run("summary", "q")
        git(shop.root, "checkout", "--", ".")
        return said(shop, *verbs)

    return told


def pending(*verbs: str) -> Callable[[Shop], str]:
    """A report could not be written, and can be now."""

    def told(shop: Shop) -> str:
        shop.opens(A)
        path = shop.root / f"tasks/{A}.md"
        before = path.read_text()
        claim = shop.takes()
        path.write_text("---\nid: [\n---\n")
        with Ledger.open(str(shop.root)) as ledger:
            worker.finish(ledger, claim.token, "blocked", {"reason": "no"})
        told = said(shop, *verbs)
        path.write_text(before)
        return told

    return told


def lacking(shop: Shop) -> str:
    """A worker lacked a permission, and is gone."""
    shop.opens(A)
    with Ledger.open(str(shop.root)) as ledger:
        number = ledger.queues.get("q").no
        ledger.agents.note_permission(number, "a1", "c1", "Bash(make:*)")
    return shop.says("status", "q")


def still(shop: Shop) -> str:
    """One item has ended long ago, and nobody has worked since."""
    shop.opens(A, "b")
    shop.ends("done", "b")
    with Ledger.open(str(shop.root)) as ledger, ledger.store.write():
        ledger.store.change("update item set finished_at = finished_at - 999", ())
        ledger.store.change("update event set at = at - 9999", ())
        ledger.store.change("update queue set opened_at = opened_at - 9999", ())
    return shop.says("status", "q")


def stalled(shop: Shop) -> str:
    """Somebody waits, and nobody works."""
    shop.opens(A, "b")
    shop.ends("done", "b")
    return shop.says("wait", "q", "--timeout", "0")


def tried(shop: Shop) -> str:
    """The item that was tried first has ended."""
    shop.opens(A, "b", extra=("--canary", "1"))
    shop.run("plan", "q")
    shop.ends("done", "b")
    return shop.says("wait", "q", "--timeout", "0")


def reset(shop: Shop) -> str:
    """A usage limit has paused the queue, and is over."""
    shop.opens(A)
    with Ledger.open(str(shop.root)) as ledger:
        ledger.pauses.limit("q", "a limit", time.time() - 1)
    return shop.says("wait", "q", "--timeout", "0")


def opened_further_down(shop: Shop) -> str:
    """The queue was opened in a folder further down, and cancelled."""
    write_task(shop.root, "t1")
    write_task(shop.root, "t2")
    shop.at = shop.root / "tasks"
    assert shop.run("open", "q", "t1.md").returncode == 0
    shop.run("cancel", "q")
    shop.at = shop.root
    return said(shop, "page")


def one_held(shop: Shop) -> str:
    """One task was held when the queue was opened."""
    write_task(shop.root, "b", extra="tags: [human]\n")
    shop.opens(A)
    return said(shop, "page")


# -- what is well afterwards --


def is_fine(shop: Shop, told: Told) -> bool:
    return told.returncode == 0


def becomes(state: str, item: str = A) -> Callable[[Shop, Told], bool]:
    return lambda shop, told: shop.state(item) == state


def prints(*texts: str) -> Callable[[Shop, Told], bool]:
    return lambda shop, told: all(text in told.stdout for text in texts)


def holds(text: str, path: str = f"tasks/{A}.md") -> Callable[[Shop, Told], bool]:
    return lambda shop, told: text in (shop.root / path).read_text()


def hands_out(shop: Shop, told: Told) -> bool:
    """The next worker gets an item."""
    return shop.run("next", "q").returncode == 0


SOURCE = {"QUEUE": "q", "SOURCE": "tasks"}


def lone_task(*verbs: str) -> Callable[[Shop], str]:
    """A task is there, and no queue."""

    def told(shop: Shop) -> str:
        write_task(shop.root, A)
        return said(shop, *verbs)

    return told


CASES = [
    Case(
        "views/status.py: hypervisor open QUEUE SOURCE",
        lone_task("status"),
        becomes("ready"),
        SOURCE,
    ),
    Case(
        "views/status.py: hypervisor cancel {} --missing", missing("status q"), becomes("cancelled")
    ),
    Case("views/status.py: hypervisor integrate {}", unmerged("status q"), becomes("ready", "t2")),
    Case("views/status.py: hypervisor integrate {}", conflicting, becomes("ready", "t2")),
    Case("views/status.py: hypervisor plan {}", lacking, prints("Bash(make:*)", "--go-on")),
    Case("views/status.py: hypervisor plan {}", still, prints("Start 1 worker")),
    Case("ledger/budget.py: hypervisor resume {}", after("pause q", "status q"), hands_out),
    Case(
        "views/status.py: hypervisor retry {} --{}", ended("failed", "status q"), becomes("ready")
    ),
    Case(
        "views/status.py: hypervisor retry {} --{}",
        ended("blocked", "status q", ids=7),
        becomes("ready"),
    ),
    Case(
        "views/status.py: hypervisor retry {} --{}",
        ended("blocked", "cancel q", "status q"),
        becomes("ready"),
    ),
    Case("ledger/budget.py: hypervisor resume {} --budget {}", over_budget("status q"), hands_out),
    Case("ledger/budget.py: hypervisor resume {} --budget {}", over_budget("next q"), hands_out),
    Case("ledger/budget.py: hypervisor resume {} --budget {}", over_budget("resume q"), hands_out),
    Case("ledger/budget.py: hypervisor resume {} --budget {}", over_budget("plan q"), hands_out),
    Case("ledger/budget.py: hypervisor resume {} --budget {}", over_budget("wait q"), hands_out),
    Case("ledger/budget.py: hypervisor resume {} --budget {}", over_budget("page"), hands_out),
    Case(
        "worker/nothing_ready.py: hypervisor cancel {} --missing",
        missing("next q"),
        becomes("cancelled"),
    ),
    Case(
        "worker/nothing_ready.py: hypervisor integrate {}",
        unmerged("next q"),
        becomes("ready", "t2"),
    ),
    Case("ledger/budget.py: hypervisor resume {}", after("pause q", "next q"), hands_out),
    Case("views/history.py: hypervisor integrate {}", unmerged("show t2"), becomes("ready", "t2")),
    Case(
        "views/history.py: hypervisor open {} --where all",
        lambda s: narrowed()(s) + s.says("show", A),
        becomes("ready"),
    ),
    Case(
        "ledger/budget.py: hypervisor resume {}",
        lambda s: after("pause q")(s) + s.says("show", A),
        hands_out,
    ),
    Case(
        "views/history.py: hypervisor retry {…}",
        lambda s: ended("blocked")(s) + s.says("show", A),
        becomes("ready"),
    ),
    Case("views/history.py: hypervisor status", after("show nothing"), prints("q: open")),
    Case(
        "views/history.py: hypervisor show {}",
        lambda s: after()(s) + s.says("show", f"{A}x"),
        prints(f"item {A}"),
    ),
    Case("views/history.py: hypervisor show {}", boxes, prints("item todo.md#Buy soil")),
    Case("ledger/budget.py: hypervisor resume {}", after("pause q", "wait q"), hands_out),
    Case(
        "views/news.py: hypervisor open {} --where all",
        lambda s: (narrowed()(s), s.ends("done", "b"), s.says("wait", "q"))[2],
        becomes("ready"),
    ),
    Case(
        "views/news.py: hypervisor plan {}",
        lambda s: (missing("wait q")(s), shutil.move(s.root / "away", s.root / f"tasks/{A}.md"))[0],
        prints("Start "),
    ),
    Case("views/news.py: hypervisor plan {}", stalled, prints("Start ")),
    Case("views/news.py: hypervisor plan {}", tried, prints("Start ")),
    Case("views/news.py: hypervisor plan {}", reset, prints("Start ")),
    Case(
        "views/page/advice.py: hypervisor preflight {}", one_held, prints("needs a human"), code=3
    ),
    Case("views/news.py: hypervisor summary {}", ended("done", "wait q"), prints("1 done")),
    Case("ledger/budget.py: hypervisor resume {}", after("pause q", "page"), hands_out),
    Case(
        "views/page/advice.py: hypervisor retry {} --failed",
        ended("failed", "page"),
        becomes("ready"),
    ),
    Case(
        "views/page/advice.py: hypervisor retry {} --blocked",
        ended("blocked", "page"),
        becomes("ready"),
    ),
    Case("views/page/advice.py: hypervisor {} {…}", after("cancel q", "page"), becomes("ready")),
    Case("views/page/advice.py: hypervisor {} {…}", opened_further_down, becomes("ready", "t1")),
    Case("views/page/advice.py: hypervisor next {}", after("page"), becomes("claimed")),
    Case("views/page/advice.py: hypervisor summary {}", pending("page"), holds("status: blocked")),
    Case(
        "views/page/advice.py: hypervisor summary {} --write",
        thrown_away("page"),
        holds("status: done"),
    ),
    Case(
        "views/page/advice.py: hypervisor undo {}", ended("done", "page"), holds("status: active")
    ),
    Case(
        "views/summary_text.py: hypervisor integrate {}",
        unmerged("summary q"),
        becomes("ready", "t2"),
    ),
    Case(
        "views/summary_text.py: hypervisor summary {}",
        pending("summary q"),
        holds("status: blocked"),
    ),
    Case(
        "views/summary_text.py: hypervisor summary {}{} --write",
        thrown_away("summary q"),
        holds("status: done"),
    ),
]
