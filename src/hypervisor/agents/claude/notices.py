"""How Claude Code tells a session of workers that have ended: by texts in the place of a prompt."""

from __future__ import annotations

from hypervisor.agents.notice import Notice
from hypervisor.system.late import late
from hypervisor.system.reading import NotReadable, at, json_rows, read_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# So much of a transcript's end is looked at.
_TAIL = 4 << 20
# What the agent is called, before the words on its end.
_DESCRIBED = late(r'^Agent ".*?" ')
_STOPPED = late(r"[0-9]+ background agents? (?:was|were) stopped by the user\b")
_TAG = late(r"(?s)<(task-id|status|summary)>(.*?)</\1>")
# How a notice begins: the client's own, or auto mode's, with the report in it.
_NOTICE = late(
    r"(?:Another Claude session sent a message[^\n]*\n)?"
    r"(?:<task-notification\b|<agent-message from=\"([^\"<>]+)\"[^>]*>\s*\[Subagent hand-back\])"
)
_BEGINS = ("<", "Another Claude session")
# What stands in the transcript's rows that hold one.
_IN_ROWS = ("<task-notification>", "[Subagent hand-back]")


def all_stopped(prompt: str) -> bool:
    """True for the text that tells that a person has stopped all agents at once."""
    return prompt[:1].isdigit() and _STOPPED.match(prompt) is not None


def read(prompt: str, *, delivered: bool = True) -> Notice | None:
    """Return the notice that a text is, None for any other text.

    What the worker itself has said in a notice is passed over: it may look like more notices.
    """
    begins = _NOTICE.match(prompt) if prompt.startswith(_BEGINS) else None
    if begins is None:
        return None
    told = _TAG.findall(prompt.partition("<result>")[0])
    if begins[1]:
        told = [("task-id", begins[1])]
    words = next((text for name, text in told if name == "summary"), "")
    return Notice(
        [text for name, text in told if name == "task-id"],
        next((text for name, text in told if name == "status"), ""),
        words,
        _DESCRIBED.sub("", words),
        delivered=delivered,
        event="<event>" in prompt,
    )


def in_transcript(path: str) -> Iterator[Notice]:
    """Yield the notices in a session's transcript, as far as its end goes back."""
    try:
        raw = read_end(path, _TAIL)
    except (OSError, NotReadable):
        return
    rows = raw.decode("utf-8", "replace").splitlines()
    for row in json_rows(text for text in rows if any(words in text for words in _IN_ROWS)):
        if isinstance(row, dict):
            text, delivered = _text_in(row)
            found = read(text, delivered=delivered)
            if found is not None:
                yield found


def _text_in(row: dict[str, object]) -> tuple[str, bool]:
    """Return the text in a row of a session's transcript that may be a notice, and whether it has
    reached the model: what is only queued may be dropped."""
    kind, told = row.get("type"), None
    if kind == "queue-operation":
        told = row.get("content")
    elif kind == "attachment":
        told = at(row, "attachment", "prompt")
    # A prompt that somebody has typed has no origin.
    elif kind == "user" and isinstance(row.get("origin"), dict):
        told = at(row, "message", "content")
    return told if isinstance(told, str) else "", kind != "queue-operation"
