"""Tokens out of a Claude Code worker's transcripts, per item; unknown is None, never 0.

One response stands in a transcript as one row per content block, all with the same message id:
an id counts once, with the largest figure of each kind (a first row may be partial). Rows of the
model "<synthetic>" are the client's own texts.

Where its session goes on under another name (`/clear`), a worker goes on in a second transcript,
which may repeat rows of the first: they are read as one.

Some of what the client asks the service for a worker stands in no transcript. Then the figures are
told as "at least"; `ledger/usage.py` says when.
"""

from __future__ import annotations

import errno
import os
from itertools import chain

from hypervisor.ledger.usage import REVIEWS, SUMMARIES, joined
from hypervisor.system.reading import MIB, NotReadable, json_rows, open_file, read_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hypervisor.ledger.usage import Tokens

KINDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
# What the verbs print when they hand out and end items; see cli/handout.py.
_CLAIM, _CLAIM_JSON = "claim ", '"token": "'
_ENDED, _ENDED_JSON = ("accepted ", "released "), '"ended": {"claim": "'
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz23456789")

_NO_SUMMARIES = "CLAUDE_CODE_DISABLE_AGENT_PROGRESS_SUMMARIES"
_ENTRYPOINT = "CLAUDE_CODE_ENTRYPOINT"

# What stands in the first line of a transcript of Gemini CLI.
_OF_GEMINI = '"projectHash"'
# The tool by which a worker ends in auto mode.
_HANDBACK = "SubagentHandback"
# So much of a transcript's end is looked at for an error.
_TAIL = 1 << 18
# Rows hold what a worker read, pictures too.
_LARGEST, _LONGEST_ROW = 256 * MIB, 32 * MIB


class Usage:
    """What a worker has used: `total`, and the share of each claim's token in `items`.

    The message that ends an item and asks for the next counts to the item that it ends; what
    belongs to no item is overhead. `complete` is true when the transcript's last message is a
    final one. `known` is false for a transcript of an unknown shape. Gemini CLI never sees a token:
    its shares are in `by_id`, by the items' ids, in the order of their claims. `compacted` is true
    where the client has summed up the conversation: what that took stands in no row. `partial` is
    true where an answer has but the figures that were known at its beginning: a client that runs a
    tool before the answer has ended may never write the last ones (seen with 2.1.197).
    """

    __slots__ = ("by_id", "compacted", "complete", "items", "known", "partial", "total")

    def __init__(self) -> None:
        self.known = True
        self.complete = False
        self.compacted = False
        self.partial = False
        self.total: Tokens = (0, 0, 0, 0)
        self.items: dict[str, Tokens] = {}
        self.by_id: list[tuple[str, Tokens]] = []


class _Answer:
    """One of the service's answers: the claim that it counts to, its figures, and whether a row
    told its end."""

    __slots__ = ("ended", "figures", "token")

    def __init__(self, token: str | None) -> None:
        self.token = token
        self.figures: list[int] = [0, 0, 0, 0]
        self.ended = False


def claims_in(text: str) -> list[str]:
    """Return the tokens of the claims that an output of `next` or `done --next` hands out."""
    if _CLAIM not in text and _CLAIM_JSON not in text:
        return []
    found = []
    for line in text.split("\n"):
        plain = line.removeprefix(_CLAIM)
        if plain is not line and _is_token(plain):
            found.append(plain)
        else:
            found += _quoted(line, _CLAIM_JSON)
    return found


def _ended_in(text: str) -> set[str]:
    """Return the tokens of the claims that an output tells the end of."""
    if _ENDED_JSON not in text and not any(word in text for word in _ENDED):
        return set()
    found = set()
    for line in text.split("\n"):
        if line.startswith(_ENDED):
            number, dash, letters = line[len(_ENDED[0]) :].partition("-")
            found.add(f"{number}{dash}{letters[:4]}")
        found.update(_quoted(line, _ENDED_JSON))
    return {token for token in found if _is_token(token)}


def _quoted(line: str, before: str) -> list[str]:
    """Return the tokens in a line that stand in quotes behind `before`."""
    told = [part.partition('"') for part in line.split(before)[1:]] if before in line else ()
    return [token for token, quote, _ in told if quote and _is_token(token)]


def _is_token(text: str) -> bool:
    number, _, letters = text.partition("-")
    return (
        number.isascii() and number.isdigit() and len(letters) == 4 and _LETTERS.issuperset(letters)
    )


def unseen(mode: str, environment: Mapping[str, str]) -> str:
    """Return what a Claude Code session asks the service for its workers beyond what stands in
    their transcripts, or "" for nothing.

    `mode` is the permission mode that a hook was told, `environment` that of the hook. Auto mode
    reviews what a worker did; sessions with a person, and those that another program drives, ask
    workers that take long for summaries of their progress.
    """
    kinds = []
    if mode == "auto":
        kinds.append(REVIEWS)
    if environment.get(_ENTRYPOINT) != "sdk-cli" and environment.get(_NO_SUMMARIES) != "1":
        kinds.append(SUMMARIES)
    return joined(*kinds)


def transcripts(path: str) -> list[str]:
    """Return all transcripts of the worker that has written `path`, the oldest first.

    They have one name, each in the folder of one of its client's sessions.
    """
    above, name = os.path.split(path)
    session, folder = os.path.split(above)
    if folder != "subagents":
        return [path]
    project = os.path.dirname(session)
    try:
        sessions = [entry.name for entry in os.scandir(project) if entry.is_dir()]
    except OSError:
        return [path]
    all_of_it = (os.path.join(project, entry, folder, name) for entry in sessions)
    found = [each for each in all_of_it if os.path.isfile(each)]
    return sorted(found, key=_begun) if len(found) > 1 else found or [path]


def _begun(path: str) -> str:
    """Return when the first row of a transcript that has a time was written, as it stands there."""
    try:
        for row in json_rows(_rows(path)):
            at = row.get("timestamp") if isinstance(row, dict) else None
            if isinstance(at, str):
                return at
    except OSError:
        pass
    return ""


def size_of(path: str) -> int:
    """Return how many bytes all transcripts of a worker have. Raises OSError."""
    return sum(os.stat(each).st_size for each in transcripts(path))


def read_transcript(path: str) -> Usage:
    """Return what the worker that wrote this transcript has used, over all that it wrote.

    Raises OSError.
    """
    paths = transcripts(path)
    rows = chain.from_iterable(map(_rows, paths))
    first = next(rows, "")
    return _of_gemini(rows) if _OF_GEMINI in first else sum_up(chain((first,), rows))


def _rows(path: str) -> Iterator[str]:
    """Yield the lines of a transcript; what is longer than any row of it is passed over. Raises
    OSError."""
    try:
        descriptor, status = open_file(path)
    except NotReadable as error:
        raise OSError(errno.EINVAL, error.what, path) from None
    with open(descriptor, encoding="utf-8", errors="replace") as source:
        if status.st_size > _LARGEST:
            raise OSError(errno.EFBIG, "larger than 256 MiB", path)
        whole = True
        while line := source.readline(_LONGEST_ROW):
            ends = line.endswith("\n")
            if whole and (ends or len(line) < _LONGEST_ROW):
                yield line
            whole = ends


def _of_gemini(rows: Iterable[str]) -> Usage:
    from hypervisor.agents.gemini import transcript

    usage = Usage()
    total, usage.by_id = transcript.sum_up(rows)
    usage.known = usage.complete = total is not None
    usage.total = total or usage.total
    return usage


class Failure:
    """The error in which a worker ended: the client's words, its code for it and the HTTP status,
    when the service wants to be asked again, and when it was told (Unix time); where known."""

    __slots__ = ("at", "code", "resets_at", "status", "text")

    def __init__(
        self, text: str, code: str, status: int | None, resets_at: object, at: float | None
    ) -> None:
        self.text = text
        self.code = code
        self.status = status
        self.resets_at = resets_at
        self.at = at


def last_error(path: str) -> Failure | None:
    """Return the error in which the worker of this transcript ended, or None."""
    try:
        rows = read_end(transcripts(path)[-1], _TAIL).decode("utf-8", "replace").splitlines()
    except (OSError, NotReadable):
        return None
    for row in json_rows(reversed(rows)):
        if not isinstance(row, dict) or row.get("type") not in ("assistant", "user"):
            continue
        message = row.get("message")
        if not isinstance(message, dict):
            continue
        if message.get("model") != "<synthetic>":
            return None
        text = " ".join(_texts(message.get("content")))
        return _failure(row, text) if text else None
    return None


def _failure(row: dict[str, object], text: str) -> Failure:
    from datetime import datetime

    code, status, told = row.get("error"), row.get("apiErrorStatus"), row.get("quotaLimits")
    try:
        at = datetime.fromisoformat(str(row.get("timestamp"))).timestamp()
    except ValueError:
        at = None
    return Failure(
        text,
        code if isinstance(code, str) else "",
        status if isinstance(status, int) else None,
        told.get("resetsAt") if isinstance(told, dict) else None,
        at,
    )


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
                    ended = _ended_in(text)
                    current[:] = [token for token in current if token not in ended]
                    current += [token for token in claims_in(text) if token not in current]
        elif row.get("subtype") == "compact_boundary":
            usage.compacted = True
    answers = list(seen.values())
    for answer in answers:
        usage.total = _add(usage.total, answer.figures)
        if answer.token is not None:
            share = usage.items.get(answer.token, (0, 0, 0, 0))
            usage.items[answer.token] = _add(share, answer.figures)
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
    answer = seen.setdefault(name, _Answer(current[0] if current else None))
    answer.figures = [max(a, b) for a, b in zip(answer.figures, figures, strict=True)]
    reason = message.get("stop_reason")
    answer.ended = answer.ended or reason is not None
    usage.complete = reason in ("end_turn", "stop_sequence", "max_tokens")
    content = message.get("content")
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and block.get("type") == "tool_use":
            calls[str(block.get("id"))] = str(block.get("name"))


def _results(row: dict[str, object]) -> Iterator[tuple[str, bool, list[str]]]:
    """Yield the call, whether it failed, and the texts of each tool's result in a row."""
    message = row.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            texts = list(_texts(block.get("content")))
            yield str(block.get("tool_use_id") or ""), bool(block.get("is_error")), texts


def _texts(body: object) -> Iterable[str]:
    if isinstance(body, str):
        yield body
    for part in body if isinstance(body, list) else []:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _add(share: Tokens, figures: Iterable[int]) -> Tokens:
    one, two, three, four = (a + b for a, b in zip(share, figures, strict=True))
    return one, two, three, four
