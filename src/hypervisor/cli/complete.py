"""What the shells' completion asks while somebody types."""

from __future__ import annotations

import argparse

from hypervisor.cli import completing

SUMMARY = "words that may stand at the end of a command line"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this call."""
    parser.add_argument("words", nargs="*")
    parser.add_argument("--described", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Print the words, a line each."""
    from hypervisor import cli

    # A verb's summary is a look into its module: only a list of verbs needs it.
    named = [verb for verb in cli.VERBS if not verb.startswith("_")]
    wanted = args.described and len(args.words) <= 1
    verbs = {verb: cli.load(verb).SUMMARY if wanted else "" for verb in named}
    completing.say(completing.offers(args.words, verbs, cli.load), args.described)
    return 0
