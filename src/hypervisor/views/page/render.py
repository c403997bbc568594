"""Renders the page of a queue."""

from __future__ import annotations

import base64
import hashlib
import os
import time

from hypervisor.ledger import Ledger
from hypervisor.views.page import cut, words
from hypervisor.views.page.view import View, gather
from hypervisor.views.page.view import plain as without_commands

# The page on up to 2,000 items stays below this many bytes, with room to spare for the mail
# that takes it along; each further item has ITEM bytes more.
LIMIT = 960_000
ITEM = LIMIT // 2000
GENERATOR = '<meta name="generator" content="hypervisor">'
_FOLDER = os.path.dirname(__file__)


def render(
    ledger: Ledger,
    queue: str,
    now: float | None = None,
    *,
    plain: bool = False,
    generation: int | None = None,
) -> str:
    """Return the page on a `generation` of `queue`, the newest if none is named; a `plain` one has
    no command in it. Raises UsageError if unknown.

    Texts that would make it too large are cut, the longest first, and say so.
    """
    view = gather(ledger, queue, time.time() if now is None else now, generation)
    if plain:
        view = without_commands(view)
    limit = max(LIMIT, ITEM * len(view.rows))
    texts = [cut.size(text) for row in view.rows for text in row.texts()]
    # What is around the texts is known when the page has been made once.
    level = cut.level(texts, limit)
    page = _fill(view, level, plain)
    over = len(page.encode("utf-8")) - limit
    if over > 0:
        shown = sum(one if level is None else min(one, level) for one in texts)
        page = _fill(view, cut.level(texts, shown - over), plain)
    return page


def _fill(view: View, level: int | None, plain: bool) -> str:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "cut": lambda text: cut.cut(text, level),
        "duration": words.duration,
        "moment": lambda at: words.NOTHING if at is None else words.moment(at, view.base),
        "today": lambda at: words.day(at) == words.day(view.base),
        "since_midnight": lambda at: round(at - view.base // 86_400 * 86_400),
        "number": words.number,
        "plural": words.plural,
    }
    style, script = _file("page.css"), _file("page.js")
    values: dict[str, object] = {
        "view": view,
        "plain": plain,
        "generator": Markup(GENERATOR),
        "style": Markup(style),
        "script": Markup(script),
        "policy": (
            "default-src 'none'; "
            f"style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        "is_cut": level is not None,
    }
    return environment.get_template("page.html").render(values)


def _file(name: str) -> str:
    with open(os.path.join(_FOLDER, name), encoding="utf-8") as source:
        return source.read()


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
