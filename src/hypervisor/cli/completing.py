"""What may stand at a place of a command line: for the shells' completion.

Only words without meaning to any shell are ever offered: an item's id comes out of a task file.
"""

from __future__ import annotations

import sys

from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger, LedgerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_MOST = 500
# The name of an argument -> what it stands for.
_QUEUES, _TOKENS, _IDS = ("queue",), ("token", "tokens"), ("id", "key")
# What argparse calls SUPPRESS; that module is dear for a key press.
_HIDDEN = "==SUPPRESS=="
SHELLS = ("bash", "zsh", "fish")


class Words:
    """Declares arguments as an ArgumentParser does, and remembers what they are called."""

    def __init__(self) -> None:
        self.places: list[tuple[str, str | None, Any]] = []
        self.options: dict[str, tuple[str, bool, Any, str]] = {}

    def add_argument(self, *names: str, **told: Any) -> None:
        """Declare an argument; see argparse."""
        if not names[0].startswith("-"):
            self.places.append((names[0], told.get("nargs"), told.get("choices")))
            return
        if told.get("help") == _HIDDEN:
            return
        takes = not str(told.get("action", "")).startswith("store_")
        help = str(told.get("help") or "")
        for name in names:
            self.options[name] = (names[-1].lstrip("-"), takes, told.get("choices"), help)

    def add_argument_group(self, *_: object, **__: object) -> Words:
        """Groups are for the help only."""
        return self

    add_mutually_exclusive_group = add_argument_group


def offers(words: list[str], verbs: dict[str, str], load: Callable[[str], Any]) -> list[str]:
    """Return what may stand for the last of `words` (those after the program's name).

    Each is a word, or a word, a tab and what it means. Nothing where a file is as good. `verbs`
    tells the summary of each verb, `load` gives the module of one.
    """
    start = words[-1] if words else ""
    if len(words) <= 1:
        return [f"{verb}\t{verbs[verb]}" for verb in verbs if verb.startswith(start)]
    verb, before = words[0], words[1:-1]
    if verb not in verbs:
        return []
    declared = Words()
    load(verb).add_arguments(declared)
    if start.startswith("-"):
        return [
            f"{name}\t{declared.options[name][3]}"
            for name in declared.options
            if name.startswith(start)
        ]
    given: list[str] = []
    rest = iter(before)
    taking = None
    for word in rest:
        taking = None
        if word.startswith("-") and len(word) > 1:
            option = declared.options.get(word)
            if option is not None and option[1]:
                taking = option
                if next(rest, None) is not None:
                    taking = None
        else:
            given.append(word)
    if taking is not None:
        name, choices = taking[0], taking[2]
    else:
        place = _place(declared.places, len(given))
        if place is None:
            return []
        name, choices = place
    if choices:
        return [str(choice) for choice in choices if str(choice).startswith(start)]
    queue = given[0] if given and declared.places[0][0] == "queue" else None
    return [word for word in _known(name, queue, start) if word.startswith(start)][:_MOST]


def _place(places: list[tuple[str, str | None, Any]], number: int) -> tuple[str, Any] | None:
    if number < len(places):
        return places[number][0], places[number][2]
    if places and places[-1][1] in ("*", "+"):
        return places[-1][0], places[-1][2]
    return None


def _known(name: str, queue: str | None, start: str) -> list[str]:
    """Return the queues, tokens or items that there are; nothing without a ledger."""
    if name not in (*_QUEUES, *_TOKENS, *_IDS):
        return []
    try:
        with Ledger.open(find_root()) as ledger:
            if name in _QUEUES:
                return [row.name for row in ledger.queues.all()]
            if name in _TOKENS:
                return list(ledger.claims.live_tokens())
            ids = ledger.queries.ids_like(start, queue, _MOST)
    except LedgerError:
        return []
    return [item_id for item_id in ids if item_id and _SAFE.issuperset(item_id)]


def script(shell: str) -> str:
    """Return what makes `shell` ask us for words."""
    return {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[shell]


def say(offered: list[str], described: bool) -> None:
    """Print what is offered, a line each; `described` keeps the meanings."""
    for one in offered:
        print(one if described else one.partition("\t")[0])
    sys.stdout.flush()


_BASH = """\
# hypervisor completion for bash: eval "$(hypervisor completion bash)" in ~/.bashrc
_hypervisor() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(HYPERVISOR_SETUP=never "$1" _complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _hypervisor hypervisor
"""

_ZSH = """\
#compdef hypervisor
# hypervisor completion for zsh: source <(hypervisor completion zsh) in ~/.zshrc, after compinit
_hypervisor() {
    local line
    local -a words_found meanings
    while IFS= read -r line; do
        words_found+=("${line%%$'\\t'*}")
        meanings+=("${line//$'\\t'/  -- }")
    done < <(HYPERVISOR_SETUP=never "$words[1]" _complete --described -- "${(@)words[2,CURRENT]}" \\
        2>/dev/null)
    if (( $#words_found )); then
        compadd -l -d meanings -a words_found
    else
        _files
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _hypervisor "$@"
else
    compdef _hypervisor hypervisor
fi
"""

_FISH = """\
# hypervisor completion for fish: hypervisor completion fish | source, in config.fish
function __hypervisor_complete
    set -l words (commandline -opc) (commandline -ct)
    set -lx HYPERVISOR_SETUP never
    set -l found ($words[1] _complete --described -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c hypervisor -f -a '(__hypervisor_complete)'
"""
