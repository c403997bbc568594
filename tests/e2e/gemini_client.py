"""The real Gemini CLI on a machine of its own: an empty HOME, a project, a scripted model."""

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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e import npm
from e2e.gemini_model import GeminiModel
from e2e.network import PATIENCE, Network
from e2e.tokens import Tokens

PACKAGE = "@google/gemini-cli"
VERSION = "0.61.0"

# What a worker's user would have: a key, no updates, no telemetry, few retries.
SETTINGS: dict[str, Any] = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False, "maxAttempts": 2},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "model": {"maxSessionTurns": 30},
}


def program() -> Path:
    """The client, from the cache; installed first if it is not there."""
    return npm.program(PACKAGE, VERSION, "gemini", "node_modules/.bin/gemini")


@dataclass(frozen=True)
class Ended:
    """What a run of the client has left."""

    rc: int  # negative: ended by that signal
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The stream's events; lines that are none, or were cut short by a kill, are left out."""
        found = []
        for line in self.stdout.splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Events of one type: init, message, tool_use, tool_result, error, result."""
        return [event for event in self.events if event.get("type") == kind]

    @property
    def text(self) -> str:
        """What the model said."""
        said = [e["content"] for e in self.of("message") if e["role"] == "assistant"]
        return "".join(said)

    @property
    def tokens(self) -> Tokens:
        """The client's own sum, from its `result` event."""
        stats = self.of("result")[-1]["stats"]
        return Tokens(stats["input"], stats["output_tokens"], stats["cached"])


class GeminiMachine:
    """HOME, project, client and model of one test. `close()` ends what still runs."""

    def __init__(self, root: Path, binary: Path, model: GeminiModel, network: Network) -> None:
        self.binary, self.model, self.network = binary, model, network
        self.root, self.home, self.project = root, root / "home", root / "project"
        self.home.mkdir(parents=True)
        self.project.mkdir()
        self.tmp = Path(tempfile.mkdtemp(prefix="hv-gemini-"))
        # More of the environment, for every run. The client's second start of itself costs as much
        # as the first; tests of what a user types take the variable out.
        self.variables: dict[str, str] = {"GEMINI_CLI_NO_RELAUNCH": "true"}
        self.settings(SETTINGS)

    def close(self) -> None:
        """End whatever a killed client has left behind."""
        end = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        shutil.rmtree(self.tmp, ignore_errors=True)

    def processes(self) -> list[int]:
        """All processes of this machine, by the one variable that every child of a client keeps."""
        mark = f"HOME={self.home}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def settings(self, values: Mapping[str, Any]) -> None:
        """Set keys of the user's settings.json, as a user would; others stay."""
        path = self.home / ".gemini/settings.json"
        path.parent.mkdir(exist_ok=True)
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**old, **values}, indent=1))

    def trust(self, folder: Path) -> None:
        """Answer the client's question whether it may work in this folder."""
        path = self.home / ".gemini/trustedFolders.json"
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**old, str(folder): "TRUST_FOLDER"}))

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The client's whole environment: nothing of the caller's goes in."""
        node = shutil.which("node")
        assert node, "Node is needed for the client"
        folders = [node, os.path.realpath(sys.executable), "/usr/local/bin/x", "/usr/bin/x"]
        path = dict.fromkeys([*map(os.path.dirname, folders), "/bin"])
        return {
            "PATH": ":".join(path),
            "HOME": str(self.home),
            "HYPERVISOR_STATE": os.environ["HYPERVISOR_STATE"],
            "TMPDIR": str(self.tmp),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "GEMINI_API_KEY": "dummy-key-of-a-test",
            "GOOGLE_GEMINI_BASE_URL": self.model.url,
            **self.variables,
            **(more or {}),
        }

    def start(
        self,
        *args: str | Path,
        prompt: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Start the client with `prompt` on its standard input, in a process group of its own."""
        given = tempfile.TemporaryFile("w+", dir=self.tmp)  # noqa: SIM115
        given.write(prompt)
        given.seek(0)
        return subprocess.Popen(
            [*self.network.prefix, str(self.binary), *map(str, args)],
            env=self.env(env),
            cwd=cwd or self.project,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def cli(self, *args: str | Path, timeout: float = PATIENCE, **options: Any) -> Ended:
        """Run the client to its end: `mcp list`, `extensions validate …`, or a session."""
        process = self.start(*args, **options)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"no end in {timeout} s: {args}\n{err}\n{out[-2000:]}") from None
        return Ended(process.returncode, out, err)

    def session(self, prompt: str, *args: str | Path, **options: Any) -> Ended:
        """A headless session, its events as JSON lines, on a fixed model."""
        flags = ["-m", "gemini-2.5-flash", "-o", "stream-json"]
        return self.cli(*flags, *args, prompt=prompt, **options)
