"""`hypervisor review` and `suggest`: samples, and verdicts that only a person gives."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.agents.mcp.claims import Dispatch
from hypervisor.agents.mcp.tools import Tools
from hypervisor.intake.index import TaskIndex
from hypervisor.ledger import Claim, Ledger
from worker.support import open_queue, reports, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def take(project: Path, item: str | None = None) -> Claim:
    with Ledger.open(str(project)) as ledger:
        return worker.take(ledger, "q", "w", only=item)[0]


def end(project: Path, item: str, outcome: str = "done") -> None:
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only=item)
        worker.finish(ledger, claim.token, outcome, {"summary": f"did {item}", "reason": "no"})


@pytest.fixture
def done(project: Path) -> Path:
    """a, b, c and d are done; c waited for a, and e waits for b and blocked f."""
    for name in "abcdef":
        waits = {"c": "depends_on: [a]\n", "e": "depends_on: [b, f]\n"}.get(name, "")
        write_task(project, name, extra=waits)
    open_queue(project, max_attempts=2)
    for name in "abcd":
        end(project, name)
    return project


def shown(run: Run, *words: str) -> Any:
    told = run("review", "q", *words, "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_a_sample_is_kept_and_the_same_for_a_seed(done: Path, run: Run) -> None:
    first = shown(run, "--sample", "50%", "--seed", "7")
    assert first["sample"]["size"] == 2 and first["sample"]["population"] == 4
    end(done, "f")
    # What is accepted afterwards is in no earlier sample.
    assert shown(run)["items"] == shown(run, "--sample", "50%")["items"] == first["items"]
    refused = run("review", "q", "--sample", "3")
    assert refused.returncode == 2 and "--again" in refused.stderr
    assert shown(run, "--sample", "50%", "--seed", "7", "--again")["sample"]["population"] == 5
    for wrong in ("0", "0%", "101%", "x", "-1"):
        assert run("review", "q", f"--sample={wrong}", "--again").returncode == 2


def test_a_sample_is_in_proportion_by_a_key_of_the_tasks(project: Path, run: Run) -> None:
    for name in "abcdef":
        write_task(project, name, extra=f"area: {'web' if name == 'f' else 'core'}\n")
    open_queue(project)
    for name in "abcdef":
        end(project, name)
    told = shown(run, "--sample", "1", "--by", "area")
    assert sorted(one["group"] for one in told["items"]) == ["core", "web"]
    assert run("review", "q", "--sample", "1", "--by", "colour", "--again").returncode == 2


def test_what_is_accepted_is_reviewed_and_the_rate_has_its_interval(done: Path, run: Run) -> None:
    shown(run, "--sample", "4")
    told = run("review", "q", "a", "--accept")
    assert told.returncode == 0 and "1 of 1 accepted: 100 % (95 %: 2.5 to 100 %)" in told.stdout
    again = run("review", "q", "--reject", "a", "--note", "no")
    assert again.returncode == 1 and "was accepted by" in again.stderr
    [rate] = shown(run)["acceptance"]["all"]
    assert (rate["accepted"], rate["reviewed"], rate["low"]) == (1, 1, pytest.approx(0.025))
    with Ledger.open(str(done)) as ledger:
        row = ledger.store.row("select proof, verdict from claim order by no limit 1")
    assert tuple(row) == ("reviewed", "accepted")
    assert "accepted by" in run("show", "a").stdout


def test_a_rejected_report_is_taken_back_and_its_item_handed_out_with_the_note(
    done: Path, run: Run
) -> None:
    before = (done / "tasks/b.md").read_text()
    told = run("review", "q", "a", "--reject", "--note", "the colour is wrong")
    assert told.returncode == 0, told.stderr
    assert "1 item that waited for it has run:\n  c in queue q: done" in told.stdout
    text = (done / "tasks/a.md").read_text()
    assert "status: active" in text and "## Rejected" in text and "> did a" in text
    assert "> the colour is wrong" in text and "\nBy " in text
    assert states(done)["a"] == "ready" and (done / "tasks/b.md").read_text() == before
    claim = take(done, "a")
    assert claim.attempt == 2 and claim.before is None
    assert claim.instructions is not None and "the colour is wrong" in claim.instructions
    with Ledger.open(str(done)) as ledger:
        worker.finish(ledger, claim.token, "done", {"summary": "in blue"})
    assert reports(done / "tasks/a.md") == 1
    assert "> in blue" in (done / "tasks/a.md").read_text()
    # The second report is judged anew; with the attempts used up, the item has failed.
    told = run("review", "q", "a", "--reject", "--note", "no")
    assert told.returncode == 0 and "no attempt is left" in told.stdout
    assert states(done)["a"] == "failed"
    assert run("summary", "q").returncode == 0
    text = (done / "tasks/a.md").read_text()
    assert "## Rejected" in text and "> in blue" in text and "status: active" in text


def test_what_went_on_by_a_rejected_report_and_has_not_run_waits_again(
    done: Path, run: Run
) -> None:
    end(done, "f")
    assert states(done)["e"] == "ready"
    told = run("review", "q", "b", "--reject", "--note", "no")
    assert told.returncode == 0 and "run" not in told.stdout
    assert states(done)["e"] == "waiting"
    end(done, "b")
    assert states(done)["e"] == "ready"
    # What has run stays as it is; rejected itself, it waits.
    assert run("review", "q", "a", "--reject", "--note", "no").returncode == 0
    assert states(done)["c"] == "done"
    told = run("review", "q", "c", "--reject", "--note", "no")
    assert told.returncode == 0 and "it is waiting again" in told.stdout
    end(done, "a")
    assert states(done)["c"] == "ready"


def test_a_mark_that_others_have_changed_since_stays_and_nothing_is_written(
    done: Path, run: Run
) -> None:
    path = done / "tasks/a.md"
    changed = re.sub("^status: .*$", "status: on hold", path.read_text(), count=1, flags=re.M)
    path.write_text(changed)
    before = path.read_bytes()
    told = run("review", "q", "a", "--reject", "--note", "no")
    assert told.returncode == 1 and "nothing was written" in told.stderr
    assert path.read_bytes() == before and states(done)["a"] == "done"
    assert shown(run)["verdicts"] == {"accepted": 0, "rejected": 0}


def test_one_box_of_many_is_opened_again_and_the_others_stay(project: Path, run: Run) -> None:
    (project / "todo.md").write_text("# List\n\n- [ ] one\n- [ ] two\n- [ ] three\n")
    run("open", "q", "todo.md")
    ids = {}
    for _ in range(3):
        claim = take(project)
        ids[claim.title] = claim.id
        with Ledger.open(str(project)) as ledger:
            worker.finish(ledger, claim.token, "done", {"summary": "did it"})
    assert run("review", "q", ids["two"], "--reject", "--note", "no").returncode == 0
    assert (project / "todo.md").read_text() == "# List\n\n- [x] one\n- [ ] two\n- [x] three\n"


def test_a_file_whose_name_says_how_its_task_stands_has_its_former_name_again(
    project: Path, run: Run
) -> None:
    path = project / "todos/001-ready-p1-one.md"
    path.parent.mkdir()
    path.write_text('---\nstatus: ready\npriority: p1\nissue_id: "001"\n---\n\n# One\n\nDo it.\n')
    run("open", "q", "todos")
    end(project, "001")
    assert not path.exists()
    assert run("review", "q", "001", "--reject", "--note", "no").returncode == 0
    assert "## Rejected" in path.read_text()
    assert take(project, "001").path == "todos/001-ready-p1-one.md"


def test_a_verdict_is_on_an_accepted_report_and_says_why(done: Path, run: Run) -> None:
    for words, code in (
        (["a", "--reject"], 2),
        (["--accept"], 2),
        (["f", "--accept"], 1),
        (["nobody", "--accept"], 2),
        (["a", "--accept", "--note", "x"], 2),
    ):
        assert run("review", "q", *words).returncode == code, words


def test_a_session_gives_no_verdict_and_lays_out_samples(
    done: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    assert run("review", "q", "--sample", "2").returncode == 0
    told = run("review", "q", "a", "--accept")
    assert told.returncode == 2 and "a person's" in told.stderr
    assert run("review", "q", "a", "--reject", "--note", "no").returncode == 2
    assert shown(run)["verdicts"] == {"accepted": 0, "rejected": 0}


@pytest.mark.parametrize(
    "mark",
    [
        "HYPERVISOR_TOKEN", "HYPERVISOR_POOL", "HYPERVISOR_AGENT", "CLAUDE_CODE_SESSION_ID",
        "CLAUDE_PID", "AI_AGENT", "GEMINI_CLI", "CODEX_THREAD_ID",
    ],
)  # fmt: skip
def test_no_mark_of_an_agent_passes_for_a_person(
    done: Path, run: Run, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    monkeypatch.setenv(mark, "1")
    assert run("review", "q", "a", "--accept").returncode == 2
    assert run("review", "q", "a", "--reject", "--note", "no").returncode == 2


def test_a_client_of_the_server_suggests_work_for_what_it_holds(done: Path, run: Run) -> None:
    index = TaskIndex(str(done))
    tools = Tools(index, Dispatch(index, "q"))
    refused = tools.answer(lambda: tools.suggest_task("f", "More"))
    assert not refused["success"] and "claimed by nobody" in str(refused["message"])
    tools.answer(lambda: tools.claim_next_task("nic"))
    for number in range(6):
        told = tools.answer(lambda n=number: tools.suggest_task("f", f"More {n}", "why"))  # type: ignore[misc]
        assert told["success"] is (number < 5)
    assert "5 items at most" in str(told["message"])
    assert not tools.answer(lambda: tools.suggest_task("f", "two\nlines"))["success"]
    [first, *_] = shown(run, "--suggested")["suggested"]
    assert (first["origin"], first["title"], first["body"]) == ("f", "More 0", "why")


def test_a_worker_suggests_work_that_a_person_makes_an_item(done: Path, run: Run) -> None:
    claim = take(done, "f")
    for number in range(5):
        told = run("suggest", claim.token, "--title", f"More {number}", "--body", "-", input="x")
        assert told.returncode == 0, told.stderr
    # The same once more is no other.
    assert run("suggest", claim.token, "--title", "More 4").returncode == 0
    sixth = run("suggest", claim.token, "--title", "More 5")
    assert sixth.returncode == 1 and "5 items at most" in sixth.stderr
    files = sorted(done.rglob("*.md"))
    listed = shown(run, "--suggested")["suggested"]
    assert [one["title"] for one in listed] == [f"More {number}" for number in range(5)]
    assert {one["origin"] for one in listed} == {"f"}
    assert run("review", "q", "--accept", "f-s1").returncode == 0
    assert run("review", "q", "f-s2", "--reject").returncode == 0
    assert run("review", "q", "f-s1", "--reject").returncode == 1
    assert len(shown(run, "--suggested")["suggested"]) == 3
    assert sorted(done.rglob("*.md")) == files
    added = take(done, "f-s1")
    assert added.title == "More 0"
    assert added.payload == {"title": "More 0", "body": "x", "suggested by": "f"}
    end_of_f = run("done", claim.token, "--summary", "did f")
    assert end_of_f.returncode == 0
    assert run("suggest", claim.token, "--title", "late").returncode == 4


def test_the_page_has_the_sample_with_its_verdicts(done: Path, run: Run) -> None:
    from hypervisor.views.page.render import render
    from hypervisor.views.page.view import gather

    shown(run, "--sample", "4", "--seed", "1")
    run("review", "q", "a", "--reject", "--note", "the colour")
    with Ledger.open(str(done)) as ledger:
        review = gather(ledger, "q", 0.0).review
        page = render(ledger, "q")
    assert review is not None and review.what == "4 reports of 4, seed 1"
    assert review.rates[0] == ("all", "0 of 1 accepted: 0 % (95 %: 0 to 97.5 %)")
    verdicts = {
        title: (verdict.partition(" by ")[0], note) for title, _, verdict, note in review.rows
    }
    assert verdicts["Task a"] == ("rejected", "the colour")
    assert verdicts["Task b"] == ("not reviewed", "")
    assert "<td>the colour</td>" in page and "0 of 1 accepted: 0 % (95 %: 0 to 97.5 %)" in page


def test_a_sample_is_in_proportion_by_a_value_of_the_answers(project: Path, run: Run) -> None:
    (project / "i.md").write_text("Label it.\n")
    (project / "schema.json").write_text('{"type": "object"}')
    (project / "rows.csv").write_text("n\n" + "\n".join(map(str, range(6))) + "\n")
    opened = run("open", "q", "rows.csv", "--instructions", "i.md", "--answer", "schema.json")
    assert opened.returncode == 0, opened.stderr
    for number in range(6):
        label = "rare" if number == 5 else "usual"
        answer = json.dumps({"of": {"label": label}})
        assert run("done", take(project).token, "--answer", answer).returncode == 0
    told = shown(run, "--sample", "1", "--by", "answer.of.label")
    assert sorted(one["group"] for one in told["items"]) == ["rare", "usual"]
    assert told["items"][0]["answer"]["of"]["label"] in ("rare", "usual")
