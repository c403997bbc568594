"""The parser of a command line, whose errors name what was typed."""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import sys
import textwrap
from typing import NoReturn

from hypervisor.cli.messages import complain
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.text import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_SAID = (
    ("expected one argument", r"\1 takes a value"),
    (r"invalid int value: (.*)", r"\1 takes a whole number, not \2"),
    (r"invalid float value: (.*)", r"\1 takes a number, not \2"),
    (r"invalid choice: (.*) \(choose from (.*)\)", r"\1 takes one of \3, not \2"),
)


class Parser(argparse.ArgumentParser):
    """As argparse has it, but that an error is told as any other, and names first an option that
    does not exist: whoever mistypes a required one has not forgotten it."""

    _line: Sequence[str] = ()

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """See argparse; the line is kept for its errors."""
        self._line = sys.argv[1:] if args is None else args
        return super().parse_known_args(args, namespace)

    def _match_arguments_partial(
        self, actions: Sequence[argparse.Action], arg_strings_pattern: str
    ) -> list[int]:
        """See argparse; a word that may be left out may stand behind an option as well."""
        counts = super()._match_arguments_partial(actions, arg_strings_pattern)
        while counts and not counts[-1] and "O" in arg_strings_pattern:
            counts.pop()
        return counts

    def error(self, message: str) -> NoReturn:
        """Print the error, and exit with 2."""
        told, hint = self._unknown() or ("", "")
        if not told:
            told = message.replace("unrecognized arguments", "too many words")
            told = told.replace("the following arguments are required", "missing")
            for argparse_says, we_say in _SAID:
                told = re.sub(rf"^argument (\S+): {argparse_says}", we_say, told)
            if told == "missing: queue":
                hint = self._with_queue()
        complain(escaped(told), escaped(hint) or f"{self.prog} --help")
        self.exit(2)

    def _with_queue(self) -> str:
        """Return the command with the only queue, or how one is named; "" where there is none."""
        from hypervisor.cli.place import queue_and_root

        try:
            return f"{self.prog} {queue_and_root(None, self.prog.split()[-1])[0]}"
        except UsageError as error:
            return str(error)
        except HypervisorError:
            return ""

    def _unknown(self) -> tuple[str, str] | None:
        """Return in words which option of the line there is not, and which one may be meant."""
        known = self._option_string_actions
        for word in self._line:
            name = word.partition("=")[0]
            if word == "--":
                break
            if name[:1] != "-" or name == "-" or name in known or self._is_glued(name):
                continue
            if name == "-C":
                return "-C DIR goes in front of the command", "hypervisor -C DIR COMMAND …"
            offered = [one for one, action in known.items() if action.help != argparse.SUPPRESS]
            # Without the dashes, which all have in common.
            words = {one.lstrip("-"): one for one in offered}
            near = difflib.get_close_matches(name.lstrip("-"), words, 1)
            return f"no option {name}", f"did you mean {words[near[0]]}?" if near else ""
        return None

    def _is_glued(self, name: str) -> bool:
        """True for `-n3`, and for a negative number."""
        short = name[:2] in self._option_string_actions and name[1] != "-"
        return short or bool(self._negative_number_matcher.match(name))


def of_verb(verb: str, module: ModuleType) -> Parser:
    """Return the parser of a verb, whose module this is."""
    parser = Parser(
        prog=f"hypervisor {verb}",
        description=module.SUMMARY,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # From Python 3.14 on it would write control sequences, which what we print with escapes.
    parser.color = False  # type: ignore[attr-defined,unused-ignore]
    module.add_arguments(parser)
    for action in parser._actions:
        # argparse would name those among the missing.
        action.required = action.required and action.nargs != argparse.ZERO_OR_MORE
    width = shutil.get_terminal_size().columns - 2
    told = [textwrap.fill(part, width) for part in (parser.epilog or "").split("\n\n") if part]
    if example := getattr(module, "EXAMPLE", ""):
        told.append(f"example:\n  {example}")
    parser.epilog = "\n\n".join(told)
    return parser
