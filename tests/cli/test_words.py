"""Arguments: what is plain is read without argparse, and to the same effect."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor import cli
from hypervisor.cli.arguments import PlainParser
from repository import REPO
from worker.support import open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]

WORDS = st.one_of(
    st.sampled_from(
        (
            *("q", "-", "--", "-h", "-n", "-n3", "3", "0", "-1", "x12", "--next", "--json", "--id"),
            *("--summary", "--summary=x", "--sum", "--reason", "--file", "--worker", "--force"),
            *("--commit", "--evidence", "--next-step", "17-x7q2", "", "two words", "-odd one", "٣"),
        )
    ),
    st.text(max_size=5),
)


@pytest.mark.parametrize("verb", sorted(cli.QUICK))
@given(line=st.lists(WORDS, max_size=7))
def test_a_line_read_without_argparse_means_what_argparse_says(verb: str, line: list[str]) -> None:
    module = cli.load(verb)
    plain = PlainParser()
    module.add_arguments(plain)
    parsed = plain.parse(line)
    if parsed is None:
        return
    parser = argparse.ArgumentParser(allow_abbrev=False)
    module.add_arguments(parser)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            wanted = vars(parser.parse_args(line))
        except SystemExit:
            pytest.fail(f"argparse refuses {line}: {said.getvalue()}")
    assert vars(parsed) == wanted


@pytest.mark.parametrize(
    "line",
    [
        ["next", "q"],
        ["next", "q", "-n", "3", "--id", "a", "--worker", "w", "--json"],
        ["done", "1-aaaa", "--next", "--summary", "-"],
        ["done", "1-aaaa", "--summary", "x", "--commit", "c", "--file", "a", "--file", "b"],
        ["block", "1-aaaa", "--reason", "-", "--evidence", "e", "--next-step", "n"],
        ["heartbeat", "1-aaaa", "2-bbbb"],
        ["status", "q", "--json"],
        ["status"],
    ],
)
def test_the_usual_lines_do_without_argparse(line: list[str]) -> None:
    plain = PlainParser()
    cli.load(line[0]).add_arguments(plain)
    assert plain.parse(line[1:]) is not None


TEXT_OPTIONS = [
    ("done", ["--summary"]),
    ("block", ["--reason", "--evidence", "--next-step"]),
    ("fail", ["--reason"]),
    ("release", ["--reason"]),
]


@pytest.mark.parametrize(("verb", "option"), [(v, o) for v, given in TEXT_OPTIONS for o in given])
def test_every_text_option_takes_standard_input(
    project: Path, run: Run, verb: str, option: str
) -> None:
    write_task(project, "a")
    open_queue(project)
    token = run("next", "q").stdout.split()[1]
    line = [verb, token, option, "-"]
    if verb == "block" and option != "--reason":
        line += ["--reason", "why"]
    ended = run(*line, input="two\nlines, `x` and $(y)\n\n")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_the_reason_for_a_queue_takes_standard_input(project: Path, run: Run, verb: str) -> None:
    write_task(project, "a")
    open_queue(project)
    assert run(verb, "q", "--reason", "-", input="too hot\n").returncode == 0
    assert "too hot" in run("status", "q").stdout


def test_two_texts_from_standard_input_are_refused_and_the_item_stays(
    project: Path, run: Run
) -> None:
    write_task(project, "a")
    open_queue(project)
    token = run("next", "q").stdout.split()[1]
    ended = run("block", token, "--reason", "-", "--evidence", "-", input="x")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: only one text can come from standard input\nhint: ")
    assert states(project) == {"a": "claimed"}


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
@pytest.mark.parametrize("piped", [True, False])
def test_a_report_without_words_is_refused(project: Path, run: Run, text: str, piped: bool) -> None:
    write_task(project, "a")
    open_queue(project)
    token = run("next", "q").stdout.split()[1]
    ended = run("done", token, "--summary", "-" if piped else text, input=text)
    assert ended.returncode == 2
    assert "--summary is empty\nhint: say in a sentence" in ended.stderr
    assert states(project) == {"a": "claimed"}


def test_a_text_too_long_is_cut_and_says_so(project: Path, run: Run) -> None:
    from hypervisor.ledger import Ledger

    write_task(project, "a")
    open_queue(project)
    token = run("next", "q").stdout.split()[1]
    assert run("done", token, "--summary", "-", input="日" * 100_000).returncode == 0
    with Ledger.open(str(project)) as ledger:
        kept = next(iter(ledger.queries.results("q"))).report["summary"]
    assert kept == "日" * 65536 + "\n… (cut here)"
    assert "> … (cut here)\n" in (project / "tasks/a.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", ["help", "status", "status --help"])
def test_output_that_nobody_reads_ends_it_without_a_word(project: Path, line: str) -> None:
    write_task(project, "a")
    open_queue(project)
    reader, writer = os.pipe()
    os.close(reader)
    program = [str(REPO / "bin/hypervisor"), *line.split()]
    for stderr in (subprocess.PIPE, writer):
        told = subprocess.run(program, cwd=project, stdout=writer, stderr=stderr)
        assert (told.returncode, told.stderr or b"") == (1, b"")
    refused = subprocess.run([*program[:1], "status", "other"], cwd=project, stderr=writer)
    assert refused.returncode == 2
    os.close(writer)


def test_a_closed_standard_input_is_answered_in_a_line(project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    hypervisor = shlex.quote(str(REPO / "bin/hypervisor"))
    script = (
        f'token=$({hypervisor} next q | head -1); {hypervisor} done "${{token#* }}" --summary - <&-'
    )
    ended = subprocess.run(["sh", "-c", script], cwd=project, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: there is no standard input to read the text from\nhint: hypervisor done --help\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        ["next", "q", "--id", "\udcff"],
        ["next", "\udcff"],
        ["done", "1-\udcff", "--summary", "x"],
        ["heartbeat", "1-\udcff"],
        ["next", "q", "--worker", "\udcff"],
        ["pause", "q", "--reason", "\udcff"],
    ],
)
def test_words_that_are_no_text_are_refused_without_a_traceback(
    project: Path, run: Run, line: list[str]
) -> None:
    write_task(project, "a")
    open_queue(project)
    ended = run(*line)
    assert ended.returncode in (1, 2, 4)
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == ended.stderr.count("\nhint: ") + 1
    assert states(project) == {"a": "ready"}
