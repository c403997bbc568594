"""One line of Markdown against the open blocks: which it continues, ends and starts."""

from __future__ import annotations

import re

from hypervisor.tasks import blocks
from hypervisor.tasks.structure import Comment, Container, State, ending_removed

_BOX = re.compile(r"\[([ xX])\] +(\S.*)")
_SPACES = re.compile(" *")


class LineScanner(State):
    """Takes any line, by the rules of CommonMark for containers and leaves."""

    def one_line(self, start: int, line: str, after: int) -> None:
        if "\t" in line:
            # In a box it is one blank, wherever it stands.
            line = line.replace("[\t]", "[ ]").expandtabs(4)
        stack = self.stack
        size = len(line)
        at = matched = 0
        for container in stack:
            first = first_text(line, at)
            if container.need < 0:
                if first == size or first - at > 3 or line[first] != ">":
                    break
                at = first + 1
                if line[at : at + 1] == " ":
                    at += 1
            elif first == size:
                if container.empty:
                    break
                at = first
            elif first - at >= container.need:
                at += container.need
            else:
                break
            matched += 1
        all_matched = matched == len(stack)
        first = first_text(line, at)
        if all_matched and self.leaf in ("f", "h"):
            self._continue_leaf(line, at, first, start, after)
            return
        if self.leaf == "c" and all_matched:
            if first - at >= 4 or first == size:
                if first < size:
                    self._hide(start, after)
                return
            self.leaf = ""
        leaf = self.leaf if all_matched or self.leaf == "p" else ""
        # From here on `leaf` is what the line may continue; a container that opens ends it.
        opened: list[Container] = []
        in_quote = any(container.need < 0 for container in stack[:matched])
        while first < size:
            character = line[first]
            if first - at >= 4:
                if leaf != "p":
                    self.close(matched, opened)
                    self.leaf = "c"
                    self._hide(start, after)
                    return
                break
            if character == ">":
                at = first + 1
                if line[at : at + 1] == " ":
                    at += 1
                opened.append(Container(-1))
                in_quote = True
                leaf = ""
            elif self._starts_leaf(line, first, leaf, all_matched and not opened, start, after,
                                   matched, opened, in_quote):  # fmt: skip
                return
            else:
                interrupts = leaf == "p" and all_matched and not opened
                next_at = _entry(line, at, first, interrupts, opened)
                if next_at is None:
                    break
                at = next_at
                leaf = ""
            first = first_text(line, at)
        if first == size:
            self.close(matched, opened)
            self.leaf = ""
            return
        if leaf == "p" and not opened:
            # Continues the paragraph, lazily if containers were not matched.
            if any(container.need < 0 for container in stack):
                self._hide(start, after)
            return
        self.close(matched, opened)
        self.leaf, self.leaf_start, self.box_of_leaf = "p", start, False
        if in_quote:
            self._hide(start, after)
        elif opened:
            box = _BOX.match(line, first)
            if box:
                raw = self.text[start:after]
                place = start + raw.index("[")
                found = _BOX.match(self.text[place:after].replace("\t", " "))
                self._add_box(box[1], found[2] if found else box[2], place)

    def _continue_leaf(self, line: str, at: int, first: int, start: int, after: int) -> None:
        if self.leaf == "f":
            self._hide(start, after)
            mark = line[first:].rstrip(" \t")
            if first - at < 4 and mark.startswith(self.fence) and not mark.strip(self.fence[0]):
                self.leaf = ""
            return
        if self.is_comment or any(container.need < 0 for container in self.stack):
            self._hide(start, after)
        if (
            self.html_end.search(line[at:])
            if not blocks.ends_at_blank(self.html_end)
            else (first == len(line))
        ):
            self._end_html(after)

    def _starts_leaf(
        self, line: str, first: int, leaf: str, whole: bool, start: int, after: int,
        matched: int, opened: list[Container], in_quote: bool,
    ) -> bool:  # fmt: skip
        """Open a heading, fence, HTML block or rule if the line starts one; say whether."""
        character = line[first]
        if character == "#":
            found = blocks.ATX.match(line[first:])
            if not found:
                return False
            self.close(matched, opened)
            self.leaf = ""
            if not self.stack:
                raw = self.text[start:after].strip(" \t\n").lstrip("#")
                self._add_heading(len(found[1]), ending_removed(raw), start, after)
        elif character in "`~":
            found = blocks.FENCE.match(line[first:])
            if not found:
                return False
            self.close(matched, opened)
            self.leaf, self.leaf_start = "f", start
            self.fence = found[1] or found[2]
            in_quote = True
        elif character == "<":
            return self._starts_html(line, first, leaf, start, after, matched, opened, in_quote)
        elif character in "=-" and whole and leaf == "p" and blocks.SETEXT.match(line[first:]):
            content = self._without_definitions(start)
            if content is None:
                return self._starts_rule(line, first, matched, opened, in_quote, start, after)
            if self.box_of_leaf:
                self.boxes.pop()
            if not self.stack:
                begin, title = content
                self._add_heading(1 if character == "=" else 2, title, begin, after)
            self.leaf = ""
        else:
            return self._starts_rule(line, first, matched, opened, in_quote, start, after)
        if in_quote:
            self._hide(start, after)
        return True

    def _starts_rule(
        self, line: str, first: int, matched: int, opened: list[Container], in_quote: bool,
        start: int, after: int,
    ) -> bool:  # fmt: skip
        if line[first] not in "*-_" or not blocks.RULE.match(line[first:]):
            return False
        self.close(matched, opened)
        self.leaf = ""
        if in_quote:
            self._hide(start, after)
        return True

    def _starts_html(
        self, line: str, first: int, leaf: str, start: int, after: int,
        matched: int, opened: list[Container], in_quote: bool,
    ) -> bool:  # fmt: skip
        rest = line[first:]
        kinds = (
            (opening, end)
            for opening, end, interrupts in blocks.HTML
            if opening.match(rest) and (interrupts or leaf != "p")
        )
        opening, end = next(kinds, (None, blocks.COMMENT_END))
        if opening is None:
            return False
        self.close(matched, opened)
        self.leaf, self.leaf_start = "h", start
        self.html_end, self.is_comment = end, opening is blocks.COMMENT
        if self.is_comment or in_quote:
            self._hide(start, after)
        if not blocks.ends_at_blank(end) and end.search(rest):
            self._end_html(after)
        return True

    def _end_html(self, after: int) -> None:
        self.leaf = ""
        if self.is_comment and not self.stack:
            self.comments.append(Comment(self.leaf_start, after))

    def _without_definitions(self, end: int) -> tuple[int, str] | None:
        """Return where the paragraph's text starts after its link definitions, and the text."""
        text = self.text[self.leaf_start : end]
        at = 0
        while not self.stack and text[at:].lstrip(" ").startswith("["):
            found = blocks.DEFINITION.match(text, at) or blocks.DEFINITION_ALONE.match(text, at)
            if not found:
                break
            at = found.end()
        title = "\n".join(line.strip(" \t") for line in text[at:].strip("\n").split("\n"))
        return (self.leaf_start + at, title) if title else None

    def close(self, matched: int, opened: list[Container]) -> None:
        """Close the containers that the line left and open those it starts."""
        del self.stack[matched:]
        if self.stack:
            self.stack[-1].empty = False
        self.stack.extend(opened)


def first_text(line: str, at: int) -> int:
    found = _SPACES.match(line, at)
    return found.end() if found else at


def _entry(line: str, at: int, first: int, interrupts: bool, opened: list[Container]) -> int | None:
    """Open a list entry if one starts at `first`; return where its content starts."""
    found = blocks.MARKER.match(line, first)
    if found is None or (interrupts and found[1] is not None and int(found[1]) != 1):
        return None
    end = found.end()
    content = first_text(line, end)
    empty = content == len(line)
    if empty and interrupts:
        return None
    blanks = content - end
    if empty or blanks > 4:
        blanks = 1
    opened.append(Container(end - at + blanks, empty))
    return min(end + blanks, len(line))
