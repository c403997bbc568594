"""Runs of the real client: headless (`-p`) and interactive (in tmux)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.network import PATIENCE
from e2e.tokens import Tokens

if TYPE_CHECKING:
    from e2e.workspace import Workspace

BYPASS = "bypassPermissions"
_STREAM = ["--output-format", "stream-json", "--verbose", "--include-hook-events"]


@dataclass(frozen=True)
class Result:
    """What a headless run has left."""

    rc: int  # negative: ended by that signal
    events: list[dict[str, Any]]
    stderr: str
    seconds: float

    def of(self, kind: str, subtype: str | None = None) -> list[dict[str, Any]]:
        """Stream events of one type (`assistant`, `user`, `result`, `system` …)."""
        fits = (e for e in self.events if e.get("type") == kind)
        return [e for e in fits if subtype in (None, e.get("subtype"))]

    @cached_property
    def init(self) -> dict[str, Any]:
        return self.of("system", "init")[0]

    @cached_property
    def final(self) -> dict[str, Any]:
        """The last `result` event; each turn has one."""
        return self.of("result")[-1]

    @property
    def text(self) -> str:
        return str(self.final.get("result", ""))

    @property
    def session(self) -> str:
        return str(self.init["session_id"])

    @property
    def denials(self) -> list[dict[str, Any]]:
        return list(self.final["permission_denials"])

    @property
    def tokens(self) -> Tokens:
        """The client's own sum over all models, workers included (`modelUsage`)."""
        keys = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
        total = Tokens()
        for usage in self.final["modelUsage"].values():
            total = total.plus(Tokens(*(usage[key] for key in keys)))
        return total


class Headless:
    """A running `claude -p`.

    plugins: folders for `--plugin-dir`. mode: a permission mode (BYPASS, "default", "dontAsk" …).
    args: more arguments (`--resume`, ID …). env: more variables. cwd: instead of the project.
    talks: prompts go in by standard input, where `say` adds more of them until `wait`.
    """

    def __init__(
        self,
        workspace: Workspace,
        prompt: str,
        *,
        plugins: Sequence[Path] = (),
        mode: str = BYPASS,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        talks: bool = False,
    ) -> None:
        own = ["-p", "--input-format", "stream-json"] if talks else ["-p", prompt]
        command, whole_env = workspace.command(plugins, mode, [*own, *_STREAM, *args], env)
        self._out = tempfile.TemporaryFile("w+", dir=workspace.tmp)  # noqa: SIM115
        self._err = tempfile.TemporaryFile("w+", dir=workspace.tmp)  # noqa: SIM115
        self._start = time.monotonic()
        self.process = subprocess.Popen(
            command,
            env=whole_env,
            cwd=cwd or workspace.project,
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
        )
        if talks and prompt:
            self.say(prompt)

    def say(self, prompt: str) -> None:
        """Give it another prompt."""
        assert self.process.stdin
        message = {"type": "user", "message": {"role": "user", "content": prompt}}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, timeout: float = PATIENCE) -> Result:
        """Wait for the end. After `timeout` seconds it is killed, and the test fails."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            result = self._result()
            tail = "\n".join(json.dumps(e)[:300] for e in result.events[-8:])
            raise AssertionError(
                f"the client did not end in {timeout} s\n{result.stderr}\n{tail}"
            ) from None
        return self._result()

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the client alone, and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _result(self) -> Result:
        seconds = time.monotonic() - self._start
        self._out.seek(0)
        events = []
        for line in self._out:
            try:
                events.append(json.loads(line))
            except ValueError:  # cut short by a kill
                continue
        self._err.seek(0)
        return Result(self.process.returncode, events, self._err.read(), seconds)


@dataclass
class Interactive:
    """The client's own screen, in a tmux of its own. Options as in Headless."""

    workspace: Workspace
    plugins: Sequence[Path] = ()
    mode: str = BYPASS
    args: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    size: tuple[int, int] = (160, 100)
    _socket: str = field(init=False)

    def __post_init__(self) -> None:
        self._socket = str(Path(tempfile.mkdtemp(dir=self.workspace.tmp)) / "tmux")
        command, env = self.workspace.command(self.plugins, self.mode, self.args, self.env)
        prefix = command[: len(self.workspace.network.prefix)]
        pairs = [f"{key}={value}" for key, value in env.items()]
        width, height = map(str, self.size)
        start = ["new-session", "-d", "-x", width, "-y", height, "--", "env", "-i", *pairs]
        self._tmux(*start, *command[len(prefix) :], prefix=prefix)

    def _tmux(self, *args: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*prefix, "tmux", "-f", "/dev/null", "-S", self._socket, *args],
            env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            cwd=self.cwd or self.workspace.project,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    @property
    def alive(self) -> bool:
        return self._tmux("has-session").returncode == 0

    @property
    def pid(self) -> int:
        """The client's process id; 0 when it has ended."""
        shown = self._tmux("display-message", "-p", "#{pane_pid}")
        return int(shown.stdout) if shown.returncode == 0 and shown.stdout.strip() else 0

    def screen(self) -> str:
        """What the screen shows now."""
        return self._tmux("capture-pane", "-p").stdout

    def type(self, words: str) -> None:
        self._tmux("send-keys", "-l", "--", words)

    def enter(self) -> None:
        self._tmux("send-keys", "Enter")

    def key(self, name: str) -> None:
        """A key by tmux's name: Escape, C-c, Up …"""
        self._tmux("send-keys", name)

    def submit(self, prompt: str) -> None:
        """Type a prompt and send it, once the input line shows it."""
        self.type(prompt)
        self.wait_for(re.escape(prompt[-30:]))
        time.sleep(0.5)  # the list of commands opens and closes by itself
        self.enter()

    def wait_for(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
        """Wait until the screen matches; the screen stands in the error otherwise."""
        end = time.monotonic() + timeout
        while not (found := re.search(pattern, screen := self.screen(), re.M)):
            if time.monotonic() > end or not self.alive:
                raise AssertionError(f"no {pattern!r} on the screen in {timeout} s:\n{screen}")
            time.sleep(0.1)
        return found

    def exit(self, timeout: float = PATIENCE) -> None:
        """Leave as a user does, with /exit."""
        self.type("/exit")
        time.sleep(0.5)
        self.enter()
        end = time.monotonic() + timeout
        while self.alive:
            if time.monotonic() > end:
                raise AssertionError(f"the client did not end:\n{self.screen()}")
            if "Exit and stop tasks" in self.screen():
                self.enter()
            time.sleep(0.1)

    def close_terminal(self) -> None:
        """Close the window under the client, which hears of it by SIGHUP."""
        self._tmux("kill-server")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the client; its screen and tmux are gone afterwards."""
        pid = self.pid
        if pid:
            os.kill(pid, how)
            end = time.monotonic() + 10
            while self.alive and time.monotonic() < end:
                time.sleep(0.05)
        self._tmux("kill-server")
