"""What the plugin's hooks cost: the shell guard, idle and at work, paired with `sh -c :`.

    python bench/hooks.py [--rounds 200] [--events 20]

Each round runs `sh -c :` and the guard in turns; figures are medians in milliseconds. Idle means
that no queue is open: the goal is at most 3 times `sh -c :`. At work, each event is handled by the
program, with six items of which a worker holds one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
GOAL = 3.0
_SESSION = "11111111-2222-3333-4444-555555555555"
_EVENTS: dict[str, dict[str, object]] = {
    "PostToolUse": {
        "agent_id": "a1",
        "tool_name": "Read",
        "tool_input": {"file_path": "x"},
        "tool_response": {"stdout": ""},
    },
    "PostToolUseFailure": {
        "agent_id": "a1",
        "tool_name": "Bash",
        "tool_input": {"command": "false"},
        "error": "Exit code 1",
    },
    "UserPromptSubmit": {"prompt": "how is it going?"},
    "Stop": {
        "stop_hook_active": False,
        "background_tasks": [{"id": "a1", "type": "subagent", "status": "running"}],
    },
    "SessionStart": {"source": "startup"},
}


def timed(command: list[str], cwd: Path, payload: bytes, env: dict[str, str]) -> float:
    """Run `command` and return how many milliseconds it took."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=cwd, input=payload, stdout=subprocess.DEVNULL, env=env, check=True)
    return (time.perf_counter() - begin) * 1000


def paired(
    command: list[str], cwd: Path, payload: bytes, env: dict[str, str], rounds: int
) -> tuple[float, float]:
    """Return the medians of `sh -c :` and of `command`, run in turns."""
    bare, own = [], []
    for _ in range(rounds):
        bare.append(timed(["sh", "-c", ":"], cwd, payload, env))
        own.append(timed(command, cwd, payload, env))
    return statistics.median(bare), statistics.median(own)


def main() -> int:
    """Print the figures; 1 if the idle guard misses its goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--events", type=int, default=20, help="rounds per event at work")
    args = parser.parse_args()
    guard, program = str(REPO / "hooks" / "guard"), str(REPO / "bin" / "hypervisor")
    told = {}
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        deep = top / "a" / "b" / "c" / "d"
        deep.mkdir(parents=True)
        (top / ".git").mkdir()
        env = {**os.environ, "CLAUDE_CODE_SESSION_ID": _SESSION, "CLAUDE_PID": str(os.getpid())}
        payload = json.dumps({"session_id": _SESSION, "cwd": str(top)}).encode()
        bare, idle = paired([guard, "PostToolUse"], deep, payload, env, args.rounds)
        told["idle"] = {"sh": bare, "guard": idle, "times": idle / bare}

        tasks = top / "tasks"
        tasks.mkdir()
        for number in range(6):
            task = f"---\nid: t-{number}\ntitle: T\ntype: task\nstatus: active\n---\n\nDo it.\n"
            (tasks / f"t-{number}.md").write_text(task)
        for words in (["open", "q", "tasks"], ["next", "q"]):
            subprocess.run(
                [program, *words], cwd=top, env=env, check=True, stdout=subprocess.DEVNULL
            )
        for event, more in _EVENTS.items():
            call = {"session_id": _SESSION, "cwd": str(top), "hook_event_name": event, **more}
            payload = json.dumps(call).encode()
            timed([guard, event], top, payload, env)
            bare, busy = paired([guard, event], top, payload, env, args.events)
            told[event] = {"sh": bare, "guard": busy, "times": busy / bare}
    for name, row in told.items():
        figures = (
            f"{row['guard']:7.2f} ms   sh -c : {row['sh']:5.2f} ms   {row['times']:5.1f} times"
        )
        print(f"{name:20} {figures}")
    ok = told["idle"]["times"] <= GOAL
    print(f"idle guard: {told['idle']['times']:.2f} times sh -c :, goal {GOAL:g}: {ok}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
