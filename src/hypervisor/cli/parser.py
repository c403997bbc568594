"""The parser of a command line, whose errors quote what was typed."""

from __future__ import annotations

import argparse
from typing import NoReturn

from hypervisor.system.text import escaped


class Parser(argparse.ArgumentParser):
    """As argparse has it, but that an error is one line."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        super().error(escaped(message))
