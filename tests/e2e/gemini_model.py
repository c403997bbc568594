"""A scripted stand-in for the Gemini API, run as threads of the test process.

    model = GeminiModel(network)
    model.main = lambda c: text("done") if c.used("write_file") else tool("write_file", {...})
    ...  # run a client with GOOGLE_GEMINI_BASE_URL=model.url
    assert result.tokens == model.tokens()

The function gets a `GeminiConversation` and returns an answer (answers.py). A client that is given
`model.url_of("NAME")` is told apart: `c.agent` is NAME, and `model.worker` answers it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from e2e.answers import Answer, Failure, Part, Slow, Text
from e2e.conversation import MAIN, ToolUse
from e2e.model import Model, Request
from e2e.network import Network
from e2e.tokens import Tokens
from e2e.wire import Server

_ROUTE = re.compile(r"(?:/([\w.-]+))?/v1(?:beta)?/models/([^:]+):(\w+)$")
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED",
           429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip


@dataclass(frozen=True)
class Refusal(Failure):
    """An HTTP error with the details that the real service adds (RetryInfo, QuotaFailure)."""

    details: tuple[dict[str, Any], ...] = ()


def retry_after(seconds: int, message: str = "quota exceeded") -> Refusal:
    """A 429 that says when to come again."""
    kind = "type.googleapis.com/google.rpc.RetryInfo"
    return Refusal(429, message, details=({"@type": kind, "retryDelay": f"{seconds}s"},))


def daily_quota(message: str = "daily quota exceeded") -> Refusal:
    """A 429 that no waiting helps against today."""
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}
    return Refusal(429, message, details=({"@type": kind, "violations": [violation]},))


@dataclass
class GeminiConversation:
    """One request of the client, as the scripted functions see it."""

    k: int  # number of the request, from 1, over all conversations
    agent: str  # the name in the URL's path; MAIN without one
    model: str
    body: dict[str, Any]  # the whole request

    @property
    def turns(self) -> list[dict[str, Any]]:
        return list(self.body.get("contents", []))

    @property
    def turn(self) -> int:
        """How many answers this conversation has had."""
        return sum(turn.get("role") == "model" for turn in self.turns)

    @property
    def system(self) -> str:
        """The system prompt's text."""
        return _text_of(self.body.get("systemInstruction", {}))

    @property
    def tools(self) -> list[str]:
        """The names of the tools that the model may call."""
        groups = self.body.get("tools", [])
        return [tool["name"] for group in groups for tool in group.get("functionDeclarations", [])]

    @property
    def prompt(self) -> str:
        """Everything the user has said, with what the client puts before it."""
        return "\n".join(_text_of(turn) for turn in self.turns if turn.get("role") == "user")

    @property
    def tool_uses(self) -> list[ToolUse]:
        """All tool calls of this conversation so far, oldest first."""
        calls = [part["functionCall"] for part in self._parts("functionCall")]
        return [ToolUse(call.get("id", ""), call["name"], call.get("args", {})) for call in calls]

    def used(self, name: str) -> list[ToolUse]:
        return [use for use in self.tool_uses if use.name == name]

    @property
    def results(self) -> list[str]:
        """The texts of all tool results, oldest first."""
        found = [part["functionResponse"]["response"] for part in self._parts("functionResponse")]
        return [str(r.get("output") or r.get("error") or json.dumps(r)) for r in found]

    @property
    def last_result(self) -> str:
        """The text of the newest tool result; empty when there is none."""
        return self.results[-1] if self.results else ""

    def _parts(self, kind: str) -> list[dict[str, Any]]:
        return [part for turn in self.turns for part in turn.get("parts", []) if kind in part]


class GeminiModel(Model):
    """The server. Set `main` (and `worker`), give `url` to the client; see Model for the rest.

    `utility` counts the client's own questions (which model, who speaks next), answered here.
    """

    def __init__(self, network: Network) -> None:
        self.utility = 0
        self.handler = _Handler
        super().__init__(network)

    def url_of(self, name: str) -> str:
        """The address for a client that `worker` answers, under this name."""
        return f"{self.url}/{name}"

    def asked(self, name: str, model: str, body: dict[str, Any]) -> Request:
        """Let the script answer one request; called by the server's threads."""
        with self._changed:
            asked = GeminiConversation(len(self.requests) + 1, name, model, body)
            return self.scripted(asked, self.main if name == MAIN else self.worker)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._unknown()

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        route = _ROUTE.match(self.path.split("?")[0])
        if not route:
            return self._unknown()
        name, model, method = route.groups()
        body = json.loads(raw)
        service = self.server.model
        assert isinstance(service, GeminiModel)
        config = body.get("generationConfig", {})
        if config.get("responseMimeType") == "application/json":
            service.utility += 1
            return self._send(200, _answer([Text(_UTILITY)], model, Tokens()))
        request = service.asked(name or MAIN, model, body)
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
            self._send(200, _answer(parts, model, tokens), stream=method.startswith("stream"))
        except OSError:
            request.tokens = None

    def _unknown(self) -> None:
        self.server.model.other.append(f"{self.command} {self.path}")
        self._fail(Failure(404, "no such path"))

    def _fail(self, failure: Failure) -> None:
        problem = {
            "code": failure.status,
            "message": failure.message,
            "status": _STATUS.get(failure.status, "UNKNOWN"),
            "details": list(getattr(failure, "details", ())),
        }
        self._send(failure.status, {"error": problem}, headers=failure.headers)

    def _send(
        self, status: int, body: Any, *, stream: bool = False, headers: dict[str, str] | None = None
    ) -> None:
        raw = json.dumps(body).encode()
        if stream:
            raw = b"data: " + raw + b"\r\n\r\n"
        self.send_response(status)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(raw)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)


# One answer that fits each question which the client asks for itself.
_UTILITY = json.dumps(
    {
        "reasoning": "scripted",
        "model_choice": "flash",
        "complexity_score": 10,
        "complexity_reasoning": "scripted",
        "next_speaker": "user",
    }
)


def _answer(parts: list[Part], model: str, tokens: Tokens) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            told.append({"text": part.text})
        else:
            call = {"name": part.name, "args": part.input}
            told.append({"functionCall": call, "thoughtSignature": "c2NyaXB0ZWQ="})
    content = {"role": "model", "parts": told}
    prompt = tokens.input + tokens.cache_read
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": prompt,
            "cachedContentTokenCount": tokens.cache_read,
            "candidatesTokenCount": tokens.output,
            "totalTokenCount": prompt + tokens.output,
        },
        "modelVersion": model,
        "responseId": "scripted",
    }


def _usage(k: int) -> Tokens:
    # All differ from request to request: a wrong sum shows which request it misses.
    return Tokens(input=1000 + 7 * k, output=20 + 3 * k, cache_read=100 + 11 * k)


def _text_of(turn: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in turn.get("parts", []) if "text" in part)
