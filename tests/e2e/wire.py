"""The Messages API as the client speaks it: errors as JSON, answers as a stream of events."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from e2e.answers import Failure, Part, Slow, Text, ToolCall
from e2e.conversation import MAIN
from e2e.network import Network
from e2e.tokens import Tokens

if TYPE_CHECKING:
    from e2e.model import Model, Request


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, network: Network, model: Model, handler: type[BaseHTTPRequestHandler]
    ) -> None:
        listener = network.listen()
        super().__init__(listener.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_port = listener.getsockname()[1]
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed leaves broken connections


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._not_a_message()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.split("?")[0] != "/v1/messages":
            return self._not_a_message()
        agent = self.headers.get("x-claude-code-agent-id") or MAIN
        session = self.headers.get("x-claude-code-session-id") or ""
        model = self.server.model
        request = model.decide(agent, session, json.loads(raw))
        answer = request.answer
        while isinstance(answer, Slow):
            model.pause(answer.seconds)
            answer = answer.answer
        if isinstance(answer, Failure):
            return self._fail(answer)
        parts = [answer] if isinstance(answer, Part) else list(answer or [])
        tokens = _usage(request.conversation.k)
        try:
            self._stream(request, parts, tokens)
        except OSError:
            request.tokens = None

    def _not_a_message(self) -> None:
        self.server.model.other.append(f"{self.command} {self.path}")
        self._fail(Failure(404, "no such path"))

    def _fail(self, failure: Failure) -> None:
        kinds = {
            400: "invalid_request_error",
            401: "authentication_error",
            403: "permission_error",
            404: "not_found_error",
            429: "rate_limit_error",
            529: "overloaded_error",
        }
        problem = {"type": kinds.get(failure.status, "api_error"), "message": failure.message}
        raw = json.dumps({"type": "error", "error": problem}).encode()
        self.send_response(failure.status)
        for name, value in {**self.server.model.headers, **failure.headers}.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _stream(self, request: Request, parts: list[Part], tokens: Tokens) -> None:
        asked = request.conversation
        self.send_response(200)
        for name, value in self.server.model.headers.items():
            self.send_header(name, value)
        self.send_header("content-type", "text/event-stream")
        self.send_header("request-id", f"req_{asked.k:04d}")
        self.send_header("connection", "close")
        self.end_headers()
        usage = {
            "input_tokens": tokens.input,
            "cache_creation_input_tokens": tokens.cache_write,
            "cache_read_input_tokens": tokens.cache_read,
        }
        # The first event carries a partial output count, as the real service does.
        message = {
            "id": f"msg_{asked.k:04d}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage, "output_tokens": 1},
        }
        self._event("message_start", message=message)
        for index, part in enumerate(parts):
            if isinstance(part, Text):
                block: dict[str, Any] = {"type": "text", "text": ""}
                delta = {"type": "text_delta", "text": part.text}
            else:
                name, call = part.name, f"toolu_{asked.k:04d}_{index}"
                block = {"type": "tool_use", "id": call, "name": name, "input": {}}
                delta = {"type": "input_json_delta", "partial_json": json.dumps(part.input)}
            self._event("content_block_start", index=index, content_block=block)
            self._event("content_block_delta", index=index, delta=delta)
            self._event("content_block_stop", index=index)
        reason = "tool_use" if any(isinstance(p, ToolCall) for p in parts) else "end_turn"
        end: dict[str, Any] = {"stop_reason": reason, "stop_sequence": None}
        if asked.body.get("safeguards"):
            end["safeguard_results"] = [self._checked(asked.k, parts)]
        self._event("message_delta", delta=end, usage={**usage, "output_tokens": tokens.output})
        # Counted before the client can know that it has everything, and may end.
        self.server.model.counted(request, tokens)
        self._event("message_stop")

    def _checked(self, k: int, parts: list[Part]) -> dict[str, Any]:
        """What the service's check says of the calls, where the client has asked for it."""
        told = {}
        for index, part in enumerate(parts):
            if isinstance(part, ToolCall):
                flagged = self.server.model.flags(part)
                told[f"toolu_{k:04d}_{index}"] = {
                    "type": "evaluated",
                    "outcome": "flagged" if flagged else "not_flagged",
                    **({"explanation": "nobody asked for it"} if flagged else {}),
                }
        status = {"type": "available", "tool_uses": told}
        return {"type": "dangerous_tool_use", "status": status}

    def _event(self, name: str, **data: Any) -> None:
        line = json.dumps({"type": name, **data})
        self.wfile.write(f"event: {name}\ndata: {line}\n\n".encode())
        self.wfile.flush()


def _usage(k: int) -> Tokens:
    # All four differ from request to request: a wrong sum shows which request it misses.
    return Tokens(100 + k, 20 + 3 * k, 1000 + 7 * k, 10 + 11 * k)
