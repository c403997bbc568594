"""Reads a command line as a shell reads it, as far as one can without its variables."""

from __future__ import annotations

from hypervisor.system.late import late

# Words that stand before a command and are none of it.
_ORDER = frozenset(
    ("if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "coproc", "exec",
     "command", "builtin", "function")
)  # fmt: skip
ASSIGNS = late(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[^]]*\])?\+?=")
_REDIRECTS = late(r"<<<|<<-|<<|<>|<&|<\(|>>|>&|>\||>\(|<|>")
_ESCAPED = late(r"\\([\\$`])")
_NAMED_BY = late(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")


class Word:
    """A word without its quotes; `known` is false where the shell makes something else of it: then
    what stands in substitutions is a part of the text."""

    __slots__ = ("known", "text")

    def __init__(self, text: str, known: bool = True) -> None:
        self.text = text
        self.known = known


class Unreadable(Exception):
    """The line ends in the middle of something, or holds too much inside of each other."""


def read(line: str) -> Reader:
    """Return what a command line holds. Raises Unreadable."""
    reader = Reader(line)
    try:
        reader.read("")
    except RecursionError:
        raise Unreadable from None
    return reader


def _stripped(words: list[Word]) -> list[Word]:
    at = 0
    while at < len(words) and (words[at].text in _ORDER or ASSIGNS.match(words[at].text)):
        at += 1
    return words[at:]


class Reader:
    """Reads a command line; `found` are the simple commands, those of substitutions too, `texts`
    what commands are given to read; `replaced` says that the line holds more than words: something
    that the shell replaces, files that it opens, or processes that it leaves running."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: list[list[Word]] = []
        self.texts: list[str] = []
        self.replaced = False
        self._bodies: list[tuple[str, bool, bool]] = []
        self._substituted = 0

    def read(self, end: str) -> None:
        """Read up to `end`, a closing bracket, or all. Raises Unreadable."""
        part = _Part(self)
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == ")":
                part.end_command()
                self.at += 1
                # The pattern of a case ends so, too.
                if end and not part.cases:
                    return
            elif char in " \t":
                part.end_word()
                self.at += 1
            elif char in ";&|\n":
                self._operator(part, char)
            elif char == "(":
                self.replaced = True
                part.end_command()
                self.at += 1
                self.read(")")
            elif char in "<>":
                self._redirection(part)
            elif char == "#" and part.word is None:
                stop = self.text.find("\n", self.at)
                self.at = len(self.text) if stop < 0 else stop
            else:
                self._piece(part, char)
        if end:
            raise Unreadable
        part.end_command()

    def commands(self) -> list[list[Word]]:
        """Return the simple commands, each without assignments, redirections and the words that
        only order a script (`if`, `do` …)."""
        return [words for words in map(_stripped, self.found) if words]

    def settings(self) -> list[str]:
        """Return the assignments that hold for one command each, which may run what they name: an
        editor, a pager."""
        return [
            word.text
            for words in self.found
            if (rest := _stripped(words))
            for word in words[: -len(rest)]
            if ASSIGNS.match(word.text)
        ]

    def here(self, delimiter: str, quoted: bool, tabs: bool) -> None:
        """Note that the text up to a line `delimiter` begins with the next line. Raises Unreadable
        where shells don't agree on which line that is."""
        if "\n" in delimiter:
            raise Unreadable
        self._bodies.append((delimiter, quoted, tabs))

    def _take(self, inner: Reader) -> None:
        self.found += inner.found
        self.texts += inner.texts
        self.replaced = self.replaced or inner.replaced

    def _operator(self, part: _Part, char: str) -> None:
        after = self.text[self.at + 1 : self.at + 2]
        if char == "&" and after == ">":
            self.replaced = True
            part.end_word()
            self.at += 1
            return
        if char == "&" and after != "&":
            self.replaced = True
        part.end_command()
        self.at += 2 if char == "&" and after == "&" else 1
        if char == "\n":
            bodies, self._bodies = self._bodies, []
            for body in bodies:
                self._body(*body)

    def _body(self, delimiter: str, quoted: bool, tabs: bool) -> None:
        begin, held = self.at, ""
        while True:
            stop = self.text.find("\n", self.at)
            line = held + self.text[self.at : None if stop < 0 else stop]
            last, self.at = self.at, len(self.text) if stop < 0 else stop + 1
            if not quoted and stop >= 0 and (len(line) - len(line.rstrip("\\"))) % 2:
                # Most shells take it as one line with the next, but not all as one that may end it.
                held, self.replaced = line[:-1], True
                continue
            held = ""
            shown = line.lstrip("\t") if tabs else line
            if shown == delimiter:
                break
            if self._substituted and shown.startswith(f"{delimiter})"):
                # It ends with the substitution that it stands in.
                self.at = (len(self.text) if stop < 0 else stop) - len(shown) + len(delimiter)
                break
            if stop < 0:
                last = len(self.text)
                break
        self.texts.append(self.text[begin:last])
        if not quoted:
            inner = Reader(self.text[begin:last])
            inner._expand(_Part(inner), "")
            self._take(inner)

    def _redirection(self, part: _Part) -> None:
        sign = _REDIRECTS.match(self.text, self.at)
        assert sign
        self.at = sign.end()
        if self.text.startswith("\\\n", self.at):
            # A shell reads on, and may find a longer sign.
            raise Unreadable
        if sign[0].endswith("("):
            self.replaced = True
            part.add("", known=False)
            self._read_substitution()
            return
        part.redirect(sign[0])

    def _piece(self, part: _Part, char: str) -> None:
        """Read what makes up a word."""
        if char == "'":
            stop = self.text.find("'", self.at + 1)
            if stop < 0:
                raise Unreadable
            part.add(self.text[self.at + 1 : stop], quoted=True)
            self.at = stop + 1
        elif char == '"':
            self.at += 1
            part.add("", quoted=True)
            self._expand(part, '"')
        elif char == "\\":
            if self.text[self.at + 1 : self.at + 2] != "\n":
                part.add(self.text[self.at + 1 : self.at + 2], quoted=True)
            self.at += 2
        elif self.text.startswith('$"', self.at):
            # A string that may be translated: the same in quotes.
            self.at += 1
        elif char in "$`":
            self._substitution(part)
        else:
            self.replaced = self.replaced or char in "*?[{~"
            part.add(char)
            self.at += 1

    def _expand(self, part: _Part, end: str) -> None:
        """Read text in which only substitutions mean something, up to `end`."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == end:
                self.at += 1
                return
            if char == "\\":
                escaped = self.text[self.at + 1 : self.at + 2]
                if escaped != "\n":
                    part.add(escaped if escaped in '$`"\\' else char + escaped)
                self.at += 2
            elif char in "$`":
                self._substitution(part)
            else:
                part.add(char)
                self.at += 1
        if end:
            raise Unreadable

    def _read_substitution(self) -> None:
        self._substituted += 1
        self.read(")")
        self._substituted -= 1

    def _substitution(self, part: _Part) -> None:
        begin = self.at
        self.replaced = True
        sign = self.text[self.at : self.at + 2]
        if sign[0] == "`":
            stop = self.at + 1
            while stop < len(self.text) and self.text[stop] != "`":
                stop += 2 if self.text[stop] == "\\" else 1
            if stop >= len(self.text):
                raise Unreadable
            inner = Reader(_ESCAPED.sub(r"\1", self.text[self.at + 1 : stop]))
            inner.read("")
            self._take(inner)
            self.at = stop + 1
            part.add(inner.text, known=False)
        elif sign == "$(":
            self.at += 2
            self._read_substitution()
        elif sign == "${":
            self.at += 2
            self._expand(_Part(self), "}")
        elif sign == "$'":
            stop = self.at + 2
            while stop < len(self.text) and self.text[stop] != "'":
                stop += 2 if self.text[stop] == "\\" else 1
            if stop >= len(self.text):
                raise Unreadable
            self.at = stop + 1
        else:
            self.at += 1
            name = _NAMED_BY.match(self.text, self.at)
            if name is None:
                part.add("$")
                return
            self.at = name.end()
        if sign[0] == "$":
            part.add(self.text[begin + 2 : self.at - 1], known=False)


class _Part:
    """The simple command that is being read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._words: list[Word] = []
        self._target = ""
        self._quoted = False
        self.word: Word | None = None
        self.cases = 0

    def add(self, text: str, *, known: bool = True, quoted: bool = False) -> None:
        if self.word is None:
            self.word, self._quoted = Word(""), False
        self.word.text += text
        self.word.known = self.word.known and known
        self._quoted = self._quoted or quoted

    def redirect(self, sign: str) -> None:
        """What comes next is a file, or the end of a text."""
        number = self.word is not None and self.word.text.isdigit()
        if number and not (self._quoted or self._target):
            self.word = None
        self.end_word()
        self._target = sign

    def end_word(self) -> None:
        """The word, if one has begun, is complete."""
        word, self.word = self.word, None
        if word is None:
            return
        sign, self._target = self._target, ""
        if sign in ("<<", "<<-"):
            self._reader.here(word.text, self._quoted, sign == "<<-")
        elif sign == "<<<":
            self._reader.texts.append(word.text)
        elif sign and not (sign == ">&" and word.text.isdigit()) and word.text != "/dev/null":
            self._reader.replaced = True
        elif not sign:
            self._words.append(word)

    def end_command(self) -> None:
        """The command is complete."""
        self.end_word()
        # A sign without a file is the beginning of another one in some shell (`>>|`).
        self._reader.replaced = self._reader.replaced or bool(self._target)
        if self._words:
            self._reader.found.append(self._words)
            named = self._words[0].text
            self.cases += (named == "case") - (named == "esac" and self.cases > 0)
        self._words, self._target = [], ""
