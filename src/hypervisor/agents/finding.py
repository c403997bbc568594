"""One line of an examination."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from hypervisor.system.text import one_line, shell


class State(StrEnum):
    """`OK`; `NOTE`: worth knowing, nothing is broken; `WRONG`: it does not work until mended."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


class Finding(NamedTuple):
    """What was found: `about` hypervisor or a client, by its name; `mend` is a command that can be
    typed as it is and writes over no file, or empty.

    `words` are those of another program or of an error, which may quote anything: they are shown
    to the user after `text`, and go nowhere else.
    """

    about: str
    what: str
    state: State
    text: str
    mend: str = ""
    words: str = ""


def ok(about: str, what: str, text: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(about, what, State.OK, text)


def note(about: str, what: str, text: str, mend: str = "") -> Finding:
    """Return a finding that is worth knowing; `mend` is what would change it."""
    return Finding(about, what, State.NOTE, text, mend)


def wrong(about: str, what: str, text: str, mend: str, words: object = "") -> Finding:
    """Return a finding that keeps something from working, and the command that mends it."""
    return Finding(about, what, State.WRONG, text, mend, one_line(words, 160))


def editing(path: str) -> str:
    """Return the command that opens a file which only its user can mend."""
    return f'"${{EDITOR:-vi}}" {shell(path)}'
