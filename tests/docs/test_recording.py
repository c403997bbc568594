"""The recording in the README is what a pool that is killed and goes on prints today."""

from __future__ import annotations

import runpy

from docs.pages import agree
from docs.typist import REPO


def test_the_readme_shows_what_a_killed_pool_and_its_next_start_print() -> None:
    tool = runpy.run_path(str(REPO / "tools" / "recording.py"))
    seen = tool["recorded"]()
    assert agree(tool["in_readme"]().splitlines(), seen.splitlines()), (
        f"if this is right: python tools/recording.py --write\n{seen}"
    )
