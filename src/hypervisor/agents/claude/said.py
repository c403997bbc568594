"""What the user has typed in a session, by the client's own record of it."""

from __future__ import annotations

from hypervisor.system.late import late
from hypervisor.system.reading import NotReadable, at, json_value, read_end

_TAIL = 4 << 20
_ARGUMENTS = late(r"(?s)<command-args>(.*?)</command-args>")


def by_the_user(transcript: str, pattern: str) -> bool:
    """True if the regular expression occurs in what the user has typed, as far as the end of the
    session's transcript tells. What tools, workers and the client have said is not searched."""
    import re

    try:
        raw = read_end(transcript, _TAIL)
    except (OSError, NotReadable):
        return False
    wanted = re.compile(pattern)
    for line in raw.decode("utf-8", "replace").splitlines():
        if '"user"' not in line:
            continue
        try:
            row = json_value(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and any(wanted.search(text) for text in _typed(row)):
            return True
    return False


def is_typed(prompt: str) -> bool:
    """True for a prompt of the user's own, and not a notice that the client words as one."""
    return bool(prompt.strip()) and not prompt.lstrip().startswith(("<", "[SYSTEM"))


def _typed(row: dict[str, object]) -> list[str]:
    """Return the texts of a row that the user has typed, a command's arguments among them."""
    if row.get("type") != "user" or row.get("isMeta") or row.get("isSidechain"):
        return []
    if at(row, "origin", "kind") not in (None, "human", "user"):
        return []
    content = at(row, "message", "content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    if any(not isinstance(part, dict) or part.get("type") == "tool_result" for part in parts):
        return []
    texts = [str(part.get("text") or "") for part in parts if part.get("type") == "text"]
    typed = []
    for text in texts:
        if text.lstrip().startswith("<command-"):
            typed += _ARGUMENTS.findall(text)
        elif is_typed(text):
            typed.append(text)
    return typed
