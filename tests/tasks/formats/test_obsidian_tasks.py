"""Obsidian Tasks: which lines are tasks, what their fields say, and how one is done."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from hypervisor.system.errors import BrokenFile
from hypervisor.tasks import formats
from hypervisor.tasks.item import Item

TODAY = time.strftime("%Y-%m-%d")
Vault = Path


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    configure(tmp_path, globalFilter="#task")
    return tmp_path


def configure(vault: Path, **told: object) -> None:
    file = vault / ".obsidian/plugins/obsidian-tasks-plugin/data.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told))


def items(vault: Path, text: str) -> dict[str, Item]:
    found = formats.get("obsidian-tasks").items(str(vault / "a.md"), text)
    return {one.id: one for one in found}


def done(vault: Path, text: str, item_id: str) -> str:
    kind = formats.get("obsidian-tasks").at(str(vault / "a.md"))
    [item] = kind.find(str(vault / "a.md"), text, item_id, None)
    return formats.spliced(text, kind.mark(text, item, "done") or [])


NOTE = """\
- [ ] no task here
- [ ] #task Send it 🆔 rep1 ⛔ dat1,dat2 ⏫ 📅 2026-01-09 #home ^b1
- [ ] #task Get data 🆔 dat1
- [/] #task Half 🆔 dat2
> - [ ] #task In a callout
```
- [ ] #task in code
```
%%
- [ ] #task in a comment
%%
1) [!] #task Theme
- [ ] #task Water 🔁 every week 📅 2026-01-09
- [ ] #task Buy 🏁 delete
- [ ] #task Some day 🛫 2999-01-01
"""


def test_the_filter_and_the_fields_say_what_a_task_is(vault: Path) -> None:
    found = items(vault, NOTE)
    assert {name: one.state for name, one in found.items()} == {
        "rep1": "ready", "dat1": "ready", "dat2": "in_progress", "In a callout": "ready",
        "Theme": "unknown", "Water": "waiting", "Buy": "waiting", "Some day": "waiting",
    }  # fmt: skip
    one = found["rep1"]
    assert (one.title, one.depends_on, one.priority) == ("Send it #home", ("dat1", "dat2"), "1")


def test_done_is_the_symbol_and_the_date_before_the_block(vault: Path) -> None:
    after = done(vault, NOTE, "rep1")
    assert after == NOTE.replace("- [ ] #task Send", "- [x] #task Send").replace(
        "#home ^b1", f"#home ✅ {TODAY} ^b1"
    )
    assert items(vault, after)["rep1"].state == "done"
    assert done(vault, after, "rep1") == after


def test_two_blanks_at_the_end_of_a_line_and_its_return_stay(vault: Path) -> None:
    text = "\ufeff- [ ] #task a  \r\n* [ ] #task b\r\n"
    assert done(vault, text, "a") == f"\ufeff- [x] #task a ✅ {TODAY}  \r\n* [ ] #task b\r\n"


def test_the_statuses_of_the_vault_beat_those_that_are_shipped(vault: Path) -> None:
    told = {
        "coreStatuses": [{"symbol": " ", "type": "TODO"}, {"symbol": "v", "type": "DONE"}],
        "customStatuses": [
            {"symbol": "!", "type": "TODO"},
            {"symbol": "-", "type": "ON_HOLD"},
            {"symbol": "i", "type": "NON_TASK"},
        ],
    }
    configure(vault, statusSettings=told, setDoneDate=False)
    text = "- [!] a\n- [-] b\n- [i] c\n- [v] d\n- [/] e\n"
    assert {name: one.state for name, one in items(vault, text).items()} == {
        "a": "ready", "b": "waiting", "d": "done", "e": "unknown",
    }  # fmt: skip
    assert done(vault, text, "a") == text.replace("[!]", "[v]")


def test_fields_can_be_written_as_dataview_has_them(vault: Path) -> None:
    configure(vault, taskFormat="dataview")
    text = "- [ ] Go [id:: a] [dependsOn:: b, c]  (due:: 2026-01-09)\n- [ ] Come [id:: b]\n"
    found = items(vault, text)
    assert (found["a"].title, found["a"].depends_on) == ("Go", ("b",))
    assert done(vault, text, "b").endswith(f"- [x] Come [id:: b]  [completion:: {TODAY}]\n")


def test_a_task_waits_for_one_in_another_note_and_never_for_one_that_nobody_has(
    vault: Path,
) -> None:
    (vault / "sub").mkdir()
    (vault / "sub/b.md").write_text("- [ ] #task B 🆔 bbb\n- [x] #task C 🆔 ccc\n")
    found = items(vault, "- [ ] #task A ⛔ bbb,ccc,nobody\n")
    assert found["A"].depends_on == (f"{vault}/sub/b.md#bbb",)


def test_a_note_that_is_a_task_has_no_items_in_it(vault: Path) -> None:
    kind = formats.get("obsidian-tasks")
    configure(vault)
    path = str(vault / "n.md")
    assert kind.recognises(path, "# Note\n- [ ] a\n")
    assert kind.recognises(path, "---\ntags: [x]\n---\n- [ ] a\n")
    assert not kind.recognises(path, "---\nstatus: open\n---\n- [ ] a\n")
    assert not kind.recognises(path, "no box [x]\n")
    assert not kind.recognises("/elsewhere/n.md", "- [ ] a\n")
    assert kind.everywhere(str(vault)) and not kind.everywhere("/elsewhere")


def test_a_plugin_whose_settings_nobody_has_changed_has_its_own(tmp_path: Path) -> None:
    (tmp_path / ".obsidian/plugins/obsidian-tasks-plugin").mkdir(parents=True)
    kind = formats.get("obsidian-tasks")
    assert kind.recognises(str(tmp_path / "a.md"), "- [ ] Read it\n")
    found = items(tmp_path, "- [ ] Read it 🆔 a\n- [/] Sum it up ⛔ a\n")
    assert [(one.state, one.depends_on) for one in found.values()] == [
        ("ready", ()), ("in_progress", ("a",))
    ]  # fmt: skip


def test_settings_that_nobody_can_read_make_no_box_a_task(tmp_path: Path) -> None:
    configure(tmp_path)
    (tmp_path / ".obsidian/plugins/obsidian-tasks-plugin/data.json").write_text("{")
    with pytest.raises(BrokenFile, match=r"data\.json"):
        items(tmp_path, "- [ ] a\n")
