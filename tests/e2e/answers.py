"""What a scripted model may answer, and the helpers that build it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class ToolCall:
    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    status: int
    message: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Slow:
    seconds: float
    answer: Answer


Part = Text | ToolCall
Answer = Part | Iterable[Part] | Failure | Slow | None


def text(words: str) -> Text:
    return Text(words)


def tool(name: str, tool_input: dict[str, Any]) -> ToolCall:
    return ToolCall(name, tool_input)


def bash(command: str, **more: Any) -> ToolCall:
    """A Bash call; `more` goes into its input (timeout in ms, run_in_background, …)."""
    return ToolCall("Bash", {"command": command, "description": "run a command", **more})


def spawn(agent_type: str, prompt: str, *, background: bool | None = True, **more: Any) -> ToolCall:
    """A call of the Agent tool; `background=None` leaves the key out; `more`: model, isolation …"""
    call = {"description": "a worker", "prompt": prompt, "subagent_type": agent_type, **more}
    if background is not None:
        call["run_in_background"] = background
    return ToolCall("Agent", call)


def stop_task(agent: str) -> ToolCall:
    return ToolCall("TaskStop", {"task_id": agent})


def error(status: int, message: str = "the scripted model refuses", **headers: str) -> Failure:
    """An HTTP error; `headers` such as retry_after="1" are sent with `-` for `_`."""
    return Failure(status, message, {name.replace("_", "-"): v for name, v in headers.items()})


def slow(seconds: float, answer: Answer) -> Slow:
    """That answer after so many seconds; other conversations go on meanwhile."""
    return Slow(seconds, answer)


def wait_command(seconds: float) -> str:
    """A shell command that takes so long; the client refuses a long `sleep` in the foreground."""
    return f"python3 -c 'import time; time.sleep({seconds})'"
