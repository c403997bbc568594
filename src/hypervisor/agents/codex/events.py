"""What a run tells: its events, and the client's own file of it.

A tool that is refused leaves no event, a run may end with exit code 0 whatever became of it, and
the cause of an error and the end of a limit stand in the file alone.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from hypervisor.agents import client, limits
from hypervisor.agents.codex.rollout import Rollout
from hypervisor.system.processes import exit_text
from hypervisor.system.reading import at
from hypervisor.system.text import one_line

# So long the client may wait by itself where its service refuses work, in silence.
PATIENCE = 30.0
# The service's limit per minute: where it tells no time, or the client loses it.
_A_MINUTE = 60.0
_REFUSED = (401, 403, 404)
_REFUSED_CODES = ("model_not_found", "unauthorized")
_NO_KEY = "missing environment variable"
_TRYING = "reconnecting..."


class CodexStream(client.Stream):
    """Reads `--json`, and the file of the run below `home`; after `turns` requests it is over."""

    def __init__(self, home: Path, turns: int) -> None:
        super().__init__()
        self._rollout, self._turns = Rollout(home), turns
        self._completed = False
        self._failed: str | None = None
        self._waits = ""
        self._since = 0.0

    def feed(self, line: str) -> None:
        """Take in one event; what is none is passed over."""
        event = client.event(line)
        self.usages += bool(event)
        kind, item = event.get("type"), event.get("item")
        self._waits = "" if event else self._waits
        if kind == "thread.started":
            self.session = str(event.get("thread_id", ""))
        elif kind == "item.started":
            self.tool = str(at(item, "tool") or at(item, "type") or "")
        elif kind == "item.completed":
            self._ended(item)
        elif kind == "error":
            text = str(event.get("message", ""))
            if text.lower().startswith(_TRYING) and limits.read(text) is not None:
                self._waits, self._since = text, time.monotonic()
        elif kind == "turn.completed":
            self._completed = True
        elif kind == "turn.failed":
            self._failed = str(at(event, "error", "message") or "")
        self._look()

    def _ended(self, item: object) -> None:
        kind = at(item, "type")
        if kind == "agent_message":
            self.last = str(at(item, "text") or "")[-4000:]
        elif kind == "mcp_tool_call" and at(item, "tool") == "claim_next_task":
            self.asked = self.asked or at(item, "status") == "completed"

    def complain(self, line: str) -> None:
        """Take in one line of standard error: a tool that was refused is told of there alone."""
        super().complain(line)
        self._look()

    def _look(self) -> None:
        self._rollout.follow(self.session)
        self.windows = self._rollout.windows

    def over(self) -> client.End | None:
        """Return how the run ends if it is to be ended: the client knows no limit of turns, and
        waits for its service for as long as that asks for."""
        if self._rollout.requests > self._turns:
            return client.End("limited", f"{self._turns} turns were reached", self.last)
        if self._waits and time.monotonic() - self._since > PATIENCE:
            return self._ended_by(self._waits)
        return None

    def end(self, code: int) -> client.End:
        """Return how the run ended, by its last event first."""
        self._look()
        if self._failed is not None:
            return self._ended_by(self._failed)
        if self._completed and not self.asked:
            why = "it never asked task_manager for an item"
            return client.End("refused", why, self.last)
        if self._completed:
            return client.End("finished", "", self.last)
        said = [line for line in self.complaints if line.strip()]
        if code > 0 and not self.session and said:
            return client.End("refused", one_line(said[-1], 300), self.last)
        return client.End("failed", f"ended by {exit_text(code)}", self.last)

    def _ended_by(self, text: str) -> client.End:
        """Return how the run ended in an error; codes decide first."""
        info = self._rollout.error
        code = str(next(iter(info), "") if isinstance(info, dict) else info or "")
        told = at(info, code, "http_status_code")
        status = told if isinstance(told, int) else None
        cause = client.brief(text)
        until = self._rollout.full_until
        limit = limits.read(text, code=code, status=status, resets_at=until)
        if limit is not None:
            if limit.kind == "rate" and limit.resume_at is None:
                limit = replace(limit, resume_at=time.time() + _A_MINUTE)
            return client.End("rate_limited", cause, self.last, limit)
        refused = status in _REFUSED or code in _REFUSED_CODES or _NO_KEY in text.lower()
        return client.End("refused" if refused else "failed", cause, self.last)
