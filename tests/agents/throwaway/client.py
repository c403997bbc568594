"""How its workers are run: a script, which prints an event a line."""

from __future__ import annotations

import sys
from pathlib import Path

from hypervisor.agents import client
from hypervisor.ledger import Claim

PROGRAM = Path(__file__).with_name("program.py")


class Worker(client.Headless):
    """See `Headless`."""

    name = "throwaway"

    def start(self, place: client.Place, claim: Claim | None = None) -> client.Start:
        words = [sys.executable, str(PROGRAM), client.own_program(), place.queue]
        return client.Start([*words, str(place.folder / "written")], client.scrubbed(place))

    def stream(self, place: client.Place) -> client.Stream:
        return Events()

    def transcript(self, place: client.Place, stream: client.Stream) -> str | None:
        written = place.folder / "written"
        return str(written) if written.exists() else None


class Events(client.Stream):
    """Reads what the script prints."""

    def feed(self, line: str) -> None:
        told = client.event(line)
        self.tool = told.get("tool", self.tool)
        self.last = told.get("text", self.last)

    def end(self, code: int) -> client.End:
        return client.End("failed" if code else "finished", "", self.last)
