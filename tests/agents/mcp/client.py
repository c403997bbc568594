"""Clients of a server: a plain one, and the SDK's own for tests that know no asyncio."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import forked
from repository import REPO

if TYPE_CHECKING:
    from mcp.client.session import ClientSession

PROGRAM = [sys.executable, "-I", "-S", "-X", "utf8", str(REPO / "src/hypervisor/__main__.py")]


class Client(ABC):
    """A client of a server that was started in a project."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its answer."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send the server a signal and wait until it is gone."""

    @abstractmethod
    def close(self) -> None:
        """Leave as a client does: the server's input ends."""

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


class Plain(Client):
    """One line for each question and answer, to a server in a fork of the test's process: that
    spares the loading of the SDK, which takes longer than all that most tests ask."""

    # The ends of all pipes to servers: none of them may stay open in another server.
    _ends: ClassVar[set[int]] = set()

    def __init__(self, root: Path, *words: str) -> None:
        # Loaded here, once, and not in each fork.
        import hypervisor.agents.mcp.server  # noqa: F401

        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self._ends |= {ours_in, ours_out}
        streams = (theirs_in, theirs_out, 2)
        self._pid = forked.start(["serve", *words], root, streams, {}, self._ends)
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = os.fdopen(ours_out, "w"), os.fdopen(ours_in)
        self._number = 0
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}}
        self._call("initialize", hello | {"clientInfo": {"name": "test", "version": "1"}})
        self._say({"method": "notifications/initialized"})

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its answer."""
        result = self._call("tools/call", {"name": name, "arguments": arguments})
        return _answer(
            result["content"][0]["text"], result["structuredContent"], result.get("isError")
        )

    def signal(self, number: int) -> None:
        """Send the server a signal and wait until it is gone."""
        os.kill(self._pid, number)
        self.close()

    def close(self) -> None:
        """Leave as a client does: the server's input ends."""
        if self._pid:
            self._ends -= {self._in.fileno(), self._out.fileno()}
            self._out.close()
            os.waitpid(self._pid, 0)
            self._in.close()
            self._pid = 0

    def _say(self, message: dict[str, Any]) -> None:
        self._out.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._out.flush()

    def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._say({"id": self._number, "method": method, "params": parameters})
        answer = json.loads(self._in.readline())
        assert answer["id"] == self._number and "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result


def _answer(text: str, structured: object, is_error: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text)
    assert structured == answer
    assert not is_error
    assert isinstance(answer["success"], bool) and isinstance(answer["message"], str)
    return answer


class Connection(Client):
    """The SDK's client of a server process, as agents start it."""

    def __init__(self, root: Path, *words: str) -> None:
        from mcp.client.stdio import StdioServerParameters

        self._mark = f"HYPERVISOR_TEST_SERVER={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        self._server = StdioServerParameters(
            command=PROGRAM[0],
            args=[*PROGRAM[1:], "serve", *words],
            cwd=root,
            env={**os.environ, name: value},
        )
        self._loop = asyncio.new_event_loop()
        self._session: Future[ClientSession] = Future()
        self._leave = asyncio.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        self._session.result(60)

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its answer."""
        session = self._session.result(0)
        called = asyncio.run_coroutine_threadsafe(session.call_tool(name, arguments), self._loop)
        result = called.result(60)
        text = result.content[0].text  # type: ignore[union-attr]
        return _answer(text, result.structured_content, result.is_error)

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
        from mcp.client.session import ClientSession
        from mcp.client.stdio import stdio_client

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
