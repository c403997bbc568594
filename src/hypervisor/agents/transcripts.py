"""Transcripts of workers, whichever client wrote them; unknown is None, never 0."""

from __future__ import annotations

import errno
import os
from itertools import chain

from hypervisor.agents import clients
from hypervisor.system.reading import MIB, NotReadable, open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hypervisor.ledger.usage import Tokens

# Rows hold what a worker read, pictures too.
_LARGEST, _LONGEST_ROW = 256 * MIB, 32 * MIB


class Usage:
    """What a worker has used: `total`, and the share of each claim in `items`.

    The message that ends an item and asks for the next counts to the item that it ends; what
    belongs to no item is overhead. `complete` is true when the transcript's last message is a
    final one. `known` is false for a transcript of an unknown shape. Where a worker never sees a
    claim's id, its shares are in `by_id`, by the items' ids, in the order of their claims.
    `requests` are all that was asked of the service: which share it belongs to (a claim, the place
    of one in `by_id`, None for overhead), the model, the tokens, and how many of those that were
    written to the cache stay there for an hour.
    `compacted` is true where the client has summed up the conversation: what that took stands in no
    row. `partial` is true where an answer has but the figures that were known at its beginning.
    """

    __slots__ = ("by_id", "compacted", "complete", "items", "known", "partial", "requests",
                 "total")  # fmt: skip

    def __init__(self) -> None:
        self.known = True
        self.complete = False
        self.compacted = False
        self.partial = False
        self.total: Tokens = (0, 0, 0, 0)
        self.items: dict[str, Tokens] = {}
        self.by_id: list[tuple[str, Tokens]] = []
        self.requests: list[tuple[str | int | None, str, Tokens, int]] = []


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


def add(one: Tokens, two: Iterable[int]) -> Tokens:
    """Return the sum of figures, kind by kind."""
    a, b, c, d = (x + y for x, y in zip(one, two, strict=True))
    return a, b, c, d


def writer_of(path: str) -> clients.Client:
    """Return the client whose worker wrote the transcript `path`, by its first line; the host where
    there is none yet."""
    try:
        return clients.writer(next(rows_of(path), ""))
    except OSError:
        return clients.host()


def read(path: str) -> tuple[Usage, list[str]]:
    """Return what the worker that wrote this transcript has used, and all of its transcripts.

    Raises OSError.
    """
    client = writer_of(path)
    files = client.files(path)
    return client.sum_up(chain.from_iterable(map(rows_of, files))), files


def size_of(path: str) -> int:
    """Return how many bytes all transcripts of a worker have. Raises OSError."""
    return sum(os.stat(each).st_size for each in writer_of(path).files(path))


def rows_of(path: str) -> Iterator[str]:
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
