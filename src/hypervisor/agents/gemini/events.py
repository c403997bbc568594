"""Gemini CLI's events, read as the events that the handlers know, and answered in its own shape.

What differs: the names of events and tools, a tool's result, and how a hook reaches the model.
"""

from __future__ import annotations

from hypervisor.agents.gemini import EVENTS
from hypervisor.system.late import late
from hypervisor.system.reading import at

_TOOLS = {"run_shell_command": "Bash", "write_file": "Write", "replace": "Edit"}
_MARKS = late(r"(?m)^</?untrusted_context>\n?|^Output: ")


def read(name: str, payload: dict[str, object]) -> tuple[str, dict[str, object]]:
    """Return the event's name and payload as the handlers know them; what is odd stays out."""
    told = dict(payload)
    tool = told.get("tool_name")
    if isinstance(tool, str):
        told["tool_name"] = _TOOLS.get(tool, tool)
    if "tool_response" in told:
        told["tool_response"] = {"stdout": _output(told["tool_response"])}
    return EVENTS.get(name, name), told


def answer(name: str, given: dict[str, object]) -> dict[str, object] | None:
    """Return a handler's answer in the shape that the client understands, or None.

    At a session's start it is kept back: the client would put it before the user's first prompt,
    and a command such as `/hypervisor:status` is none any more with a text before it.
    """
    special = given.get("hookSpecificOutput")
    text = at(special, "additionalContext")
    if not isinstance(special, dict) or text is None:
        # Its own decisions stand at the top, as Claude Code's do for the end of a turn.
        return {key: given[key] for key in ("decision", "reason") if key in given} or None
    if name == "SessionStart":
        return None
    if name == "AfterAgent":
        return {"decision": "block", "reason": text}
    return {"hookSpecificOutput": {**special, "hookEventName": name}}


def _output(response: object) -> str:
    """Return the text of a tool's result: what it showed, else what the model was given."""
    if isinstance(response, dict):
        shown = response.get("returnDisplay")
        response = shown if isinstance(shown, str) and shown else response.get("llmContent")
    parts = response if isinstance(response, list) else [response]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return _MARKS.sub("", "\n".join(text for text in texts if isinstance(text, str)))
