"""The same item ends the same, whoever says done: a command line, a pool's command, a pool's agent,
a client of the MCP server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from agents.pool.support import script
from hypervisor.agents import client
from hypervisor.agents.command.client import Command
from hypervisor.agents.mcp.claims import Dispatch
from hypervisor.agents.mcp.tools import Tools
from hypervisor.agents.pool.pool import Pool
from hypervisor.config.roots import create_state
from hypervisor.intake.index import TaskIndex
from hypervisor.ledger import Claim, Ledger
from hypervisor.system.text import LONGEST_TEXT
from repository import REPO
from worker.support import open_queue, write_task

HYPERVISOR = str(REPO / "bin/hypervisor")
BOX = "# T\n\n- [ ] it works\n"
NOT_TICKED = "not ticked in tasks/t-1.md: it works"
FAILED = "the check of this queue failed: it ended with exit code 3"
STEERS = "changed, and it steers the next run: CLAUDE.md"


class Case(NamedTuple):
    """An item's `body`, the options of its queue, what its worker does in a shell, what it says;
    and why that is refused ("": it is accepted)."""

    body: str = "# T\n\nDo it.\n"
    options: Mapping[str, Any] = MappingProxyType({})
    work: str = ":"
    summary: str = "did it"
    refused: str = ""


CASES = {
    "good": Case(),
    "a check that passes": Case(options={"verify": "true"}),
    "too long a report": Case(summary="x" * (LONGEST_TEXT + 10)),
    "an open box": Case(body=BOX, refused=NOT_TICKED),
    "an open box and a check": Case(BOX, {"verify": "touch ran"}, refused=NOT_TICKED),
    "a check that fails": Case(options={"verify": "echo gone; exit 3"}, refused=FAILED),
    "a file beyond its bounds": Case(
        options={"scope": "named", "verify": "touch ran"},
        work="echo x >notes.txt",
        refused="changed, but not named by the task: notes.txt",
    ),
    "a file that steers": Case(work="echo x >CLAUDE.md", refused=STEERS),
}


class End(NamedTuple):
    """What became of the item: its state, the attempts used, its report, its file."""

    state: str
    attempts: int
    report: dict[str, Any]
    text: str


def by_command_line(root: Path, case: Case) -> str:
    def run(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [HYPERVISOR, *words], cwd=root, input=text, capture_output=True, text=True
        )

    token = run("next", "q").stdout.split()[1]
    subprocess.run(["sh", "-c", case.work], cwd=root, check=True)
    ended = run("done", token, "--summary", "-", text=case.summary)
    if ended.returncode == 0:
        return ""
    assert ended.returncode == 1
    told = one_line(ended.stderr)
    assert_still_held(root)
    assert run("block", token, "--reason", cause(told)).returncode == 0
    return told


def by_mcp(root: Path, case: Case) -> str:
    index = TaskIndex(str(root))
    tools = Tools(index, Dispatch(index, "q"))
    task = tools.answer(lambda: tools.claim_next_task("nic", ""))["task"]
    subprocess.run(["sh", "-c", case.work], cwd=root, check=True)
    ended = tools.answer(
        lambda: tools.complete_task(task["id"], False, case.summary, "", "nic", "")
    )
    if ended["success"]:
        return ""
    told = str(ended["message"])
    assert_still_held(root)
    blocked = tools.answer(lambda: tools.block_task(task["id"], cause(told), "", "", "nic", ""))
    assert blocked["success"]
    return told


def by_agent(root: Path, case: Case) -> str:
    """A process that claims, works and reports by itself, as headless clients do."""
    (root.parent / "summary").write_text(case.summary)
    told = root.parent / "told"
    work = script(
        root,
        f"""token=$({HYPERVISOR} next q | sed -n 's/^claim //p')
{case.work}
if ! {HYPERVISOR} done "$token" --summary - <../summary >/dev/null 2>../told; then
  {HYPERVISOR} block "$token" --reason "$(sed -n '1s/^error: //p' ../told)"
fi""",
    )
    run_pool(root, Agent(work))
    return one_line(told.read_text())


def by_command(root: Path, case: Case) -> str:
    """One process per item, which the pool reports for: it hears of no refusal."""
    run_pool(root, Command([str(script(root, f"{case.work}\nprintf %s {case.summary!r}"))]))
    return ""


class Agent(client.Headless):
    """A client whose one program claims by itself."""

    name = "agent"

    def __init__(self, program: Path) -> None:
        self._program = program

    def start(self, place: client.Place, claim: Claim | None = None) -> client.Start:
        return client.Start([str(self._program)], client.scrubbed(place))

    def stream(self, place: client.Place) -> client.LastLines:
        return client.LastLines()


def run_pool(root: Path, client: Any) -> None:
    with Ledger.open(str(root)) as ledger:
        Pool(ledger, "q", client, workers=1, items_each=1, seconds=60).run()


def one_line(said: str) -> str:
    """What the MCP server says of the same: the error and its hint in one line."""
    said = said.replace("\nthe end of its output:", ". The end of its output:")
    return said.rstrip().removeprefix("error: ").replace("\nhint: ", "; ")


def cause(told: str) -> str:
    """What was refused, without the mend."""
    return told.partition("; ")[0]


def assert_still_held(root: Path) -> None:
    """The refusal has cost nothing, and written nothing."""
    with Ledger.open(str(root)) as ledger:
        [item] = ledger.queries.results("q")
    assert (item.state, item.attempts, item.report) == ("claimed", 0, None)
    assert "hypervisor:report" not in (root / "tasks/t-1.md").read_text()


def end_of(root: Path) -> End:
    with Ledger.open(str(root)) as ledger:
        [item] = ledger.queries.results("q")
    # Whom a client names, its task is given to.
    text = (root / "tasks/t-1.md").read_text().replace("assignee: nic\n", "")
    for mark in (
        rf"(?<=hypervisor:report ){item.token}",
        rf"(?<=- Worker: `){re.escape(item.worker)}",
        r"(?<=- Finished: ).*",
    ):
        text = re.sub(mark, "…", text)
    report = {name: told for name, told in item.report.items() if name != "assignee"}
    return End(item.state, item.attempts, report, text)


def ended(folder: Path, case: Case, way: Callable[[Path, Case], str]) -> tuple[End, str]:
    root = folder / way.__name__ / "project"
    root.mkdir(parents=True)
    create_state(str(root))
    write_task(root, "t-1", body=case.body)
    open_queue(root, max_attempts=1, **case.options)
    told = way(root, case)
    assert not (root / "ran").exists(), "the check ran though done was refused before it"
    return end_of(root), told


@pytest.mark.parametrize("name", CASES)
def test_an_item_ends_the_same_by_whatever_way_its_worker_reports(
    name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    usual, told = ended(tmp_path, case, by_command_line)
    assert cause(told) == case.refused
    assert (usual.state, usual.attempts) == ("blocked" if case.refused else "done", 0)
    for way in (by_mcp, by_agent):
        assert ended(tmp_path, case, way) == (usual, told)
    if len(case.summary) > LONGEST_TEXT:
        # Of what a command prints only the end is kept.
        assert usual.report == {"summary": "x" * LONGEST_TEXT + "\n… (cut here)"}
        return
    end, _ = ended(tmp_path, case, by_command)
    if case.refused == FAILED:
        # It can't mend what it made: this was an attempt.
        told = f"{FAILED}. The end of its output:\n  gone"
        assert (end.state, end.attempts, end.report) == ("failed", 1, {"reason": told})
    else:
        assert end == usual
