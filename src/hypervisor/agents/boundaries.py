"""Which commands a queue may grant to headless workers."""

from __future__ import annotations

from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What makes several commands out of one, or reads and writes files of its own choice.
_SHELL = frozenset("\n\r;&|<>`$()\\\"'*?{}[]~!#")


def check_commands(commands: Iterable[str]) -> list[str]:
    """Return the commands that a queue grants its workers, checked.

    Each is the plain beginning of a command line, like `npm test`. Raises UsageError for one that
    holds anything with a meaning to a shell, or that would let a worker run whatever it likes.
    """
    checked = []
    for command in commands:
        words = command.split()
        if not words or _SHELL.intersection(command) or not command.isprintable():
            raise UsageError(
                f"--allow-command '{one_line(command, 60)}' is not a plain command",
                "name a program and its first words, like 'npm test'; put more into a script",
            )
        if _runs_anything(words):
            raise UsageError(
                f"--allow-command {' '.join(words)} would allow every command",
                f"name what it may run: '{words[0]} SCRIPT'",
            )
        checked.append(" ".join(words))
    return checked


def _runs_anything(words: list[str]) -> bool:
    """True where what a worker puts behind `words` decides what is run: of programs that run
    others, where no word but options, numbers and variables says what."""
    name = words[0].rpartition("/")[2]
    if name in _ALWAYS:
        return True
    return name.rstrip(".0123456789") in _ANYTHING and all(
        word[0] == "-" or "=" in word or word.rstrip("smhd").replace(".", "").isdecimal()
        for word in words[1:]
    )


# Programs that run what any of their arguments says, wherever it stands.
_ALWAYS = frozenset(("find", "gawk"))
# Programs that run what their arguments say.
_ANYTHING = frozenset(
    (
        "ash", "awk", "bash", "bun", "bunx", "busybox", "command", "dash", "deno", "doas", "env",
        "eval", "exec", "fish", "flock", "ksh", "lua", "mawk", "nice", "node", "nohup", "npx",
        "parallel", "perl", "php", "python", "ruby", "script", "setsid", "sh", "ssh", "stdbuf",
        "sudo", "time", "timeout", "uvx", "watch", "xargs", "zsh",
    )
)  # fmt: skip
