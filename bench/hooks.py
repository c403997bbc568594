"""What the plugin's hooks cost, each call of one by itself: the shell guard, and the program.

    python bench/hooks.py [--rounds 60]

Each round runs `sh -c :`, `python -I -S -c pass` and all cases in turns. The goals are held against
the processor time, in the middle of all rounds, since a busy machine adds to the time from start to
end; of that a tenth of the rounds stayed below the figure that stands behind. Payloads are as the
client writes them; the queue is one of which a worker holds an item. The goals: what changes
nothing, 3 times `sh -c :`; what changes something, 3 times `python -I -S -c pass`; what reads a
transcript, 15 ms more for each of its megabytes.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
GUARD, PROGRAM = str(REPO / "hooks" / "guard"), str(REPO / "bin" / "hypervisor")
TIMES, MS_PER_MB = 3.0, 15.0
SESSION = "11111111-2222-3333-4444-555555555555"
WORKER, ENDED = "a1b2c3d4e5f6a7b8c", "a9b2c3d4e5f6a7b8c"
SHELL, PYTHON = "sh -c :", "python -I -S -c pass"


class Case:
    """One call of a hook: the guard's `words`, what the client sends, and what is done before."""

    def __init__(
        self,
        name: str,
        words: list[str],
        payload: dict[str, Any],
        *,
        against: str = SHELL,
        megabytes: float = 0,
        before: Callable[[], None] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.words = words
        self.payload = json.dumps(payload, separators=(",", ":")).encode() + b"\n"
        self.against = against
        self.megabytes = megabytes
        self.before = before
        self.folder = folder


class Place:
    """A project with an open queue, and a worker that holds one of its items."""

    def __init__(self, top: Path) -> None:
        self.root, self.client = top / "project", top / "client"
        self.env = {**os.environ, "CLAUDE_CODE_SESSION_ID": SESSION, "CLAUDE_PID": str(os.getpid())}
        self.env["HYPERVISOR_STATE"] = str(top / "state")
        (self.root / "tasks").mkdir(parents=True)
        (self.client / SESSION / "subagents").mkdir(parents=True)
        (self.root / ".git").mkdir()
        for number in range(6):
            task = f"---\nid: t-{number}\ntitle: T\ntype: task\nstatus: active\n---\n\nDo it.\n"
            (self.root / "tasks" / f"t-{number}.md").write_text(task)
        self.verb("open", "q", "tasks")
        told = self.verb("next", "q")
        self.token = told.split()[1]
        self.call(Case("", ["PostToolUse"], self.after(WORKER, "Bash", "hypervisor next q", told)))
        started = self.after("", "Agent", "")
        started["tool_input"] = {"prompt": "queue q"}
        started["tool_response"] = {"agentId": ENDED}
        self.call(Case("", ["PostToolUse"], started))
        # A first call of each leaves when the next one is to be looked at.
        self.call(Case("", ["PostToolUse"], self.after("", "Read", "x")))

    def verb(self, *words: str) -> str:
        ran = subprocess.run(
            [PROGRAM, *words], cwd=self.root, env=self.env, check=True, capture_output=True
        )
        return ran.stdout.decode()

    def call(self, case: Case) -> tuple[float, float]:
        """Have a hook called, and return what `timed` does."""
        return timed([GUARD, *case.words], case.folder or self.root, case.payload, self.env)

    def event(self, name: str, **more: Any) -> dict[str, Any]:
        return {
            "session_id": SESSION,
            "transcript_path": str(self.client / f"{SESSION}.jsonl"),
            "cwd": str(self.root),
            "prompt_id": "22222222-2222-3333-4444-555555555555",
            "permission_mode": "default",
            **more,
            "hook_event_name": name,
        }

    def before(self, agent: str, tool: str, what: str, size: int = 0, **more: Any) -> Any:
        """Return the event before a call of a tool, with `size` bytes to be written."""
        key = "command" if tool == "Bash" else "file_path"
        whose = {"agent_id": agent, "agent_type": "hypervisor:worker"} if agent else {}
        told = self.event("PreToolUse", **whose, **more)
        told |= {"tool_name": tool, "tool_input": {key: what, "content": "x" * size}}
        return told | {"tool_use_id": "toolu_1"}

    def after(self, agent: str, tool: str, what: str, output: str = "") -> Any:
        """Return the event after a call of a tool, with what it printed or read."""
        told = self.before(agent, tool, what)
        told["hook_event_name"] = "PostToolUse"
        del told["tool_input"]["content"], told["tool_use_id"]
        told["tool_response"] = {"stdout": output, "stderr": "", "interrupted": False}
        return told | {"tool_use_id": "toolu_1", "duration_ms": 12}

    def is_due(self) -> None:
        """Let a minute and more go by for the worker's lease."""
        due = self.root / ".hypervisor" / "calls" / WORKER / "due"
        if due.exists():
            os.utime(due, (1, 1))
        with sqlite3.connect(self.root / ".hypervisor" / "ledger.db") as ledger:
            ledger.execute("update item set turn = turn - 61000000 where turn < 0")
            ledger.execute("update agent set seen_at = 0")
        ledger.close()

    def transcript(self, agent: str, megabytes: float) -> None:
        """Write a transcript of a worker that has ended its turn."""
        path = self.client / SESSION / "subagents" / f"agent-{agent}.jsonl"
        if path.exists() and abs(path.stat().st_size / 1e6 - megabytes) < 0.1:
            return
        with path.open("w") as rows:
            number = 0
            while rows.tell() < megabytes * 1e6:
                number += 1
                usage = {"input_tokens": 3, "output_tokens": 200, "cache_read_input_tokens": 9000}
                use = {"type": "tool_use", "id": f"u{number}", "name": "Read", "input": {}}
                result = {"type": "tool_result", "tool_use_id": f"u{number}"}
                result["content"] = "a line of some file\n" * 150
                for row in (
                    {"type": "assistant", "message": {
                        "id": f"m{number}", "usage": usage, "content": [use],
                        "stop_reason": "tool_use"}},
                    {"type": "user", "message": {"role": "user", "content": [result]}},
                ):  # fmt: skip
                    rows.write(json.dumps(row, separators=(",", ":")) + "\n")
            last = {"id": "end", "usage": usage, "content": [], "stop_reason": "end_turn"}
            rows.write(json.dumps({"type": "assistant", "message": last}) + "\n")


def timed(
    command: list[str], folder: Path, payload: bytes, env: dict[str, str]
) -> tuple[float, float]:
    """Run `command`; return how many milliseconds it took, and of a processor."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env
    )
    assert process.stdin is not None
    try:
        process.stdin.write(payload)
        process.stdin.close()
    except BrokenPipeError:
        # Nobody has read it.
        pass
    _, status, used = os.wait4(process.pid, 0)
    took = (time.perf_counter() - begin) * 1000
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}")
    return took, (used.ru_utime + used.ru_stime) * 1000


def cases(place: Place, idle: Path) -> list[Case]:
    """Return all that is measured."""
    post, edit, tools = ["PostToolUse"], ["PreToolUse", "file"], ["PreToolUse", "tools"]
    found = [
        Case("no queue open: Read", post, place.after("", "Read", "x"), folder=idle),
        Case("no queue open: Edit, before", edit, place.before("", "Edit", "x"), folder=idle),
    ]
    for size, shown in ((1_000, "1 KB"), (100_000, "100 KB")):
        text = "y" * size
        found += [
            Case(f"session: Read, {shown}", post, place.after("", "Read", "x", text)),
            Case(f"session: Bash, {shown}", post, place.after("", "Bash", "make", text)),
            Case(f"session: Edit, before, {shown}", edit, place.before("", "Edit", "x", size)),
            Case(f"worker: Read, {shown}", post, place.after(WORKER, "Read", "x", text)),
            Case(f"worker: Bash, {shown}", post, place.after(WORKER, "Bash", "make", text)),
        ]
    bypass = place.before(WORKER, "Edit", "tasks/x") | {"permission_mode": "bypassPermissions"}
    found += [
        Case("worker: Bash, before, queue without tools", tools, place.before(WORKER, "Bash", "x")),
        Case("worker: Edit, before, all allowed", edit, bypass, against=PYTHON),
    ]
    for size, shown in ((1_000, "1 KB"), (100_000, "100 KB")):
        call = place.before(WORKER, "Edit", "tasks/x.md", size)
        found += [
            Case(f"worker: Edit allowed, before, {shown}", edit, call, against=PYTHON),
            Case(f"worker: Edit, {shown}", post, place.after(WORKER, "Edit", "x", "y" * size),
                 against=PYTHON),
        ]  # fmt: skip
    own = f"hypervisor heartbeat {place.token}"
    report = f"hypervisor done {place.token} --summary - <<'END'\nIt's done.\nEND"
    found += [
        Case("worker: own verb allowed, before", ["PreToolUse"], place.before(WORKER, "Bash", own),
             against=PYTHON),
        Case("worker: report allowed, before", ["PreToolUse"], place.before(WORKER, "Bash", report),
             against=PYTHON),
        Case("worker: own verb", post, place.after(WORKER, "Bash", own), against=PYTHON),
        Case("worker: Read that renews", post, place.after(WORKER, "Read", "x"), against=PYTHON,
             before=place.is_due),
    ]  # fmt: skip
    turn_end = {"stop_hook_active": False, "background_tasks": [
        {"id": WORKER, "type": "subagent", "status": "running"}]}  # fmt: skip
    for name, more in (
        ("SessionStart", {"source": "startup"}),
        ("UserPromptSubmit", {"prompt": "how is it going?"}),
        ("Stop", turn_end),
    ):
        found.append(Case(name, [name], place.event(name, **more), against=PYTHON))
    for size in (0.1, 1.0, 4.0):
        end = place.event(
            "SubagentStop", agent_id=ENDED, agent_type="hypervisor:worker", stop_hook_active=False,
            agent_transcript_path=str(
                place.client / SESSION / "subagents" / f"agent-{ENDED}.jsonl"
            ),
            last_assistant_message="ended",
        )  # fmt: skip
        found.append(
            Case(f"SubagentStop, transcript of {size:g} MB", ["SubagentStop"], end, against=PYTHON,
                 megabytes=size, before=lambda size=size: place.transcript(ENDED, size))
        )  # fmt: skip
    return found


def main() -> int:
    """Print the figures; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        idle = top / "idle" / "a" / "b" / "c" / "d"
        idle.mkdir(parents=True)
        (top / "idle" / ".git").mkdir()
        place = Place(top)
        bare = {SHELL: ["sh", "-c", ":"], PYTHON: [sys.executable, "-I", "-S", "-c", "pass"]}
        all_of_it = cases(place, idle)
        names = (*bare, *(case.name for case in all_of_it))
        told: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for _ in range(args.rounds):
            for name, command in bare.items():
                told[name].append(timed(command, idle, b"", place.env))
            for case in all_of_it:
                if case.before is not None:
                    case.before()
                told[case.name].append(place.call(case))
    took = {name: sorted(wall for wall, _ in rows)[len(rows) // 10] for name, rows in told.items()}
    used = {name: statistics.median(cpu for _, cpu in rows) for name, rows in told.items()}
    for name in bare:
        print(f"{name:40} {used[name]:7.2f} ms   (in all {took[name]:.2f} ms)")
    for case in all_of_it:
        goal = TIMES + MS_PER_MB * case.megabytes / used[case.against]
        times = used[case.name] / used[case.against]
        missed += times > goal
        what, met = case.against.split()[0], "met" if times <= goal else "missed"
        print(
            f"{case.name:40} {used[case.name]:7.2f} ms, {times:5.2f} times {what:6} "
            f"goal {goal:5.2f}: {met:6}   (in all {took[case.name]:.2f} ms)"
        )
    print(f"{len(all_of_it) - missed} of {len(all_of_it)} goals met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
