"""Finds the calls of our program in a shell's command line, without running any of it.

It is read as a shell reads it, as far as one can without its variables. What a shell would make of
the rest is not guessed: such a call is told as one that can't be read.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

PROGRAM = "hypervisor"


class Word:
    """A word without its quotes; `known` is false where the shell makes something else of it."""

    __slots__ = ("known", "text")

    def __init__(self, text: str, known: bool = True) -> None:
        self.text = text
        self.known = known


class Call:
    """A call of our program: its `verb` and the `words` behind it. An empty verb is one that can't
    be read; `known` is false where the words can't be."""

    __slots__ = ("known", "verb", "words")

    def __init__(self, verb: str, words: tuple[str, ...] = (), known: bool = True) -> None:
        self.verb = verb
        self.words = words
        self.known = known and bool(verb)


class Unreadable(Exception):
    """The line ends in the middle of something."""


def calls(line: str, verbs: Collection[str]) -> list[Call]:
    """Return the calls of our program in `line`, those in substitutions too; `verbs` are its own.

    What is handed to other programs as words or text (`sh -c`, `eval`, `xargs` …) is searched for
    anything that looks like a call. A line that doesn't speak of the program at all has none.
    """
    if not re.search("hyper|visor", re.sub(r"\\\n|[\\'\"]", "", line)):
        return []
    try:
        read = commands(line)
    except (Unreadable, RecursionError):
        return [Call("")]
    found: list[Call] = []
    interpreted = False
    for words in read:
        found += _called(words, verbs)
        interpreted = interpreted or bool(words and _RUNS.fullmatch(_name(words[0].text)))
    if interpreted:
        found += [Call(verb, (), False) for verb in _looks_called(line, verbs)]
    return found


def commands(line: str) -> list[list[Word]]:
    """Return the simple commands in `line`, each without assignments, redirections and the words
    that only order a script (`if`, `do` …). Raises Unreadable."""
    reader = _Reader(line)
    reader.read("")
    return [words for words in (_stripped(each) for each in reader.found) if words]


# Programs that run what stands in their standard input.
_RUNS = re.compile(
    r"(?:ba|da|z|k|a|fi|c|tc)?sh|eval|source|\.|python[0-9.]*|pypy[0-9.]*|perl|ruby|node|php|deno|bun"
    r"|[gmn]?awk|xargs|parallel|ssh|su|sudo|doas|env|busybox|at|batch|nohup|setsid|timeout"
)
# Programs to which words are nothing but text.
_DATA = frozenset(("echo", "printf", "grep", "egrep", "fgrep", "rg", "gh", "cd", "ls"))
_GIT_DATA = frozenset(
    ("add", "blame", "branch", "checkout", "commit", "diff", "fetch", "grep", "log", "mv", "pull",
     "push", "rm", "show", "status", "switch", "tag")
)  # fmt: skip
_ORDER = frozenset(
    ("if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "coproc", "exec",
     "command", "builtin", "function")
)  # fmt: skip
_ASSIGNS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[^]]*\])?\+?=")


def _name(text: str) -> str:
    return text.rpartition("/")[2]


def _stripped(words: list[Word]) -> list[Word]:
    at = 0
    while at < len(words) and (words[at].text in _ORDER or _ASSIGNS.match(words[at].text)):
        at += 1
    return words[at:]


def _called(words: list[Word], verbs: Collection[str]) -> list[Call]:
    """Return the calls in one simple command."""
    first, second = words[0], words[1] if len(words) > 1 else None
    if _name(first.text) == PROGRAM:
        return [_call(words, 1)] if second is not None else []
    if not _sure(first):
        # `$X cancel` may be ours: it is taken so where its next word is a verb, or may be one.
        ours = second is not None and (not _sure(second) or second.text in verbs)
        return [_call(words, 1)] if ours else []
    if _name(first.text) in _DATA or (
        _name(first.text) == "git" and second is not None and second.text in _GIT_DATA
    ):
        return []
    found = []
    for at, word in enumerate(words[1:], 2):
        after = words[at] if at < len(words) else None
        if _name(word.text) != PROGRAM:
            found += [Call(verb, (), False) for verb in _looks_called(word.text, verbs)]
        elif after is not None and (not _sure(after) or after.text in verbs):
            found.append(_call(words, at))
    return found


def _sure(word: Word) -> bool:
    """True for a word that no shell replaces."""
    return word.known and not any(char in "*?[{" for char in word.text)


def _call(words: list[Word], at: int) -> Call:
    verb, rest = words[at], words[at + 1 :]
    if not _sure(verb):
        return Call("")
    return Call(verb.text, tuple(word.text for word in rest), all(word.known for word in rest))


def _looks_called(text: str, verbs: Collection[str]) -> list[str]:
    found = re.findall(rf"{PROGRAM}(?:/__main__\.py)?[\s\"',\\\[\]()]+([a-z_-]+)", text)
    return [verb for verb in found if verb in verbs]


class _Reader:
    """Reads a command line; `found` are the simple commands, those of substitutions too."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: list[list[Word]] = []
        self._bodies: list[tuple[str, bool, bool]] = []

    def read(self, end: str) -> None:
        """Read up to `end`, a closing bracket, or all. Raises Unreadable."""
        part = _Part(self)
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == ")":
                part.end_command()
                self.at += 1
                if end:
                    return
            elif char in " \t\r":
                part.end_word()
                self.at += 1
            elif char in ";&|\n":
                self._operator(part, char)
            elif char == "(":
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

    def here(self, delimiter: str, quoted: bool, tabs: bool) -> None:
        """Note that the text up to a line `delimiter` begins with the next line."""
        self._bodies.append((delimiter, quoted, tabs))

    def _operator(self, part: _Part, char: str) -> None:
        if char == "&" and self.text[self.at + 1 : self.at + 2] == ">":
            part.end_word()
            self.at += 1
            return
        part.end_command()
        self.at += 1
        if char == "\n":
            bodies, self._bodies = self._bodies, []
            for body in bodies:
                self._body(*body)

    def _body(self, delimiter: str, quoted: bool, tabs: bool) -> None:
        begin = self.at
        while True:
            stop = self.text.find("\n", self.at)
            line = self.text[self.at : None if stop < 0 else stop]
            last, self.at = self.at, len(self.text) if stop < 0 else stop + 1
            if (line.lstrip("\t") if tabs else line) == delimiter:
                break
            if stop < 0:
                last = len(self.text)
                break
        if not quoted:
            inner = _Reader(self.text[begin:last])
            inner._expand(_Part(inner), "")
            self.found += inner.found

    def _redirection(self, part: _Part) -> None:
        sign = re.compile(r"<<<|<<-|<<|<>|<&|<\(|>>|>&|>\||>\(|<|>").match(self.text, self.at)
        assert sign
        self.at = sign.end()
        if sign[0].endswith("("):
            part.add("", known=False)
            self.read(")")
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
        elif char in "$`":
            self._substitution(part)
        else:
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
                part.add(escaped if escaped in '$`"\\' else char + escaped)
                self.at += 2
            elif char in "$`":
                self._substitution(part)
            else:
                part.add(char)
                self.at += 1
        if end:
            raise Unreadable

    def _substitution(self, part: _Part) -> None:
        sign = self.text[self.at : self.at + 2]
        if sign[0] == "`":
            stop = self.at + 1
            while stop < len(self.text) and self.text[stop] != "`":
                stop += 2 if self.text[stop] == "\\" else 1
            if stop >= len(self.text):
                raise Unreadable
            inner = _Reader(re.sub(r"\\([\\$`])", r"\1", self.text[self.at + 1 : stop]))
            inner.read("")
            self.found += inner.found
            self.at = stop + 1
        elif sign == "$(":
            self.at += 2
            self.read(")")
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
            name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]").match(self.text, self.at)
            if name is None:
                part.add("$")
                return
            self.at = name.end()
        part.add("", known=False)


class _Part:
    """The simple command that is being read."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self._words: list[Word] = []
        self._target = ""
        self._quoted = False
        self.word: Word | None = None

    def add(self, text: str, *, known: bool = True, quoted: bool = False) -> None:
        """Add to the word."""
        if self.word is None:
            self.word, self._quoted = Word(""), False
        self.word.text += text
        self.word.known = self.word.known and known
        self._quoted = self._quoted or quoted

    def redirect(self, sign: str) -> None:
        """What comes next is a file, or the end of a text."""
        if self.word is not None and self.word.text.isdigit():
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
        elif not sign:
            self._words.append(word)

    def end_command(self) -> None:
        """The command is complete."""
        self.end_word()
        if self._words:
            self._reader.found.append(self._words)
        self._words, self._target = [], ""
