"""Every command that the program prints is typed here in the situation that prints it, and does
what it says."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from agents.doctor import test_mends as test_doctor
from agents.hooks import test_mends as test_hooks
from hypervisor.config.roots import create_state
from mends import plans, queues, verbs, world
from mends.inventory import printed
from mends.typed import Case, Shop, words_of
from repository import REPO

ALL = [*queues.CASES, *verbs.CASES, *plans.CASES, *world.CASES]
# What is not typed here, by how it begins, and why.
NOT_HERE = {
    # Typed elsewhere.
    "agents/claude/doctor.py: claude mcp add": "needs the client",
    "agents/gemini/doctor.py: gemini mcp list": "needs the client",
    "agents/claude/doctor.py: claude plugin marketplace add": "the reader puts a folder behind it",
    "agents/gemini/doctor.py: gemini extensions install CLONE": "the reader has a clone",
    "agents/doctor/bundle.py": "says what made the bundle",
    "agents/doctor/here.py: hypervisor open": "names a verb",
    "agents/doctor/here.py: hypervisor serve --setup": "installs libraries: tests/launcher",
    "agents/doctor/here.py: hypervisor status": "tests/agents/doctor/test_here.py",
    "cli/demo": "tests/cli/test_demo.py",
    "worker/detached.py": "tests/agents/pool/test_detached.py",
    "cli/status.py: hypervisor work {} --attach": "tests/agents/pool/test_detached.py",
    "cli/work.py: hypervisor work {} --attach": "tests/agents/pool/test_detached.py",
    "cli/work.py: hypervisor pause {}": "tests/agents/pool/test_detached.py",
    "cli/attach.py": "tests/agents/pool/test_detached.py",
    "cli/move.py": "needs a server: tests/ledger/test_move.py",
    "config/store.py: export": "needs a server: tests/ledger/test_move.py",
    "config/store.py: hypervisor move": "needs a server: tests/ledger/test_move.py",
    "ledger/store.py: export": "needs a server: tests/ledger/test_move.py",
    "ledger/store.py: unset": "needs a server: tests/ledger/test_move.py",
    "ledger/store.py: hypervisor move": "needs a server: tests/ledger/test_move.py",
    "ledger/postgres.py": "needs a server; the same line of SQLite's is typed here",
    "worker/branches/staging.py": "asks the remote of a submodule",
    # Changes the machine, or needs an account.
    "agents/claude/client.py: npm": "installs a client",
    "agents/codex/client.py: npm": "installs a client",
    "agents/gemini/client.py: npm": "installs a client",
    "agents/claude/upgrade.py": "installs a plugin",
    "agents/client.py: hypervisor serve --setup": "installs libraries: tests/launcher",
    "agents/gemini/client.py: hypervisor serve": "installs libraries: tests/launcher",
    "agents/gemini/client.py: gemini mcp list": "needs the client",
    "agents/codex/login.py": "needs an account",
    "agents/next_step.py: hypervisor work": "starts a client: tests/e2e",
    "views/status.py: hypervisor work": "starts a client: tests/e2e",
    "cli/results.py: hypervisor report": "opens a browser: tests/views/page/test_command.py",
    "cli/work.py: hypervisor report": "opens a browser: tests/views/page/test_command.py",
    "intake/preflight/look.py: chmod": "root reads it all the same",
    "tasks/walk.py: chmod": "root reads it all the same",
    # Comes where something is wrong in the middle of a verb: what is printed is typed above.
    "agents/codex/client.py: hypervisor doctor": "tests/agents/doctor",
    "agents/hooks/__init__.py": "tests/agents/doctor",
    "cli/work.py: hypervisor doctor": "tests/agents/doctor",
    "cli/options.py: hypervisor next": "an item was accepted, and the next can't be handed out",
    "worker/integrate/target.py: git branch": "a branch is removed while it is merged into",
    "worker/branches/worktrees.py: hypervisor release TOKEN": "a tree is removed while it is used",
    "system/git.py: git worktree": "a tree is replaced while it is used",
    "system/git.py: git config": "the reader writes a name",
    # Typed in the prompt of a client: tests/e2e/test_commands.py.
    "agents/next_step.py: /hypervisor": "a client's command",
    "agents/hooks/session.py: /hypervisor": "a client's command",
    "intake/preflight/rules.py: /hypervisor": "a client's command",
    "views/news.py: /hypervisor": "a client's command",
    # No line to type: a pattern, a mark, or a name in a sentence.
    "tasks/markdown.py": "a mark in a file",
    "agents/claude/client.py: hypervisor next": "a pattern",
    "agents/hooks/tool_use.py": "a pattern",
    "ledger/reviews.py: hypervisor review": "the beginning of a question",
    "agents/claude/client.py: hypervisor open": "names an option",
    "agents/gemini/client.py: hypervisor open": "names an option",
    "worker/handout.py: hypervisor open": "names an option",
    "agents/tools.py": "names a verb",
    "cli/doctor.py": "names an option that is refused",
    "cli/work.py: hypervisor open": "names a verb",
    "worker/integrate/integrate.py: hypervisor integrate": "names a verb that is at work",
}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    root = tmp_path.resolve() / "it's a shop"
    root.mkdir()
    create_state(str(root))
    return Shop(root)


@pytest.mark.parametrize("case", ALL, ids=[f"{n}: {one.printed}" for n, one in enumerate(ALL)])
@pytest.mark.usefixtures("identity")
def test_a_printed_command_does_what_it_says(shop: Shop, case: Case) -> None:
    told = shop.types(words_of(case.printed, case.told(shop), case.filled))
    assert told.returncode == case.code, told
    assert case.then(shop, told), told


def test_no_command_is_printed_that_no_test_types() -> None:
    typed = Counter(case.printed.replace("{…}", "{}") for case in ALL)
    typed.update([test_hooks.WAITS, *(one[1] for one in test_hooks.TYPED)])
    typed.update(one for those in test_doctor.TYPED.values() for one in those)
    untyped = [
        f"{one} ({number})"
        for one, number in printed().items()
        if typed[one] < number and not any(one.startswith(known) for known in NOT_HERE)
    ]
    named = re.findall(r"tests/[\w/]+(?:\.py)?", " ".join(NOT_HERE.values()))
    assert [path for path in named if not (REPO / path).exists()] == []
    stale = [known for known in NOT_HERE if not any(one.startswith(known) for one in printed())]
    assert stale == []
    assert sorted(untyped) == [], "\n".join(sorted(untyped))
    assert typed.keys() <= printed().keys(), typed.keys() - printed().keys()
