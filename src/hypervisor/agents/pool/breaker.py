"""Whether it is the client that fails, and not the items: then the pool stops before it burns the
queue."""

from __future__ import annotations

from hypervisor.agents.client import End

# So many agents in a row that ended in an error before they had any item, or without having ended
# one.
_AT_ONCE = 2
_IN_A_ROW = 5


class Breaker:
    """Counts the agents in a row that ended in an error."""

    def __init__(self) -> None:
        self._at_once = self._in_a_row = 0

    def gives_up(self, end: End, *, had_items: bool, fruitful: bool) -> bool:
        """Take in how an agent ended; True if no further one is worth its start.

        `had_items` says that it has claimed any, `fruitful` that it has ended one.
        """
        if end.how in ("finished", "rate_limited", "stopped") or fruitful:
            self._at_once = self._in_a_row = 0
            return False
        self._in_a_row += 1
        self._at_once = 0 if had_items else self._at_once + 1
        return self._at_once >= _AT_ONCE or self._in_a_row >= _IN_A_ROW
