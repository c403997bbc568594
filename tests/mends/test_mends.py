"""Every command that the program prints is typed here in the situation that prints it, and does
what it says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hypervisor.config.roots import create_state
from mends import plans, queues, verbs, world
from mends.inventory import printed
from mends.typed import Case, Shop, words_of

ALL = [*queues.CASES, *verbs.CASES, *plans.CASES, *world.CASES]
# Not typed here, with the reason.
NOT_HERE: dict[str, str] = {}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    root = tmp_path.resolve() / "it's a shop"
    root.mkdir()
    create_state(str(root))
    return Shop(root)


@pytest.mark.parametrize("case", ALL, ids=[f"{n}: {one.printed}" for n, one in enumerate(ALL)])
@pytest.mark.usefixtures("identity")
def test_a_printed_command_does_what_it_says(shop: Shop, case: Case) -> None:
    told = shop.types(words_of(case.printed, case.told(shop), case.filled))
    assert told.returncode == case.code, told
    assert case.then(shop, told), told


def test_no_command_is_printed_that_no_test_types() -> None:
    typed = Counter(case.printed.replace("{…}", "{}") for case in ALL)
    untyped = [
        f"{one} ({number})"
        for one, number in printed().items()
        if typed[one] < number and not any(one.startswith(known) for known in NOT_HERE)
    ]
    assert sorted(untyped) == [], "\n".join(sorted(untyped))
    assert typed.keys() <= printed().keys(), typed.keys() - printed().keys()
