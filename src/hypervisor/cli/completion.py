"""`hypervisor completion`: what makes a shell complete its command lines."""

from __future__ import annotations

import argparse

from hypervisor.cli import completing

SUMMARY = "print what makes a shell complete verbs, options, queues and tokens"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor completion`."""
    parser.add_argument("shell", choices=completing.SHELLS, help="which shell it is for")


def run(args: argparse.Namespace) -> int:
    """Print the script; its first line says where it goes."""
    print(completing.script(args.shell), end="")
    return 0
