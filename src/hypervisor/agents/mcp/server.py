"""The server itself: the tools as the SDK wants them, and a life that holds no claim too long.

Calls are carried out one after the other in the main thread. The leases of what was claimed are
renewed by a thread beside it, so that a long check keeps no item from its owner.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, TextContent

import hypervisor
from hypervisor.agents.mcp import SERVER
from hypervisor.agents.mcp.answers import failure
from hypervisor.agents.mcp.claims import Dispatch
from hypervisor.agents.mcp.tools import NAMES, Tools
from hypervisor.intake.index import TaskIndex
from hypervisor.ledger import Ledger
from hypervisor.ledger.damage import explained
from hypervisor.system.errors import HypervisorError
from hypervisor.system.text import one_line, whole

_LONGEST = 60.0


class Leases(threading.Thread):
    """A thread with a ledger connection of its own. `look` tells it that claims may have come."""

    def __init__(self, root: str, dispatch: Dispatch) -> None:
        super().__init__(daemon=True, name="leases")
        self._root = root
        self._dispatch = dispatch
        self._news = threading.Event()

    def look(self) -> None:
        """Have the leases looked at again, if anything is held."""
        if self._dispatch.held:
            self._news.set()

    def run(self) -> None:
        """Renew what is held three times within the shortest lease."""
        pause: float | None = None
        while True:
            if self._news.wait(pause):
                self._news.clear()
            else:
                self._renew()
            held = list(self._dispatch.held.values())
            leases = [one.claim.lease_seconds for one in held]
            pause = min(_LONGEST, min(leases) / 3) if leases else None

    def _renew(self) -> None:
        tokens = [one.claim.token for one in list(self._dispatch.held.values())]
        try:
            with Ledger.open(self._root) as ledger:
                ledger.claims.heartbeat(tokens)
        except (HypervisorError, OSError):
            # Tried again at the next turn; a lease that ends meanwhile is told when it is used.
            return


_ABOUT = (
    "Tasks in Markdown files. Claim one with claim_next_task, do what its title and body say, then "
    "call complete_task or block_task with its id."
)


def serve(root: str, queue: str | None, here: str | None = None) -> None:
    """Serve the tasks below `root` on standard input and output until the client leaves; the linked
    worktree around the folder `here` is put on the branch of each item that is claimed."""
    index = TaskIndex(root)
    dispatch = Dispatch(index, queue, here)
    tools = Tools(index, dispatch)
    leases = Leases(root, dispatch)

    @asynccontextmanager
    async def life(_: MCPServer[None]) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, _end, tools, number)
        leases.start()
        try:
            yield
        finally:
            _put_down(tools)

    server = Server(SERVER, version=hypervisor.__version__, instructions=_ABOUT, lifespan=life)
    _register(server, tools, leases)
    server.run("stdio")


class Server(MCPServer[None]):
    """An MCPServer that answers arguments which it can't use as it answers any failure."""

    async def call_tool(
        self, name: str, arguments: dict[str, object], context: Context[None, object] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; see MCPServer."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            return told(failure(str(error), task=None))


def told(answer: dict[str, object]) -> CallToolResult:
    """Return an answer as the client gets it: as compact JSON, and as structured content."""
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    shown = whole(text)
    return CallToolResult(
        content=[TextContent(type="text", text=shown)],
        # A file's name need not be UTF-8, and the client gets nothing else.
        structured_content=answer if shown == text else json.loads(shown),
    )


def _put_down(tools: Tools) -> None:
    """Free what is claimed, and keep the index for the next server."""
    try:
        tools.dispatch.give_back_all()
    except Exception as error:  # whatever it is, the leases end what is left
        print(f"hypervisor: {error}", file=sys.stderr)
    tools.index.save()


def _end(tools: Tools, number: int) -> None:
    """End at once on a signal: the thread that reads standard input can't be interrupted."""
    _put_down(tools)
    os._exit(128 + number)


def _register(server: Server, tools: Tools, leases: Leases) -> None:
    def answer(call: Callable[[], dict[str, object]]) -> CallToolResult:
        try:
            found = tools.answer(call)
        except SystemExit as ending:
            # A check was told to end, and so is this process.
            _end(tools, int(ending.code or 0) - 128)
            raise
        except Exception as error:
            what = explained(tools.index.root, error) or f"{type(error).__name__}: {error}"
            print(f"hypervisor: {what}", file=sys.stderr)
            found = failure(one_line(what, 1000), task=None)
        leases.look()
        return told(found)

    def told_by(name: str) -> Callable[..., Awaitable[CallToolResult]]:
        method: Callable[..., dict[str, object]] = getattr(tools, name)

        # Not in a thread of its own: the one that runs the server carries out one after the other.
        @wraps(method)
        async def call(**given: object) -> CallToolResult:
            return answer(lambda: method(**given))

        return call

    for name in NAMES:
        server.tool(structured_output=False)(told_by(name))
