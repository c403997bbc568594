"""What stands on the page, without a browser: every text escaped, and never too much of it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.tasks.undo import UndoLog
from hypervisor.views import page as pages
from hypervisor.views.page import items, view
from views.page import batches

TAGS = {
    *("html", "head", "meta", "title", "style", "script", "body", "header", "main", "footer"),
    *("section", "h1", "h2", "h3", "p", "span", "a", "code", "b", "i", "q", "small", "time"),
    *("ul", "ol", "li", "dl", "dt", "dd", "div", "details", "summary"),
    *("table", "thead", "tbody", "tfoot", "tr", "th", "td", "svg", "rect", "path", "text"),
}


class Seen(HTMLParser):
    """The tags and the attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def end(ledger: Ledger, outcome: str, report: dict[str, Any], worker: str = "w") -> None:
    (claim,) = ledger.claims.claim("q", worker)
    ledger.ends.finish(claim.token, outcome, report)


def test_no_text_of_anybody_becomes_markup(project: Path) -> None:
    evil = batches.HOSTILE + "<!--<b onclick='x'>&lt;{{ 7*7 }}"
    told = dict.fromkeys(("summary", "reason", "evidence", "next_step", "commit", "rule"), evil)
    lists = {"files": [evil], "changes": [evil], "forced": [evil], "verify": evil}
    with Ledger.open(str(project), create=True) as ledger:
        added = [
            NewItem(f"{evil}{n}", evil, title=evil, payload={evil: evil}) for n in range(6)
        ] + [NewItem(f"row {evil}", payload={evil: evil})]
        ledger.generations.open(
            "q",
            added,
            Options(
                instructions=evil,
                verify=f"true {evil}",
                commands=json.dumps([evil]),
                asked=evil,
                max_attempts=1,
            ),
        )
        for outcome in ("done", "blocked", "failed", "skipped"):
            end(ledger, outcome, told | lists, worker=evil)
        (claim,) = ledger.claims.claim("q", evil)
        ledger.ends.end(claim.token, "released", evil)
        ledger.pauses.pause("q", evil)
        page = pages.render(ledger, "q")
    seen = Seen(page)
    assert seen.tags <= TAGS, seen.tags - TAGS
    assert not {name for name in seen.attributes if name.startswith("on") or name == "style"}
    assert "{{ 7*7 }}" in page
    assert page.count("<script") == page.count("</script") == 1
    assert page.count("<!--") == 0


def test_characters_that_hide_or_reorder_text_are_shown_as_what_they_are(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a", title="txt.\u202eexe\x1b[31m")])
        end(ledger, "done", {"summary": "first\r\nsecond \u2066x\u200b\ttab"})
        page = pages.render(ledger, "q")
    assert "txt.\\u202eexe\\u001b[31m" in page
    assert "first\nsecond \\u2066x\\u200b" in page
    assert not re.search("[\x00-\x09\x0b-\x1f\u200b\u202e\u2066]", page)


def test_long_reports_are_cut_alike_until_the_page_is_small_enough(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(f"i{n}") for n in range(200)])
        for n in range(200):
            words = "<&é long " if n % 2 else "plain words "
            end(ledger, "done", {"summary": words * 6000 if n else "a short one, kept whole"})
        page = pages.render(ledger, "q")
    assert 0.9 * pages.LIMIT < len(page.encode()) <= pages.LIMIT
    assert "a short one, kept whole" in page
    assert "hypervisor show ID" in page
    reports = re.findall("<dt>Report<dd class=p>(.*?)</dl>", page, re.DOTALL)
    sizes = [len(report.encode()) for report in reports]
    assert len(sizes) == 199 and max(sizes) - min(sizes) < 30
    assert all(report.endswith("…") for report in reports)


def test_of_very_many_items_those_that_want_a_look_are_listed(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(f"i{n}") for n in range(items.LISTED + 500)])
        ledger.claims.claim("q", "w", 3)
        tokens = [c.token for c in ledger.claims.claim("q", "w", items.LISTED)]
        ledger.ends.finish_many([(token, "done", {"summary": "done"}) for token in tokens[:-2]])
        ledger.ends.finish_many(
            [(token, "blocked", {"reason": "in the way"}) for token in tokens[-2:]]
        )
        shown = view.gather(ledger, "q", batches.START)
        page = pages.render(ledger, "q")
    assert len(shown.rows) == items.LISTED
    numbers = [row.number for row in shown.rows]
    assert numbers == sorted(numbers)
    counted = {mark: sum(row.mark == mark for row in shown.rows) for mark in "rbn"}
    assert counted == {"r": 3, "b": 2, "n": 0}
    assert "5,000 of 5,500" in page


def test_a_queue_at_work_shows_what_is_in_hand_and_how_to_go_on(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(f"i{n}") for n in range(5)], Options(asked="tasks"))
        ledger.claims.claim("q", "anna", 2)
        shown = view.gather(ledger, "q", batches.START)
        assert [entry[::2] for entry in shown.outcomes] == [("at work", 2), ("not attempted", 3)]
        assert shown.steps[0].command == "hypervisor next q"
        ledger.pauses.pause("q", "lunch")
        assert view.gather(ledger, "q", batches.START).steps[0].command == "hypervisor resume q"
        ledger.generations.cancel("q", "enough")
        shown = view.gather(ledger, "q", batches.START)
    assert [entry[::2] for entry in shown.outcomes] == [("cancelled", 2), ("not attempted", 3)]
    assert shown.steps[0].command == "hypervisor open q tasks"
    kinds = [kind for _, kind, _ in shown.events]
    assert (kinds[:2], kinds[-2:]) == (["opened", "asked"], ["paused", "cancelled"])


def test_an_item_tells_where_its_branch_went_and_how_late_the_news_of_it_was(
    project: Path,
) -> None:
    clock = batches.Clock()
    with Ledger.open(str(project), create=True) as ledger, clock.running():
        ledger.generations.open("q", [NewItem("a")])
        ledger.followers.follow("s", "q")
        end(ledger, "done", {"summary": "Done."})
        ledger.store.change("update claim set branch = 'hv/a', merge = 'set aside: a conflict'")
        (row,) = ledger.followers.followed("s")
        (ended,) = ledger.followers.ended_since(row.no, 0)
        clock.now += 90
        ledger.followers.tell(
            "s", row.no, ledger.followers.told("s")[row.no].no, ended.finish_no, None, "prompt"
        )
        shown = view.gather(ledger, "q", clock.now)
    facts = {fact.label: fact.text for fact in shown.rows[0].facts}
    assert facts == {
        "Branch": "hv/a",
        "Merged": "set aside: a conflict",
        "Session told": "by prompt, 1 min 30 s after its end",
    }


def test_the_costs_of_a_batch_add_up(tmp_path: Path) -> None:
    end = batches.work_off(tmp_path, "inbox", 60, 6)
    with Ledger.open(str(tmp_path)) as ledger:
        shown = view.gather(ledger, "inbox", end)
    assert shown.timeline is not None
    claims = sum(cost.tries for cost in shown.costs)
    assert claims == sum(lane.items for lane in shown.timeline.lanes) > 60
    assert sum(cost.items for cost in shown.costs) == 60
    held = sum(lane.seconds for lane in shown.timeline.lanes)
    assert abs(sum(cost.seconds for cost in shown.costs) - held) < 0.01
    tokens = sum(cost.tokens or 0 for cost in shown.costs)
    assert tokens + shown.summary["overhead_tokens"] == shown.summary["total_tokens"]
    assert tokens == sum(lane.tokens or 0 for lane in shown.timeline.lanes)
    ways = {(wake.what, wake.way) for wake in shown.wakes}
    assert ways >= {("items", "hook"), ("workers’ ends", "notice")}
    assert shown.unheard == 1
    assert [idle for _, idle in shown.timeline.axis.folds] == ["40 min"]


def test_what_ended_badly_is_grouped_by_its_cause_the_worst_first(project: Path) -> None:
    blocked = ["the archive is missing: a/1.tar", "the archive is missing: a/2.tar"]
    failed = [
        "exit code 1: can't parse Row of one",
        "exit code 1: can't parse Row of two",
        "exit code 2: can't parse Row of three",
        *("HTTP 503", "HTTP 429"),
        *("timeout after 30.5 s", "timeout after 31 s", "timeout after 30.5 s"),
    ]
    titles = ["a", "b", "Row of one", "Row of two", "Row of three", *"fghij"]
    with Ledger.open(str(project), create=True) as ledger:
        added = [NewItem(f"i{n}", title=title) for n, title in enumerate(titles)]
        ledger.generations.open("q", added, Options(max_attempts=1))
        for outcome, reasons in (("blocked", blocked), ("failed", failed)):
            for reason in reasons:
                end(ledger, outcome, {"reason": reason})
        shown = view.gather(ledger, "q", batches.START)
    assert [(group.outcome, group.size, group.reason) for group in shown.groups] == [
        ("failed", 3, "timeout after … s"),
        ("failed", 2, "exit code 1: can't parse …"),
        ("failed", 1, "exit code 2: can't parse Row of three"),
        ("failed", 1, "HTTP 503"),
        ("failed", 1, "HTTP 429"),
        ("blocked", 2, "the archive is missing: a/….tar"),
    ]


def test_a_row_shows_its_data_its_answer_and_what_tells_its_worker_from_others(
    project: Path,
) -> None:
    rows = [{"text": f"It broke.\nTwice {n}", "stars": n} for n in range(2)]
    with Ledger.open(str(project), create=True) as ledger:
        added = [NewItem(f"r{n}", "in.csv", payload=row) for n, row in enumerate(rows)]
        ledger.generations.open("q", [*added, NewItem("never tried")])
        for n in range(2):
            end(ledger, "done", {"summary": "Read."}, worker=f"command-of-the-night-7044-{n}")
        ledger.store.change("update claim set answer = ?", ('{"label": "bad", "score": 0.5}',))
        shown = view.gather(ledger, "q", batches.START)
    facts = [{fact.label: fact.text for fact in row.facts} for row in shown.rows[:2]]
    assert [fact["Data"] for fact in facts] == [
        f"text: It broke. / Twice {n}\nstars: {n}" for n in range(2)
    ]
    assert facts[0]["Answer"] == "label: bad\nscore: 0.5"
    assert [row.worker for row in shown.rows] == ["…0", "…1", "–"]


def test_what_was_asked_has_the_budgets_and_the_schema_of_the_answers(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        given = Options(
            answer='{"type": "object"}',
            budget={"usd": 5, "ms": 1_800_000},
            bounds={"item_tokens": 90_000},
        )
        ledger.generations.open("q", [NewItem("a")], given)
        asked = {fact.label: fact.text for fact in view.gather(ledger, "q", batches.START).asked}
    assert asked["Budget"] == "$5.00, 30 min"
    assert asked["Budget of an item"] == "90,000 tokens"
    assert asked["Answer"] == '{"type": "object"}'


def test_undo_is_offered_only_where_an_edit_stands(project: Path) -> None:
    path = project / "t.md"
    path.write_text("before")
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a")])
        log = UndoLog(ledger.state, "q")

        def is_offered() -> bool:
            steps = view.gather(ledger, "q", batches.START).steps
            return "hypervisor undo q" in [step.command for step in steps]

        assert not is_offered()
        log.record([(str(path), b"before", b"after", "a")])
        path.write_text("after")
        assert is_offered()
        log.restore()
        assert not is_offered()
