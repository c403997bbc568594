"""Scripted models that work a hypervisor queue by the book, and folders of tasks for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .answers import Answer, bash, spawn, text
from .conversation import Conversation

REPOSITORY = Path(__file__).resolve().parents[2]
_CLAIM = re.compile(r"^claim (\S+)$", re.MULTILINE)
_ITEM = re.compile(r"^item: (\S+)$", re.MULTILINE)


def lay_out(folder: Path, count: int) -> list[Path]:
    """Write `count` ready task files and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(1, count + 1):
        path = folder / f"demo-{number:04d}.md"
        path.write_text(
            f"---\nid: demo-{number:04d}\ntitle: Rename key {number}\ntype: task\n"
            f"status: active\n---\n\n# Rename key {number}\n\nRename it.\n"
        )
        paths.append(path)
    return paths


def claim_of(conversation: Conversation) -> tuple[str, str] | None:
    """Return (token, item) of the claim that the last tool result handed out."""
    token = _CLAIM.search(conversation.last)
    item = _ITEM.search(conversation.last)
    return (token[1], item[1]) if token and item else None


def done(token: str, item: str, *, more: bool = True) -> Answer:
    """Report an item as done, and ask for the next one."""
    following = " --next" if more else ""
    return bash(f"hypervisor done {token}{following} --summary - <<'END'\ndid {item}\nEND")


def by_the_book(queue: str) -> Callable[[Conversation], Answer]:
    """A worker that takes item after item and reports each."""

    def worker(conversation: Conversation) -> Answer:
        if not conversation.tool_uses:
            return bash(f"hypervisor next {queue}")
        claim = claim_of(conversation)
        if claim is None:
            return text("ended my items")
        return done(*claim, more="one item only" not in conversation.first)

    return worker


def fan_out(queue: str, source: str, workers: int) -> Callable[[Conversation], Answer]:
    """A session that opens a queue, starts its workers in one message, and ends its turn.

    Told to wait in the foreground, it waits. It repeats what it has heard of the queue.
    """

    def main(conversation: Conversation) -> Answer:
        if not conversation.used("Bash"):
            return bash(f"hypervisor open {queue} {source}")
        if not conversation.used("Agent"):
            return [
                spawn("hypervisor:worker", f"queue {queue}", description=f"worker {number}")
                for number in range(workers)
            ]
        if "hypervisor wait" in conversation.last and "has drained" not in conversation.last:
            return bash(f"hypervisor wait {queue} --timeout 20")
        return text("heard: " + conversation.last[-300:])

    return main


def hypervisor(project: Path, *words: str, home: str) -> subprocess.CompletedProcess[str]:
    """Run the command line outside of any session."""
    return subprocess.run(
        [str(REPOSITORY / "bin/hypervisor"), *words],
        cwd=project,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(project.parent),
            "HYPERVISOR_HOME": home,
            "HYPERVISOR_STATE": os.environ["HYPERVISOR_STATE"],
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def summary(project: Path, queue: str, *, home: str) -> dict[str, Any]:
    """Return the structured summary of a queue."""
    asked = hypervisor(project, "summary", queue, "--json", home=home)
    assert asked.returncode == 0, asked.stderr
    told: dict[str, Any] = json.loads(asked.stdout)
    return told
