"""`hypervisor.toml` over the defaults: what it may say, and how it is told what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.config.settings import STATUS_CLASSES, Settings, load, seconds
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
    assert (told.triage.judgement, told.triage.automatable) == ("nic", "bot")
    assert told.triage.complexity is False
    assert set(told.status) == set(STATUS_CLASSES)


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


def test_lists_replace_and_tables_merge(tmp_path: Path) -> None:
    told = _load(
        tmp_path,
        '[preflight]\nhumans = ["Ada"]\n[preflight.tools]\nprinter = ["\\\\bprint\\\\b"]\n'
        'calendar = []\n[triage.links]\nx = "Project X"\n[limits]\nlease = "2h"\n',
    )
    assert told.humans == {"ada"}
    assert told.tools["printer"][0].search("please PRINT it")
    assert told.tools["calendar"] == ()
    assert told.triage.links["x"] == "Project X" and told.triage.links["aops"]
    assert told.limits.lease_seconds == 7200


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
