"""One request of the client, as a scripted model sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

_WORKER_NOTICE = re.compile(
    r"<task-notification>(?:(?!</task-notification>).)*<summary>Agent .*?</task-notification>"
    r"|<agent-message from=[^>]*>\s*\[Subagent hand-back\].*?</agent-message>",
    re.S,
)
MAIN = ""  # the agent id under which the requests of the main conversation are counted


class ToolUse(NamedTuple):
    id: str
    name: str
    input: dict[str, Any]


@dataclass
class Conversation:
    """One request of the client, as the scripted functions see it."""

    k: int  # number of the request, from 1, over all conversations
    agent: str  # the worker's agent id; MAIN for the main conversation
    session: str
    body: dict[str, Any]  # the whole request

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages", []))

    @property
    def model(self) -> str:
        return str(self.body.get("model"))

    @property
    def system(self) -> str:
        """The system prompt's text."""
        return _text_of(self.body.get("system", ""))

    @property
    def tools(self) -> list[str]:
        return [str(t.get("name")) for t in self.body.get("tools", [])]

    @property
    def turn(self) -> int:
        """How many answers this conversation has had."""
        return sum(m["role"] == "assistant" for m in self.messages)

    @property
    def first(self) -> str:
        """Text of the first message: the prompt, with what the client puts before it."""
        return _text_of(self.messages[0]["content"]) if self.messages else ""

    @property
    def last(self) -> str:
        """Text of everything since the last answer: prompts, notices, tool results."""
        return "\n".join(_text_of(message["content"]) for message in self._since_answer())

    def _since_answer(self) -> list[dict[str, Any]]:
        tail: list[dict[str, Any]] = []
        for message in reversed(self.messages):
            if message["role"] == "assistant":
                break
            tail.insert(0, message)
        return tail

    @property
    def text(self) -> str:
        """Text of all messages but the model's own."""
        told = [m for m in self.messages if m["role"] != "assistant"]
        return "\n".join(_text_of(m["content"]) for m in told)

    @property
    def tool_uses(self) -> list[ToolUse]:
        """All tool calls of this conversation so far, oldest first."""
        blocks = [b for m in self.messages if m["role"] == "assistant" for b in _blocks(m)]
        return [ToolUse(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]

    def used(self, name: str) -> list[ToolUse]:
        return [use for use in self.tool_uses if use.name == name]

    @property
    def last_use(self) -> str:
        """The tool whose result this conversation has just been given; "" behind a prompt."""
        new = [block for message in self._since_answer() for block in _blocks(message)]
        if not any(block["type"] == "tool_result" for block in new):
            return ""
        return self.tool_uses[-1].name if self.tool_uses else ""

    @property
    def results(self) -> list[str]:
        """The texts of all tool results, oldest first."""
        blocks = [b for m in self.messages if m["role"] == "user" for b in _blocks(m)]
        return [_text_of(b.get("content", "")) for b in blocks if b["type"] == "tool_result"]

    @property
    def last_result(self) -> str:
        """The text of the newest tool result; empty when there is none."""
        return self.results[-1] if self.results else ""

    @property
    def spawned(self) -> list[str]:
        """Ids of the agents that this conversation has started in the background."""
        return re.findall(r"^agentId: (\w+)", "\n".join(self.results), re.M)

    @property
    def notices(self) -> list[str]:
        """Task ids of all task notifications told so far, oldest first, repeats kept."""
        told = re.findall(r"<task-notification>(.*?)</task-notification>", self.text, re.S)
        return [task for notice in told for task in re.findall(r"<task-id>([^<]*)", notice)]


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = []
    for block in content:
        if block.get("type") == "text":
            parts.append(block["text"])
        elif block.get("type") == "tool_result":
            parts.append(_text_of(block.get("content", "")))
    return "\n".join(parts)


def without_notices(body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The request without the notices of workers' ends, and those notices."""
    found: list[str] = []

    def cut(notice: re.Match[str]) -> str:
        found.append(notice[0])
        return ""

    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            return _WORKER_NOTICE.sub(cut, value)
        if isinstance(value, list):
            return [cleaned(each) for each in value]
        if isinstance(value, dict):
            return {key: cleaned(each) for key, each in value.items()}
        return value

    return {**body, "messages": cleaned(body.get("messages", []))}, found
