"""What the tests of formats share."""

from __future__ import annotations

from hypervisor.tasks import formats
from hypervisor.tasks.item import Item


def items(name: str, text: str, path: str = "/p/tasks.md") -> dict[str, Item]:
    """Return the items that the format called `name` sees in `text`, by id."""
    found = formats.get(name).items(path, text)
    assert len({item.id for item in found}) == len(found)
    return {item.id: item for item in found}


def ended(
    name: str, text: str, item_id: str, path: str = "/p/tasks.md", state: str = "done"
) -> str:
    """Return `text` with an item marked as ended."""
    item = items(name, text, path)[item_id]
    return formats.spliced(text, formats.get(name).mark(text, item, state) or [])
