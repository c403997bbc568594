"""Files that items say they touch: two items that name the same one are never out at once."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger.store import Store

AT_WORK = (
    "select files from item where project = ? and files is not null and turn < 0 "
    "and turn >= ? /*! + CLOCK */"
)


class FilesAtWork:
    """The files of items that are in work. A folder stands for all that lies below it; paths are
    relative to the root and normal, "." is the root itself."""

    __slots__ = ("_above", "_met", "_paths")

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._above: set[str] = set()
        self._met: set[str] = set()

    def add(self, paths: Iterable[str]) -> None:
        """Note the files of one more item."""
        for path in paths:
            self._paths.add(path)
            self._above.update(_above(path))

    def meet_text(self, text: str) -> bool:
        """Do as `meet` does with paths as the ledger keeps them; the same again costs nothing."""
        if text in self._met:
            return True
        import json

        if self.meet(json.loads(text)):
            self._met.add(text)
            return True
        return False

    def meet(self, paths: Iterable[str]) -> bool:
        """True if one of `paths` is in work, or a folder of it is, or something below it."""
        return any(
            path in self._paths or path in self._above or not self._paths.isdisjoint(_above(path))
            for path in paths
        )


def files_at_work(store: Store, late: int) -> FilesAtWork:
    """Return the files of all live claims of the project that name any, for the rest of a write
    transaction: `late` is that of `Ends`."""
    # A server lets several transactions claim at once: here they take turns.
    store.change("update counter set value = value + 1 where name = 'files'")
    return files_now(store, late)


def files_now(store: Store, late: int) -> FilesAtWork:
    """Return the files of all live claims of the project that name any."""
    import json

    found = FilesAtWork()
    for (files,) in store.rows(AT_WORK, (store.project, late)):
        found.add(json.loads(files))
    return found


def _above(path: str) -> list[str]:
    """Return the folders that hold `path`, the root among them."""
    if path == ".":
        return []
    found = ["."]
    at = path.find("/", 1)
    while at > 0:
        found.append(path[:at])
        at = path.find("/", at + 1)
    return found
