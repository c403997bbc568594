"""The end of a command's item, beside the pool's loop: its check or its commit may take long."""

from __future__ import annotations

import os
import selectors
import signal
from functools import partial

from hypervisor.agents.client import End
from hypervisor.agents.pool import endings
from hypervisor.config.caller import PoolAgent
from hypervisor.ledger import Claim, Ledger
from hypervisor.system import killing
from hypervisor.system.processes import beside, obeying

# git is asked to end before it is ended.
_PATIENCE = 10.0


class Finishing:
    """A thread that ends the item of `claim`, whose command, as `agent`, has ended as `end` says.

    It has a ledger connection of its own. Register it with a selector; call `result` once it has
    ended.
    """

    def __init__(self, root: str, agent: PoolAgent, claim: Claim, end: End, *, force: bool) -> None:
        self.end = end
        self._agent = agent
        self._requests: list[int] = []
        self._lacks = ""
        self._error: BaseException | None = None
        # The thread closes its end when it is through, and so wakes the selector.
        self._through, self._working = os.pipe()
        self._thread = beside(partial(self._run, root, claim, force), agent.name)

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Have `selector` wake when the item has ended."""
        selector.register(self._through, selectors.EVENT_READ, (self, ""))

    def has_ended(self) -> bool:
        """True once `result` need not wait."""
        return self._thread is None or not self._thread.is_alive()

    def result(self, selector: selectors.BaseSelector) -> str:
        """Undo `watch` and return "", or what this machine lacks: the item is free then.

        Raises what kept the item from being ended.
        """
        if self._thread is not None:
            self._thread.join()
        selector.unregister(self._through)
        os.close(self._through)
        if self._error is not None:
            raise self._error
        return self._lacks

    def ask_to_stop(self) -> None:
        """Have the check, or git, end: the item stays its agent's, if it has not ended before."""
        self._requests.append(signal.SIGTERM)

    def stop(self) -> None:
        """Wait until it has stopped, and end what the check has left running."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        killing.kill_marked("HYPERVISOR_AGENT", self._agent.name)

    def _run(self, root: str, claim: Claim, force: bool) -> None:
        try:
            with obeying(self._requests), Ledger.open(root) as ledger:
                self._lacks = endings.command_ended(
                    ledger, claim, self.end, agent=self._agent, force=force
                )
        except BaseException as error:
            self._error = error
        finally:
            os.close(self._working)
