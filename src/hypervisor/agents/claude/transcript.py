"""Tokens out of a Claude Code worker's transcripts, per item.

One response stands in a transcript as one row per content block, all with the same message id:
an id counts once, with the largest figure of each kind (a first row may be partial). Rows of the
model "<synthetic>" are the client's own texts. A client that runs a tool before the answer has
ended may never write the last figures (seen with 2.1.197).

Where its session goes on under another name (`/clear`), a worker goes on in a second transcript,
which may repeat rows of the first: they are read as one.

Some of what the client asks the service for a worker stands in no transcript. Then the figures are
told as "at least"; `ledger/usage.py` says when.
"""

from __future__ import annotations

from hypervisor.agents import printed
from hypervisor.agents.usage import Usage, add
from hypervisor.system.reading import at, json_rows, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KINDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
# The tool by which a worker ends in auto mode.
_HANDBACK = "SubagentHandback"


class _Answer:
    """One of the service's answers: the claim that it counts to, its model and figures (the last is
    what was written to the cache for an hour), and whether a row told its end."""

    __slots__ = ("ended", "figures", "model", "token")

    def __init__(self, token: str | None, model: str) -> None:
        self.token = token
        self.model = model
        self.figures: list[int] = [0, 0, 0, 0, 0]
        self.ended = False


def sum_up(rows: Iterable[str]) -> Usage:
    """Return the usage told by the JSON lines of a worker's transcripts, in their order; a torn
    last line is passed over, and so is what is told again."""
    usage = Usage()
    seen: dict[str, _Answer] = {}
    current: list[str] = []
    calls: dict[str, str] = {}
    answered: set[str] = set()
    for row in json_rows(rows):
        if not isinstance(row, dict):
            usage.known = False
            continue
        if row.get("type") == "assistant":
            _assistant(row, usage, seen, current, calls)
        elif row.get("type") == "user":
            for call, failed, texts in _results(row):
                if call in answered:
                    continue
                if call:
                    answered.add(call)
                if calls.get(call) == _HANDBACK and not failed:
                    usage.complete = True
                for text in texts:
                    ended = printed.ended(text)
                    current[:] = [token for token in current if token not in ended]
                    current += [token for token in printed.handed_out(text) if token not in current]
        elif row.get("subtype") == "compact_boundary":
            usage.compacted = True
    answers = list(seen.values())
    for answer in answers:
        sent, output, read, written, hour = answer.figures
        figures = sent, output, read, written
        usage.requests.append((answer.token, answer.model, figures, min(hour, written)))
        usage.total = add(usage.total, figures)
        if answer.token is not None:
            share = usage.items.get(answer.token, (0, 0, 0, 0))
            usage.items[answer.token] = add(share, figures)
    # The last one may still be under way.
    usage.partial = not all(answer.ended for answer in answers[:-1])
    return usage


def _assistant(
    row: dict[str, object],
    usage: Usage,
    seen: dict[str, _Answer],
    current: list[str],
    calls: dict[str, str],
) -> None:
    message = row.get("message")
    if not isinstance(message, dict):
        usage.known = False
        return
    if message.get("model") == "<synthetic>":
        usage.complete = True
        return
    told, name = message.get("usage"), message.get("id")
    if not isinstance(told, dict) or not isinstance(name, str):
        usage.known = False
        return
    figures = [told.get(kind) or 0 for kind in KINDS]
    if not all(isinstance(figure, int) for figure in figures) or KINDS[1] not in told:
        usage.known = False
        return
    hour = at(told, "cache_creation", "ephemeral_1h_input_tokens")
    figures.append(hour if isinstance(hour, int) else 0)
    model = str(message.get("model") or "")
    answer = seen.setdefault(name, _Answer(current[0] if current else None, model))
    answer.figures = [max(a, b) for a, b in zip(answer.figures, figures, strict=True)]
    reason = message.get("stop_reason")
    answer.ended = answer.ended or reason is not None
    usage.complete = reason in ("end_turn", "stop_sequence", "max_tokens")
    for block in objects(message.get("content")):
        if block.get("type") == "tool_use":
            calls[str(block.get("id"))] = str(block.get("name"))


def _results(row: dict[str, object]) -> Iterator[tuple[str, bool, list[str]]]:
    """Yield the call, whether it failed, and the texts of each tool's result in a row."""
    for block in objects(at(row, "message", "content")):
        if block.get("type") == "tool_result":
            texts = list(texts_in(block.get("content")))
            yield str(block.get("tool_use_id") or ""), bool(block.get("is_error")), texts


def texts_in(body: object) -> Iterator[str]:
    """Yield the texts of a message's or a result's content, whatever shape that has."""
    if isinstance(body, str):
        yield body
    for part in objects(body):
        if isinstance(text := part.get("text"), str):
            yield text
