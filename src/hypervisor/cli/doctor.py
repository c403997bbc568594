"""`hypervisor doctor`: what is right and what is not, with the command that fixes it."""

from __future__ import annotations

import argparse
import json
import time

from hypervisor.config import caller
from hypervisor.config.roots import find_root
from hypervisor.system.errors import NotAllowed, UsageError
from hypervisor.system.text import escaped, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.agents.doctor import Finding

SUMMARY = "check this machine, the ledger and the clients, and say how to fix what is wrong"
EXAMPLE = "hypervisor doctor"
_MADE = "hypervisor-diagnostics-%Y%m%d-%H%M%S.tar.gz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument(
        "--bundle",
        nargs="?",
        const=_MADE,
        metavar="FILE",
        help="also write diagnostics for a bug report, without keys, texts and names",
    )
    parser.add_argument(
        "--unlock", metavar="KEY", help="end the lock that another tool left on this item"
    )
    parser.add_argument(
        "--adopt", action="store_true", help="take over a ledger that was copied or restored"
    )
    parser.add_argument("--yes", action="store_true", help="with --adopt: without being asked")
    parser.add_argument(
        "--timeout",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long each question to a client may take (default: 20)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the findings: 0, or 1 if something has to be fixed."""
    from hypervisor.agents import doctor
    from hypervisor.cli import adopt, unlock

    if args.unlock is not None:
        return unlock.run(argparse.Namespace(key=args.unlock))
    if args.adopt:
        if caller.around():
            raise NotAllowed(
                "hypervisor doctor --adopt is for a person, in a terminal of their own"
            )
        return adopt.run(args)
    if not args.timeout > 0:
        raise UsageError("--timeout must be more than 0 seconds")
    root = find_root()
    findings = doctor.examine(root, args.timeout)
    made: tuple[str, list[str]] | None = None
    if args.bundle is not None:
        from hypervisor.agents.doctor import bundle

        path = time.strftime(_MADE) if args.bundle == _MADE else args.bundle
        made = path, bundle.write(path, root, findings, args.timeout)
    wrong = sum(finding.state is doctor.State.WRONG for finding in findings)
    if args.json:
        told = [{**finding._asdict(), "state": str(finding.state)} for finding in findings]
        answer = {"ok": not wrong, "findings": told, "bundle": made[0] if made else None}
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _show(findings, wrong)
        if made:
            print(
                f"\n{one_line(made[0])} (look through it before you send it): {', '.join(made[1])}"
            )
    return 1 if wrong else 0


def _show(findings: list[Finding], wrong: int) -> None:
    from hypervisor.agents.clients import CLIENTS, client

    about = ""
    for finding in findings:
        if finding.about != about:
            about = finding.about
            print(client(about).title if about in CLIENTS else about)
        mend = f"  → {escaped(finding.mend)}" if finding.mend else ""
        words = f": {finding.words}" if finding.words else ""
        print(f"  {finding.state:<6}{finding.what:<12} {one_line(finding.text, 400)}{words}{mend}")
    print(f"\n{wrong} to fix" if wrong else "\nnothing to fix")
