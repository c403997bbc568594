"""`hypervisor.toml` over the defaults: what it may say, and how it is told what it may not."""

from __future__ import annotations

import os
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor.config import defaults
from hypervisor.config.settings import Settings, load, seconds
from hypervisor.system.errors import UsageError


def _load(folder: Path, text: str) -> Settings:
    (folder / "hypervisor.toml").write_text(text, encoding="utf-8")
    return load(str(folder))


def test_without_a_file_every_setting_has_its_default(tmp_path: Path) -> None:
    told = load(str(tmp_path))
    assert told == _load(tmp_path, "")
    assert told.project is None
    assert told.limits.lease_seconds == 900
    assert (told.limits.max_attempts, told.limits.max_deaths, told.limits.max_releases) == (3, 3, 3)
    assert (told.triage.judgement, told.triage.automatable, told.triage.links) == ("", "", {})
    assert (told.humans, told.tools) == (frozenset(), {})
    assert {"bot", "unassigned"} < told.anyone and {"claude", "codex", "gemini"} < told.agents
    assert told.triage.complexity is False
    assert told.status_class("inbox") == "ready"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("inbox", "ready"),
        ("In_Progress", "in_progress"),
        ("in-progress", "in_progress"),
        ("  IN  PROGRESS ", "in_progress"),
        ("Won’t Do", "cancelled"),
        ("won't do", "cancelled"),
        ("DONE", "done"),
        ("To Do", "ready"),
        ("", "ready"),
        ("  ", "ready"),
        (None, "ready"),
        ("frobnicated", "unknown"),
    ],
)
def test_a_status_word_has_its_class_in_any_case_and_spelling(
    tmp_path: Path, word: str | None, kind: str
) -> None:
    assert load(str(tmp_path)).status_class(word) == kind


def test_words_of_the_file_are_added_and_move_a_word_to_another_class(tmp_path: Path) -> None:
    told = _load(tmp_path, '[status]\nready = ["Shelved"]\ndraft = ["backlog"]\n')
    assert told.status_class("SHELVED") == "ready"
    assert told.status_class("backlog") == "draft"
    assert told.status_class("inbox") == "ready", "the default words stay"


def test_lists_replace_and_tables_merge(tmp_path: Path, user: Callable[[str], Path]) -> None:
    user(
        '[preflight]\nhumans = ["Ada"]\n[preflight.tools]\nprinter = ["\\\\bprint\\\\b"]\n'
        'calendar = []\n[triage.links]\nx = "Project X"\n[limits]\nlease = "2h"\n'
    )
    told = load(str(tmp_path))
    assert told.humans == {"ada"}
    assert told.tools["printer"][0].search("please PRINT it")
    assert told.tools["calendar"] == ()
    assert told.triage.links == {"x": "Project X"}
    assert told.limits.lease_seconds == 7200
    assert told.limits.window == 0.9
    assert _load(tmp_path, "[limits]\nwindow = 0.5\n").limits.window == 0.5


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("status = [", "hypervisor.toml"),
        ("a = '\udce9'", "hypervisor.toml"),
        ("speed = 3", "speed"),
        ("[limits]\nmax_attemps = 3", "limits.max_attemps"),
        ("[limits]\nmax_attempts = 0", "limits.max_attempts"),
        ("[limits]\nmax_attempts = true", "limits.max_attempts"),
        ("[limits]\nmax_attempts = '3'", "limits.max_attempts"),
        ("[limits]\nlease = 'soon'", "limits.lease"),
        ("[limits]\nlease = 0", "limits.lease"),
        ("[limits]\nwindow = 0.91", "limits.window"),
        ("[limits]\nwindow = 1", "limits.window"),
        ("[limits]\nwindow = 0", "limits.window"),
        ("[limits]\nwindow = '50 %'", "limits.window"),
        ("[limits]\nlease = []", "limits.lease"),
        ("[status]\nstarted = ['x']", "status.started"),
        ("[status]\nready = 'x'", "status.ready"),
        ("[status]\nready = [1]", "status.ready"),
        ("triage = 3", "triage"),
        ("[triage]\njudgement_patterns = ['(']", "triage.judgement_patterns"),
        ("[preflight.tools]\nx = ['[']", "preflight.tools.x"),
        ("[preflight.tools]\nx = 'y'", "preflight.tools.x"),
        ("[triage.links]\nx = 3", "triage.links.x"),
        ("[[families]]\nfields = {}", "families"),
        ("[[families]]\nname = 'x'\nwords = []", "families.words"),
        ("families = ['x']", "families"),
    ],
)
def test_what_the_file_may_not_say_is_told_with_file_and_key(
    tmp_path: Path, text: str, where: str
) -> None:
    (tmp_path / "hypervisor.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as error:
        load(str(tmp_path))
    assert str(tmp_path / "hypervisor.toml") in str(error.value)
    assert where in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90, 90),
        ("90", 90),
        ("90s", 90),
        (" 15 m ", 900),
        ("2h", 7200),
        ("1d", 86400),
        ("0", None),
        (0, None),
        (-5, None),
        ("-5", None),
        (True, None),
        (1.5, None),
        ("1.5h", None),
        ("", None),
        ("h", None),
        (None, None),
        ("9" * 30, None),
    ],
)
def test_a_time_is_read_in_seconds_minutes_hours_and_days(
    value: object, expected: int | None
) -> None:
    assert seconds(value) == expected


_RAISES = {
    "limits.ask_above": "1000000",
    "limits.workers": "20",
    "limits.max_attempts": "50",
    "limits.max_deaths": "50",
    "limits.max_releases": "50",
    "limits.lease": "'2d'",
    "limits.verify_timeout": "'1d'",
    "limits.undo_days": "3650",
    "limits.outputs": "'900d'",
    "limits.outputs_mb": "500000",
    "limits.log_mb": "400",
    "preflight.lock_folders": "['../mine']",
    "tools.available": "['zotero']",
}


@pytest.mark.parametrize("key", _RAISES)
def test_a_raise_in_the_projects_file_does_not_count_and_its_line_is_told_for_the_users_own(
    tmp_path: Path, user: Callable[[str], Path], key: str
) -> None:
    root = tmp_path.resolve() / 'a "b" é'
    root.mkdir()
    plain = load(str(root))
    told = _load(root, f"{key} = {_RAISES[key]}\n")
    (line,) = told.raised
    assert key in line and "\n" not in line and str(tmp_path / "config") in line
    assert plain == _without_raised(told)
    # What the line says to write does it, and then nothing is told any more.
    user(line.partition("config.toml: ")[2])
    granted = load(str(root))
    assert granted != plain
    elsewhere = tmp_path.resolve() / "elsewhere"
    elsewhere.mkdir()
    assert load(str(elsewhere)).limits == plain.limits, "it is for this project alone"
    if key != "preflight.lock_folders":
        assert granted.raised == ()


def _without_raised(told: Settings) -> Settings:
    return Settings(**vars(told) | {"raised": ()})


def test_a_project_can_lower_every_limit(tmp_path: Path) -> None:
    text = "[limits]\n" + "".join(
        f"{key.removeprefix('limits.')} = {'61' if value[0] == chr(39) else '1'}\n"
        for key, value in _RAISES.items()
        if key.startswith("limits.")
    )
    told = _load(tmp_path, text)
    assert told.raised == ()
    assert (told.limits.ask_above, told.limits.workers, told.limits.lease_seconds) == (1, 1, 61)
    assert told.limits.outputs_bytes == 1_000_000


def test_a_project_adds_to_what_holds_a_task_and_takes_nothing_away(
    tmp_path: Path, user: Callable[[str], Path]
) -> None:
    user("[preflight.tools]\nzotero = ['zotero']\nmail = ['mail']\n")
    told = _load(
        tmp_path,
        '[preflight]\nhumans = ["Ada"]\nhuman_tags = []\nhuman_types = ["vote"]\n'
        "[preflight.tools]\nzotero = ['cite']\nmail = []\nspss = ['spss']\n",
    )
    assert told.humans == {"ada"} and "human" in told.human_tags
    assert told.human_types == {"learn", "vote"}
    assert len(told.tools["zotero"]) == 2 and told.tools["spss"] and told.tools["mail"]


def test_the_users_table_for_a_project_comes_before_that_for_all(
    tmp_path: Path, user: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path.resolve() / "home" / "p"
    root.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(root.parent))
    user(
        'store = "sqlite"\n[limits]\nworkers = 10\nask_above = 50\n'
        '[project."~/p".limits]\nworkers = 12\n[project."/other".limits]\nworkers = 20\n'
    )
    told = _load(root, "[limits]\nworkers = 15\nask_above = 40\n")
    assert (told.limits.workers, told.limits.ask_above) == (12, 40)
    assert len(told.raised) == 1 and "12 holds" in told.raised[0]


def test_who_the_user_holds_to_some_complexity_is_held_by_every_project(
    tmp_path: Path, user: Callable[[str], Path]
) -> None:
    user('[callers.gemini]\ncomplexity = ["mechanical", "multi-step"]\n')
    for text, allowed, raises in (
        ("", {"mechanical", "multi-step"}, 0),
        ("callers.gemini.complexity = ['mechanical']", {"mechanical"}, 0),
        ("callers.gemini.complexity = ['mechanical', 'any']", {"mechanical"}, 1),
        ("callers.gemini.complexity = []", {"mechanical", "multi-step"}, 1),
        ("callers.gemini.complexity = ['any']", {"mechanical", "multi-step"}, 1),
    ):
        told = _load(tmp_path, text)
        assert told.callers["gemini"] == allowed, text
        assert len(told.raised) == raises, text


@pytest.mark.parametrize("folder", ["mine", "{root}/mine", "/tmp/batch/locks"])
def test_lock_folders_of_the_project_and_those_that_tools_share_are_looked_into(
    tmp_path: Path, folder: str
) -> None:
    root = tmp_path.resolve()
    told = _load(root, f"preflight.lock_folders = ['{folder.format(root=root)}']")
    assert told.raised == () and folder.format(root=root) in told.lock_folders


@pytest.mark.parametrize("folder", ["../mine", "link", "sub/../../mine", "/etc", "/tmp/batch", "~"])
def test_a_lock_folder_outside_is_left_out(tmp_path: Path, folder: str) -> None:
    root = tmp_path.resolve() / "p"
    (root / "sub").mkdir(parents=True)
    (root / "link").symlink_to("..")
    (root / "locks").symlink_to("..")
    told = _load(root, f"preflight.lock_folders = ['{folder}']")
    inside = [name for name in told.lock_folders if not name.startswith("/tmp/")]
    assert inside == (["~"] if folder == "~" else []), "the default `locks` is a link here"


@pytest.mark.parametrize("which", ["project", "user"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("device", "not a regular file"),
        ("pipe", "not a regular file"),
        ("folder", "not a regular file"),
        ("large", "larger than 256 KiB"),
        ("x = " + "[" * 50_000, "nested too deep"),
        ("x" + ".x" * 50_000 + " = 1", "too many parts"),
        ("[" + "x." * 50_000 + "x]", "too many parts"),
        ("x = " + "9" * 50_000, "limit"),
        ("x = '\0'", "invalid character"),
        ("\x1b[31m = 1", "Invalid"),
        ("[limits]\nmax_attempts = 99999999999999", "limits.max_attempts"),
        ("[limits]\nlease = '999999999d'", "limits.lease"),
        ("[triage]\njudgement_patterns = ['" + "(" * 5_000 + "']", "not a pattern"),
        ("[triage]\njudgement_patterns = ['a{99999999999}']", "not a pattern"),
    ],
)
def test_settings_without_end_are_one_line_that_names_the_file_soon(
    tmp_path: Path, user: Callable[[str], Path], which: str, content: str, what: str
) -> None:
    path = tmp_path / "hypervisor.toml" if which == "project" else user("")
    path.unlink(missing_ok=True)
    if content == "device":
        path.symlink_to("/dev/zero")
    elif content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    elif content == "large":
        path.touch()
        os.truncate(path, 1 << 30)
    else:
        path.write_bytes(content.encode())
    began = time.process_time()
    with pytest.raises(UsageError) as error:
        load(str(tmp_path))
    assert time.process_time() - began < 2
    assert str(path) in str(error.value) and what in str(error.value)
    assert str(error.value).isprintable() and len(str(error.value)) < 1000


def test_open_says_a_raise_once_and_goes_on(
    project: Path, run_hypervisor: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (project / "a.md").write_text("---\nid: a\ntitle: A\nstatus: active\n---\n")
    (project / "hypervisor.toml").write_text("[limits]\nask_above = 1000\n")
    told = run_hypervisor("open", "q", "a.md")
    assert told.returncode == 0
    (line,) = (line for line in told.stderr.splitlines() if "setting up" not in line)
    assert "limits.ask_above = 1000" in line and f'project."{project}".limits.ask_above' in line
    wanted: Any = tomllib.loads(line.partition("config.toml: ")[2])
    assert wanted == {"project": {str(project): {"limits": {"ask_above": 1000}}}}


def test_the_defaults_are_what_the_file_says_to_a_reader_of_toml() -> None:
    assert defaults.defaults() == tomllib.loads(Path(defaults.FILE).read_text(encoding="utf-8"))
