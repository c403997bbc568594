"""A batch in the client's own screen, with every notice lost."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.model import Model
from e2e.plugins import lost_notices
from e2e.queue_scripts import REPOSITORY, by_the_book, fan_out, lay_out, summary
from e2e.workspace import Workspace
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError

pytestmark = pytest.mark.e2e


@pytest.mark.newest_client
def test_the_session_is_told_of_all_thirty_at_once_or_at_the_next_prompt(
    workspace: Workspace, model: Model, tmp_path: Path, home: str
) -> None:
    lay_out(workspace.project / "tasks", 30)
    model.main, model.worker = fan_out("inbox", "tasks", 3), by_the_book("inbox")
    session = workspace.interactive(
        plugins=lost_notices(model, [REPOSITORY], tmp_path), env={"HYPERVISOR_HOME": home}
    )
    session.submit("/hypervisor tasks")

    def drained(_: object) -> bool:
        # Asked ten times a second: a command each time would cost more than the batch.
        with suppress(HypervisorError), Ledger.open(str(workspace.project)) as ledger:
            return ledger.queues.stats("inbox")["done"] == 30
        return False  # it is not opened yet

    model.wait(drained)
    if not workspace.client.arms_monitors:
        session.submit("how is it going?")
    model.wait(lambda m: "items ended" in m.of("")[-1].conversation.text)
    session.submit("and now?")
    model.wait(lambda m: "and now?" in m.of("")[-1].conversation.last)
    session.exit()
    heard = model.of("")[-1].conversation.text
    told = re.findall(r"done \(\d+\): (.*)", heard)
    ids = [name for line in told for name in line.split(", ")]
    assert sorted(ids) == [f"demo-{number:04d}" for number in range(1, 31)]
    by = summary(workspace.project, "inbox", home=home)["notices"]["by"]
    assert list(by) == ["monitor" if workspace.client.arms_monitors else "prompt"]
