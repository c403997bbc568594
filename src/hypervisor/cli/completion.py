"""`hypervisor completion`: what makes a shell complete its command lines."""

from __future__ import annotations

import argparse

SUMMARY = "print the completion script for a shell"
EXAMPLE = "hypervisor completion bash"
SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from hypervisor.cli import completing

    print(completing.script(args.shell), end="")
    return 0
