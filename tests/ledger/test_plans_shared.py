"""On PostgreSQL, too, the statements that the verbs really run use indexes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hypervisor.ledger import Ledger, NewItem, dialect, server
from ledger.support import items, verbs_of_workers

COUNT = 20_000
Caught = Callable[[Callable[[], object]], list[tuple[str, dict[str, Any]]]]

pytestmark = pytest.mark.shared


@pytest.fixture
def plans(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caught]:
    """`plans(verb)`: each statement that the verb runs, with its plan."""
    ledger.generations.open("old", items(COUNT, start=10**6))
    ended = ledger.claims.claim("old", "w", 2000)
    ledger.ends.finish_many([(claim.token, "done", {}) for claim in ended])
    ledger.generations.cancel("old")
    ledger.generations.open("q", [*items(COUNT), NewItem("last", "p", after=["task-00000"])])
    statements: list[tuple[str, object]] = []

    def told(call: Callable[..., Any], many: bool) -> Callable[..., Any]:
        def kept(connection: Any, sql: str, values: Any = ()) -> Any:
            values = list(values)
            statements.extend((sql, one) for one in (values[:1] if many else [values]))
            return call(connection, sql, values)

        return kept

    def caught(verb: Callable[[], object]) -> list[tuple[str, dict[str, Any]]]:
        with monkeypatch.context() as patch:
            for name in ("execute", "executemany"):
                real = getattr(server.Connection, name)
                patch.setattr(server.Connection, name, told(real, name != "execute"))
            verb()
        found = []
        raw = ledger.store.connection.raw
        for sql, values in statements:
            text = dialect.statement(sql)
            if text.split(b" ")[0] in (b"select", b"update", b"delete"):
                # With these values, and as a statement is planned that was prepared long ago.
                for way, given in ((b"", values), (b"generic_plan, ", [None] * len(values))):
                    shown = raw.send(b"explain (" + way + b"format json) " + text, given)
                    raw.sync()
                    [(plan,)] = shown
                    found.append((sql, json.loads(plan)[0]["Plan"]))
        statements.clear()
        assert found
        return found

    yield caught


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _steps(part)


def _scans(plans: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Statements that read a table which grows with the items from end to end, or sort it."""
    return [
        f"{step['Node Type']} {step.get('Relation Name', '')}: {sql}"
        for sql, plan in plans
        for step in _steps(plan)
        if (step["Node Type"] == "Seq Scan" and step["Relation Name"] in ("item", "claim"))
        or (step["Node Type"] == "Sort" and step["Plan Rows"] > 500)
    ]


def _indexes(plans: list[tuple[str, dict[str, Any]]]) -> set[str]:
    return {
        step["Index Name"] for _, plan in plans for step in _steps(plan) if "Index Name" in step
    }


def test_the_verbs_of_workers_scan_nothing(ledger: Ledger, plans: Caught) -> None:
    assert _scans(plans(lambda: verbs_of_workers(ledger))) == []


def test_claims_leases_and_what_is_pending_are_found_by_the_partial_indexes(
    ledger: Ledger, plans: Caught
) -> None:
    assert "item_turn" in _indexes(plans(lambda: ledger.claims.claim("q", "w")))
    assert "item_turn" in _indexes(plans(ledger.ends.expire))
    assert "item_turn" in _indexes(plans(ledger.claims.live_tokens))
    assert "item_pending" in _indexes(plans(ledger.outbox.pending))
    assert _scans(plans(ledger.ends.expire)) == []
    assert _scans(plans(ledger.claims.live_tokens)) == []
