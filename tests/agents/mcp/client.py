"""The SDK's own client on a server process of its own, for tests that know no asyncio."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from repository import REPO

PROGRAM = [sys.executable, "-I", "-S", "-X", "utf8", str(REPO / "src/hypervisor/__main__.py")]


class Connection:
    """A server that was started in `root`, and a client that speaks with it."""

    def __init__(self, root: Path, *words: str, **env: str) -> None:
        self._mark = f"HYPERVISOR_TEST_SERVER={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        self._server = StdioServerParameters(
            command=PROGRAM[0],
            args=[*PROGRAM[1:], "serve", *words],
            cwd=root,
            env={**os.environ, name: value, **env},
        )
        self._loop = asyncio.new_event_loop()
        self._session: Future[ClientSession] = Future()
        self._leave = asyncio.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        self._session.result(60)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its answer."""
        session = self._session.result(0)
        called = asyncio.run_coroutine_threadsafe(session.call_tool(name, arguments), self._loop)
        result = called.result(60)
        answer: dict[str, Any] = json.loads(result.content[0].text)  # type: ignore[union-attr]
        assert result.structured_content == answer
        assert not result.is_error
        assert isinstance(answer["success"], bool) and isinstance(answer["message"], str)
        return answer

    def ok(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must succeed."""
        answer = self.ask(name, **arguments)
        assert answer["success"], answer
        return answer

    def refused(self, name: str, **arguments: Any) -> str:
        """Call a tool that must fail; return its message."""
        answer = self.ask(name, **arguments)
        assert not answer["success"], answer
        return str(answer["message"])

    def claim(self, **arguments: Any) -> str | None:
        """Claim the next task for gemini; return its id."""
        task = self.ok("claim_next_task", **{"caller": "gemini", **arguments})["task"]
        return task and str(task["id"])

    def tools(self) -> dict[str, Any]:
        """Return the tools by name."""
        session = self._session.result(0)
        listed = asyncio.run_coroutine_threadsafe(session.list_tools(), self._loop).result(60)
        return {tool.name: tool for tool in listed.tools}

    def signal(self, number: int) -> None:
        """Send the server a signal and wait until it is gone."""
        # What the server has started bears its mark, too, and numbers begin anew one day.
        os.kill(min(self._pids(), key=_started), number)
        wait_for(lambda: not self._pids())

    def close(self) -> None:
        """Leave as a client does: the server's input ends."""
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(60)
        wait_for(lambda: not self._pids())

    def _pids(self) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self._mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._speak())
        except BaseException as error:
            if not self._session.done():
                self._session.set_exception(error)

    async def _speak(self) -> None:
        async with stdio_client(self._server) as streams, ClientSession(*streams) as session:
            await session.initialize()
            self._session.set_result(session)
            await self._leave.wait()


def _started(pid: int) -> int:
    """When a process was started, in ticks since the boot; see proc(5)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def wait_for(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until `true` says so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


KILL, TERM = signal.SIGKILL, signal.SIGTERM
