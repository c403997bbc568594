"""How far a done item is proven: what checks refuse, what they leave, and where it is told."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from hypervisor.worker.commits import edits

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(run_forked: Run, project: Path) -> Run:
    (project / "how.md").write_text("Label the text.\n")
    (project / "rows.csv").write_text("id,text\n1,hello\n2,world\n3,again\n")
    return run_forked


def opened(run: Run, *words: str) -> str:
    ran = run("open", "q", "rows.csv", "--id", "id", "--instructions", "how.md", *words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def claimed(run: Run) -> str:
    claims = json.loads(run("next", "q", "--json").stdout)["claims"]
    token: str = claims[0]["token"]
    return token


def done(run: Run, summary: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    return run("done", token or claimed(run), "--summary", summary)


def test_a_queue_without_a_check_says_so_when_it_is_opened_and_not_again(
    run: Run, project: Path
) -> None:
    assert opened(run).count("no check: done is each worker's own word") == 1
    with (project / "rows.csv").open("a") as rows:
        rows.write("4,more\n")
    assert "no check" not in opened(run)


def test_what_a_check_has_passed_is_told_apart_from_what_is_only_claimed(run: Run) -> None:
    opened(run)
    assert done(run, "a").returncode == 0
    run("check", "q", "grep -q right")
    assert done(run, "right").returncode == 0
    done(run, "right")
    line = "3 done: 2 checked, 1 only claimed"
    for words in (("summary", "q"), ("status", "q"), ("status",), ("wait", "q")):
        assert line in run(*words).stdout, words
    summary = json.loads(run("summary", "q", "--json").stdout)
    assert summary["proof"] == {"claimed": 1, "checked": 2, "judged": 0, "reviewed": 0}
    assert [one["proof"] for one in summary["workers"]] == ["claimed", "checked", "checked"]
    assert json.loads(run("status", "q", "--json").stdout)["proof"] == summary["proof"]
    rows = list(csv.DictReader(io.StringIO(run("results", "q").stdout)))
    assert [row["hv.proof"] for row in rows] == ["claimed", "checked", "checked"]
    page = run("report", "q", "--output", "page.html")
    assert page.returncode == 0, page.stderr


def test_the_page_tells_the_proof_and_the_refusals(run: Run, project: Path) -> None:
    opened(run, "--verify", "echo NO-SUCH-LABEL; grep -q right")
    token = claimed(run)
    assert done(run, "wrong", token).returncode == 1
    assert done(run, "right", token).returncode == 0
    run("report", "q", "--output", "page.html")
    page = (project / "page.html").read_text()
    assert "<span>1 done: 1 checked</span>" in page
    assert "refused by check: the check of this queue failed" in page and "NO-SUCH-LABEL" in page


def test_what_may_be_left_out_may_stand_behind_an_option(run: Run) -> None:
    opened(run)
    assert run("check", "q", "--name", "last", "true").stdout.startswith(
        "before an item of q is done (last): true"
    )
    told = run("review", "q", "--reject", "--note", "no", "x").stderr
    assert "queue q has no item 'x'" in told


def test_a_queue_may_have_several_checks_by_name(run: Run) -> None:
    opened(run, "--scope", "named", "--verify", "grep -q a")
    assert run("check", "q", "grep -q b", "--name", "lint").returncode == 0
    assert run("check", "q", "changed").returncode == 0
    told = run("check", "q", "--list").stdout.splitlines()
    assert [line.partition(" is done")[2] for line in told if line[0] != " "] == [
        " (named): no file was changed that the item does not name (proves nothing)",
        " (changed): a file was changed for the item, as far as can be told (proves nothing)",
        ": grep -q a",
        " (lint): grep -q b",
    ]
    asked = run("next", "q").stdout
    assert "no file is changed that the task doesn't name" in asked
    assert "a file is changed for it" in asked and "done runs it: grep -q b" in asked
    for name in ("named", "changed", "check"):
        assert run("check", "q", "--remove", name).returncode == 0
    assert run("check", "q").stdout.startswith("before an item of q is done (lint): grep -q b\n")
    refused = run("done", "1-aaaa", "--summary", "b")
    assert refused.returncode == 4
    gone = run("check", "q", "--remove", "check")
    assert gone.returncode == 2 and "no check check\nhint: it has: lint" in gone.stderr
    assert run("check", "q", "--remove", "lint").returncode == 0
    assert run("check", "q", "--list").returncode == 1


@pytest.mark.parametrize(
    "words",
    [
        ("true", "--name", "a b"),
        ("true", "--name", "named"),
        ("changed", "--name", "mine"),
        ("--name", "mine"),
        ("true", "--list"),
        ("true", "--remove", "check"),
        ("--remove", "check", "--list"),
    ],
)
def test_what_makes_no_sense_as_a_check_is_refused(run: Run, words: tuple[str, ...]) -> None:
    opened(run)
    assert run("check", "q", *words).returncode == 2
    assert run("check", "q").returncode == 1


def test_what_checks_say_last_is_kept_as_columns(run: Run) -> None:
    opened(run, "--verify", "grep -q right; echo noise; echo '{\"score\": 0.5}'")
    run("check", "q", 'echo \'{"by": {"rule": "=x", "n": [1]}}\'', "--name", "style")
    done(run, "right")
    rows = list(csv.DictReader(io.StringIO(run("results", "q").stdout)))
    names = ["check.check.score", "check.style.by.rule", "check.style.by.n"]
    assert [rows[0][name] for name in names] == ["0.5", "'=x", "[1]"]
    assert [rows[1][name] for name in names] == ["", "", ""]
    first, second, _ = map(json.loads, run("results", "q", "--jsonl").stdout.splitlines())
    assert first["check"] == {"check": {"score": 0.5}, "style": {"by": {"rule": "=x", "n": [1]}}}
    assert "check" not in second


def test_a_refusal_is_seen_in_show_and_log(run: Run) -> None:
    opened(run, "--verify", "echo first; echo NO-SUCH-LABEL; exit 3")
    token = claimed(run)
    assert done(run, "x", token).returncode == 1
    [claim] = json.loads(run("show", "1", "--json").stdout)["queues"][0]["claims"]
    [refusal] = claim["refusals"]
    assert (refusal["check"], refusal["tail"]) == ("check", "first\nNO-SUCH-LABEL")
    assert refusal["why"] == "the check of this queue failed: it ended with exit code 3"
    assert claim["outcome"] is None and claim["proof"] is None
    shown = run("show", "1").stdout
    assert " by check: the check of this queue failed" in shown and "      NO-SUCH-LABEL" in shown
    log = [json.loads(line) for line in run("log", "q", "--json").stdout.splitlines()]
    assert [(one["event"], one["id"]) for one in log[-2:]] == [("claimed", "1"), ("refused", "1")]
    assert "NO-SUCH-LABEL" in log[-1]["detail"]


def test_the_last_refusal_uses_up_the_attempt_and_says_that_the_item_is_lost(run: Run) -> None:
    opened(
        run, "--verify", "echo NOT-A-LABEL; exit 1", "--max-refusals", "2", "--max-attempts", "1"
    )
    token = claimed(run)
    first = done(run, "x", token)
    assert first.returncode == 1 and "the item is still yours" in first.stderr
    last = done(run, "y", token)
    assert last.returncode == 1 and "the item is no longer yours" in last.stderr
    assert "go on with: hypervisor next q" in last.stderr
    assert done(run, "z", token).returncode == 4
    summary = json.loads(run("summary", "q", "--json").stdout)["workers"][0]
    assert summary["status"] == "failed" and summary["proof"] is None
    assert summary["reason"].startswith(
        "the reports of 1 worker were refused too often; the last: "
    )
    assert summary["reason"].endswith("The end of its output:\n  NOT-A-LABEL")
    text = run("summary", "q").stdout
    assert text.count("NOT-A-LABEL") == 1 and "\\" not in text


def test_keys_in_what_a_check_printed_are_not_kept(run: Run) -> None:
    key = "ghp_" + "a" * 36
    opened(run, "--verify", f"echo {key}; exit 1")
    done(run, "x")
    told = run("show", "1", "--json").stdout + run("log", "q").stdout
    assert "refused" in told and key not in told.replace(f"echo {key}", "")


def test_an_item_that_did_nothing_is_not_changed_by_what_its_neighbour_wrote(
    run: Run, project: Path
) -> None:
    (project / "rows.csv").write_text("id,text\n1,mend src/one.py\n2,mend src/two.py\n")
    (project / "src").mkdir()
    for name in ("one", "two"):
        (project / f"src/{name}.py").write_text("x\n")
    commit(project)
    opened(run)
    run("check", "q", "changed")
    run("check", "q", "cat >seen-$HYPERVISOR_ID", "--name", "look")
    idle, busy = claimed(run), claimed(run)
    (project / "src/two.py").write_text("y\n")
    (project / "notes.txt").write_text("n\n")
    refused = done(run, "done it", idle)
    assert refused.returncode == 1
    assert "for whom is not known: notes.txt, src/two.py" in refused.stderr
    assert done(run, "done it", busy).returncode == 0
    seen = json.loads((project / "seen-2").read_text())
    assert (seen["files"], seen["files_unsure"]) == (["src/two.py"], ["notes.txt"])
    assert (seen["row"], seen["summary"]) == ({"id": "2", "text": "mend src/two.py"}, "done it")


def test_the_built_in_checks_prove_nothing(run: Run, project: Path) -> None:
    (project / "rows.csv").write_text("id,text\n1,mend one.py\n")
    commit(project)
    opened(run, "--scope", "named")
    run("check", "q", "changed")
    token = claimed(run)
    (project / "one.py").write_text("y\n")
    assert done(run, "mended", token).returncode == 0
    assert "1 done: 1 only claimed" in run("summary", "q").stdout


@pytest.mark.parametrize("check", ["named", "changed"])
def test_a_file_that_a_worker_has_written_into_its_own_task_is_not_named_by_that(
    run: Run, project: Path, check: str
) -> None:
    task = project / "t.md"
    task.write_text("---\nid: t-1\ntitle: T\nstatus: active\n---\nMend one.py.\n")
    commit(project)
    run("open", "q", "t.md")
    run("check", "q", check)
    token = claimed(run)
    (project / "two.py").write_text("y\n")
    task.write_text(task.read_text() + "And two.py, t.md.\n")
    assert done(run, "x", token).returncode == 1
    (project / "two.py").rename(project / "one.py")
    assert done(run, "x", token).returncode == 0


def test_what_an_agent_was_seen_to_edit_is_its_items_though_nothing_names_it(
    run: Run, project: Path
) -> None:
    opened(run)
    run("check", "q", "changed")
    idle, busy = claimed(run), claimed(run)
    (project / "free.txt").write_text("y\n")
    with Ledger.open(str(project)) as ledger:
        edits.note(ledger.state, edits.AFTER, [busy], str(project / "free.txt"))
    assert done(run, "x", idle).returncode == 1
    assert done(run, "x", busy).returncode == 0


def test_work_on_a_branch_tells_its_files_exactly(run: Run, project: Path) -> None:
    commit(project)
    opened(run, "--verify", f"cat >{project}/seen")
    run("check", "q", "changed")
    ran = run("next", "q", "--branch", "--json")
    assert ran.stdout, ran.stderr
    idle = json.loads(ran.stdout)["claims"][0]
    busy = json.loads(run("next", "q", "--branch", "--json").stdout)["claims"][0]
    (project / "beside.txt").write_text("n\n")
    (Path(busy["worktree"]) / "any.txt").write_text("n\n")
    assert done(run, "x", idle["token"]).returncode == 1
    assert done(run, "x", busy["token"]).returncode == 0
    seen = json.loads((project / "seen").read_text())
    assert (seen["files"], seen["files_unsure"]) == (["any.txt"], [])
    assert seen["commit"] and seen["attempt"] == 1


def test_a_report_that_differs_from_the_one_that_stands_is_told(run: Run) -> None:
    opened(run)
    token = claimed(run)
    first = done(run, "one", token).stdout
    assert done(run, "one", token).stdout == first
    second = done(run, "another", token)
    assert second.returncode == 0
    assert (
        second.stdout == first.rstrip() + "; its first report stands, and this one was not kept\n"
    )
    told = run("done", token, "--summary", "a third", "--json").stdout
    assert json.loads(told)["ended"]["first_stands"] is True


def test_answers_are_checked_counted_where_they_are_refused_and_kept_once(
    run: Run, project: Path
) -> None:
    schema = {
        "type": "object",
        "required": ["label"],
        "properties": {"label": {"enum": ["a", "b"]}},
    }
    (project / "schema.json").write_text(json.dumps(schema))
    opened(run, "--answer", "schema.json", "--max-refusals", "2", "--verify", "cat >seen")
    token = claimed(run)
    refused = [run("done", token, "--answer", '{"label": "c"}') for _ in range(2)]
    assert [ran.returncode for ran in refused] == [1, 1]
    assert "the item is no longer yours" in refused[1].stderr
    [claim] = json.loads(run("show", "1", "--json").stdout)["queues"][0]["claims"]
    assert [one["check"] for one in claim["refusals"]] == ["answer", "answer"]
    token = claimed(run)
    assert run("done", token, "--answer", '{"label": "a"}').returncode == 0
    seen = json.loads((project / "seen").read_text())
    assert (seen["answer"], seen["summary"]) == ({"label": "a"}, 'answer: {"label": "a"}')
    assert "stands" not in run("done", token, "--answer", ' {"label":"a"}').stdout
    other = run("done", token, "--answer", '{"label": "b"}')
    assert other.returncode == 0 and "its first report stands" in other.stdout


def test_the_summary_holds_the_row_of_each_item(run: Run) -> None:
    opened(run)
    done(run, "x")
    workers = json.loads(run("summary", "q", "--json").stdout)["workers"]
    assert [one["row"]["text"] for one in workers] == ["hello", "world", "again"]


def test_a_files_report_says_how_far_it_was_proven(run: Run, project: Path) -> None:
    (project / "tasks").mkdir()
    for name in "ab":
        text = f"---\nid: {name}\ntitle: T\nstatus: active\ntype: task\n---\n\nDo it.\n"
        (project / f"tasks/{name}.md").write_text(text)
    assert run("open", "q", "tasks").returncode == 0
    done(run, "x")
    run("check", "q", "true")
    done(run, "x")
    told = [(project / f"tasks/{name}.md").read_text() for name in "ab"]
    assert "\n- Proof: claimed\n" in told[0] and "\n- Proof: checked\n" in told[1]


def commit(project: Path) -> None:
    """Make a repository of the project, with all that is in it."""
    own = "git config user.name w; git config user.email w@x"
    script = f"git init -q; {own}; git add -A; git commit -qm all"
    subprocess.run(["sh", "-ec", script], cwd=project, check=True)
