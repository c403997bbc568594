"""All that is looked at, the clients at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hypervisor.agents.clients import CLIENTS, client
from hypervisor.agents.doctor import here
from hypervisor.agents.finding import Finding

SECONDS = 20.0


def examine(root: str, seconds: float = SECONDS) -> list[Finding]:
    """Look at the project at `root`, at this machine, and at all clients.

    `seconds` is the time limit of each question to another program.
    """
    rooms: list[Callable[[str, float], list[Finding]]] = [here.look]
    rooms += [client(name).look for name in CLIENTS]
    with ThreadPoolExecutor(len(rooms)) as pool:
        asked = [pool.submit(room, root, seconds) for room in rooms]
        return [finding for answer in asked for finding in answer.result()]
