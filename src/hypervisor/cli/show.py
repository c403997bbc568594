"""`hypervisor show`: everything that is known of one item."""

from __future__ import annotations

import argparse
import json
import time

from hypervisor.agents.reconcile import settle
from hypervisor.cli.place import root_of_item
from hypervisor.ledger import OPEN_STATES, Ledger, outcomes, usage
from hypervisor.ledger.outcomes import AT_WORK, STANDING, UNTRIED
from hypervisor.ledger.refusals import worded
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import span, stamp
from hypervisor.system.text import count, one_line, prose, shell, shortened
from hypervisor.views import history, shapes

SUMMARY = "everything about one item, starting with why it is not done"
EXAMPLE = "hypervisor show inbox-7"
_SHOWN = 20
_TAIL_LINES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", help="an item's id, the token of a claim on it, or its file")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Print what the ledger knows of the item, in whatever queues it is or was."""
    with Ledger.open(root_of_item(args.id), look=True) as ledger:
        settle(ledger, limit=None)
        try:
            told = history.item(ledger, args.id)
        except UsageError:
            found = _in_no_queue(ledger, args.id)
            if found is None:
                raise
            told = found
    if args.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(told)))
    return 0


def _in_no_queue(ledger: Ledger, item_id: str) -> shapes.Item | None:
    """Return what a pre-flight says of a task that no queue has or had, None for an unknown id."""
    from hypervisor.config.settings import load
    from hypervisor.intake.preflight import check
    from hypervisor.intake.sources import Found, tasks_below

    root = ledger.root
    settings = load(root)
    paths = [known.path for known in tasks_below(root, settings, {item_id}) if known.id == item_id]
    if not paths:
        return None
    checked = check(map(Found, paths), root=root, settings=settings, ledger=ledger)
    for group, entries in checked.groups().items():
        for entry in entries:
            why = f"{group}: {entry.reason}" if entry.reason else group
            if group == "ready":
                why += f"; hypervisor open QUEUE {shell(item_id)}"
            file = history.file_at(root, entry.path)
            return {
                "id": item_id,
                "queues": [],
                "waited_for_by": [],
                "locks": [],
                "file": file,
                "why": f"it is in no queue; pre-flight says: {one_line(why, 400)}",
            }
    return None


def _lines(told: shapes.Item) -> list[str]:
    shown = [f"item {one_line(told['id'])}"]
    file = told["file"]
    if file is not None:
        gone = "" if file["exists"] else " (not there any more)"
        shown.append(f"file: {one_line(file['path'], 4096)}{gone}")
    for lock in told["locks"]:
        owner = (
            one_line(lock["owner"], 80) if lock["owner"] else f"a {lock['kind']} of another tool"
        )
        age = span(lock["age_seconds"])
        shown.append(f"locked for {age} by {owner}: {one_line(lock['path'], 300)}")
    if told["why"]:
        shown.append(f"why not done: {told['why']}")
    for one in told["queues"]:
        shown += _queue(one)
    waiting = [
        f"waits for this: {one_line(row['id'], 60)} in queue {row['queue']} ({row['state']})"
        for row in told["waited_for_by"]
    ]
    return shown + shortened(waiting, _SHOWN, "more wait for this (--json lists all)")


def _queue(one: shapes.InQueue) -> list[str]:
    shown = [f"queue {one['queue']}, generation {one['generation']}: {_stands(one)}"]
    if one["title"]:
        shown.append(f"  title: {one_line(one['title'])}")
    if one["payload"] is not None:
        shown.append(f"  data: {one_line(json.dumps(one['payload'], ensure_ascii=False), 500)}")
    used = (
        (one["attempts"], "attempt"), (one["deaths"], "death"), (one["releases"], "release"),
        (one["lost"], "lost lease"),
    )  # fmt: skip
    counts = [count(number, noun) for number, noun in used if number]
    counts += [f"{one['abrupt']} with its pool or session"] if one["abrupt"] else []
    if counts:
        shown.append(f"  used up: {', '.join(counts)}")
    if one["waits_for"]:
        waits = ", ".join(one_line(item, 60) for item in one["waits_for"][:_SHOWN])
        shown.append(f"  waits for: {waits}")
    if one["report_pending"]:
        shown.append(f"  report pending: {one_line(one['report_pending'], 240)}")
    if len(one["claims"]) > _SHOWN:
        shown.append(f"  … {count(len(one['claims']) - _SHOWN, 'claim')} before (--json lists all)")
    for claim in one["claims"][-_SHOWN:]:
        shown += _claim(claim)
    return shown


def _stands(one: shapes.InQueue) -> str:
    """Return what an item is told as, with its state where that says more, and why."""
    if one["state"] in OPEN_STATES and one["standing"] != UNTRIED.word:
        tried = one["claims"][:-1] if one["state"] == "claimed" else one["claims"]
        return outcomes.told(STANDING[one["standing"]], one["cause"] if tried else None)
    untried = f", {UNTRIED.title}" if one["state"] in OPEN_STATES else ""
    cause = f" ({prose(one['cause'], 160)})" if one["cause"] else ""
    return f"{one['state']}{untried}{cause}"


def _last_lines(tail: str) -> list[str]:
    return [one_line(line, 200) for line in tail.splitlines()[-_TAIL_LINES:]]


def _claim(claim: shapes.Claim) -> list[str]:
    begun, ended = claim["claimed_at"], claim["ended_at"]
    took = span((ended or time.time()) - begun)
    what = claim["outcome"] or AT_WORK.title
    shown = [
        f"  claim {claim['token']} by {one_line(claim['worker'], 40)}, {stamp(begun)}: "
        f"{what} after {took}"
    ]
    report = claim["report"] or {}
    for name in ("summary", "reason", "cause", "evidence", "next_step", "note"):
        if report.get(name):
            shown.append(f"    {name.replace('_', ' ')}: “{prose(report[name], 300)}”")
    if claim["proof"] and claim["outcome"] == "done":
        checked = f" by {one_line(report['verify'], 300)}" if report.get("verify") else ""
        shown.append(f"    proof: {claim['proof']}{checked}")
    for refusal in claim["refusals"]:
        why = worded(refusal["check"], one_line(refusal["why"], 300))
        shown.append(f"    refused {stamp(refusal['at'])} by {why}")
        shown += [f"      {line}" for line in _last_lines(refusal["tail"])]
    if review := claim["review"]:
        why = f": “{one_line(review['note'], 300)}”" if review["note"] else ""
        shown.append(f"    {review['verdict']} by {one_line(review['by'], 60)}{why}")
    if claim["commit"] or report.get("commit"):
        shown.append(f"    commit: {one_line(claim['commit'] or report['commit'], 80)}")
    if files := report.get("files"):
        shown.append(f"    files: {', '.join(one_line(n, 120) for n in files[:_SHOWN])}")
    if claim["version"] > 1:
        shown.append(f"    instructions: version {claim['version']}")
    if claim["tokens"]:
        total = sum(number or 0 for number in claim["tokens"].values())
        least = "" if claim["tokens_exact"] else "at least "
        cost = "" if claim["usd"] is None else f", {usage.dollars(claim['usd'])}"
        model = f", {one_line(claim['model'], 60)}" if claim["model"] else ""
        shown.append(f"    tokens: {least}{total:,}{usage.told(claim['tokens'])}{cost}{model}")
    if claim["transcript"]:
        shown.append(f"    transcript: {one_line(claim['transcript'], 300)}")
    return shown
