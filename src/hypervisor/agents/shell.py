"""Finds the calls of our program in a shell's command line, without running any of it.

It is read as a shell reads it, as far as one can without its variables. What a shell would make of
the rest is not guessed: such a call is told as one that can't be read.
"""

from __future__ import annotations

from hypervisor.system.late import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

PROGRAM = "hypervisor"
# A line that holds more texts inside of each other is not read to its end.
_MOST_TEXTS = 50


class Word:
    """A word without its quotes; `known` is false where the shell makes something else of it: then
    what stands in substitutions is a part of the text."""

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


def calls(line: str, verbs: Collection[str], seen: set[str] | None = None) -> list[Call]:
    """Return the calls of our program in `line`, those in substitutions too; `verbs` are its own.

    What is handed to other programs as words or text (`sh -c`, `eval`, `xargs` …) is searched for
    anything that looks like a call. A line that doesn't speak of the program at all has none.
    `seen` are the texts around this one that were looked at already.
    """
    seen = set() if seen is None else seen
    if plain_words := _plain_call(line):
        return [Call(plain_words[1], tuple(plain_words[2:]))]
    plain = _QUOTING.sub("", line)
    if not _SPEAKS.search(plain) and "$'" not in line:
        return []
    seen.add(line)
    if len(seen) > _MOST_TEXTS:
        return [Call("")]
    reader = _Reader(line)
    try:
        reader.read("")
        read = _commands(reader)
        found = [call for words in read for call in _called(words, verbs, seen)]
        if any(_RUNS.fullmatch(_name(words[0].text)) for words in read):
            # Any text in the line may be what is run.
            texts = [word.text for words in reader.found for word in words] + reader.texts
            texts += [" ".join(word.text for word in words[1:]) for words in read]
            shells = any(_SHELLS.fullmatch(_name(words[0].text)) for words in read)
            for text in texts:
                found += _within(text, verbs, seen, code=shells)
            known = {call.verb for call in found}
            looks = (verb for verb in _looks_called(line, verbs) if verb not in known)
            found += [Call(verb, (), False) for verb in looks]
            if not found and _IMPORTS.search(line):
                found.append(Call(""))
    except (Unreadable, RecursionError):
        return [Call("")]
    if not found and _KEEPS.search(plain) and not all(_sure(words[0]) for words in read):
        found.append(Call(""))
    return found


def commands(line: str) -> list[list[Word]]:
    """Return the simple commands in `line`, each without assignments, redirections and the words
    that only order a script (`if`, `do` …). Raises Unreadable."""
    reader = _Reader(line)
    reader.read("")
    return _commands(reader)


def only_calls(line: str) -> list[Call] | None:
    """Return the calls of our program in a line that does nothing else, None for any other line.

    That is: our bare name, words that stand there as they are, heredocs, `2>&1`, `&&`, `||`, `;`,
    ends of lines, and a pipe into `head` or `tail`. Nothing is replaced by the shell, no file is
    named by a redirection, no variable set, nothing left running.
    """
    if plain_words := _plain_call(line):
        return [Call(plain_words[1], tuple(plain_words[2:]))]
    reader = _Reader(line)
    try:
        reader.read("")
    except (Unreadable, RecursionError):
        return None
    if reader.replaced or not reader.found:
        return None
    told = []
    for words in reader.found:
        texts = [word.text for word in words]
        if texts[0] == PROGRAM and len(texts) > 1:
            told.append(Call(texts[1], tuple(texts[2:])))
        elif not _CUTS.fullmatch(" ".join(texts)):
            return None
    return told or None


def _plain_call(line: str) -> list[str]:
    """Return the words of a line that is one call by our name and has nothing in it that a shell
    would change; none for any other."""
    words = line.split(" ")
    plain = words[0] == PROGRAM and len(words) > 1 and "" not in words
    return words if plain and _AS_IT_IS.issuperset(line) else []


def _commands(reader: _Reader) -> list[list[Word]]:
    return [words for words in (_stripped(each) for each in reader.found) if words]


# What a shell reads as it stands there.
_AS_IT_IS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@+- ")
_QUOTING = late(r"\\\n|[\\'\"]")
_SPACE = late(r"\s")
_LOOKS_CALLED = late(rf"{PROGRAM}(?:/__main__\.py)?[\s\"',\\\[\]()]+([a-z_-]+)")
_REDIRECTS = late(r"<<<|<<-|<<|<>|<&|<\(|>>|>&|>\||>\(|<|>")
_ESCAPED = late(r"\\([\\$`])")
_NAMED_BY = late(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
# The name, or a part of it that something else may be put to.
_SPEAKS = late(rf"{PROGRAM}|hyper(?![a-z])|(?<![a-z])visor")
# The name is kept in a variable, to be called by that.
_KEEPS = late(rf"(?:^|[\s;&|(])(?:[A-Za-z_]\w*\+?=\S*|read\b.*<<<.*){PROGRAM}")
# The program as a part of another one.
_IMPORTS = late(rf"(?:import|from)\s+{PROGRAM}\b|{PROGRAM}\.(?:cli|__main__)\b")
# Programs that run what stands in their standard input.
_RUNS = late(
    r"(?:ba|da|z|k|a|fi|c|tc)?sh|eval|source|\.|python[0-9.]*|pypy[0-9.]*|perl|ruby|node|php|deno|bun"
    r"|[gmn]?awk|xargs|parallel|ssh|su|sudo|doas|env|busybox|at|batch|nohup|setsid|timeout"
)
_SHELLS = late(r"(?:ba|da|z|k|a|fi|c|tc)?sh|eval|source|\.")
# Programs to which words are nothing but text.
_DATA = frozenset(("echo", "printf", "grep", "egrep", "fgrep", "rg", "gh", "cd", "ls"))
_GIT_DATA = frozenset(
    ("add", "blame", "branch", "checkout", "commit", "diff", "fetch", "grep", "log", "mv", "pull",
     "push", "rm", "show", "status", "switch", "tag")
)  # fmt: skip
# What a model puts behind a command of which it wants to see less.
_CUTS = late(r"(?:head|tail)(?: -n? ?[0-9]+)?")
# Programs that give another one a second name; and those that add words to a command.
_NAMES = frozenset(("alias", "ln", "cp", "install", "mv"))
_NAMED = late(rf"(?:=|bin/|\s){PROGRAM}$")
_ADDS = frozenset(("xargs", "parallel"))
_ORDER = frozenset(
    ("if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "coproc", "exec",
     "command", "builtin", "function")
)  # fmt: skip
_ASSIGNS = late(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[^]]*\])?\+?=")


def _name(text: str) -> str:
    return text.rpartition("/")[2]


def _stripped(words: list[Word]) -> list[Word]:
    at = 0
    while at < len(words) and (words[at].text in _ORDER or _ASSIGNS.match(words[at].text)):
        at += 1
    return words[at:]


def _called(words: list[Word], verbs: Collection[str], seen: set[str]) -> list[Call]:
    """Return the calls in one simple command."""
    first, second = words[0], words[1] if len(words) > 1 else None
    if _is_glued(first, second, verbs):
        return [Call("")]
    if _is_ours(first):
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
    runs = _RUNS.fullmatch(_name(first.text))
    for at, word in enumerate(words[1:], 2):
        after = words[at] if at < len(words) else None
        renames = _name(first.text) in _NAMES and _NAMED.search(word.text)
        glued = runs and not _ASSIGNS.match(word.text) and _is_glued(word, after, verbs)
        if renames or glued:
            found.append(Call(""))
        elif not _is_ours(word):
            found += _within(word.text, verbs, seen)
        elif after is None and _name(first.text) in _ADDS:
            found.append(Call(""))
        elif after is not None and (not _sure(after) or after.text in verbs):
            found.append(_call(words, at))
    return found


def _is_glued(word: Word, after: Word | None, verbs: Collection[str]) -> bool:
    """True for a word of which a shell may make our name and more words: `{hypervisor,cancel}`."""
    if _sure(word) or not _SPEAKS.search(_name(word.text)) or word.text.endswith(PROGRAM):
        return False
    return "{" in word.text or after is None or not _sure(after) or after.text not in verbs


def _is_ours(word: Word) -> bool:
    """True for a word that names our program, or that a shell may make its name of."""
    return _name(word.text) == PROGRAM or (not word.known and bool(_SPEAKS.search(word.text)))


def _sure(word: Word) -> bool:
    """True for a word that no shell replaces."""
    return word.known and not any(char in "*?[{" for char in word.text)


def _call(words: list[Word], at: int) -> Call:
    verb, rest = words[at], words[at + 1 :]
    if not _sure(verb):
        return Call("")
    return Call(verb.text, tuple(word.text for word in rest), all(word.known for word in rest))


def _within(text: str, verbs: Collection[str], seen: set[str], *, code: bool = False) -> list[Call]:
    """Return the calls in a text that may be handed to a shell, or to another interpreter; `code`
    says that a shell is there to read it."""
    assigned = _ASSIGNS.match(text)
    if assigned:
        # What a variable is set to, or a line that sets one for a command.
        rest = _within(text[assigned.end() :], verbs, seen, code=code)
        if rest:
            return rest
    if text in seen or not _SPACE.search(text):
        return []
    try:
        commands(text)
        found = calls(text, verbs, seen)
    except (Unreadable, RecursionError):
        # Another language, or prose.
        found = [Call("")] if code and _SPEAKS.search(text) else []
    return found or [Call(verb, (), False) for verb in _looks_called(text, verbs)]


def _looks_called(text: str, verbs: Collection[str]) -> list[str]:
    found = _LOOKS_CALLED.findall(text)
    return [verb for verb in found if verb in verbs]


class _Reader:
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
            elif char in " \t\r":
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

    def here(self, delimiter: str, quoted: bool, tabs: bool) -> None:
        """Note that the text up to a line `delimiter` begins with the next line."""
        self._bodies.append((delimiter, quoted, tabs))

    def _take(self, inner: _Reader) -> None:
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
        begin = self.at
        while True:
            stop = self.text.find("\n", self.at)
            line = self.text[self.at : None if stop < 0 else stop]
            last, self.at = self.at, len(self.text) if stop < 0 else stop + 1
            shown = line.lstrip("\t") if tabs else line
            if shown == delimiter:
                break
            if shown.startswith(f"{delimiter})"):
                # It ends with the substitution that it stands in.
                self.at = last + len(line) - len(shown) + len(delimiter)
                break
            if stop < 0:
                last = len(self.text)
                break
        self.texts.append(self.text[begin:last])
        if not quoted:
            inner = _Reader(self.text[begin:last])
            inner._expand(_Part(inner), "")
            self._take(inner)

    def _redirection(self, part: _Part) -> None:
        sign = _REDIRECTS.match(self.text, self.at)
        assert sign
        self.at = sign.end()
        if sign[0].endswith("("):
            self.replaced = True
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
        begin = self.at
        self.replaced = True
        sign = self.text[self.at : self.at + 2]
        if sign[0] == "`":
            stop = self.at + 1
            while stop < len(self.text) and self.text[stop] != "`":
                stop += 2 if self.text[stop] == "\\" else 1
            if stop >= len(self.text):
                raise Unreadable
            inner = _Reader(_ESCAPED.sub(r"\1", self.text[self.at + 1 : stop]))
            inner.read("")
            self._take(inner)
            self.at = stop + 1
            part.add(inner.text, known=False)
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
            name = _NAMED_BY.match(self.text, self.at)
            if name is None:
                part.add("$")
                return
            self.at = name.end()
        if sign[0] == "$":
            part.add(self.text[begin + 2 : self.at - 1], known=False)


class _Part:
    """The simple command that is being read."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self._words: list[Word] = []
        self._target = ""
        self._quoted = False
        self.word: Word | None = None
        self.cases = 0

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
        elif sign == "<<<":
            self._reader.texts.append(word.text)
        elif sign and not (sign == ">&" and word.text.isdigit()) and word.text != "/dev/null":
            self._reader.replaced = True
        elif not sign:
            self._words.append(word)

    def end_command(self) -> None:
        """The command is complete."""
        self.end_word()
        if self._words:
            self._reader.found.append(self._words)
            named = self._words[0].text
            self.cases += (named == "case") - (named == "esac" and self.cases > 0)
        self._words, self._target = [], ""
