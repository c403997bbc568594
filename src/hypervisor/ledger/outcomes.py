"""What becomes of an item: the one table of the ways in which claims and items end, and the one of
what an item is told as. Whoever has to know an outcome reads it here."""

from __future__ import annotations

from hypervisor.system.text import prose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# An item that has not ended waits for others, is ready, or is in a worker's hands.
OPEN_STATES = ("waiting", "ready", "claimed")
# So much of the reason of an earlier attempt is told with its item.
_AFTER = 160


class _Row:
    """A row of a table: nothing of it changes."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, **columns: object) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, columns.pop(name))
        if columns:
            raise TypeError(f"no such columns: {', '.join(columns)}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name}: a row of a table never changes")


class Standing(_Row):
    """What an item is told as, and the summary's JSON counts it by. `title` is its name for people,
    `mark` the letter that stands for it on the page. `odd` says that it wants a look; the lowest
    `rank` does most."""

    __slots__ = ("mark", "odd", "rank", "title", "word")
    word: str
    title: str
    mark: str
    odd: bool
    rank: int


class Outcome(_Row):
    """How a claim ends, and its item if it is `final`.

    An item whose last claim ended so `counts_as` a standing. `costs` is the column of the item that
    counts such ends, and `spent` says why the item fails once as many `{workers}` as its queue
    allows have ended so; None where it costs nothing. `satisfies` says whether what waits for the
    item goes on, `worked` whether there is work of a worker to keep, `reported` whether a report of
    a worker brings it, `odd` whether the item wants a look and may be retried.

    `status` is the class of the status word that a task file gets, None where it keeps its own;
    `heading` that of the report in there. `mark` is the claim's letter on the page, `words` say
    there how it ended, `event` in the log, `lost` to a worker that comes too late.
    """

    __slots__ = (
        "costs", "counts_as", "event", "final", "heading", "lost", "mark", "odd", "reported",
        "satisfies", "spent", "status", "word", "words", "worked",
    )  # fmt: skip
    word: str
    counts_as: str
    costs: str | None
    spent: str | None
    satisfies: bool
    worked: bool
    reported: bool
    odd: bool
    final: bool
    status: str | None
    heading: str
    mark: str
    words: str
    event: str
    lost: str


def _standing(word: str, mark: str, rank: int, *, odd: bool = False, title: str = "") -> Standing:
    shown = title or word.replace("_", " ")
    return Standing(word=word, title=shown, mark=mark, odd=odd, rank=rank)


# In the order in which they are shown.
STANDINGS = (
    _standing("success", "s", 5, title="done"),
    _standing("blocked", "b", 1, odd=True),
    _standing("failed", "f", 0, odd=True),
    _standing("skipped", "k", 6),
    _standing("cancelled", "c", 3, odd=True),
    _standing("at_work", "r", 4),
    _standing("to_be_tried_again", "a", 2, odd=True),
    _standing("not_attempted", "n", 7),
)
STANDING = {row.word: row for row in STANDINGS}
AT_WORK, AGAIN, UNTRIED = (
    STANDING[word] for word in ("at_work", "to_be_tried_again", "not_attempted")
)
# What has not ended is told as one of these.
UNENDED = (AT_WORK, AGAIN, UNTRIED)
# What most wants a look comes first.
BY_RANK = tuple(sorted(STANDINGS, key=lambda row: row.rank))


def _final(word: str, mark: str, **columns: object) -> Outcome:
    usual: dict[str, object] = {
        "counts_as": word, "costs": None, "spent": None, "satisfies": False, "worked": False,
        "reported": True, "odd": False, "status": None, "heading": "Completion report",
        "words": word, "event": word, "lost": f"was reported {word}",
    }  # fmt: skip
    return Outcome(word=word, mark=mark, final=True, **usual | columns)


def _given_back(word: str, mark: str, **columns: object) -> Outcome:
    usual: dict[str, object] = {
        "costs": None, "spent": None, "satisfies": False, "worked": False, "reported": False,
        "odd": False, "status": None, "heading": "Completion report", "event": word,
    }  # fmt: skip
    return Outcome(word=word, mark=mark, counts_as=AGAIN.word, final=False, **usual | columns)


OUTCOMES = (
    _final("done", "s", counts_as="success", satisfies=True, worked=True, status="done"),
    _final("blocked", "b", worked=True, odd=True, status="blocked", heading="Blocked"),
    _final("failed", "f", costs="attempts", worked=True, odd=True),
    _final("skipped", "k", satisfies=True),
    _final(
        "cancelled",
        "c",
        satisfies=True,
        reported=False,
        words="ended with the queue",
        lost="ended when the queue was cancelled",
    ),
    _given_back(
        "released",
        "n",
        costs="releases",
        spent="{workers} gave it back",
        words="given back",
        event="given back",
        lost="was given back",
    ),
    _given_back("freed", "n", words="freed, at no cost", lost="was given back"),
    _given_back(
        "died",
        "f",
        costs="deaths",
        spent="{workers} died while {they} held it",
        words="its worker died",
        event="worker died",
        lost="was ended: its worker was taken for dead",
    ),
    _given_back(
        "gone",
        "f",
        costs="abrupt",
        spent="{workers} went down with {their} pool or session while {they} held it",
        words="its pool or session went down",
        lost="was ended: its pool or session went down",
    ),
    _given_back(
        "expired",
        "f",
        costs="lost",
        spent="{workers} fell silent for longer than {their} lease",
        words="its lease ran out",
        lost="ran out of its lease",
    ),
    _given_back(
        "unreported",
        "f",
        costs="attempts",
        spent="{workers} stopped without a report",
        words="ended without a report",
        lost="was ended without a report",
    ),
    _given_back(
        "refused",
        "f",
        costs="attempts",
        spent="the reports of {workers} were refused too often",
        words="its reports were refused too often",
        event="used up",
        lost="was ended: its reports were refused too often",
    ),
)
OUTCOME = {row.word: row for row in OUTCOMES}
FINAL = tuple(row.word for row in OUTCOMES if row.final)
REPORTED = tuple(row.word for row in OUTCOMES if row.reported)
SATISFYING = tuple(row.word for row in OUTCOMES if row.satisfies)
WORKED = tuple(row.word for row in OUTCOMES if row.worked)
# Items that ended so want a look, the failed first.
ODD = tuple(row.word for row in BY_RANK if row.word in OUTCOME and OUTCOME[row.word].odd)
# The states of items: they add up to the items of a queue.
STATES = (*OPEN_STATES, *FINAL)


def sql(words: tuple[str, ...]) -> str:
    """Return words of the table as SQL compares with them: `('done', 'skipped')`."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"({listed})"


def standing(state: str, first_claimed_at: float | None, spent: int, cause: str | None) -> Standing:
    """Return what an item is told as, by these of its columns; `spent` is the sum of those that
    count ends.

    It was attempted where an end of a claim cost it something or left a reason; what was given back
    without either is as if nobody had had it.
    """
    if state == "claimed":
        return AT_WORK
    had = first_claimed_at is not None
    if state in OPEN_STATES:
        return AGAIN if had and (spent or cause) else UNTRIED
    outcome = OUTCOME[state]
    # What a queue took along when it was cancelled, before anybody had it.
    return STANDING[outcome.counts_as] if had or outcome.reported else UNTRIED


def told(row: Standing, after: str | None) -> str:
    """Return a standing in words, with the reason for which the last attempt ended: `to be tried
    again (after: no network)`."""
    if after is None and row is not AGAIN:
        return row.title
    return f"{row.title} (after: {prose(after or 'no reason given', _AFTER)})"


def counted(
    counts: dict[str, int], again: dict[str, int], aside: int = 0, done: str | None = None
) -> str:
    """Return in words how many items of a queue are what: of its `counts` by state, those that are
    to be tried `again` and those that are set `aside` are told by themselves. `done` tells more of
    those that are done (`proofs.told`)."""
    told = {
        "waiting": counts["waiting"] - again["waiting"] - aside,
        "ready": counts["ready"] - again["ready"],
        AGAIN.title: sum(again.values()),
        AT_WORK.title: counts["claimed"],
        **{word: counts[word] for word in FINAL},
        "set aside": aside,
    }
    if done is not None:
        told["done"] = 0
    listed = ", ".join(f"{count} {what}" for what, count in told.items() if count)
    return "; ".join(filter(None, (listed, done))) or "none"


def earlier(state: str, first_claimed_at: float | None, cause: str | None) -> str | None:
    """Return why the last attempt at an open item ended, by these of its columns; None where that
    is not known, or nobody has attempted it."""
    had = state in OPEN_STATES and first_claimed_at is not None
    return (cause or None) if had else None
