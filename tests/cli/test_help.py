"""Few words to learn: the first page of help, the pages behind it, what stands beside a verb."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import cli
from hypervisor.agents import verbs
from hypervisor.cli import help
from hypervisor.cli.exit_codes import CODES
from hypervisor.cli.parser import of_verb
from hypervisor.cli.words import WORDS
from hypervisor.system import errors
from worker.support import open_queue, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def named(page: str) -> list[str]:
    """The verbs that a page of help lists."""
    return re.findall(r"^  (\w\S*)", page, re.MULTILINE)


def test_the_first_page_has_at_most_16_verbs_and_leads_to_all_others(run: Run) -> None:
    first = run("help")
    assert first.returncode == 0
    assert run("--help").stdout == first.stdout
    verbs = named(first.stdout)
    assert {"preflight", "open", "work", "status", "retry", "undo", "doctor"} <= set(verbs)
    assert len(verbs) <= 16
    for topic in help.TOPICS:
        assert topic in first.stdout
        told = run("help", topic)
        assert told.returncode == 0
        verbs += named(told.stdout) if topic in cli.GROUPS else []
    assert sorted(verbs) == sorted(set(cli.VERBS) - set(cli.GROUPS["hidden"]))


def test_help_of_formats_and_of_exit_codes_lists_them(run: Run) -> None:
    assert {"kiro", "obsidian-tasks"} <= set(named(run("help", "formats").stdout))
    assert [int(word) for word in named(run("help", "exit-codes").stdout)] == list(CODES)
    kinds = [errors.HypervisorError, *errors.HypervisorError.__subclasses__()]
    assert {kind.exit_code for kind in kinds} == CODES.keys() - {0}


@pytest.mark.parametrize("verb", sorted(set(cli.VERBS) - set(cli.GROUPS["hidden"])))
def test_each_verb_has_an_example_that_it_takes(run: Run, verb: str) -> None:
    told = run("help", verb).stdout
    assert told.startswith(f"usage: hypervisor {verb} ")
    example = shlex.split(told.rpartition("example:\n")[2])
    assert example[:2] == ["hypervisor", verb]
    words = example[2 : example.index("--")] if "--" in example else example[2:]
    assert isinstance(of_verb(verb, cli.load(verb)).parse_args(words), argparse.Namespace)


def test_help_of_words_defines_25_and_fits_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    told = run("help", "words").stdout
    assert max(map(len, told.splitlines())) <= 60
    assert len(WORDS) == 25
    assert [word for word in WORDS if f"\n  {word} " not in f"\n{told}"] == []


def test_old_words_go_on_working_hidden(run: Run) -> None:
    for verb in ("expire", "unlock", "adopt"):
        assert run("help", verb).stdout.startswith(f"usage: hypervisor {verb} ")


def test_doctor_ends_locks_and_takes_ledgers_over(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "a")
    open_queue(project)
    assert run("doctor", "--unlock", "a").returncode == run("unlock", "a").returncode == 3
    (project / ".hypervisor/locks/b").mkdir(parents=True)
    assert run("doctor", "--unlock", "b").stdout.startswith("removed ")
    assert run("doctor", "--adopt").stderr == run("adopt").stderr
    monkeypatch.setenv("CLAUDECODE", "1")
    assert "is for a person" in run("doctor", "--adopt", "--yes").stderr


def test_help_on_what_there_is_not_says_what_there_is(run: Run) -> None:
    refused = run("help", "nonsense")
    assert refused.returncode == 2
    assert "no help on 'nonsense'" in refused.stderr and "exit-codes" in refused.stderr


def test_other_words_for_a_verb_are_its_own(run: Run, project: Path) -> None:
    assert verbs.ALIASES == {"run": "work", "start": "work", "ls": "status"}
    write_task(project, "a")
    open_queue(project)
    assert run("ls", "q").stdout == run("status", "q").stdout
    assert run("run", "q", "--", "true").returncode == 0
    assert run("start", "q", "--", "true").returncode == 3


def test_a_folder_in_front_of_the_verb_is_where_it_works(run: Run, project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    told = run("-C", project, "status", "q", cwd=project.parent)
    assert (told.returncode, told.stdout.startswith("q: ")) == (0, True)
    assert run("-C", project / "nowhere", "status").returncode == 2
    assert run("-C").returncode == 2
    behind = run("status", "-C", project)
    assert (behind.returncode, "hypervisor -C DIR COMMAND" in behind.stderr) == (2, True)


def test_less_and_more_are_told_on_either_side_of_the_verb(run: Run, project: Path) -> None:
    for number in range(25):
        (project / "tasks").mkdir(exist_ok=True)
        (project / f"tasks/{number}.md").write_text(f"---\nid: {number}\nstatus: odd\n---\nx\n")
    short, full = run("preflight", "tasks"), run("-v", "preflight", "tasks")
    assert "--json lists all" in short.stdout and "--json lists all" not in full.stdout
    assert full.stdout == run("preflight", "tasks", "--verbose").stdout
    write_task(project, "a")
    assert "next: " in run("open", "loud", "tasks").stdout
    quiet = run("-q", "open", "loud", "tasks").stdout
    assert quiet == "queue loud: 0 items added, 1 already in it\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("done 1-aaaa --sumary x", "no option --sumary\nhint: did you mean --summary?"),
        ("done --sumary x", "no option --sumary"),
        ("results q --format tsv", "no option --format\nhint: hypervisor results --help"),
        ("next q --jsn", "no option --jsn\nhint: did you mean --json?"),
        ("open q --wher x", "no option --wher\nhint: did you mean --where?"),
        ("work q --agnet x", "no option --agnet\nhint: did you mean --agent?"),
        ("retry --xyz", "no option --xyz\nhint: hypervisor retry --help"),
        ("--jsn status", "no option '--jsn' in front of a command"),
        ("--verison", "no option '--verison' in front of a command\nhint: did you mean"),
        ("delete q", "no command 'delete'\nhint: hypervisor help"),
        ("work q --workers x", "--workers takes a whole number, not 'x'"),
        ("work q --agent clade", "--agent takes one of 'claude'"),
        ("block 1-aaaa", "missing: --reason"),
        ("retry", "missing: queue\n"),
        ("status a b", "too many words: b"),
    ],
)
def test_a_misspelt_option_is_named_before_a_missing_one(run: Run, line: str, said: str) -> None:
    refused = run(*line.split())
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {said}")
    assert refused.stderr.count("\n") == 2


@pytest.mark.parametrize("verb", ["log", "report", "summary", "results"])
def test_the_only_queue_needs_no_name(run: Run, project: Path, verb: str) -> None:
    nowhere = run(verb)
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    write_task(project, "a")
    open_queue(project)
    assert run(verb).returncode == 0
    write_task(project, "b")
    open_queue(project, queue="other")
    many = run(verb)
    assert many.returncode == 2
    assert "which queue? there are other, q" in many.stderr


def test_what_acts_on_a_queue_wants_its_name_and_says_it(run: Run, project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    assert run("undo").stderr == "error: missing: queue\nhint: hypervisor undo q\n"
    write_task(project, "b")
    open_queue(project, queue="other")
    assert "hint: which queue? there are other, q; name one, as in: " in run("retry").stderr
