"""Completion in the shells themselves: what there is comes up, and nothing of a task is run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import REPO
from hypervisor.cli.completion import SHELLS
from hypervisor.ledger import Ledger, NewItem
from views.watch.support import Screen

Run = Callable[..., "subprocess.CompletedProcess[str]"]
HOSTILE = ["$(touch owned)", "`touch owned`", "a;touch owned", "x\ntouch owned", "'", "../up", "é"]
INSTALLED = [shell for shell in SHELLS if shutil.which(shell)]


@pytest.fixture
def token(project: Path) -> str:
    """The live token of `task-1` in the queue `inbox`; ids that would do harm are in it, too."""
    with Ledger.open(str(project), create=True) as ledger:
        items = [NewItem("task-1"), NewItem("task-2"), *map(NewItem, HOSTILE)]
        ledger.generations.open("inbox", items)
        ledger.generations.open("inbox-2", [NewItem("other")])
        return ledger.claims.claim("inbox", "w")[0].token


def complete(project: Path, *words: str) -> list[str]:
    """What bash puts into COMPREPLY for a line, by the very function that Tab calls."""
    script = """
        eval "$(hypervisor completion bash)"
        COMP_LINE="hypervisor $*" COMP_POINT=${#COMP_LINE}
        _python_argcomplete hypervisor
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    ran = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        cwd=project,
        env=os.environ | {"PATH": f"{REPO / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert ran.stderr == ""
    return [line.strip() for line in ran.stdout.splitlines() if line]


def test_bash_offers_verbs_options_queues_tokens_and_items(project: Path, token: str) -> None:
    assert complete(project, "retr") == ["retry"]
    assert {"release", "report", "resume", "retry"} <= set(complete(project, "re"))
    assert {"next", "status", "completion"} <= set(complete(project, ""))
    assert not [verb for verb in complete(project, "") if verb.startswith("_")]
    assert complete(project, "next", "") == ["inbox", "inbox-2"]
    assert complete(project, "next", "inbox-") == ["inbox-2"]
    assert complete(project, "done", "") == [token]
    assert complete(project, "done", token, "--su") == ["--summary"]
    assert complete(project, "heartbeat", token, "") == [token]
    assert complete(project, "next", "inbox", "--id", "task") == ["task-1", "task-2"]
    assert complete(project, "show", "o") == ["other"]
    assert complete(project, "retry", "inbox", "t") == ["task-1", "task-2"]
    assert complete(project, "retry", "--failed", "inbox-2", "") == ["other"]
    assert complete(project, "completion", "") == ["bash", "zsh", "fish"]
    assert complete(project, "help", "exit") == ["exit-codes"]
    assert not {"expire", "unlock", "adopt"} & set(complete(project, ""))
    assert "--where" in complete(project, "run", "--wh")
    assert complete(project, "work", "inbox-") == ["inbox-2"]


def test_what_the_help_leaves_out_is_not_offered(project: Path) -> None:
    offered = complete(project, "preflight", "--")
    assert "--json" in offered and "--preset" not in offered


def test_nothing_is_offered_where_a_file_is_meant_or_nothing_known(
    project: Path, token: str, tmp_path: Path
) -> None:
    for words in (["open", "x", ""], ["nonsense", ""], ["done", token, "--file", ""], ["_h"]):
        assert complete(project, *words) == []
    empty = tmp_path / "empty"
    empty.mkdir()
    assert complete(empty, "next", "") == []
    assert list(empty.iterdir()) == []


def test_ids_that_mean_something_to_a_shell_are_never_offered_and_nothing_is_run(
    project: Path, token: str
) -> None:
    for words in (
        ["show", ""],
        ["show", "$("],
        ["retry", "inbox", ""],
        ["next", "inbox", "--id", ""],
    ):
        offered = complete(project, *words)
        assert not {"owned", *HOSTILE} & set(offered)
    assert sorted(complete(project, "show", "")) == ["other", "task-1", "task-2"]
    assert complete(project, "$(touch owned)", "") == []
    assert not (project / "owned").exists()


@pytest.mark.parametrize("shell", INSTALLED)
def test_the_script_is_of_its_shell(run: Run, tmp_path: Path, shell: str) -> None:
    told = run("completion", shell)
    assert told.returncode == 0
    script = tmp_path / "script"
    script.write_text(told.stdout)
    ran = subprocess.run([shell, "-n", script], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


STARTS = {
    "bash": ("bash --norc --noprofile", 'eval "$(hypervisor completion bash)"'),
    "zsh": (
        "zsh -f",
        "autoload -Uz compinit; compinit -u -D; source <(hypervisor completion zsh)",
    ),
    "fish": ("fish --no-config", "hypervisor completion fish | source"),
}


@pytest.mark.parametrize("shell", INSTALLED)
def test_tab_completes_a_queue_and_a_token_in_the_real_shell(
    project: Path, token: str, shell: str
) -> None:
    line, load = STARTS[shell]
    with Ledger.open(str(project)) as ledger:
        ledger.generations.cancel("inbox-2")
        ledger.generations.open("zebra-crossing", [NewItem("z")])
    terminal = Screen(project, (100, 30), {"PATH": f"{REPO / 'bin'}:{os.environ['PATH']}"})
    try:
        terminal.type(f"exec {line}\n")
        terminal.type(f"{load}; echo 'load''ed'\n")
        terminal.wait_for(lambda text: "\nloaded" in text)
        terminal.type("clear\n")
        terminal.type("hypervisor status zeb\t")
        terminal.wait_for(lambda text: "zebra-crossing" in text)
        terminal.key("C-u")
        terminal.type(f"hypervisor release {token[:3]}\t")
        terminal.wait_for(lambda text: token in text)
        terminal.key("C-u")
        terminal.type("hypervisor show \t\t")
        terminal.wait_for(lambda text: "task-2" in text)
        assert "$(" not in terminal.text()
        terminal.key("C-u")
        terminal.type("echo 'en''ded'\n")
        terminal.wait_for(lambda text: "ended" in text)
    finally:
        terminal.close()
    assert not (project / "owned").exists()
