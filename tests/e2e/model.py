"""A scripted stand-in for the Messages API, run as threads of the test process.

    model = Model(network)
    model.main = lambda c: text("done") if c.used("Bash") else bash("echo hello")
    model.worker = lambda c: text("worker done")
    ...  # run a client with ANTHROPIC_BASE_URL=model.url
    assert result.tokens == model.tokens()

Both functions get a `Conversation` and return an answer (answers.py): one part or a list of
parts made by `text`, `tool`, `bash`, `spawn`; or `error(status)`; or `slow(seconds, answer)`.
They run one at a time, so they may keep state. What they raise is raised again by `check()`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from e2e.answers import Answer, ToolCall, error, text
from e2e.conversation import MAIN, Conversation, without_notices
from e2e.network import PATIENCE, Network
from e2e.tokens import Tokens
from e2e.wire import Handler, Server


@dataclass
class Request:
    """One answered request. `tokens` is None for an error or a broken connection."""

    conversation: Conversation
    at: float  # Unix time of its arrival
    answer: Answer = None
    tokens: Tokens | None = None

    @property
    def agent(self) -> str:
        return self.conversation.agent


Script = Callable[[Conversation], Answer]


class Model:
    """The server. Set `main` and `worker`, give `url` to the client."""

    handler: type[BaseHTTPRequestHandler] = Handler

    def __init__(self, network: Network) -> None:
        self.main: Script = lambda conversation: text("OK")
        self.worker: Script = lambda conversation: text("worker done")
        # What the service's own check says of a tool call in auto mode: whether it flags it.
        self.flags: Callable[[ToolCall], bool] = lambda call: False
        self.loses_notices = False  # True: workers' notices are cut out of what the scripts see
        self.headers: dict[str, str] = {}  # sent with every answer, beside those of a Failure
        self.lost: list[str] = []  # the notices so cut out, each once
        self.requests: list[Request] = []
        self.other: list[str] = []  # "METHOD path" of requests that are not for a message
        self._failures: list[BaseException] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = Server(network, self, self.handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def check(self) -> None:
        """Raise the first thing that a scripted function has raised."""
        if self._failures:
            raise self._failures[0]

    def of(self, agent: str) -> list[Request]:
        """The requests of one agent, or of MAIN."""
        with self._changed:
            return [r for r in self.requests if r.agent == agent]

    @property
    def agents(self) -> list[str]:
        """The ids of all workers that have asked for something, in their order."""
        with self._changed:
            return list(dict.fromkeys(r.agent for r in self.requests if r.agent != MAIN))

    def tokens(self, agent: str | None = None) -> Tokens:
        """What was counted for one agent (or MAIN); None: for all together."""
        total = Tokens()
        with self._changed:
            for request in self.requests:
                if request.tokens and agent in (None, request.agent):
                    total = total.plus(request.tokens)
        return total

    def wait(self, condition: Callable[[Model], Any], timeout: float = PATIENCE) -> Any:
        """Wait until `condition(model)` holds; returns its value.

        It is looked at after each request and ten times a second.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while not (value := condition(self)):
                self.check()
                self._changed.wait(0.1)
                if time.monotonic() > end:
                    seen = [f"{r.conversation.k}:{r.agent or 'main'}" for r in self.requests]
                    raise AssertionError(f"not so within {timeout} s; requests: {seen}")
        return value

    # --- called by the server's threads

    def decide(self, agent: str, session: str, body: dict[str, Any]) -> Request:
        with self._changed:
            if self.loses_notices:
                body, found = without_notices(body)
                self.lost += [notice for notice in found if notice not in self.lost]
            conversation = Conversation(len(self.requests) + 1, agent, session, body)
            return self.scripted(conversation, self.main if agent == MAIN else self.worker)

    def scripted(self, conversation: Any, script: Callable[[Any], Answer]) -> Request:
        """Keep a request with what the script answers it; with the changes locked."""
        request = Request(conversation, time.time())
        self.requests.append(request)
        try:
            request.answer = script(conversation)
        except BaseException as raised:  # told by check(), in the test's own thread
            self._failures.append(raised)
            request.answer = error(400, f"the script failed: {raised!r}")
        self._changed.notify_all()
        return request

    def counted(self, request: Request, tokens: Tokens) -> None:
        with self._changed:
            request.tokens = tokens
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        self._closing.wait(seconds)
