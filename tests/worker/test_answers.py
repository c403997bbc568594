"""An end as done brings an answer that fits its queue's schema, or the item stays its worker's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.system.errors import UsageError

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["yes", "no"]}, "score": {"maximum": 10}},
    "required": ["label"],
    "additionalProperties": False,
}


@pytest.fixture
def ledger(project: Path) -> Ledger:
    with Ledger.open(str(project), create=True) as found:
        rows = [NewItem(str(n), "r.csv", payload={"n": n}) for n in range(3)]
        found.generations.open("q", rows, Options(answer=json.dumps(SCHEMA)))
        yield found


def end(ledger: Ledger, report: dict[str, object]) -> str:
    """End the item in hand, or the next one, as done; return the answer that was kept."""
    live = list(ledger.claims.live_tokens())
    token = live[0] if live else worker.take(ledger, "q", "w")[0].token
    worker.finish(ledger, token, "done", report)
    row = ledger.store.row("select answer, report from claim where token = ?", (token,))
    assert "answer" not in json.loads(row["report"])
    return str(row["answer"])


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ({"summary": "did it"}, "answer: it is missing"),
        ({"answer": '{"label": "yes", "score": 11}'}, "answer.score: 11 is above 10"),
        ({"answer": '{"label": "maybe"}'}, 'answer.label: "maybe" is not one of "yes", "no"'),
        ({"answer": "yes"}, "answer: not JSON"),
        ({"answer": '{"label": "yes"} {}'}, "answer: not JSON"),
        ({"answer": '{"label": "yes", "score": NaN}'}, "NaN is not a JSON number"),
        ({"answer": '{"label": "yes", "score": 1e999}'}, "too large a number"),
        ({"answer": '{"label": "no", "label": "yes"}'}, "the key 'label' appears twice"),
        ({"answer": '{"label": "\\ud800"}'}, "half of a character"),
        ({"answer": f'{{"label": "{"x" * (256 * 1024)}"}}'}, "longer than 256 KB"),
        ({"answer": '{"label": "yes", "extra": 1}'}, "extra"),
        ({"answer": {"label": 1}}, "answer.label: 1 is not one of"),
        ({"output": 'log\n{"label": "maybe"}\n'}, 'answer.label: "maybe" is not one of'),
        ({"output": 'log\n"yes"'}, "answer: "),
        ({"output": ""}, "answer: it is empty"),
        ({"output": '{"label": "yes"}\udcff'}, "not UTF-8"),
    ],
)
def test_what_does_not_fit_is_refused_with_place_and_rule_and_stays_its_workers(
    ledger: Ledger, report: dict[str, object], why: str
) -> None:
    with pytest.raises(worker.CheckFailed) as refused:
        end(ledger, report)
    assert why in str(refused.value)
    assert len(ledger.claims.live_tokens()) == 1
    assert json.loads(end(ledger, {"answer": '{"label": "yes"}'})) == {"label": "yes"}


@pytest.mark.parametrize(
    "report",
    [
        {"answer": ' {"label": "no"}\n'},
        {"answer": '```json\n{"label": "no"}\n```\n'},
        {"answer": {"label": "no"}},
        {"output": '{\n  "label": "no"\n}\n'},
        {"output": 'thinking…\n{"label": "no"}\n\n'},
    ],
)
def test_an_answer_may_come_as_text_in_a_fence_as_a_value_or_as_a_commands_output(
    ledger: Ledger, report: dict[str, object]
) -> None:
    assert end(ledger, report) == '{"label": "no"}'
    [item] = [one for one in ledger.queries.results("q") if one.state == "done"]
    assert item.report == {"summary": 'answer: {"label": "no"}'}


def test_each_refused_answer_is_kept_and_the_third_uses_up_the_attempt(ledger: Ledger) -> None:
    for label in ("maybe", "perhaps", "who knows"):
        with pytest.raises(worker.CheckFailed) as refused:
            end(ledger, {"answer": {"label": label}})
    assert "the item is no longer yours" in str(refused.value)
    assert not ledger.claims.live_tokens()
    kept = ledger.refusals.of_claims([1])[1]
    assert [one.name for one in kept] == ["answer"] * 3
    assert kept[0].why.startswith('answer.label: "maybe" is not one of')


def test_a_summary_stays_beside_the_answer(ledger: Ledger) -> None:
    end(ledger, {"answer": {"label": "no"}, "summary": "unsure"})
    [item] = [one for one in ledger.queries.results("q") if one.state == "done"]
    assert (item.report, item.answer) == ({"summary": "unsure"}, '{"label": "no"}')


def test_keys_are_taken_out_of_an_answers_texts(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_API_KEY", "otterfinch77")
    schema = {"type": "object", "properties": {"a": {"items": {"type": "string"}}}}
    ledger.generations.open("r", [NewItem("x", payload={})], Options(answer=json.dumps(schema)))
    [claim] = worker.take(ledger, "r", "w")
    worker.finish(ledger, claim.token, "done", {"answer": {"a": ["is otterfinch77"]}})
    [item] = ledger.queries.results("r")
    assert item.answer == '{"a": ["is [redacted]"]}'


def test_other_kinds_come_from_a_command_where_the_schema_names_one(ledger: Ledger) -> None:
    ledger.generations.open("r", [NewItem("x", payload={})], Options(answer='{"type": "integer"}'))
    [claim] = worker.take(ledger, "r", "w")
    worker.finish(ledger, claim.token, "done", {"output": "7\n"})
    assert [item.answer for item in ledger.queries.results("r")] == ["7"]


def test_other_ends_need_no_answer_and_a_queue_without_a_schema_takes_none(
    ledger: Ledger,
) -> None:
    [claim] = worker.take(ledger, "q", "w")
    worker.finish(ledger, claim.token, "blocked", {"reason": "no text"})
    ledger.generations.open("r", [NewItem("x", payload={})])
    [claim] = worker.take(ledger, "r", "w")
    with pytest.raises(UsageError, match="queue r asks for no answer"):
        worker.finish(ledger, claim.token, "done", {"answer": "{}"})


def test_a_schema_stays_as_long_as_answers_by_it_are_there(ledger: Ledger) -> None:
    rows = [NewItem(str(n), "r.csv", payload={"n": n}) for n in range(4)]
    other = Options(answer='{"type": "object"}')
    ledger.generations.open("q", rows, other)
    ledger.generations.open("q", rows, Options(answer=json.dumps(SCHEMA)))
    end(ledger, {"answer": {"label": "no"}})
    for _ in range(2):
        with pytest.raises(UsageError, match="accepted answers by another schema"):
            ledger.generations.open("q", rows, other)
        ledger.generations.cancel("q")
    same = json.dumps(dict(reversed(SCHEMA.items())))
    ledger.generations.open("q", rows, Options(answer=same))
    ledger.generations.cancel("q")
    # Who names none keeps the one that is there.
    ledger.generations.open("q", rows)
    assert json.loads(ledger.queues.get("q").answer or "") == SCHEMA


def test_the_same_word_twice_is_accepted_once(ledger: Ledger) -> None:
    [claim] = worker.take(ledger, "q", "w")
    for label in ("no", "yes"):
        worker.finish(ledger, claim.token, "done", {"answer": {"label": label}})
    kept = ledger.store.row("select answer from claim where token = ?", (claim.token,))
    assert kept[0] == '{"label": "no"}'
