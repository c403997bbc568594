"""The answers of a queue by the command line: schema shown once, answers taken, a table of them."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger

Run = Callable[..., subprocess.CompletedProcess[str]]
SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"enum": ["yes", "no"]},
        "why": {"type": "object", "properties": {"page": {"type": ["integer", "null"]}}},
    },
    "required": ["label"],
}


@pytest.fixture
def run(run_forked: Run, project: Path) -> Run:
    (project / "i.md").write_text("Label it.\n")
    (project / "s.json").write_text(json.dumps(SCHEMA))
    (project / "r.csv").write_text("id,text\na,x\nb,y\nc,z\n")
    return run_forked


def opened(run: Run, *words: str, rc: int = 0) -> subprocess.CompletedProcess[str]:
    ran = run(
        "open", "q", "r.csv", "--id", "id", "--instructions", "i.md", "--answer", "s.json", *words
    )
    assert ran.returncode == rc, ran.stderr
    return ran


def token(shown: str) -> str:
    return re.findall(r"^claim (\S+)$", shown, re.MULTILINE)[0]


def answer(project: Path, *texts: str) -> None:
    """End the next items with these answers."""
    with Ledger.open(str(project)) as ledger:
        for claim, text in zip(worker.take(ledger, "q", "w", len(texts)), texts, strict=True):
            worker.finish(ledger, claim.token, "done", {"answer": text})


def test_the_schema_is_shown_once_and_again_if_asked_for(run: Run) -> None:
    opened(run)
    first = run("next", "q")
    assert "answer: JSON that fits this schema:\n  {" in first.stdout
    claim = token(first.stdout)
    # With the fence it is the client's shell rules that let it through; see tests/e2e.
    asked = rf"hypervisor done {claim} --next --answer - <<'(END_\w+)'\n```json\n.*\n```\n\1\n"
    assert re.search(asked, first.stdout)
    following = run("done", claim, "--next", "--answer", '{"label": "yes"}').stdout
    assert "answer: schema as before (again: hypervisor next q --schema)" in following
    assert json.loads(run("next", "q", "--schema").stdout) == SCHEMA
    told = json.loads(run("next", "q", "--json").stdout)
    assert told["claims"][0]["answer_schema"] == SCHEMA


def test_a_refused_answer_leaves_the_item_with_its_worker(run: Run) -> None:
    opened(run)
    claim = token(run("next", "q").stdout)
    ran = run("done", claim, "--answer", "-", input='{"label": "maybe"}')
    assert ran.returncode == 1
    assert ran.stderr.startswith('error: answer.label: "maybe" is none of "yes", "no"\nhint: ')
    assert "the item is still yours" in ran.stderr
    assert ' by answer.label: "maybe" is none of' in run("show", "a").stdout
    assert ' “answer.label: "maybe" is none of' in run("log", "q").stdout
    assert run("done", claim, "--answer", '{"label": "no"}').returncode == 0


def test_one_of_answer_and_summary_is_said_and_one_of_them_reads(run: Run) -> None:
    opened(run)
    claim = token(run("next", "q").stdout)
    for words in ((), ("--summary", "-", "--answer", "-"), ("--answer", "")):
        assert run("done", claim, *words, input="{}").returncode == 2
    ran = run("done", claim, "--summary", "sure", "--answer", "-", input='{"label": "no"}')
    assert ran.returncode == 0


def test_a_schema_that_is_none_opens_no_queue(run: Run, project: Path) -> None:
    (project / "s.json").write_text('{"$ref": "https://example.org/s.json"}')
    assert "nothing is fetched" in opened(run, rc=2).stderr
    (project / "s.json").write_text(json.dumps({"description": "x" * 70_000}))
    assert "s.json" in opened(run, rc=2).stderr
    (project / "s.json").unlink()
    assert "name a file with a JSON schema" in opened(run, rc=2).stderr
    assert run("status", "q").returncode == 2


def test_answers_have_a_column_each_between_the_sources_and_ours(run: Run, project: Path) -> None:
    opened(run)
    answer(
        project,
        '{"label": "no", "why": {"page": 3}, "more": ["=1"]}',
        '{"label": "yes", "why": {}}',
    )
    head, *rows = csv.reader(io.StringIO(run("results", "q").stdout))
    assert head[:7] == [
        "id", "text", "answer.label", "answer.why.page", "answer.more", "answer.why", "hv.status",
    ]  # fmt: skip
    assert rows[0][:5] == ["a", "x", "no", "3", '["=1"]']
    assert rows[1][:3] == ["b", "y", "yes"] and rows[2][:3] == ["c", "z", ""]
    lines = [json.loads(line) for line in run("results", "q", "--jsonl").stdout.splitlines()]
    assert [line["answer"] for line in lines] == [
        {"label": "no", "why": {"page": 3}, "more": ["=1"]}, {"label": "yes", "why": {}}, None,
    ]  # fmt: skip
    assert lines[0]["hv"]["proof"] == "claimed"


def test_results_stand_in_the_sources_order_at_the_last_open(run: Run, project: Path) -> None:
    opened(run)
    answer(project, *['{"label": "no"}'] * 3)
    (project / "r.csv").write_text("id,text\nc,z\nnew,n\nb,y\na,x\n")
    opened(run)
    ids = [row[0] for row in csv.reader(io.StringIO(run("results", "q").stdout))]
    assert ids == ["id", "c", "new", "b", "a"]
    answer(project, '{"label": "no"}')
    (project / "r.csv").write_text("id,text\na,x\nb,y\nc,z\nnew,n\n")
    opened(run, rc=3)
    ids = [row[0] for row in csv.reader(io.StringIO(run("results", "q").stdout))]
    assert ids == ["id", "a", "b", "c", "new"]


def test_the_summary_has_each_row_and_its_answer(run: Run, project: Path) -> None:
    opened(run)
    answer(project, '{"label": "no"}')
    workers = json.loads(run("summary", "q", "--json").stdout)["workers"]
    assert workers[0]["row"] == {"id": "a", "text": "x"}
    assert workers[0]["answer"] == {"label": "no"} and "answer" not in workers[1]


def test_the_first_items_alone_are_opened_and_the_rest_later(run: Run, project: Path) -> None:
    assert "1 item left out by --first" in opened(run, "--first", "2").stderr
    answer(project, '{"label": "no"}', '{"label": "yes"}')
    assert "1 item added, 2 left out: done before" in opened(run).stdout


def test_each_row_is_repeated_with_a_column_for_the_run(run: Run, project: Path) -> None:
    assert "4 items added" in opened(run, "--first", "2", "--repeat", "2").stdout
    answer(project, *['{"label": "no"}'] * 4)
    rows = list(csv.reader(io.StringIO(run("results", "q").stdout)))
    assert [row[:3] for row in rows] == [
        ["id", "text", "run"], ["a", "x", "1"], ["a", "x", "2"], ["b", "y", "1"], ["b", "y", "2"],
    ]  # fmt: skip
    assert [row[rows[0].index("hv.item")] for row in rows[1:]] == ["a-1", "a-2", "b-1", "b-2"]
    (project / "r.csv").write_text("id,run\na,x\n")
    assert "a column run" in opened(run, "--repeat", "2", rc=2).stderr
    (project / "r.csv").write_text("id,text\na,x\n")
    (project / "t.md").write_text("---\nid: t\ntitle: Try\nstatus: active\n---\n")
    ran = run("open", "t", "t.md", "--repeat", "2")
    assert ran.returncode == 2 and "--repeat is for rows" in ran.stderr


def test_more_repetitions_than_anybody_means_are_refused(run: Run) -> None:
    assert "more than" in opened(run, "--repeat", "100000000", rc=2).stderr


def test_a_rejected_answer_is_in_no_table(run: Run, project: Path) -> None:
    opened(run, "--max-attempts", "1")
    answer(project, '{"label": "no", "why": {"page": 3}}')
    assert run("review", "q", "a", "--reject", "--note", "wrong").returncode == 0
    [one] = csv.DictReader(io.StringIO(run("results", "q").stdout.split("\nb,")[0]))
    assert (one["hv.status"], one["hv.proof"], one["answer.label"]) == ("failed", "", "")
    told = json.loads(run("results", "q", "--jsonl").stdout.splitlines()[0])
    assert told["answer"] is None and told["hv"]["proof"] is None
    assert "answer" not in json.loads(run("summary", "q", "--json").stdout)["workers"][0]


def test_what_is_advised_after_a_cancel_repeats_no_run_that_is_done(
    run: Run, project: Path
) -> None:
    opened(run, "--first", "2", "--repeat", "2")
    answer(project, '{"label": "no"}')
    assert run("cancel", "q").returncode == 0
    assert run("report", "q").returncode == 0
    [page] = project.glob("**/*.html")
    [advice] = re.findall(r"hypervisor open q[^<]*", html.unescape(page.read_text()))
    ran = run(*shlex.split(advice.strip())[1:])
    assert "3 items added, 1 left out: done before" in ran.stdout, advice + ran.stderr


def test_an_answer_stands_though_a_later_generation_has_failed(run: Run, project: Path) -> None:
    opened(run, "--first", "1")
    answer(project, '{"label": "no"}')
    opened(run, "--again", "--max-attempts", "1")
    claim = token(run("next", "q").stdout)
    assert run("fail", claim, "--reason", "a worse model").returncode == 0
    [line] = [json.loads(one) for one in run("results", "q", "--jsonl").stdout.splitlines()][:1]
    assert (line["answer"], line["hv"]["status"]) == ({"label": "no"}, "success")
    second = json.loads(run("results", "q", "--jsonl", "--generation", "2").stdout.splitlines()[0])
    assert (second["answer"], second["hv"]["reason"]) == (None, "a worse model")


def test_a_dash_is_standard_output_and_no_file(run: Run, project: Path) -> None:
    opened(run)
    assert run("results", "q", "--out", "-").stdout == run("results", "q").stdout
    assert not (project / "-").exists()


def test_cells_stay_as_they_are_in_a_pipe_and_names_that_are_one_are_told(
    run: Run, project: Path
) -> None:
    (project / "r.csv").write_text('id,text\r\na,"one\r\ntwo\xa0\u200d\u2028"\r\n', newline="")
    (project / "s.json").write_text("{}")
    opened(run)
    answer(project, '{"a.b": {"c": 1}, "a": {"b.c": 2}, "d": "\\u001b[1m"}')
    ran = run("results", "q")
    assert "two\xa0\u200d\u2028" in ran.stdout
    assert "u000d" not in ran.stdout and "\x1b" not in ran.stdout
    assert "more than one column is called answer.a.b.c; " in ran.stderr
    assert json.loads(run("results", "q", "--jsonl").stdout)["answer"]["d"] == "\x1b[1m"


@pytest.mark.parametrize("words", [("--instructions", "data/i.md"), ("--answer", "link.json")])
def test_no_link_that_came_with_the_repository_brings_instructions_or_a_schema_from_outside(
    words: tuple[str, ...], project: Path, run_forked: Run, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/i.md").write_text("a key\n")
    (tmp_path / "s.json").write_text('{"type": "object"}\n')
    (project / "r.csv").write_text("id\n1\n")
    (project / "how.md").write_text("Do it.\n")
    (project / "data").symlink_to(tmp_path / "out")
    (project / "link.json").symlink_to(tmp_path / "s.json")
    line = ("open", "q", "r.csv", "--id", "id", "--instructions", "how.md", *words)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subprocess.run(["git", "add", "data", "link.json"], cwd=project, check=True)
    ran = run_forked(*line)
    assert ran.returncode == 2 and "came with the repository, and leads out" in ran.stderr
    subprocess.run(["git", "rm", "-q", "--cached", "data", "link.json"], cwd=project, check=True)
    assert run_forked(*line).returncode == 0
