"""Any command as a judge: the question on standard input, the verdict on standard output."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypervisor.agents import client
from hypervisor.system.errors import UsageError
from hypervisor.system.processes import Said


class CommandJudge(client.Judge):
    """The command line `words`."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self.name = os.path.basename(self._words[0]) if words else "command"

    def check(self) -> None:
        if not self._words:
            raise UsageError("no command to run", "write it behind --, like: -- python3 judge.py")
        found = client.find(self._words[0], "write its whole path, or put its folder on PATH")
        self._words[0] = os.path.abspath(found)
        # It runs in an empty folder; a script is meant from here.
        self._words[1:] = [
            os.path.abspath(word) if os.path.isfile(word) else word for word in self._words[1:]
        ]

    def start(self, place: client.Place, text: str) -> client.Start:
        return client.Start(self._words, client.scrubbed(place), text)

    def read(self, place: client.Place, said: Said) -> client.Answer:
        """Return its answer; of tokens it tells nothing. Raises HypervisorError."""
        client.finished(client.LastLines(), said)
        return client.Answer(said.out)
