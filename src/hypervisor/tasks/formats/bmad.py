"""BMAD, of version 6: `sprint-status.yaml`, a line a story. It is the authority; a story's own file
is compared with it, and where only one of them says done, somebody has to say which is right."""

from __future__ import annotations

import os

from hypervisor.system.errors import BrokenFile
from hypervisor.system.late import late
from hypervisor.tasks.body_status import status_in
from hypervisor.tasks.formats import Format, Splice
from hypervisor.tasks.item import Item
from hypervisor.tasks.task_files import fold, text_of

_NAME = "sprint-status.yaml"
# Epics and their retrospectives are no stories; any other key is one, however it is spelt.
_NO_KEY = late(r"epic-[\d.]+(?:-.*)?|.*-retrospective")
_LINE = late(
    r"([ \t]+)([\"']?)([^\s\"':#]+)\2[ \t]*:[ \t]*([\"']?)([^\r\n\"'#]*)\4[ \t]*(?:#.*)?\r?\n?"
)
_FOLDER = late(r"(?m)^story_location:[ \t]*[\"']?([^\"'#\r\n]*?)[\"']?[ \t]*(?:#.*)?\r?$")
_STATUS = late(r"(?mi)^status:[ \t]*[\"']?([\w-]+)")
_ROOT = "{project-root}"
_REVIEW = "review"
# In the order in which a story goes through them; nothing is ever set back.
_ORDER = ("backlog", "ready-for-dev", "in-progress", "review", "done")
_EARLIER = {"drafted": "ready-for-dev", "contexted": "in-progress"}
_STATES = {
    "backlog": "draft",
    "ready-for-dev": "ready",
    "in-progress": "in_progress",
    "review": "in_progress",
    "done": "done",
}


class Bmad(Format):
    """Stories in the order of their lines. What is done is set to `review`: accepting it is the
    user's."""

    name = "bmad"
    about = "sprint-status.yaml of BMAD 6: a line a story"
    names = (_NAME,)

    def recognises(self, path: str, text: str) -> bool:
        """By its name and its one table."""
        return os.path.basename(path) == _NAME and "development_status:" in text

    def below(self, folder: str) -> list[str]:
        """A folder that holds the file."""
        file = os.path.join(folder, _NAME)
        return [file] if self.recognises(file, text_of(file)) else []

    def items(self, path: str, text: str) -> list[Item]:
        """Return the stories; epics and retrospectives are none."""
        told = _FOLDER.search(text)
        folder = _stories(path, told[1] if told else "")
        found = []
        for key, word, start, _end in _lines(path, text):
            story = text_of(folder, f"{key}.md")
            plain = _STATUS.search(story)
            own = plain[1] if plain else status_in(story)
            known = _known(word)
            state = _STATES.get(known, "unknown")
            held = ""
            if own and known != _REVIEW and (own.lower() == "done") != (known == "done"):
                held = f"its line says {word} and its file {own}: make them one"
            shown = os.path.relpath(os.path.join(folder, f"{key}.md"), os.path.dirname(path) or ".")
            what = f"Story {key}" + (f", beside this file: {shown}\n\n{story}" if story else "")
            line = text.count("\n", 0, start) + 1
            found.append(Item(key, key, state, word, what, line, held=held))
        return found

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Set the word of its line to `review`, unless it is as far already."""
        if state != "done":
            return None
        for key, word, start, end in _lines("", text):
            if key == item.id:
                known = _known(word)
                if known not in _ORDER:
                    return None
                ahead = _ORDER.index(known) >= _ORDER.index(_REVIEW)
                return [] if ahead else [Splice(start, end, _REVIEW)]
        return None

    def reaches(self, state: str, old: Item, new: Item) -> bool:
        """True for a line that says `review` now."""
        return new.word == _REVIEW != old.word


def _known(word: str) -> str:
    """Return the word that a line means."""
    folded = fold(word).replace("_", "-").replace(" ", "-")
    return _EARLIER.get(folded, folded)


def _stories(path: str, told: str) -> str:
    """Return the folder of the stories, the file's own where that does not say otherwise."""
    own = os.path.dirname(path)
    if not told:
        return own
    if _ROOT not in told and os.path.isdir(os.path.join(own, told)):
        return os.path.normpath(os.path.join(own, told))
    below = told.replace(_ROOT, "").strip("/")
    root = own
    while root != os.path.dirname(root) and not os.path.isdir(os.path.join(root, below)):
        root = os.path.dirname(root)
    return os.path.join(root, below)


def _lines(path: str, text: str) -> list[tuple[str, str, int, int]]:
    """Return the key and word of each story, and where the word stands. Raises BrokenFile."""
    found: list[tuple[str, str, int, int]] = []
    at, inside, indent = 0, False, ""
    # Not at a line separator of Unicode, which may stand in a remark.
    for line in (f"{one}\n" for one in text.split("\n")):
        if line[:1] not in (" ", "\t", "#", "\r", "\n"):
            indent = ""
            inside = line.removeprefix("\ufeff").startswith("development_status:")
        told = _LINE.fullmatch(line) if inside else None
        if told is not None and told[1] == (indent or told[1]):
            indent, key = told[1], told[3]
            if any(key == other for other, *_ in found):
                number = text.count("\n", 0, at) + 1
                raise BrokenFile(path, number, f"{key} appears twice", "remove one line")
            if not _NO_KEY.fullmatch(key):
                word, start = told[5].rstrip(" \t"), at + told.start(5)
                found.append((key, word, start, start + len(word)))
        at += len(line)
    return found


FORMAT = Bmad()
