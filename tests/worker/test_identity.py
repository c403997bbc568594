"""An item is tied to its id first and to its path second; what is missing is the world's doing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.worker import outbox, presence
from worker.support import open_queue, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _search_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_SEARCH_SECONDS", 0.0)


def lay_out(project: Path, count: int) -> list[Path]:
    paths = [write_task(project, f"t{number}") for number in range(count)]
    open_queue(project)
    return paths


def take(ledger: Ledger, n: int = 1) -> list[str]:
    return [claim.id for claim in worker.take(ledger, "q", "w", n)]


def test_a_report_is_never_written_into_another_task_at_its_path(project: Path) -> None:
    path = lay_out(project, 1)[0]
    with Ledger.open(str(project)) as ledger:
        token = worker.take(ledger, "q", "w")[0].token
        path.rename(path.with_name("old.txt"))
        write_task(project, "other")
        (project / "tasks/other.md").rename(path)
        before = path.read_bytes()
        worker.finish(ledger, token, "done", {"summary": "did it"})
        assert path.read_bytes() == before
        [(item, why)] = outbox.flush(ledger, None)
        assert item == "t0" and "other is there, not t0; give it the id t0 again" in why


def test_a_report_follows_its_task_to_where_that_was_moved(project: Path) -> None:
    path = lay_out(project, 1)[0]
    moved = project / "tasks/completed/t0 - new title.md"
    with Ledger.open(str(project)) as ledger:
        token = worker.take(ledger, "q", "w")[0].token
        moved.parent.mkdir()
        path.rename(moved)
        worker.finish(ledger, token, "done", {"summary": "did it"})
        assert ledger.outbox.pending() == []
        assert "did it" in moved.read_text() and "status: done" in moved.read_text()
        assert not path.exists()


def test_two_files_that_were_swapped_get_each_its_own_report(project: Path) -> None:
    one, two = lay_out(project, 2)
    with Ledger.open(str(project)) as ledger:
        claims = worker.take(ledger, "q", "w", 2)
        away = one.with_name("away")
        one.rename(away)
        two.rename(one)
        away.rename(two)
        for claim in claims:
            worker.finish(ledger, claim.token, "done", {"summary": f"of {claim.id}"})
    assert "id: t1" in one.read_text() and "of t1" in one.read_text()
    assert "id: t0" in two.read_text() and "of t0" in two.read_text()


def test_of_two_tasks_of_one_id_none_gets_the_report(project: Path) -> None:
    path = lay_out(project, 1)[0]
    with Ledger.open(str(project)) as ledger:
        token = worker.take(ledger, "q", "w")[0].token
        for name in ("a.md", "b.md"):
            path.with_name(name).write_bytes(path.read_bytes())
        path.unlink()
        worker.finish(ledger, token, "done", {"summary": "did it"})
        assert len(ledger.outbox.pending()) == 1
    assert "did it" not in path.with_name("a.md").read_text()
    assert "did it" not in path.with_name("b.md").read_text()


def test_files_that_are_gone_for_a_moment_end_no_item(project: Path) -> None:
    lay_out(project, 30)
    (project / "tasks").rename(project / ".away")
    with Ledger.open(str(project)) as ledger:
        assert take(ledger, 5) == []
        assert ledger.queues.stats("q")["ready"] == 30
        assert ledger.store.row("select count(*) as n from claim")["n"] == 0, (
            "none was even claimed"
        )
        (project / ".away").rename(project / "tasks")
        assert len(take(ledger, 30)) == 30


def test_what_is_missing_is_passed_over_and_the_others_are_handed_out(project: Path) -> None:
    paths = lay_out(project, 5)
    paths[0].unlink()
    with Ledger.open(str(project)) as ledger:
        assert take(ledger, 5) == ["t1", "t2", "t3", "t4"]
        assert ledger.queues.stats("q")["ready"] == 1


def test_a_task_that_was_renamed_is_handed_out_at_its_new_place(project: Path) -> None:
    path = lay_out(project, 1)[0]
    path.rename(path.with_name("renamed.md"))
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
    assert claim.path == os.path.join("tasks", "renamed.md")


def test_another_task_at_the_path_of_a_ready_item_is_not_handed_out_for_it(project: Path) -> None:
    path = lay_out(project, 1)[0]
    path.write_text(path.read_text().replace("id: t0", "id: other"))
    with Ledger.open(str(project)) as ledger:
        assert take(ledger) == []
        assert ledger.queues.stats("q")["ready"] == 1


def test_a_queue_of_which_only_missing_items_are_left_is_at_rest_and_names_them(
    project: Path, run_forked: Run
) -> None:
    path = lay_out(project, 2)[0]
    path.unlink()
    assert run_forked("next", "q", "--json").returncode == 0
    with Ledger.open(str(project)) as ledger:
        worker.finish(
            ledger, next(iter(ledger.claims.live_tokens())), "done", {"summary": "did it"}
        )
    told = run_forked("next", "q")
    assert told.returncode == 3
    assert told.stdout == (
        "nothing left that is here; 1 item or its file is missing: t0; "
        "hypervisor cancel q --missing ends them\n"
    )
    waited = run_forked("wait", "q", "--timeout", "20")
    assert waited.returncode == 1
    assert "missing: t0" in waited.stdout
    worked = run_forked("work", "q", "--agent", "command", "--", "true")
    assert worked.returncode == 1
    assert "missing: t0" in worked.stdout


def test_an_item_whose_file_is_back_goes_on_by_itself(project: Path, run_forked: Run) -> None:
    path = lay_out(project, 1)[0]
    raw = path.read_bytes()
    path.unlink()
    assert run_forked("next", "q").returncode == 3
    path.write_bytes(raw)
    assert "claim " in run_forked("next", "q").stdout


def test_a_file_whose_id_was_changed_in_mid_work_is_nobody_elses(project: Path) -> None:
    path = write_task(project, "t0").rename(project / "tasks/first.md")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        path.write_text(path.read_text().replace("id: t0", "id: other"))
        assert open_queue(project).elsewhere == [("other", "q")]
        assert open_queue(project, queue="second").elsewhere == [("other", "q")]
        assert take(ledger) == []
        worker.release(ledger, claim.token)
        assert open_queue(project, queue="second").added == 1


def change_id(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(f"id: {old}\n", f"id: {new}\n"))


def test_files_that_were_renumbered_in_mid_work_leave_one_worker_on_a_file(project: Path) -> None:
    one, two = lay_out(project, 2)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only="t0")
        change_id(one, "t0", "t1")
        change_id(two, "t1", "t2")
        open_queue(project)
        assert [(new.id, new.path) for new in worker.take(ledger, "q", "w2", 9)] == [
            ("t2", "tasks/t1.md")
        ], "t1 is in the file that somebody works on for t0"
        worker.finish(ledger, claim.token, "done", {"summary": "of t0"})
        assert "of t0" not in one.read_text() + two.read_text()


def test_an_id_that_is_changed_to_and_fro_leaves_one_worker_on_a_file(project: Path) -> None:
    path = write_task(project, "t0").rename(project / "tasks/first.md")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        change_id(path, "t0", "other")
        open_queue(project)
        change_id(path, "other", "t0")
        assert take(ledger, 5) == ["t0"]
        change_id(path, "t0", "other")
        open_queue(project)
        open_queue(project, queue="second")
        assert take(ledger, 5) == []
        assert worker.take(ledger, "second", "w2", 5) == []


def test_two_files_that_were_swapped_while_ready_are_handed_out_where_they_are(
    project: Path,
) -> None:
    one, two = lay_out(project, 2)
    one.rename(project / "away")
    two.rename(one)
    (project / "away").rename(two)
    with Ledger.open(str(project)) as ledger:
        claims = worker.take(ledger, "q", "w", 2)
    assert {(claim.id, claim.path) for claim in claims} == {
        ("t0", "tasks/t1.md"),
        ("t1", "tasks/t0.md"),
    }


@pytest.mark.parametrize("gone", ["removed", "others", "a file in its folder's place", "dangling"])
def test_a_branch_on_which_all_files_are_others_leaves_the_queue_at_rest(
    project: Path, run_forked: Run, gone: str
) -> None:
    paths = lay_out(project, 25)
    for path in paths:
        text = path.read_text()
        path.unlink()
        if gone == "others":
            path.write_text(text.replace("id: t", "id: of-another-branch-"))
        elif gone == "dangling":
            path.symlink_to("nowhere.md")
    if gone == "a file in its folder's place":
        (project / "tasks").rmdir()
        (project / "tasks").touch()
    told = run_forked("next", "q")
    assert told.returncode == 3 and "25 items or their files are missing: t0" in told.stdout
    for words in (
        ["wait", "q", "--timeout", "20"],
        ["work", "q", "--agent", "command", "--", "true"],
    ):
        ended = run_forked(*words)
        assert ended.returncode == 1 and "missing: t0" in ended.stdout, words
    with Ledger.open(str(project)) as ledger:
        assert ledger.queues.stats("q")["ready"] == 25


def test_open_boxes_of_a_task_that_was_moved_refuse_done(project: Path) -> None:
    path = write_task(project, "t0", body="- [ ] not done\n")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        (project / "tasks/completed").mkdir()
        path.rename(project / "tasks/completed/t0.md")
        with pytest.raises(worker.Refused, match=r"not ticked in tasks/completed/t0\.md"):
            worker.finish(ledger, claim.token, "done", {"summary": "did it"})


def test_open_boxes_of_another_task_at_the_path_refuse_nothing(project: Path) -> None:
    path = lay_out(project, 1)[0]
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        path.unlink()
        write_task(project, "other", body="- [ ] not done\n").rename(path)
        before = path.read_bytes()
        assert worker.finish(ledger, claim.token, "done", {"summary": "did it"}).state == "done"
        assert path.read_bytes() == before


def test_a_task_that_was_moved_is_pulled_where_it_is(project: Path, run_forked: Run) -> None:
    path = lay_out(project, 1)[0]
    write_task(project, "other").rename(project / "other.md")
    path.rename(project / "tasks/moved.md")
    (project / "other.md").rename(path)
    told = run_forked("pull", "t0")
    assert told.returncode == 0 and "tasks/moved.md" in told.stdout
