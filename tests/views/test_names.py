"""Names where there is little room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.views.names import apart


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["anna", "ben"], ["anna", "ben"]),
        (["command-70445124-1", "command-70445124-12"], ["…1", "…12"]),
        (["claude-1-of-the-night", "command-1-of-noon"], ["claud…ight", "comma…noon"]),
        (["pool-1-worker-of-2", "pool-1-worker-of-3"], ["…2", "…3"]),
        (["x-night-shift-1", "y-night-shift-1", "y-night-shift-2"],
         ["x-nig…ft-1", "y-nig…ft-1", "y-nig…ft-2"]),
        (["the-only-one-here"], ["the-o…here"]),
    ],
)  # fmt: skip
def test_what_names_begin_with_alike_gives_way_first(names: list[str], shown: list[str]) -> None:
    assert [apart(names, 10)[name] for name in names] == shown


@given(st.lists(st.text(max_size=30)), st.integers(2, 20))
def test_every_name_fits(names: list[str], room: int) -> None:
    assert all(len(shown) <= room for shown in apart(names, room).values())
