"""What became of every item, told as it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger, NewItem
from hypervisor.ledger.findings import Result
from hypervisor.ledger.queries import Queries
from hypervisor.views.summary import as_json, summarize


def test_the_json_is_told_item_by_item_and_says_what_the_summary_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    results = Queries.results_in

    def noted(queries: Queries, queue: int) -> Iterator[Result]:
        for item in results(queries, queue):
            read.append(item.id)
            yield item

    with Ledger.open(str(tmp_path), create=True) as ledger:
        ledger.generations.open("q", [NewItem(f"t{n}", title='two\n"lines"') for n in range(5)])
        ledger.generations.open("empty", [])
        for claim in ledger.claims.claim("q", "w", 3)[1:]:
            with ledger.store.write():
                ledger.store.change(
                    "update claim set input_tokens = 1, output_tokens = 2, cache_read_tokens = 3, "
                    "cache_write_tokens = 4 where token = ?",
                    (claim.token,),
                )
            ledger.ends.finish(claim.token, "done", {"summary": "a\nb", "files": ["x"]})
        monkeypatch.setattr(Queries, "results_in", noted)
        text, left = "", as_json(ledger, "q")
        for number in range(6):
            text += next(left)
            assert len(read) == number
        text += "".join(left)
        for name, told in (("q", text), ("empty", "".join(as_json(ledger, "empty")))):
            assert told == json.dumps(summarize(ledger, name), ensure_ascii=False, indent=2)
    assert [one["tokens"] is None for one in json.loads(text)["workers"]] == [
        True, False, False, True, True,
    ]  # fmt: skip
