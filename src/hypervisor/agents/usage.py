"""What a worker's transcript tells of it, whichever client wrote that."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger.usage import Tokens


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
