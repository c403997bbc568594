from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.views import summary
from hypervisor.worker.settle import settle
from worker.support import open_queue, states, write_task


def end(root: Path, *, force: bool = False) -> str:
    with Ledger.open(str(root)) as ledger:
        claims = worker.take(ledger, "q", "w")
        token = claims[0].token if claims else next(iter(ledger.claims.live_tokens()))
        return worker.finish(ledger, token, "done", {"summary": "did it"}, force=force).state


@pytest.mark.parametrize(
    "body",
    [
        "# T\n\n- [ ] one\n",
        "# T\n\n* [x] one\n  1. [ ] nested\n",
        "# T\n\n## Acceptance Criteria\n\n- [ ] one\n\n## Notes\n\n- [x] two\n",
        "# T\n\nAcceptance\n----------\n\n- [ ] one\n",
        "# T\n\n## acceptance\n\n### Deeper\n\n- [ ] one\n",
        "# T\n\n## Acceptance\n\n- [x] one\n\n## More\n\n## Acceptance of more\n\n- [ ] x\n",
    ],
)
def test_an_open_box_that_counts_refuses_done_and_the_item_stays(project: Path, body: str) -> None:
    path = write_task(project, "a", body=body)
    open_queue(project)
    before = path.read_bytes()
    with pytest.raises(worker.Refused, match=r"not ticked in tasks/a\.md: .*--force"):
        end(project)
    assert states(project) == {"a": "claimed"}
    assert path.read_bytes() == before


def test_open_boxes_are_refusals_that_are_kept_and_bounded(project: Path) -> None:
    write_task(project, "a", body="# T\n\n- [ ] one\n")
    open_queue(project, max_refusals=2)
    with pytest.raises(worker.Refused, match="not ticked"):
        end(project)
    with pytest.raises(worker.Spent, match="no longer yours"):
        end(project)
    with Ledger.open(str(project)) as ledger:
        kept = ledger.refusals.of_claims([1])[1]
        [item] = ledger.queries.results("q")
    assert [one.name for one in kept] == ["boxes", "boxes"]
    assert (item.state, item.attempts) == ("ready", 1)


@pytest.mark.parametrize(
    "body",
    [
        "# T\n\n- [x] one\n- [X] two\n",
        "# T\n\n## Acceptance\n\n- [x] one\n\n## Later\n\n- [ ] not now\n",
        "# T\n\n- [ ] before\n\n## Acceptance\n\nAll of it.\n",
        "# T\n\n```\n- [ ] in a fence\n```\n\n<!-- - [ ] in a comment -->\n\n> - [ ] in a quote\n",
        "# T\n\n```\n## Acceptance\n```\n\n- [x] one\n",
        "# T\n\n    - [ ] in code\n",
        "# T\n\n<!-- hypervisor:report 9-abcd -->\n## Completion report\n\n- [ ] theirs\n\n"
        "<!-- /hypervisor:report -->\n",
    ],
)
def test_boxes_that_do_not_count_let_done_through(project: Path, body: str) -> None:
    write_task(project, "a", body=body)
    open_queue(project)
    assert end(project) == "done"


def test_boxes_of_windows_files_are_seen(project: Path) -> None:
    write_task(project, "a", body="# T\n\n## Acceptance\n\n- [ ] one\n", newline="\r\n")
    open_queue(project)
    with pytest.raises(worker.Refused, match="one"):
        end(project)


def test_many_open_boxes_are_told_on_one_bounded_line(project: Path) -> None:
    boxes = "".join(f"- [ ] {'long ' * 200}{number}\n" for number in range(200))
    write_task(project, "a", body=f"# T\n\n{boxes}")
    open_queue(project)
    with pytest.raises(worker.Refused) as refused:
        end(project)
    assert "and 195 more" in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert "\n" not in str(refused.value)


def test_ticking_the_boxes_opens_the_way(project: Path) -> None:
    path = write_task(project, "a", body="# T\n\n- [ ] one\n")
    open_queue(project)
    with pytest.raises(worker.Refused):
        end(project)
    path.write_text(path.read_text().replace("[ ]", "[x]"))
    assert end(project) == "done"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- [ ] one\n- [ ] two\n", "- [x] one\n"),
        ("- [ ] one\n- [ ] two\n", "- one\n- two\n"),
        ("- [ ] two\n", "- [x] else\n"),
        ("- [ ] one\n", "## Acceptance\n\n- [x] all of it\n\n## Notes\n\n- [x] one\n"),
        ("- [ ] two\n", "```\n- [ ] two\n```\n"),
        ("- [ ] one\n", "<!-- hypervisor:report 9-abcd -->\n## Completion report\n\n- [ ] one\n\n"
                        "<!-- /hypervisor:report -->\n"),
        ("title: Task a\n", "title: [\n"),
    ],
)  # fmt: skip
def test_a_box_that_was_in_the_task_as_it_was_handed_out_has_to_be_ticked(
    project: Path, old: str, new: str
) -> None:
    path = write_task(project, "a", body="# T\n\n- [ ] one\n- [ ] two\n")
    open_queue(project)
    with pytest.raises(worker.Refused):
        end(project)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(worker.Refused, match=r"not ticked in tasks/a\.md: .*two"):
        end(project)
    assert states(project) == {"a": "claimed"}


def test_a_box_is_ticked_though_words_were_added_and_others_are_new(project: Path) -> None:
    path = write_task(project, "a", body="# T\n\n- [ ] one\n- [ ] one\n")
    open_queue(project)
    with pytest.raises(worker.Refused):
        end(project)
    body = "- [x] new\n- [x]  one (in a.py)\n* [X] one\n"
    path.write_text(path.read_text().replace("- [ ] one\n- [ ] one\n", body))
    assert end(project) == "done"
    with Ledger.open(str(project)) as ledger:
        assert ledger.state.folder.below("handed").names() == []


def test_what_was_kept_of_a_task_goes_with_its_claim(project: Path) -> None:
    write_task(project, "a", body="# T\n\n- [ ] one\n")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        settle(ledger)
        assert len(ledger.state.folder.below("handed").names()) == 1
        worker.release(ledger, claim.token)
        settle(ledger)
        assert ledger.state.folder.below("handed").names() == []


def test_force_accepts_open_boxes_and_ledger_summary_and_file_say_so(project: Path) -> None:
    path = write_task(project, "a", body="# T\n\n- [ ] one\n- [x] two\n- [ ] three\n")
    open_queue(project)
    assert end(project, force=True) == "done"
    with Ledger.open(str(project)) as ledger:
        told = next(iter(ledger.queries.results("q")))
        assert told.report["forced"] == ["one", "three"]
        assert summary.summarize(ledger, "q")["workers"][0]["forced"] is True
    text = path.read_text()
    assert "- Open boxes, forced: 2\n" in text
    assert "- [ ] one\n- [x] two\n- [ ] three\n" in text


def test_force_without_open_boxes_is_not_recorded(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    assert end(project, force=True) == "done"
    with Ledger.open(str(project)) as ledger:
        assert "forced" not in summary.summarize(ledger, "q")["workers"][0]
    assert "forced" not in path.read_text()


def test_boxes_of_a_file_that_is_no_task_are_not_ours(project: Path) -> None:
    (project / "note.md").write_text("- [ ] one\n")
    open_queue(project, ["note.md"], instructions="read it")
    assert end(project) == "done"
    assert (project / "note.md").read_text() == "- [ ] one\n"
