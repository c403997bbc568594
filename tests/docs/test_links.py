"""Links between the pages lead somewhere, and the comparison names a source for all it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.typist import REPO

PAGES = sorted([*REPO.glob("*.md"), *REPO.glob("docs/**/*.md")])
_FENCED = re.compile(r"^( *)(`{3,}).*?^\1\2$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return set(plain)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_link_to_a_file_or_heading_leads_there(page: Path) -> None:
    dead = []
    for link in _LINK.findall(prose(page)):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_every_page_is_on_the_map() -> None:
    shown = set(_LINK.findall(prose(REPO / "docs" / "README.md")))
    pages = {str(page.relative_to(REPO / "docs")) for page in REPO.glob("docs/**/*.md")}
    assert pages - shown == {"README.md"}


def test_every_cell_of_the_comparison_names_a_source() -> None:
    text = prose(REPO / "docs" / "comparison.md")
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    cells = [cell for row in rows if row[0].strip() for cell in row[1:]]
    assert len(cells) > 50
    unfounded = [cell for cell in cells if not re.search(r"\]\([^)]+\)|\]\[[\w-]+\]", cell)]
    assert unfounded == []


def test_every_source_of_the_comparison_is_defined_and_used() -> None:
    text = prose(REPO / "docs" / "comparison.md")
    used = set(re.findall(r"\]\[([\w-]+)\]", text))
    defined = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", text, re.MULTILINE))
    assert used == set(defined)
    assert all(address.startswith("https://") for address in defined.values())


def test_every_file_that_contributing_names_is_there() -> None:
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = REPO / "src" / "hypervisor"
    named = set(re.findall(r"`([\w./-]+/(?:[\w.-]+\.(?:py|toml|html|json))?)`", text))
    gone = [
        name
        for name in named - {".hypervisor/"}
        if not ((REPO / name).exists() or (rooms / name).exists())
    ]
    assert len(named) > 40 and gone == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_table_has_a_head_and_rows_of_its_width(page: Path) -> None:
    wrong = []
    for table in re.findall(r"(?:^\|.*\n)+", prose(page), re.MULTILINE):
        rows = [re.sub(r"`[^`]*`|\\\|", "", row).count("|") for row in table.splitlines()]
        if not re.match(r"\|.*\n\|[ :|-]+\n", table) or len(set(rows)) != 1:
            wrong.append(table.splitlines()[0])
    assert wrong == []
