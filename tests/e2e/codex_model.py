"""A scripted stand-in for the Responses API, run as threads of the test process.

    model = CodexModel(network)
    model.main = lambda c: text("done") if c.used("exec_command") else tool("exec_command", {...})
    ...  # run a client with OPENAI_BASE_URL=model.url + "/v1"

The function gets a `CodexConversation` and returns an answer (answers.py). Tools of the server
task_manager are called as those of Gemini CLI are, `mcp_task_manager_NAME`, so that one script
serves both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from e2e.answers import Answer, Failure, Part, Slow, Text
from e2e.conversation import MAIN, ToolUse
from e2e.model import Model, Request
from e2e.network import Network
from e2e.tokens import Tokens
from e2e.wire import Server

_SERVER, _NAMESPACE = "mcp_task_manager_", "mcp__task_manager"


@dataclass(frozen=True)
class UsedUp(Failure):
    """The answer to an account whose window is used up until `until` (Unix time)."""

    until: int = 0


def used_up(until: int) -> UsedUp:
    """A 429 that names the end of the 5-hour window; another window is used by 40 %."""
    headers = {
        "x-codex-primary-used-percent": "100",
        "x-codex-primary-window-minutes": "300",
        "x-codex-primary-reset-at": str(until),
        "x-codex-secondary-used-percent": "40",
        "x-codex-secondary-window-minutes": "10080",
        "x-codex-secondary-reset-at": str(until + 90000),
    }
    return UsedUp(429, "The usage limit has been reached", headers, until)


@dataclass
class CodexConversation:
    """One request of the client, as the scripted functions see it."""

    k: int  # number of the request, from 1, over all conversations
    agent: str
    body: dict[str, Any]  # the whole request

    @property
    def items(self) -> list[dict[str, Any]]:
        return list(self.body.get("input", []))

    @property
    def prompt(self) -> str:
        """Everything that was said to the model."""
        told = [self.body.get("instructions", "")]
        for item in self.items:
            told += [part.get("text", "") for part in item.get("content") or []]
        return "\n".join(told)

    @property
    def tool_uses(self) -> list[ToolUse]:
        """All tool calls of this conversation so far, oldest first."""
        found = []
        for item in self.items:
            if item.get("type") == "function_call":
                server = _SERVER if item.get("namespace") == _NAMESPACE else ""
                name = server + item["name"]
                found.append(ToolUse(item["call_id"], name, json.loads(item["arguments"])))
            elif item.get("type") == "custom_tool_call":
                found.append(ToolUse(item["call_id"], item["name"], {"input": item["input"]}))
        return found

    def used(self, name: str) -> list[ToolUse]:
        return [use for use in self.tool_uses if use.name == name]

    @property
    def results(self) -> list[str]:
        """The texts of all tool results, oldest first."""
        outputs = [i["output"] for i in self.items if str(i.get("type")).endswith("_call_output")]
        return [o if isinstance(o, str) else json.dumps(o) for o in outputs]

    @property
    def last_result(self) -> str:
        """The text of the newest tool result; empty when there is none."""
        return self.results[-1] if self.results else ""


class CodexModel(Model):
    """The server. Set `main`, give `url` to the client; see Model for the rest."""

    def __init__(self, network: Network) -> None:
        self.handler = _Handler
        super().__init__(network)

    def asked(self, body: dict[str, Any]) -> Request:
        """Let the script answer one request; called by the server's threads."""
        with self._changed:
            asked = CodexConversation(len(self.requests) + 1, MAIN, body)
            return self.scripted(asked, self.main)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._unknown()

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.split("?")[0] != "/v1/responses":
            return self._unknown()
        service = self.server.model
        assert isinstance(service, CodexModel)
        request = service.asked(json.loads(raw))
        answer: Answer = request.answer
        while isinstance(answer, Slow):
            service.pause(answer.seconds)
            answer = answer.answer
        if isinstance(answer, Failure):
            return self._fail(answer)
        parts = [answer] if isinstance(answer, Part) else list(answer or [])
        tokens = _usage(request.conversation.k)
        # Counted before the client can know that it has everything, and may end.
        service.counted(request, tokens)
        try:
            self._stream(request, parts, tokens)
        except OSError:
            request.tokens = None

    def _unknown(self) -> None:
        self.server.model.other.append(f"{self.command} {self.path}")
        self._fail(Failure(404, "no such path"))

    def _fail(self, failure: Failure) -> None:
        problem = {"message": failure.message, "type": "error", "code": None}
        if isinstance(failure, UsedUp):
            problem |= {"type": "usage_limit_reached", "resets_at": failure.until}
        raw = json.dumps({"error": problem}).encode()
        self.send_response(failure.status)
        for name, value in failure.headers.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, request: Request, parts: list[Part], tokens: Tokens) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        k = request.conversation.k
        shown = {"id": f"resp_{k:04d}", "object": "response", "model": "scripted"}
        self._event("response.created", response={**shown, "status": "in_progress"})
        output = [_item(k, at, part) for at, part in enumerate(parts)]
        for index, item in enumerate(output):
            self._event("response.output_item.done", output_index=index, item=item)
        given = tokens.input + tokens.cache_read
        usage = {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": tokens.cache_read},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": 5},
            "total_tokens": given + tokens.output,
        }
        ended = {**shown, "status": "completed", "output": output, "usage": usage}
        self._event("response.completed", response=ended)

    def _event(self, kind: str, **fields: Any) -> None:
        line = json.dumps({"type": kind, **fields})
        self.wfile.write(f"event: {kind}\ndata: {line}\n\n".encode())
        self.wfile.flush()


def _item(k: int, at: int, part: Part) -> dict[str, Any]:
    """A part of an answer as the service writes it."""
    if isinstance(part, Text):
        content = [{"type": "output_text", "text": part.text, "annotations": []}]
        return {"type": "message", "id": f"msg_{k}_{at}", "role": "assistant",
                "status": "completed", "content": content}  # fmt: skip
    call = {"id": f"fc_{k}_{at}", "call_id": f"call_{k}_{at}", "status": "completed"}
    if part.name == "apply_patch":
        return {"type": "custom_tool_call", "name": part.name, "input": part.input["input"], **call}
    found = {"type": "function_call", "arguments": json.dumps(part.input), **call}
    if part.name.startswith(_SERVER):
        return {**found, "namespace": _NAMESPACE, "name": part.name.removeprefix(_SERVER)}
    return {**found, "name": part.name}


def _usage(k: int) -> Tokens:
    # All differ from request to request: a wrong sum shows which request it misses.
    return Tokens(input=1000 + 7 * k, output=20 + 3 * k, cache_read=100 + 11 * k)
