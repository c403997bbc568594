"""`hypervisor review`: a sample of accepted reports, and a person's verdicts on them."""

from __future__ import annotations

import argparse
import getpass
import json
import os
from typing import NamedTuple

from hypervisor.agents import reconcile
from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.cli.undo import tell_stays
from hypervisor.config import caller
from hypervisor.intake import opening
from hypervisor.ledger import Ledger, markers
from hypervisor.ledger.findings import Reviewed, Suggestion
from hypervisor.ledger.reviews import QUESTION
from hypervisor.system.errors import HypervisorError, NotAllowed, UsageError
from hypervisor.system.quick_json import loads
from hypervisor.system.spans import stamp
from hypervisor.system.text import count, either, indented, one_line, shell, shortened
from hypervisor.views import acceptance
from hypervisor.worker import review

SUMMARY = "read accepted reports, or a sample of them, and accept or reject each"
EXAMPLE = "hypervisor review inbox --sample 20"
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("id", nargs="?", help="the report on this item, or this suggestion")
    parser.add_argument(
        "--sample",
        metavar="SIZE",
        help="draw a sample of the reports accepted so far: 5%%, or a number",
    )
    parser.add_argument("--seed", help="the same seed draws the same sample (default: random)")
    parser.add_argument(
        "--by",
        metavar="KEY",
        help="draw in proportion, at least one of each: a column, a key of the tasks' headers, "
        "answer.KEY, model, worker or folder",
    )
    parser.add_argument(
        "--again", action="store_true", help="draw another sample instead of the last"
    )
    verdict = parser.add_mutually_exclusive_group()
    verdict.add_argument(
        "--accept",
        nargs="?",
        const="",
        metavar="ID",
        help="it is right; the first verdict counts",
    )
    verdict.add_argument(
        "--reject",
        nargs="?",
        const="",
        metavar="ID",
        help="it is wrong: its mark is taken back, and the item is handed out again with the note",
    )
    parser.add_argument(
        "--note", metavar="TEXT", help="what is wrong with it; - reads standard input"
    )
    parser.add_argument(
        "--suggested",
        action="store_true",
        help="show the work that workers suggest instead",
    )
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Show the reports, or carry out a verdict: 0, 1 if the verdict can't be carried out, 2 if no
    person has decided it, 3 if there is no report to sample."""
    given = args.accept if args.accept is not None else args.reject
    item_id = args.id or given or None
    if args.id and given and args.id != given:
        raise UsageError("two items are named", "judge them one by one")
    if given is not None and item_id is None:
        raise UsageError("a verdict is on one item", f"hypervisor review {args.queue} ID --accept")
    if args.reject is None and args.note is not None:
        raise UsageError("--note says why a report is rejected", "use it with --reject")
    if args.sample is None and (args.seed or args.by or args.again):
        raise UsageError("--seed, --by and --again are about a sample", "use them with --sample 5%")
    if args.sample is not None and (item_id or args.suggested):
        raise UsageError("a sample is drawn on its own", "leave the rest out")
    looks = given is None and args.sample is None
    with Ledger.open(root_of_queue(args.queue), look=looks) as ledger:
        reconcile.settle(ledger, limit=None)
        if given is not None and item_id is not None:
            return _verdict(ledger, args, item_id)
        if args.sample is not None:
            review.lay_out(ledger, args.queue, args.sample, args.seed, args.by, again=args.again)
        if args.suggested:
            _show_suggested(ledger, args)
        elif item_id is not None:
            _show_one(ledger, args, item_id)
        else:
            _show(ledger, args)
    return 0


# -- verdicts --


class _Person(NamedTuple):
    """Who has judged, and by which answer in a client's session, if by one."""

    name: str
    session: str | None
    question: str


def _verdict(ledger: Ledger, args: argparse.Namespace, item_id: str) -> int:
    note = options.texts(args, "note").get("note")
    queue = ledger.queues.get(args.queue)
    suggestion = ledger.suggestions.find(queue.no, item_id)
    if args.reject is not None and note is None and suggestion is None:
        raise UsageError(
            "a rejection needs a reason", "--note 'what is wrong'; the next worker reads it"
        )
    person = _person(ledger, args.queue, item_id, note if args.reject is not None else None)
    code = 0
    if suggestion is not None:
        _judge_suggested(ledger, args, item_id, person.name)
    elif args.reject is None:
        ledger.reviews.accept(args.queue, item_id, person.name)
        print(f"accepted {one_line(item_id, 80)}: its proof is that a person has reviewed it")
    else:
        _reject(ledger, args.queue, item_id, person.name, note or "")
    if person.session is not None:
        ledger.reviews.spend_click(person.session, person.question)
    if suggestion is None:
        print(_rate(ledger, queue.no))
        options.tell_person(f"hypervisor review {args.queue} or hypervisor results {args.queue}")
    return code


def _person(ledger: Ledger, queue: str, item_id: str, note: str | None) -> _Person:
    """Return who gives a verdict; `note` is that of a rejection. Raises NotAllowed in a client's
    session in which the user has not clicked so."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    name = one_line(name, 60)
    if not caller.around():
        return _Person(name, None, "")
    session = caller.session()
    asked = question(queue, item_id)
    for told, answer in (ledger.reviews.clicks(session) if session else {}).items():
        rest = told.removeprefix(asked)
        if rest != told and not rest[:2].strip(" \n?:") and _says(answer, note):
            return _Person(name, session, told)
    asking = f", or asked by AskUserQuestion: “{asked}: …?”, Accept or Reject" if session else ""
    raise NotAllowed(
        f"a verdict on {one_line(item_id, 80)} is a person's",
        f"the user gives it in a terminal{asking}",
    )


def question(queue: str, item_id: str) -> str:
    """Return what a client's question about a report begins with."""
    return f"{QUESTION}{shell([queue, item_id])}"


def _says(answer: str, note: str | None) -> bool:
    """True if an answer is the verdict: as a rejection by that word, or by the note itself."""
    said = answer.strip().casefold()
    if note is None:
        return said.startswith("accept") and "reject" not in said
    return said.startswith("reject") or said.split() == note.casefold().split()


def _reject(ledger: Ledger, queue: str, item_id: str, by: str, note: str) -> None:
    tell_rejected(ledger, queue, item_id, review.reject(ledger, queue, item_id, by, note))


def tell_rejected(ledger: Ledger, queue: str, item_id: str, done: review.Rejection) -> None:
    """Print what became of a rejected item, and have its queue go on."""
    shown = one_line(item_id, 80)
    if done.state == "failed":
        # Its file says so.
        reconcile.settle(ledger, limit=None)
        print(f"rejected {shown}: it has failed, since no attempt is left; again: ", end="")
        print(f"hypervisor retry {shell([queue, item_id])}")
    else:
        opening.note_tree(ledger, queue)
        markers.mark(ledger, queue)
        opening.attend(ledger, queue)
        print(f"rejected {shown}: it is {done.state} again, and its next worker reads the note")
    stays = done.stays
    if stays.commits or stays.files:
        tell_stays(stays)
    if done.ran:
        number = len(done.ran)
        print(f"{count(number, 'item')} that waited for it {either(number, 'has', 'have')} run:")
        lines = [f"  {one_line(one, 60)} in queue {name}: {state}" for one, name, state in done.ran]
        print("\n".join(shortened(lines, _SHOWN, "more")))


def _judge_suggested(ledger: Ledger, args: argparse.Namespace, item_id: str, by: str) -> None:
    shown = one_line(item_id, 80)
    if args.reject is not None:
        ledger.suggestions.reject(args.queue, item_id, by)
        print(f"rejected {shown}: it is no longer suggested")
        return
    ledger.suggestions.accept(args.queue, item_id, by)
    markers.mark(ledger, args.queue)
    opening.attend(ledger, args.queue)
    print(f"accepted {shown}: it is an item of queue {args.queue} now, and ready")


# -- looks --


def _show(ledger: Ledger, args: argparse.Namespace) -> None:
    row = ledger.queues.get(args.queue)
    sample = ledger.reviews.sample(row.no)
    sampled = ledger.reviews.sampled(sample) if sample is not None else []
    reports = ledger.reviews.reports(row.no)
    verdicts = ledger.reviews.verdicts(row.no)
    suggested = sum(one.verdict is None for one in ledger.suggestions.of_queue(row.no))
    if args.json:
        shown = {
            "queue": row.name,
            "generation": row.generation,
            "reports": len(reports),
            "verdicts": verdicts,
            "suggested": suggested,
            "sample": None if sample is None else {
                "asked": sample.asked, "seed": sample.seed, "by": sample.strata,
                "population": sample.population, "size": len(sampled),
            },
            "acceptance": acceptance.rates(sampled) if sampled else None,
            "items": [_as_dict(one) for one in sampled or reports],
        }  # fmt: skip
        print(json.dumps(shown, ensure_ascii=False))
        return
    told = f"queue {row.name}: {count(len(reports), 'accepted report')}"
    if sample is None:
        hint = f", no sample; a sample: hypervisor review {row.name} --sample 5%"
        print(told + (hint if reports else ""))
        judged = sum(verdicts.values())
        if judged:
            print(f"judged: {judged}, of which {verdicts['accepted']} accepted")
    else:
        by = f", by {sample.strata}" if sample.strata else ""
        print(f"{told}; the sample: {len(sampled)} of {sample.population}{by} (seed {sample.seed})")
        _show_rates(sampled)
    left = [one for one in sampled or reports if one.verdict is None and one.state == "done"]
    for line in shortened([_line(one) for one in left], _SHOWN):
        print(line)
    if left:
        print(f"the first in full: hypervisor review {shell([row.name, left[0].id])}")
        _show_how(ledger, row.name, left[0].id)
    if suggested:
        are = either(suggested, "item is", "items are")
        print(f"{suggested} {are} suggested: hypervisor review {row.name} --suggested")


def _show_rates(sampled: list[Reviewed]) -> None:
    rates = acceptance.rates(sampled)
    print(acceptance.told(rates["all"][0]))
    for kind in ("group", "worker", "model", "version"):
        lines = [
            f"  {kind} {one_line(one['name'] or 'none', 40)}: {acceptance.told(one)}"
            for one in rates[kind]
            if one["reviewed"]
        ]
        for line in shortened(lines, _SHOWN):
            print(line)


def _rate(ledger: Ledger, queue: int) -> str:
    sample = ledger.reviews.sample(queue)
    if sample is None:
        told = ledger.reviews.verdicts(queue)
        return f"judged: {sum(told.values())}, of which {told['accepted']} accepted"
    sampled = ledger.reviews.sampled(sample)
    left = sum(one.verdict is None and one.state == "done" for one in sampled)
    return f"{acceptance.told(acceptance.rates(sampled)['all'][0])}; {left} of the sample left"


def _show_how(ledger: Ledger, queue: str, item_id: str) -> None:
    one = shell([queue, item_id])
    if caller.around() and not caller.session():
        print(f"the user judges it, in a terminal: hypervisor review {one} --accept")
    elif caller.around():
        # Or the hooks would hear of no answer, where nothing is at work any more.
        markers.mark(ledger, queue)
        print(f"ask the user by AskUserQuestion: “{question(queue, item_id)}: is this right?”")
        print("with the answers Accept and Reject; what they type says what is wrong. Then:")
        print(f"hypervisor review {one} --accept")
        print(f"hypervisor review {one} --reject --note 'what is wrong'")
    else:
        print(f"right: hypervisor review {one} --accept")
        print(f"not right: hypervisor review {one} --reject --note 'what is wrong'")


def _show_one(ledger: Ledger, args: argparse.Namespace, item_id: str) -> None:
    """Show the report on an item as it is accepted now."""
    row = ledger.queues.get(args.queue)
    found = [one for one in ledger.reviews.reports(row.no) if one.id == item_id]
    if not found:
        state = ledger.items.state_of(args.queue, item_id)
        if state is None:
            raise UsageError(
                f"queue {row.name} has no item '{one_line(item_id, 80)}'",
                f"hypervisor review {row.name}",
            )
        raise HypervisorError(
            f"{one_line(item_id, 80)} is {state}: it has no accepted report",
            f"hypervisor show {shell(item_id)}",
        )
    one = found[0]
    if args.json:
        print(json.dumps(_as_dict(one), ensure_ascii=False))
        return
    print(_line(one))
    if one.path and one.path != one.id:
        print(f"file: {one_line(one.path, 300)}")
    if one.payload and one.format is None:
        print(f"data: {one_line(one.payload, 2000)}")
    told = loads(one.report) if one.report else {}
    if told.get("summary"):
        print("summary:")
        print(indented(told["summary"]))
    if one.answer:
        print(f"answer: {one_line(one.answer, 2000)}")
    for name in ("commit", "files", "note"):
        if told.get(name):
            print(f"{name}: {one_line(told[name], 500)}")
    if one.judged:
        said = loads(one.judged)
        word = "passed" if said["pass"] else "not passed"
        print(f"{word} by the judge {one_line(said['by'], 60)}: “{one_line(said['reason'], 300)}”")
    if one.verdict is None:
        _show_how(ledger, row.name, one.id)
    else:
        at = stamp(one.verdict_at or 0)
        print(f"{one.verdict} by {one_line(one.reviewer, 60)}, {at}")


def _line(one: Reviewed) -> str:
    summary = (loads(one.report) if one.report else {}).get("summary") or one.answer
    told = f": “{one_line(summary, 160)}”" if summary else ""
    return f"  {options.name(one.id, one.title)}, by {one_line(one.worker, 40)}{told}"


def _as_dict(one: Reviewed) -> dict[str, object]:
    return {
        "id": one.id,
        "title": one.title,
        "path": one.path,
        "state": one.state,
        "token": one.token,
        "worker": one.worker,
        "model": one.model,
        "group": one.stratum,
        "report": loads(one.report) if one.report else None,
        "answer": loads(one.answer) if one.answer else None,
        "judged": loads(one.judged) if one.judged else None,
        "verdict": one.verdict,
        "reviewer": one.reviewer,
        "note": one.verdict_note,
    }


def _show_suggested(ledger: Ledger, args: argparse.Namespace) -> None:
    row = ledger.queues.get(args.queue)
    found = [one for one in ledger.suggestions.of_queue(row.no) if one.verdict is None]
    if args.json:
        told = [{**one._asdict(), "queue": row.name} for one in found]
        print(json.dumps({"queue": row.name, "suggested": told}, ensure_ascii=False))
        return
    number = len(found)
    print(f"queue {row.name}: {count(number, 'item')} suggested")
    for one in found[:_SHOWN]:
        print(_suggested(one))
    if number > _SHOWN:
        print(f"… and {number - _SHOWN} more (--json lists all)")
    if found:
        first = shell([row.name, found[0].id])
        print(f"make it an item: hypervisor review {first} --accept")
        print(f"leave it: hypervisor review {first} --reject")


def _suggested(one: Suggestion) -> str:
    body = f"\n{indented(one_line(one.body, 500))}" if one.body else ""
    return f"  {options.name(one.id, one.title)}, by the worker of {one_line(one.origin, 60)}{body}"
