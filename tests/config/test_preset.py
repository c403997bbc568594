"""Presets: words that ship with the program, below whatever the user and the project say."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.config import preset
from hypervisor.config.settings import Settings, load
from hypervisor.system.errors import UsageError

User = Callable[[str], Path]
AOPS = 'preset = "aops"\n'


def told(folder: Path, text: str = "", **options: str) -> Settings:
    """Return the settings of a project in which `text` stands."""
    (folder / "hypervisor.toml").write_text(text, encoding="utf-8")
    return load(str(folder), **options)


def who(settings: Settings) -> tuple[str, str]:
    return settings.triage.judgement, settings.triage.automatable


def test_every_preset_that_ships_can_be_named(tmp_path: Path) -> None:
    assert "aops" in preset.names()
    for name in preset.names():
        with open(Path(preset.FOLDER) / f"{name}.toml", "rb") as file:
            assert preset.table(name) == tomllib.load(file)
        assert told(tmp_path, f'preset = "{name}"\n').raised == ()


def test_the_words_of_aops_are_there_for_who_names_them(tmp_path: Path) -> None:
    settings = told(tmp_path, AOPS)
    assert who(settings) == ("nic", "bot")
    assert settings.humans == {"nic"} and "bot" in settings.agents
    assert settings.triage.links["osb"] == "oversight-board"


def test_the_project_goes_before_the_user_before_the_preset(tmp_path: Path, user: User) -> None:
    user(f'{AOPS}triage.judgement = "ada"\n')
    assert who(told(tmp_path)) == ("ada", "bot")
    assert who(told(tmp_path, 'triage.judgement = "eve"\n')) == ("eve", "bot")
    user('triage.judgement = "ada"\n')
    assert who(told(tmp_path, AOPS)) == ("ada", "bot"), "wherever the preset is named"
    user(f'project."{tmp_path}".preset = "aops"\n')
    assert who(told(tmp_path)) == ("nic", "bot")


def test_the_projects_word_for_the_preset_goes_before_the_users(tmp_path: Path, user: User) -> None:
    user(AOPS)
    settings = told(tmp_path, 'preset = ""\n')
    assert who(settings) == ("", "")
    assert settings.humans == {"nic"}, "whom the user knows as a person no project takes away"


def test_links_of_the_preset_and_of_the_file_add_up(tmp_path: Path) -> None:
    links = told(tmp_path, f'{AOPS}[triage.links]\nosb = "Board"\nweb = "Site"\n').triage.links
    assert (links["osb"], links["web"], links["aops"]) == ("Board", "Site", "academicOps")


def test_a_preset_that_is_brought_along_counts_where_no_file_names_one(
    tmp_path: Path, user: User
) -> None:
    assert who(load(str(tmp_path), preset="aops")) == ("nic", "bot")
    assert who(told(tmp_path, 'triage.judgement = "eve"\n', preset="aops")) == ("eve", "bot")
    assert who(told(tmp_path, 'preset = ""\n', preset="aops")) == ("", "")
    user('preset = ""\n')
    assert who(told(tmp_path, preset="aops")) == ("", "")


@pytest.mark.parametrize("name", ["aopps", "../defaults", "AOPS", "aops.toml", "a\\nb"])
@pytest.mark.parametrize("before", ["", '# preset = "aops"\n\n', 'project = "preset = x"\n'])
def test_an_unknown_preset_is_told_in_a_line_with_file_line_and_the_names_there_are(
    tmp_path: Path, name: str, before: str
) -> None:
    with pytest.raises(UsageError) as error:
        told(tmp_path, f'{before}preset = "{name}"\n')
    text = str(error.value)
    place = f"{tmp_path / 'hypervisor.toml'}"
    if "\\" not in name:
        place += f":{before.count(chr(10)) + 1}"
    assert text.startswith(f"{place}: no preset '")
    assert text.endswith("; there is: aops") and "\n" not in text


def test_an_unknown_preset_in_the_users_own_file_is_told_with_that_file(
    tmp_path: Path, user: User
) -> None:
    path = user(f'[limits]\nworkers = 2\n[project."{tmp_path}"]\npreset = "x"\n')
    with pytest.raises(UsageError) as error:
        told(tmp_path)
    assert str(error.value) == f"{path}:4: no preset 'x'; there is: aops"


def test_a_preset_that_is_no_text_is_told_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="preset has the wrong type"):
        told(tmp_path, "preset = 3\n")


def test_a_name_is_that_of_a_preset_if_one_says_it() -> None:
    assert preset.knowing({"nic"}) == preset.knowing({"x", "bot"}) == "aops"
    assert preset.knowing({"anna"}) is None and preset.knowing(set()) is None


@pytest.mark.parametrize("mine", ['triage.judgement = "ada"\n', 'preflight.humans = ["Ada"]\n'])
@pytest.mark.parametrize(
    "theirs", ['triage.automatable = "ada"\n', 'preflight.agents = ["@ada"]\n', "callers.ada = {}"]
)
def test_whom_the_user_takes_for_a_person_no_project_makes_an_agent(
    tmp_path: Path, user: User, mine: str, theirs: str
) -> None:
    user(mine)
    settings = told(tmp_path, theirs)
    assert "ada" in settings.humans and "ada" not in settings.agents
