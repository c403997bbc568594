"""`hypervisor serve`: the MCP server `task_manager`."""

from __future__ import annotations

import argparse
import gc
import os
from importlib.util import find_spec

from hypervisor.cli.place import root_of_queue
from hypervisor.system import libraries
from hypervisor.system.errors import HypervisorError

SUMMARY = "run the MCP server task_manager on standard input and output"
EXAMPLE = "hypervisor serve --setup"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", help="hand out items of this queue only")
    parser.add_argument("--here", action="store_true", help="put this linked worktree on each item")
    parser.add_argument(
        "--setup",
        action="store_true",
        help="only install its libraries, if they are missing",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until the client leaves: 0."""
    if find_spec("mcp") is None:
        raise _missing("mcp")
    if args.setup:
        print("task_manager is set up; a client that runs already has to reconnect it (/mcp)")
        return 0
    from hypervisor.agents.clients import CLIENTS, client

    for name in CLIENTS:
        client(name).serves()
    # The library makes hundreds of classes that stay for good: to look through them for garbage,
    # again and again while they are made, takes a tenth of the start.
    gc.disable()
    try:
        from hypervisor.agents.mcp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hypervisor":
            raise
        raise _missing(error.name) from None
    gc.freeze()
    gc.enable()
    here = os.getcwd() if args.here else None
    serve(root_of_queue(args.queue), args.queue, here)
    return 0


def _missing(name: str | None) -> HypervisorError:
    return HypervisorError(
        f"the library of the MCP server is missing ({name})",
        f"run: {libraries.mend('mcp', '{} serve --setup')}",
    )
