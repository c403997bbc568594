"""`hypervisor work` with the real clients, on one machine: an empty HOME, scripted models."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from e2e.answers import Answer, text, tool
from e2e.clients import Client
from e2e.gemini_model import GeminiConversation, GeminiModel
from e2e.model import Model
from e2e.network import Network
from e2e.queue_scripts import REPOSITORY, hypervisor, summary
from hypervisor.ledger import Ledger
from hypervisor.system import killing

SERVER = "mcp_task_manager_"
_TASK = re.compile(r'"task"\s*:\s*\{\s*"id"\s*:\s*"([^"]+)"')
Step = Callable[[GeminiConversation, str], Answer]


def claimed(conversation: GeminiConversation) -> str | None:
    """The id of the task that the last tool result handed out."""
    found = _TASK.search(conversation.last_result)
    last = conversation.tool_uses[-1].name if conversation.tool_uses else ""
    return found[1] if found and last == SERVER + "claim_next_task" else None


def call(name: str, **values: str) -> Answer:
    """A call of a tool of the queue."""
    return tool(SERVER + name, values)


def by_the_prompt(
    work: Step | None = None, caller: str = "gemini"
) -> Callable[[GeminiConversation], Answer]:
    """A worker that claims a task, does `work` on it in one call, completes it, and goes on until
    there is none."""

    def script(conversation: GeminiConversation) -> Answer:
        last = conversation.tool_uses[-1].name if conversation.tool_uses else ""
        task = claimed(conversation)
        if last == SERVER + "claim_next_task":
            if task is None:
                return text("QUEUE EMPTY: " + conversation.last_result[:80])
            step = work(conversation, task) if work else None
            return step or call("complete_task", id=task, summary=f"did {task}")
        if last and not last.startswith(SERVER):
            claims = [found[1] for found in map(_TASK.search, conversation.results) if found]
            return call("complete_task", id=claims[-1], summary=f"did {claims[-1]}")
        return call("claim_next_task", caller=caller, project="")

    return script


class PoolMachine:
    """HOME, project and clients of one test. `close()` ends what still runs."""

    def __init__(
        self, root: Path, network: Network, home: str, gemini: Path, gemini_model: GeminiModel
    ) -> None:
        self.network, self.home, self.gemini_model = network, home, gemini_model
        self.root, self.project, self.user = root, root / "project", root / "home"
        self.project.mkdir(parents=True)
        self.user.mkdir()
        self.bin = root / "bin"
        self.bin.mkdir()
        self.tmp = Path(tempfile.mkdtemp(prefix="hv-pool-"))
        self._started: list[subprocess.Popen[str]] = []
        self._more: dict[str, str] = {}
        self.program("gemini", gemini)

    def program(self, name: str, path: Path) -> None:
        """Put a client on PATH, inside of the private network."""
        words = shlex.join([*self.network.prefix, str(path)])
        (self.bin / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (self.bin / name).chmod(0o755)

    def with_claude(self, client: Client, model: Model) -> None:
        """Put Claude Code on PATH, and give it its model."""
        self.program("claude", client.binary)
        self._more |= {
            "ANTHROPIC_API_KEY": "sk-dummy",
            "ANTHROPIC_BASE_URL": model.url,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "IS_SANDBOX": "1",
        }

    def with_codex(self, program: Path, model: Model) -> None:
        """Put Codex CLI on PATH, and give it its model."""
        self.program("codex", program)
        self._more |= {
            "OPENAI_API_KEY": "dummy-key-of-a-test",
            "OPENAI_BASE_URL": f"{model.url}/v1",
        }

    def tasks(self, count: int, body: str = "Rename it.", title: str = "Rename key") -> list[Path]:
        """Write mechanical tasks."""
        folder = self.project / "tasks"
        folder.mkdir(exist_ok=True)
        first = len(list(folder.iterdir())) + 1
        paths = []
        for number in range(first, first + count):
            path = folder / f"demo-{number:04d}.md"
            path.write_text(
                f"---\nid: demo-{number:04d}\ntitle: {title} {number}\ntype: task\n"
                f"status: active\n---\n\n# {title} {number}\n\n{body}\n"
            )
            paths.append(path)
        return paths

    def open(self, *options: str, queue: str = "q") -> None:
        ran = hypervisor(self.project, "open", queue, "tasks", *options, home=self.home)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        node = shutil.which("node")
        assert node, "Node is needed for the client"
        folders = [os.path.dirname(node), os.path.dirname(os.path.realpath(sys.executable))]
        path = dict.fromkeys([str(self.bin), *folders, "/usr/local/bin", "/usr/bin", "/bin"])
        return {
            "PATH": ":".join(path),
            "HOME": str(self.user),
            "HYPERVISOR_STATE": os.environ["HYPERVISOR_STATE"],
            "TMPDIR": str(self.tmp),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "HYPERVISOR_HOME": self.home,
            "GEMINI_API_KEY": "dummy-key-of-a-test",
            "GOOGLE_GEMINI_BASE_URL": self.gemini_model.url,
            **self._more,
            **(more or {}),
        }

    def start(
        self, agent: str, *words: str, queue: str = "q", env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a pool."""
        named = {"gemini": "gemini-2.5-flash", "codex": "gpt-5.5"}.get(agent)
        model = ["--model", named] if named else []
        started = subprocess.Popen(
            [str(REPOSITORY / "bin/hypervisor"), "work", queue, "--agent", agent, *model, *words],
            cwd=self.project,
            env=self.env(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(started)
        return started

    def work(
        self, agent: str, *words: str, timeout: float = 300, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a pool to its end."""
        started = self.start(agent, *words, **options)
        out, err = started.communicate(timeout=timeout)
        return subprocess.CompletedProcess(words, started.returncode, out, err)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command that starts clients itself."""
        return subprocess.run(
            [REPOSITORY / "bin/hypervisor", *words],
            cwd=self.project, env=self.env(), capture_output=True, text=True,
        )  # fmt: skip

    def summary(self, queue: str = "q") -> dict[str, Any]:
        return summary(self.project, queue, home=self.home)

    def reasons(self, queue: str = "q") -> dict[str, str]:
        """Why each item that is not a success is none, by its id."""
        workers = self.summary(queue)["workers"]
        return {w["task_id"]: w["reason"] for w in workers if w["status"] != "success"}

    def pools(self) -> list[str]:
        with Ledger.open(str(self.project)) as ledger:
            return [row["id"] for row in ledger.store.rows("select id from session").fetchall()]

    def at_work(self) -> str:
        """The agent that is at work now."""
        with Ledger.open(str(self.project)) as ledger:
            [row] = ledger.store.rows("select id from agent where ended_at is null").fetchall()
        return str(row["id"])

    def logs(self, ending: str = ".log") -> str:
        """All that agents have printed."""
        folder = self.project / ".hypervisor/outputs/q"
        return "".join(path.read_text() for path in sorted(folder.glob(f"*{ending}")))

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.logs().splitlines() if line.startswith("{")]

    def close(self) -> None:
        for started in self._started:
            if started.poll() is None:
                started.send_signal(signal.SIGKILL)
            started.communicate()
        killing.kill_marked("HOME", str(self.user))
        shutil.rmtree(self.tmp, ignore_errors=True)
