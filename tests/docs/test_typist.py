"""The typist sees what is wrong with a page, and mends what may be mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docs.pages import agree
from docs.test_pages import reader
from docs.typist import Shell, follow, on_screen

Try = Callable[..., str]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = reader(tmp_path)
    yield shell
    shell.close()


@pytest.fixture
def tried(tmp_path: Path, shell: Shell) -> Try:
    """`tried(text, rewrite=False)`: follow a page of this text, and return what it says then."""

    def tried(text: str, *, rewrite: bool = False) -> str:
        page = tmp_path / "page.md"
        page.write_text(text, encoding="utf-8")
        follow(page, shell, rewrite=rewrite)
        return page.read_text(encoding="utf-8")

    return tried


def test_a_page_that_shows_what_is_seen_stays(tried: Try) -> None:
    page = "```sh\necho one; echo two >&2; pwd\n```\n\n```text\none\ntwo\n/home/you\n```\n"
    assert tried(page, rewrite=True) == page


@pytest.mark.parametrize(
    "page",
    [
        "```sh\necho one\n```\n\n```text\ntwo\n```\n",
        "```sh\necho one\n```\n\n```text\none\ntwo\n```\n",
        "```sh\necho one\n```\n",
        "```sh\nfalse\n```\n",
        "```sh\nfalse\ntrue\n```\n",
        "```sh exit=1\ntrue\n```\n",
        "```sh sometimes\ntrue\n```\n",
        "```sh\ntrue\n",
    ],
)
def test_a_page_that_is_wrong_fails(tried: Try, page: str) -> None:
    with pytest.raises(AssertionError):
        tried(page)


def test_rewriting_puts_what_was_seen_into_the_page(tried: Try) -> None:
    page = "```sh\necho one\n```\n\n```text\ntwo\n3\n```\n\n```sh\necho x\n```\n\n```text\n```\n"
    mended = "```sh\necho one\n```\n\n```text\none\n```\n\n```sh\necho x\n```\n\n```text\nx\n```\n"
    assert tried(page, rewrite=True) == mended


def test_a_token_typed_later_is_the_one_that_was_shown(tried: Try) -> None:
    tried(
        "```sh\necho claim 7-x7q2; echo 7-b2b3 >token\n```\n\n```text\nclaim 7-aaaa\n```\n\n"
        "```sh\necho got 7-aaaa\n```\n\n```text\ngot 7-cccc\n```\n\n"
        "```sh\ntest 7-aaaa = 7-x7q2\n```\n"
    )


def test_a_named_block_is_saved_where_the_reader_stands(tried: Try, shell: Shell) -> None:
    tried("```sh\nmkdir a\ncd a\n```\n\n```toml b.toml\n[c]\n```\n\n```sh\ngrep -q c b.toml\n```\n")
    assert (shell.home / "a" / "b.toml").read_text() == "[c]\n"


def test_what_is_not_tried_says_why(tried: Try) -> None:
    page = "```sh not tried: needs a model\nclaude\n```\n"
    assert tried(page) == page


def test_dots_stand_for_any_lines() -> None:
    assert agree(["a", "…", "d"], ["a", "b", "c", "d"])
    assert agree(["…"], [])
    assert not agree(["a", "…", "d"], ["a", "b", "c"])
    assert not agree(["took 3 s", "…"], ["took 3 items"])
    assert agree(["took 3 s", "claim 1-aaaa"], ["took 0.2 s", "claim 1-x7q2"])
    assert agree(["took 3 s"], ["took 350 ms"]) and agree(["in 15 min"], ["in 14 min 59 s"])
    assert not agree(["claim 2-aaaa"], ["claim 1-aaaa"])


def test_what_a_terminal_has_written_over_is_not_shown() -> None:
    assert on_screen("one\ntwo\x1b[2K\r\x1b[1A\x1b[2K\x1b[32mthree\x1b[0m\nfour\n\n") == [
        "three",
        "four",
    ]
    assert on_screen("12%\r100%\nab\rc") == ["100%", "cb"]
