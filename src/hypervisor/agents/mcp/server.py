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
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, TextContent

import hypervisor
from hypervisor.agents.mcp.answers import failure
from hypervisor.agents.mcp.claims import Dispatch
from hypervisor.agents.mcp.tools import Tools
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


NAME = "task_manager"
_ABOUT = (
    "Tasks in Markdown files. Claim one with claim_next_task, do what its title and body say, then "
    "call complete_task or block_task with its id."
)

Id = str | int
Words = list[str] | str | None


def serve(root: str, queue: str | None) -> None:
    """Serve the tasks below `root` on standard input and output until the client leaves."""
    index = TaskIndex(root)
    dispatch = Dispatch(index, queue)
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

    server = Server(NAME, version=hypervisor.__version__, instructions=_ABOUT, lifespan=life)
    _register(server, tools, leases)
    server.run("stdio")


class Server(MCPServer[None]):
    """An MCPServer that answers arguments which it can't use as it answers any failure."""

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, object],
        context: Context[None, object] | None = None,
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

    @server.tool()
    async def claim_next_task(caller: str, project: str = "") -> CallToolResult:
        """Claim the next task for `caller`, of `project` if given. Nobody else gets it."""
        return answer(lambda: tools.claim_next_task(caller, project))

    @server.tool()
    async def get_task(id: Id) -> CallToolResult:
        """Return one task: its fields, body, children and the tasks that it blocks."""
        return answer(lambda: tools.get_task(str(id)))

    @server.tool()
    async def complete_task(
        id: Id,
        force: bool = False,
        summary: str = "",
        commit: str = "",
        caller: str = "",
        note: str = "",
    ) -> CallToolResult:
        """Complete a task; `summary` says what was done, `note` what its owner should know beside
        it. Refused while boxes are open, unless `force`."""
        return answer(lambda: tools.complete_task(str(id), force, summary, commit, caller, note))

    @server.tool()
    async def block_task(
        id: Id,
        reason: str = "",
        evidence: str = "",
        next_step: str = "",
        caller: str = "",
        note: str = "",
    ) -> CallToolResult:
        """End a task as blocked, with the reason why it can't be done."""
        return answer(lambda: tools.block_task(str(id), reason, evidence, next_step, caller, note))

    @server.tool()
    async def release_task(id: Id, reason: str = "") -> CallToolResult:
        """Give a claimed task back, so that another worker gets it."""
        return answer(lambda: tools.release_task(str(id), reason))

    @server.tool()
    async def update_task(
        id: Id,
        title: str | None = None,
        type: str | None = None,
        status: str | None = None,
        priority: Id | None = None,
        order: Id | None = None,
        parent: str | None = None,
        depends_on: Words = None,
        soft_depends_on: Words = None,
        due: str | None = None,
        project: str | None = None,
        tags: Words = None,
        assignee: str | None = None,
        complexity: str | None = None,
        body: str = "",
        replace_body: bool = False,
        force: bool = False,
    ) -> CallToolResult:
        """Change fields of a task; "" clears one. `body` is added, unless `replace_body`."""
        fields: dict[str, object] = {
            "title": title, "type": type, "status": status, "priority": priority, "order": order,
            "parent": parent, "depends_on": depends_on, "soft_depends_on": soft_depends_on,
            "due": due, "project": project, "tags": tags, "assignee": assignee,
            "complexity": complexity,
        }  # fmt: skip
        given = {name: value for name, value in fields.items() if value is not None}
        return answer(lambda: tools.update_task(str(id), given, body, replace_body, force))

    @server.tool()
    async def create_task(
        task_title: str,
        type: str = "",
        project: str = "",
        parent: str = "",
        depends_on: Words = None,
        soft_depends_on: Words = None,
        order: Id | None = None,
        priority: Id | None = None,
        due: str = "",
        tags: Words = None,
        body: str = "",
        assignee: str = "",
        complexity: str = "",
        status: str = "",
    ) -> CallToolResult:
        """Make a new task in a file of its own."""
        fields: dict[str, object] = {
            "title": task_title, "type": type, "project": project, "parent": parent,
            "depends_on": depends_on, "soft_depends_on": soft_depends_on, "order": order,
            "priority": priority, "due": due, "tags": tags, "assignee": assignee,
            "complexity": complexity, "status": status,
        }  # fmt: skip
        return answer(lambda: tools.create_task(fields, body))

    @server.tool()
    async def list_tasks(
        project: str = "",
        status: str = "",
        type: str = "",
        priority: Id | None = None,
        priority_max: int | None = None,
        assignee: str = "",
        complexity: str = "",
        limit: int = 50,
    ) -> CallToolResult:
        """List tasks by their fields, without bodies; `limit` 0 lists all."""
        return answer(
            lambda: tools.list_tasks(
                limit,
                project=project,
                status=status,
                type=type,
                priority=priority,
                priority_max=priority_max,
                assignee=assignee,
                complexity=complexity,
            )
        )

    @server.tool()
    async def get_ready_tasks(
        project: str = "", caller: str = "", limit: int = 1
    ) -> CallToolResult:
        """List what can be worked on now, best first; `total` counts all."""
        return answer(lambda: tools.get_ready_tasks(project, caller, limit))

    @server.tool()
    async def get_blocked_tasks(project: str = "", limit: int = 50) -> CallToolResult:
        """List tasks that are blocked or wait for others, each with the reason."""
        return answer(lambda: tools.get_blocked_tasks(project, limit))

    @server.tool()
    async def get_children(id: Id) -> CallToolResult:
        """List the tasks that name this one as their parent."""
        return answer(lambda: tools.get_children(str(id)))

    @server.tool()
    async def get_index_stats(include_projects: bool = False) -> CallToolResult:
        """Count the tasks: all, ready, blocked, by status, type and project."""
        return answer(lambda: tools.get_index_stats(include_projects))
