"""A project with tasks, servers in it, and the command line beside them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import forked
from agents.mcp.client import Client, Connection, Plain

Write = Callable[..., Path]
Serve = Callable[..., Client]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "tasks").mkdir(parents=True)
    (folder / "hypervisor.toml").touch()
    return folder


@pytest.fixture
def write(root: Path) -> Write:
    """`write("t-1", "priority: 1", body=…)`: a ready task of that id with these lines."""

    def write(item_id: str, *lines: str, body: str = "Do it.\n", name: str = "") -> Path:
        path = root / "tasks" / f"{name or item_id}.md"
        usual = (f"id: {item_id}", f"title: Title of {item_id}", "type: task", "status: active")
        keys = {line.partition(":")[0] for line in lines}
        told = [line for line in usual if line.partition(":")[0] not in keys] + list(lines)
        path.write_text("---\n" + "\n".join(told) + f"\n---\n\n{body}")
        return path

    return write


@pytest.fixture
def serve(root: Path) -> Iterator[Serve]:
    """`serve("--queue", "q")`: a server in the project, with a client."""
    with ExitStack() as stack:
        yield lambda *words: stack.enter_context(Plain(root, *words))


@pytest.fixture
def serve_to_sdk(root: Path) -> Iterator[Callable[..., Connection]]:
    """As `serve`, as agents have it: a process of its own, and the SDK's client."""
    with ExitStack() as stack:

        def start(*words: str) -> Connection:
            started = Connection(root, *words)
            stack.callback(started.close)
            return started

        yield start


@pytest.fixture
def run(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in the project."""
    return lambda *words: forked.run(words, root, None, {})
