"""One machine as a test sees it: an empty HOME, a project, a client, a scripted model.

What the client leaves outside HOME and project goes to a temporary folder of the workspace.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from e2e.clients import Client
from e2e.model import Model
from e2e.network import PATIENCE, Network
from e2e.plugins import copy_plugin
from e2e.session import BYPASS, Headless, Interactive, Result
from e2e.transcripts import Transcript

_KEY = "sk-dummy"


class Workspace:
    """HOME, project, client and model of one test. `close()` ends what still runs."""

    def __init__(self, root: Path, client: Client, model: Model, network: Network) -> None:
        self.client, self.model, self.network = client, model, network
        self.root, self.home, self.project = root, root / "home", root / "project"
        self.home.mkdir(parents=True)
        self.project.mkdir()
        # Paths of Unix sockets must be short, which pytest's folders are not.
        self.tmp = Path(tempfile.mkdtemp(prefix="hv-e2e-"))
        self._open: list[Headless | Interactive] = []
        self.settings({})
        self._answer_dialogs()

    def close(self) -> None:
        """End every session, and whatever a killed one has left behind."""
        for run in self._open:
            run.kill()
        end = time.monotonic() + 10
        while self.send(signal.SIGKILL) and time.monotonic() < end:
            time.sleep(0.02)
        shutil.rmtree(self.tmp, ignore_errors=True)

    def send(self, number: signal.Signals) -> list[int]:
        """Signal all processes of this workspace; one that has just ended is none of them."""
        pids = self.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def processes(self) -> list[int]:
        """All processes that a session of this workspace is or has started, by their environment.

        A tool call outlives a client that is killed by SIGKILL.
        """
        mark = f"CLAUDE_CODE_TMPDIR={self.tmp}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The client's whole environment: nothing of the caller's goes in."""
        python = os.path.dirname(os.path.realpath(sys.executable))
        path = dict.fromkeys([python, "/usr/local/bin", "/usr/bin", "/bin"])
        return {
            "PATH": ":".join(path),
            "HOME": str(self.home),
            "HYPERVISOR_STATE": os.environ["HYPERVISOR_STATE"],
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": _KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "CLAUDE_CODE_TMPDIR": str(self.tmp),
            **(more or {}),
        }

    def settings(self, values: Mapping[str, Any]) -> None:
        """Add to the user's settings.json, as a user would (permissions, disableAllHooks …)."""
        path = self.home / ".claude/settings.json"
        path.parent.mkdir(exist_ok=True)
        old = json.loads(path.read_text()) if path.exists() else {}
        always = {"skipDangerousModePermissionPrompt": True}
        path.write_text(json.dumps({**always, **old, **values}))

    def _answer_dialogs(self) -> None:
        trusted = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        answers = {
            "hasCompletedOnboarding": True,
            "theme": "dark",
            "bypassPermissionsModeAccepted": True,
            "customApiKeyResponses": {"approved": [_KEY], "rejected": []},
            "projects": {str(self.project): trusted},
        }
        (self.home / ".claude.json").write_text(json.dumps(answers))

    # --- the client

    def cli(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """A command of the client that is no session: `plugin validate …`."""
        return subprocess.run(
            [*self.network.prefix, str(self.client.binary), *map(str, args)],
            env=self.env(),
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def install(self, repository: Path, folder: str = "a copy with spaces") -> Path:
        """Copy the repository, add the copy as a marketplace and install its plugin from it.

        Every later session of this workspace has the plugin; returns the copy.
        """
        copy = copy_plugin(repository, self.root / folder)
        market = json.loads((copy / ".claude-plugin/marketplace.json").read_text())
        plugin = market["plugins"][0]["name"]
        for step in (
            ["plugin", "marketplace", "add", str(copy)],
            ["plugin", "install", f"{plugin}@{market['name']}"],
        ):
            done = self.cli(*step)
            assert done.returncode == 0, f"{step}: {done.stdout}{done.stderr}"
        return copy

    def headless(self, prompt: str, **options: Any) -> Headless:
        """Start `claude -p`; see Headless for the options."""
        run = Headless(self, prompt, **options)
        self._open.append(run)
        return run

    def run(self, prompt: str, timeout: float = PATIENCE, **options: Any) -> Result:
        """Run `claude -p` to its end."""
        return self.headless(prompt, **options).wait(timeout)

    def interactive(self, **options: Any) -> Interactive:
        """Start the client in tmux and wait for its prompt; see Interactive for the options."""
        session = Interactive(self, **options)
        self._open.append(session)
        session.wait_for("❯")
        return session

    def transcripts(self) -> list[Transcript]:
        """Every transcript in this HOME: sessions and their workers."""
        found = sorted((self.home / ".claude/projects").glob("**/*.jsonl"))
        return [Transcript(path) for path in found]

    def command(
        self, plugins: Sequence[Path], mode: str, args: Sequence[str], env: Mapping[str, str] | None
    ) -> tuple[list[str], dict[str, str]]:
        command = [*self.network.prefix, str(self.client.binary)]
        for plugin in plugins:
            command += ["--plugin-dir", str(plugin)]
        more = dict(env or {})
        if mode == BYPASS:
            # As root the client wants to be told that it is in a sandbox.
            command.append("--dangerously-skip-permissions")
            more.setdefault("IS_SANDBOX", "1")
        else:
            # Without it the newer clients' screen begins in auto mode.
            command += ["--permission-mode", mode]
        return [*command, *args], self.env(more)
