"""Finds the calls of our program in a shell's command line, without running any of it.

What a shell would make of its variables is not guessed: such a call is told as one that can't be
read.
"""

from __future__ import annotations

from hypervisor.agents import shell
from hypervisor.agents.shell import ASSIGNS, Unreadable, Word
from hypervisor.agents.verbs import ALIASES
from hypervisor.system.late import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

PROGRAM = "hypervisor"
_ASKS_ONLY = ("-h", "--help", "-V", "--version")
# A line that holds more texts inside of each other is not read to its end.
_MOST_TEXTS = 50
# Nor one that holds so much: whoever waits for a hook waits for this.
_MOST_CHARACTERS = 200_000


class Call:
    """A call of our program: its `verb` and the `words` behind it. An empty verb is one that can't
    be read, or that has options in front of it, which may lead elsewhere; `known` is false where
    the words can't be."""

    __slots__ = ("known", "verb", "words")

    def __init__(self, verb: str, words: tuple[str, ...] = (), known: bool = True) -> None:
        elsewhere = verb[:1] == "-" and verb not in _ASKS_ONLY
        self.verb = "" if elsewhere else ALIASES.get(verb, verb)
        self.words = words
        self.known = known and bool(self.verb)


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
    if len(seen) > _MOST_TEXTS or sum(map(len, seen)) > _MOST_CHARACTERS:
        return [Call("")]
    try:
        reader = shell.read(line)
        read = reader.commands()
        found = [call for words in read for call in _called(words, verbs, seen)]
        found += [call for text in reader.settings() for call in _within(text, verbs, seen)]
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


def only_calls(line: str) -> list[Call] | None:
    """Return the calls of our program in a line that does nothing else, None for any other line.

    That is: our bare name, words that stand there as they are, heredocs, `2>&1`, `&&`, `||`, `;`,
    ends of lines, and a pipe into `head` or `tail`. Nothing is replaced by the shell, no file is
    named by a redirection, no variable set, nothing left running.
    """
    if plain_words := _plain_call(line):
        return [Call(plain_words[1], tuple(plain_words[2:]))]
    try:
        reader = shell.read(line)
    except Unreadable:
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


# What a shell reads as it stands there.
_AS_IT_IS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@+- ")
_QUOTING = late(r"\\\n|[\\'\"]")
_SPACE = late(r"\s")
_LOOKS_CALLED = late(rf"{PROGRAM}(?:/__main__\.py)?[\s\"',\\\[\]()]+(?=([a-z_-]+))")
# The name, or a part of it that something else may be put to.
_SPEAKS = late(rf"{PROGRAM}|hyper(?![a-z])|(?<![a-z])visor")
# The name is kept in a variable, to be called by that.
_KEEPS = late(rf"(?:^|[\s;&|(])(?:[A-Za-z_]\w*\+?=\S*|read\b.*<<<.*){PROGRAM}")
# The program as a part of another one.
_IMPORTS = late(rf"(?:import|from)\s+{PROGRAM}\b|{PROGRAM}\.(?:cli|__main__)\b")
# Programs that run what stands in their standard input, or in a file that the line may have made.
_RUNS = late(
    r"(?:ba|da|z|k|a|fi|c|tc|pw)?sh|eval|source|\.|python[0-9.]*|pypy[0-9.]*|perl|ruby|node|php|deno|bun"
    r"|[gmn]?awk|xargs|parallel|ssh|su|sudo|doas|env|busybox|at|batch|nohup|setsid|timeout|crontab"
    r"|[gb]?make|just|rake|npm|npx|pnpm|yarn|ed|ex|vim?|nvim|emacs|sqlite3|psql|mysql|tclsh|expect"
    r"|lua[0-9.]*|R|Rscript|gdb|lldb|m4|chmod"
)
_SHELLS = late(r"(?:ba|da|z|k|a|fi|c|tc)?sh|eval|source|\.")
# Programs to which words are nothing but text.
_DATA = frozenset(("echo", "printf", "grep", "egrep", "fgrep", "cd", "ls"))
_GH_DATA = frozenset(("issue", "pr", "release", "search"))
_GIT_DATA = frozenset(
    ("add", "blame", "branch", "checkout", "commit", "diff", "fetch", "grep", "log", "mv", "pull",
     "push", "rm", "show", "status", "switch", "tag")
)  # fmt: skip
# Options of theirs that name a program.
_GIT_RUNS = late(r"-O|--(?:op|up|rece|ex)")
# What a model puts behind a command of which it wants to see less.
_CUTS = late(r"(?:head|tail)(?: -n? ?[0-9]+)?")
# Programs that give another one a second name; and those that add words to a command.
_NAMES = frozenset(("alias", "hash", "ln", "cp", "install", "mv"))
_NAMED = late(rf"(?:=|bin/|\s){PROGRAM}$")
_ADDS = frozenset(("xargs", "parallel"))


def _name(text: str) -> str:
    return text.rpartition("/")[2]


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
    if _is_data(words):
        return []
    found = []
    runs = _RUNS.fullmatch(_name(first.text))
    for at, word in enumerate(words[1:], 2):
        after = words[at] if at < len(words) else None
        renames = _name(first.text) in _NAMES and _NAMED.search(word.text)
        glued = runs and not ASSIGNS.match(word.text) and _is_glued(word, after, verbs)
        if renames or glued:
            found.append(Call(""))
        elif not _is_ours(word):
            found += _within(word.text, verbs, seen)
        elif after is None and _name(first.text) in _ADDS:
            found.append(Call(""))
        elif after is not None and (not _sure(after) or after.text in verbs):
            found.append(_call(words, at))
    return found


def _is_data(words: list[Word]) -> bool:
    """True for a command that runs nothing that its words name."""
    name, second = _name(words[0].text), words[1].text if len(words) > 1 else ""
    if name == "git":
        named = any(_GIT_RUNS.match(word.text) for word in words[2:])
        return second in _GIT_DATA and not named
    return name in _DATA or (name == "gh" and second in _GH_DATA)


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
    assigned = ASSIGNS.match(text)
    if assigned:
        # What a variable is set to, or a line that sets one for a command.
        rest = _within(text[assigned.end() :], verbs, seen, code=code)
        if rest:
            return rest
    if text in seen or not _SPACE.search(text):
        return []
    try:
        shell.read(text)
        found = calls(text, verbs, seen)
    except (Unreadable, RecursionError):
        # Another language, or prose.
        found = [Call("")] if code and _SPEAKS.search(text) else []
    return found or [Call(verb, (), False) for verb in _looks_called(text, verbs)]


def _looks_called(text: str, verbs: Collection[str]) -> list[str]:
    found = _LOOKS_CALLED.findall(text)
    return [verb for verb in found if verb in verbs]
