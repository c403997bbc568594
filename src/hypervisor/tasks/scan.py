"""A body's structure in one pass: runs of plain lines at once, every other line by itself."""

from __future__ import annotations

import re
from functools import lru_cache

from hypervisor.tasks import blocks
from hypervisor.tasks.lines import LineScanner, first_text
from hypervisor.tasks.structure import Box, Comment, Container, Structure, ending_removed

# A line that starts like this, at its first non-blank character, is text wherever it stands.
_TEXT = (
    r"(?:[^\s#>`~<=\-*+_0-9]|\*{1,2}[^\s*]|_{1,2}[^\s_]|`{1,2}[^`\n]|[-+][^\s+-]|#[^\s#]"
    r"|[0-9]+[^0-9.)\n])[^\n]*(?:\n|\Z)"
)
_BLANKS_AFTER = r"(?:[ \t]*\n)*"
# The longest run of lines whose effect one look explains. Text that follows a line of text, as far
# indented as it likes, continues the paragraph.
_RUN = (
    rf"(?P<text>(?:{_TEXT})+){_BLANKS_AFTER}"
    rf"|(?P<list>(?:[-*+]\ (?:{_TEXT})(?:\ +{_TEXT})*)+){_BLANKS_AFTER}"
    rf"|(?P<atx>\#{{1,6}}[ \t][^\n]*(?:\n|\Z)){_BLANKS_AFTER}"
    rf"|(?P<comment><!--[^\n]*?-->[^\n]*(?:\n|\Z)){_BLANKS_AFTER}"
    # Bounded, as those that aren't taken are looked at again from the next line on.
    rf"|(?P<number>(?:[0-9][.)]\ (?:{_TEXT})(?:\ +{_TEXT}){{0,9}}){{1,9}}){_BLANKS_AFTER}"
    rf"|(?P<nested>\ +[-*+]\ {_TEXT}(?:\ +{_TEXT}){{0,9}}){_BLANKS_AFTER}"
    r"|(?P<blank>(?:[ \t]*\n)+)"
    r"|(?P<fence>(?:`{3,}[^`\n]*|~{3,}[^\n]*)\n)"
)
_RUN_OUTSIDE = re.compile(_RUN)
_RUN_IN_PARAGRAPH = re.compile(rf"{_RUN}|(?P<more>(?:\ +{_TEXT})+)")
_BOX_LINE = re.compile(r"^ *(?:[-*+]|[0-9][.)]) \[([ \txX])\][ \t]+(\S[^\n]*)", re.MULTILINE)
_LONE_RETURN = re.compile(r"\r(?!\n)")


@lru_cache(maxsize=4)
def scan(body: str) -> Structure:
    """Return the structure of `body`; every public question above is answered from it."""
    text = body
    if "\r" in text:
        # The same length, so that offsets hold: a return before a line feed is a trailing blank.
        text = _LONE_RETURN.sub("\n", text).replace("\r\n", " \n")
    return _Scanner(text).run()


class _Scanner(LineScanner):
    def run(self) -> Structure:
        text, size = self.text, len(self.text)
        at = 0
        while at < size:
            if self.leaf != "f" and self.leaf != "h":
                run = _RUN_IN_PARAGRAPH if self.leaf == "p" else _RUN_OUTSIDE
                found = run.match(text, at)
                if found:
                    end = self._take(found, at)
                    if end > at:
                        at = end
                        continue
            end = text.find("\n", at)
            after = end + 1 if end >= 0 else size
            self.one_line(at, text[at : end if end >= 0 else size], after)
            at = after
        unclosed = None
        if not self.stack and (
            self.leaf == "f" or (self.leaf == "h" and not blocks.ends_at_blank(self.html_end))
        ):
            unclosed = self.leaf_start
        return Structure(
            tuple(self.headings),
            tuple(self.boxes),
            tuple(self.comments),
            tuple(self.hidden),
            unclosed,
        )

    def _take(self, found: re.Match[str], at: int) -> int:
        """Take the lines of a run, as many as its effect is sure for; return where it ends."""
        kind = found.lastgroup or ""
        stack = self.stack
        end, after = found.end(kind), found.end()
        if kind == "text":
            if self.leaf != "p":
                stack.clear()
                self.leaf, self.leaf_start, self.box_of_leaf = "p", at, False
            elif stack and any(container.need < 0 for container in stack):
                self._hide(at, end)
                return end
        elif kind == "list":
            self.stack = [Container(2)]
            self._take_boxes(at, end)
        elif kind == "blank":
            if any(one.need < 0 or one.empty for one in stack):
                return at
            if self.leaf == "c":
                return after
        elif kind == "atx":
            stack.clear()
            marks = self.text[at:end].strip(" \t\n")
            title = marks.lstrip("#")
            self._add_heading(len(marks) - len(title), ending_removed(title), at, end)
        elif kind == "comment":
            stack.clear()
            self.comments.append(Comment(at, end))
            self._hide(at, end)
        elif kind == "number":
            if self.leaf == "p" and not stack and self.text[at] != "1":
                return at
            self.stack = [Container(3)]
            self._take_boxes(at, end)
        elif kind == "nested":
            return self._take_nested(at, end, after)
        elif kind == "more":
            if any(container.need < 0 for container in stack):
                self._hide(at, end)
            return end
        else:
            return self._take_fence(at, end)
        self.leaf = "p" if after == end and kind in ("text", "list", "number") else ""
        return after

    def _take_boxes(self, at: int, end: int) -> None:
        self.leaf_start, self.box_of_leaf = at, False
        if self.text.find("[", at, end) >= 0:
            for found in _BOX_LINE.finditer(self.text, at, end):
                start = found.start(1) - 1
                text = found[2].rstrip(" \t")
                self.boxes.append(Box(found[1] in "xX", text, self._count_to(start), start))
            # Only a box in the last entry can still turn out to be a heading.
            last = self.text.rfind("\n", at, end - 1) + 1
            self.box_of_leaf = bool(self.boxes) and self.boxes[-1].offset >= max(last, at)

    def _take_nested(self, at: int, end: int, after: int) -> int:
        left = first_text(self.text, at) - at
        matched = 0
        for container in self.stack:
            if container.need < 0:
                return at
            if left < container.need:
                break
            left -= container.need
            matched += 1
        if left > 3 or self.leaf == "c":
            return at
        self.close(matched, [Container(left + 2)])
        self.leaf = "p"
        self._take_boxes(at, end)
        if after > end:
            self.leaf = ""
        return after

    def _take_fence(self, at: int, end: int) -> int:
        mark = self.text[at]
        length = end - at - len(self.text[at:end].lstrip(mark))
        self.stack.clear()
        close = _fence_end(mark, length).search(self.text, end)
        if close:
            self.leaf = ""
            self._hide(at, close.end())
            return close.end()
        self.leaf, self.leaf_start = "f", at
        self._hide(at, len(self.text))
        return len(self.text)


@lru_cache(maxsize=32)
def _fence_end(mark: str, length: int) -> re.Pattern[str]:
    return re.compile(rf"^ {{0,3}}{mark}{{{length},}}[ \t]*(?:\n|\Z)", re.MULTILINE)
