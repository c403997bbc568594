"""Where the top-level keys of a front matter stand."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple


class Entry(NamedTuple):
    """One top-level key; offsets count characters of the header's text.

    `kind` is "scalar", "alias", "list" or "mapping"; `style` the quote character of a scalar, "|"
    or ">" of a block scalar, else None; `flow` is True for a value in brackets; `end` is -1 where
    it can't be told.
    """

    key: str
    kind: str
    style: str | None
    flow: bool
    key_start: int
    start: int
    end: int

    def moved(self, by: int, after: int) -> Entry:
        """Return the entry where the text behind `after` moved by so many characters."""
        if self.key_start < after:
            return self
        start, end = (place if place < 0 else place + by for place in (self.start, self.end))
        return self._replace(key_start=self.key_start + by, start=start, end=end)


class Entries(NamedTuple):
    """All top-level keys in their order; `flow` is True where braces hold them."""

    entries: list[Entry]
    flow: bool
    indent: int

    def get(self, key: str) -> Entry | None:
        """Return the entry of `key`, None if the key does not stand in the header itself."""
        for entry in self.entries:
            if entry.key == key:
                return entry
        return None
