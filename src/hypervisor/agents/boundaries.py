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
        if words[0].rsplit("/", 1)[-1] in _ANYTHING and len(words) == 1:
            raise UsageError(
                f"--allow-command {words[0]} would allow every command",
                f"name what it may run: '{words[0]} SCRIPT'",
            )
        checked.append(" ".join(words))
    return checked


# Programs that run what their arguments say.
_ANYTHING = frozenset(
    (
        "ash", "awk", "bash", "busybox", "command", "dash", "doas", "env", "eval", "exec", "find",
        "ksh", "nice", "node", "nohup", "perl", "php", "python", "python3", "ruby", "setsid", "sh",
        "ssh", "sudo", "time", "timeout", "xargs", "zsh",
    )
)  # fmt: skip
