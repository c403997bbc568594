"""Any command as a worker: one process per item, which it gets by environment and by its words.

Nothing goes through a shell. `{id}`, `{path}`, `{title}`, `{token}`, `{queue}` and the columns of a
row are replaced in each word (see `holes`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence

from hypervisor.agents import client
from hypervisor.agents.command import holes
from hypervisor.config import store
from hypervisor.ledger import Claim, NewItem
from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line
from hypervisor.worker import verify

# The kernel refuses a longer word or variable.
_LONGEST = 100_000


class Command(client.Headless):
    """The command line `words`."""

    name = "command"
    one_item_each = True

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._kept: dict[str, str] = {}

    def hand_on(self, names: Sequence[str]) -> list[str]:
        for name in names:
            if name not in os.environ:
                raise UsageError(
                    f"--env {one_line(name, 80)} is not set in this shell", "export it first"
                )
            self._kept[name] = os.environ[name]
        return verify.without([*client.GIVEN, *store.environment(), *names])

    def check(self, root: str) -> None:
        if not self._words:
            raise UsageError(
                "no command to run", "write it behind --, like: -- python3 convert.py {path}"
            )
        holes.check(self._words)
        found = client.find(self._words[0], "write its whole path, or put its folder on PATH")
        if "/" in self._words[0]:
            # It is started in the root, wherever the user stands.
            self._words[0] = os.path.abspath(found)

    def check_names(self, rows: Iterable[Mapping[str, object] | None]) -> None:
        """Raise UsageError for a hole that none of the items with these columns can fill."""
        holes.check_names(self._words, rows)

    def start(self, place: client.Place, claim: Claim | None = None) -> client.Start:
        """Return how to start the process for one item. Raises Unfit for a value that the command
        would take for an option."""
        assert claim is not None
        path = claim.path or ""
        if claim.worktree is not None and claim.file is not None:
            # What git does not hold is not in the tree that the command runs in.
            inside = os.path.join(claim.worktree, path)
            path = path if os.path.lexists(inside) else claim.file
        payload = claim.payload
        words = self._filled(claim.id, path, claim.title, claim.token, place.queue, payload)
        told = {
            "HYPERVISOR_ID": claim.id,
            "HYPERVISOR_PATH": path,
            "HYPERVISOR_TITLE": _title(claim.title, path),
            "HYPERVISOR_TOKEN": claim.token,
            "HYPERVISOR_ROOT": place.root,
            "HYPERVISOR_ATTEMPT": str(claim.attempt),
            "HYPERVISOR_INSTRUCTIONS": claim.instructions or "",
            "HYPERVISOR_DATA": "" if payload is None else _shown(payload),
        }
        environment = client.scrubbed(place) | self._kept
        environment |= {name: _fit(value) for name, value in told.items()}
        # It may report by itself, with this very program.
        own = os.path.dirname(client.own_program())
        environment["PATH"] = f"{own}{os.pathsep}{environment.get('PATH', os.defpath)}"
        return client.Start(words, environment)

    def rehearse(self, item: NewItem, queue: str) -> list[str]:
        return self._filled(item.id, item.path or "", item.title, "TOKEN", queue, item.payload)

    def _filled(
        self, item_id: str, path: str, title: str | None, token: str, queue: str, payload: object
    ) -> list[str]:
        """Return the command line for an item. Raises Unfit as `start` does."""
        values = {"id": item_id, "path": path, "token": token, "queue": queue}
        values["title"] = _title(title, path)
        if isinstance(payload, dict):
            values = {str(name): _shown(value) for name, value in payload.items()} | values
        return [_fit(word) for word in holes.fill(self._words, values)]

    def stream(self, place: client.Place) -> client.LastLines:
        return client.LastLines()


def _title(title: str | None, path: str) -> str:
    """Return the title of an item; a file that has none is called by its name."""
    return title or os.path.splitext(os.path.basename(path))[0]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fit(value: str) -> str:
    # Neither a word nor a variable holds a NUL; an id from a row may.
    value = value.replace("\0", "\ufffd")
    raw = os.fsencode(value)
    return value if len(raw) <= _LONGEST else os.fsdecode(raw[:_LONGEST])
