"""A ledger that somebody or something has written to: what is wrong is told, and where."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from hypervisor.cli import main
from hypervisor.ledger import Ledger, LedgerError, NewItem, Options
from hypervisor.ledger.damage import explained
from hypervisor.system.errors import HypervisorError
from ledger.support import first_release

pytestmark = pytest.mark.embedded
ENDLESS = "with recursive n (i) as (select 1 union all select i + 1 from n)"


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose queue `q` has an item that is done, one at work and one ready."""
    monkeypatch.chdir(tmp_path)
    with Ledger.open(str(tmp_path), create=True) as ledger:
        items = [NewItem(name, f"{name}.md", payload={"x": 1}, files=[name]) for name in "abc"]
        ledger.generations.open("q", items, Options(commands='["make"]', preflight="{}"))
        [first] = ledger.claims.claim("q", "w")
        ledger.ends.finish(first.token, "done", {"summary": "s"})
        ledger.claims.claim("q", "w")
    return tmp_path


@pytest.mark.parametrize("how", ["moved", "folder", "file", "copy"])
def test_what_is_written_into_a_ledger_that_was_taken_away_meanwhile_is_refused(
    used: Path, how: str
) -> None:
    folder, aside = used / ".hypervisor", used.parent / f"aside-{how}"
    with Ledger.open(str(used)) as ledger:
        if how == "moved":
            used.rename(aside)
        elif how == "folder":
            folder.rename(aside)
            folder.mkdir()
        elif how == "file":
            (folder / "ledger.db").rename(aside)
        else:
            shutil.copy2(folder / "ledger.db", aside)
            aside.rename(folder / "ledger.db")
        with pytest.raises(HypervisorError, match=r"(moved|replaced) while it was in use"):
            ledger.claims.claim("q", "w")
        if how == "moved":
            aside.rename(used)
            assert [claim.id for claim in ledger.claims.claim("q", "w")] == ["c"]


def bend(root: Path, *statements: str) -> None:
    connection = sqlite3.connect(root / ".hypervisor" / "ledger.db")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("verb", "statement", "told"),
    [
        (("status",), "update counter set value = 'x' where name = 'ends'", "counter.value in row"),
        (("status",), "delete from counter where name = 'ends'", "counter has no ends"),
        (("status",), "delete from meta where key = 'ledger'", "meta has no ledger"),
        (("status",), "update item set finished_at = 'x'", "item.finished_at in row 1 is x"),
        (("summary", "q"), "update item set first_claimed_at = x'00'", "item.first_claimed_at in"),
        (("summary", "q"), "update item set state = '0' where no = 1", "item.state in row 1 is 0"),
        (("summary", "q"), "update claim set report = '[' where no = 1", "claim.report in row 1"),
        (("summary", "q"), "update claim set report = '[7]' where no = 1", "claim.report in row 1"),
        (("next", "q"), "update queue set lease_ms = 9223372036854775807", "queue.lease_ms in row"),
        (("next", "q"), "update item set payload = 'x'", "item.payload in row 1 is x"),
        (("report", "q"), "update queue set commands = '7'", "queue.commands in row 1 is 7"),
        (("plan", "q"), "update queue set tools = 'x'", "queue.tools in row 1 is x"),
        (("wait", "q", "--timeout", "0"), "update queue set state = 'x'", "queue.state in row 1"),
        (("cancel", "q"), "update claim set token = '99-abcd'", "claim.token in row 1 is 99-abcd"),
        (("cancel", "q"), "update claim set item = 99", "claim.item in row 1 is 99, and there"),
        (("log", "q"), "update event set at = 'x'", "event.at in row 1 is x"),
        (("status",), "drop table agent", "it has no table agent"),
        (("summary", "q"), "alter table claim drop column worker", "claim has no column worker"),
    ],
)  # fmt: skip
def test_a_verb_that_fails_over_a_damaged_ledger_says_what_is_wrong_where(
    used: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...], statement: str, told: str
) -> None:
    bend(used, statement)
    assert main(list(verb)) == 1
    said = capsys.readouterr().err
    assert "/.hypervisor/ledger.db: damaged: " in said and told in said, said
    assert "restore it from a backup" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "statements",
    [
        ("alter table session rename to s", f"create view session as {ENDLESS} select i as id, "
         "i as pid, i as pid_start, i as headless, i as heard_at, i as seen_at, i as host from n"),
        ("alter table meta rename to m", f"create view meta as {ENDLESS} select i as key, i as "
         "value from n"),
        (f"create trigger t before update on item begin select count(*) from ({ENDLESS} select i "
         "from n); end",),
        ("create trigger t after update on item begin delete from item; end",),
    ],
    ids=["view", "view of what is read first", "trigger", "trigger that deletes"],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["status", "resume q", "next q", "undo q", "adopt --yes"])
def test_views_and_triggers_of_others_are_refused_before_they_run(
    used: Path, capsys: pytest.CaptureFixture[str], statements: tuple[str, ...], verb: str
) -> None:
    bend(used, *statements)
    began = time.monotonic()
    assert main(verb.split()) in ((1, 2) if verb == "undo q" else (1,))
    assert time.monotonic() - began < 10
    if verb != "undo q":
        assert "not a ledger as hypervisor makes it" in capsys.readouterr().err


def test_a_ledger_of_an_older_version_is_refused_before_it_is_brought_up_to_date(
    used: Path,
) -> None:
    bend(
        used,
        "alter table claim rename to c",
        f"create view claim as {ENDLESS} select i as report from n",
        "pragma user_version = 2",
    )
    with pytest.raises(LedgerError, match="not a ledger as hypervisor makes it"):
        Ledger.open(str(used))


def test_a_ledger_with_names_that_are_no_text_is_told_as_that(used: Path) -> None:
    path = used / ".hypervisor" / "ledger.db"
    path.write_bytes(path.read_bytes().replace(b"last_tool", b"last_\xf1ool"))
    told = explained(str(used), ValueError())
    assert told is not None and "damaged: " in str(told)


def test_a_ledger_that_is_right_explains_no_error(used: Path) -> None:
    assert explained(str(used), ValueError("of something else")) is None
    assert explained(str(used / "nowhere"), ValueError()) is None


def test_an_error_that_is_not_of_the_ledger_stays_what_it_is(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypervisor.cli import status

    def fails(_: object) -> int:
        raise ValueError("ours")

    monkeypatch.setattr(status, "run", fails)
    with pytest.raises(ValueError, match="ours"):
        main(["status"])


def test_a_ledger_of_the_first_release_is_right_once_it_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    first_release(str(tmp_path))
    with Ledger.open(str(tmp_path)):
        pass
    assert explained(str(tmp_path), ValueError()) is None


def test_a_ledger_in_which_nothing_was_claimed_yet_is_not_damaged(tmp_path: Path) -> None:
    with Ledger.open(str(tmp_path), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a", "a.md")])
    assert explained(str(tmp_path), ValueError("a fault of ours")) is None
