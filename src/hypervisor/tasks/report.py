"""A completion report: rendered as Markdown, and put into the task's own body, once.

A worker's text is data. It is bounded and quoted line by line, and nothing in it can end our
section, open a comment, or pass for structure of the task.
"""

from __future__ import annotations

import os
import time

from hypervisor.system.digests import sha256
from hypervisor.system.errors import FileChanged
from hypervisor.system.late import late
from hypervisor.tasks import edit, locate, read, undo, words, write
from hypervisor.tasks.assign import assign, names_nobody_readable
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.header_edit import EditRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.config.settings import Settings
    from hypervisor.system.reports import Report

LONGEST = 8000
UNCHANGED = "nothing changed in its working tree"
_TRIES = 20
# What would make the file unreadable as text, or change how the text around it is shown.
_UNREADABLE = late(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufffe\uffff\U000e0000-\U000e007f]"
)


_BOX = late(r"^([\s>]*(?:(?:[-*+]|\d{1,9}[.)])[\s>]*)+)\[")


def render(
    outcome: str,
    report: Report,
    *,
    heading: str,
    hindered: bool,
    worker: str,
    attempt: int,
    at: float,
    proof: str | None = None,
) -> list[str]:
    """Return the lines of a report's section under `heading`; `at` is Unix time, `proof` how far
    the end is known to be so. Where the item
    is `hindered`, what is in its way and what helps come first, each by itself."""
    shown = [f"## {heading}", ""]
    if hindered:
        for name, said in (
            ("Reason", report.get("reason")),
            ("Evidence", report.get("evidence")),
            ("Next step", report.get("next_step")),
        ):
            if said:
                shown += [f"**{name}**", "", *quoted(said), ""]
    stamp = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    shown.append(f"- Result: {outcome}")
    shown.append(f"- Worker: {_code(worker)}, attempt {attempt}")
    shown.append(f"- Finished: {stamp}")
    if proof is not None:
        shown.append(f"- Proof: {proof}")
    if report.get("commit"):
        shown.append(f"- Commit: {_code(report['commit'])}")
    if report.get("files"):
        shown.append(f"- Files: {', '.join(_code(name) for name in report['files'][:50])}")
    if report.get("unchanged"):
        shown.append(f"- Files: {UNCHANGED}")
    if report.get("verify"):
        shown.append(f"- Checked by: {_code(report['verify'])}")
    if report.get("forced"):
        shown.append(f"- Open boxes, forced: {len(report['forced'])}")
    for name, paths in beside(report):
        shown.append(f"- {name}: {', '.join(_code(path) for path in paths[:50])}")
    text = report.get("summary") or (None if hindered else report.get("reason"))
    if text:
        shown += ["", *quoted(text)]
    if report.get("note"):
        shown += ["", "**Note**", "", *quoted(report["note"])]
    return shown


def beside(report: Report) -> list[tuple[str, list[str]]]:
    """Return the lists of paths that a report tells beside what its worker said, each with what it
    is called."""
    told = (
        ("Changed, though it steers the next run", report.get("off_limits")),
        ("Changed, and not named by the task", report.get("unnamed")),
        ("Changed outside of its working tree meanwhile, by whom is not known",
         report.get("outside")),
        ("Not in any commit, kept in", report.get("kept")),
    )  # fmt: skip
    return [(name, paths) for name, paths in told if paths]


def quoted(text: str) -> list[str]:
    """Return untrusted text as lines of a Markdown quote, bounded, with comments made harmless."""
    cut = text[:LONGEST].rstrip()
    shown = [f"> {_harmless(line)}".rstrip() for line in cut.splitlines() or [""]]
    return [*shown, "> … (cut here)"] if len(text) > LONGEST else shown


def put(
    path: str,
    token: str,
    status: str | None,
    lines: list[str],
    settings: Settings,
    log: undo.UndoLog,
    item_id: str,
    place: str,
    wanted: Callable[[], bool],
    assignee: str | None = None,
    renamed: Callable[[str], None] | None = None,
    format: str | None = None,
) -> tuple[read.Identity | None, str | None]:
    """Put a report into the task file at `path`, and the word of the class `status` where one is
    given and the task's family has such a word; return how the file looks now, None if nothing had
    to be written, and the digest of what it held before, None where it had the report.
    `item_id` and `place`, its path from the root, say which task that has to be.

    A task that is nobody's is given to `assignee`, unless that can't be written into its file.
    Doing it again for the same token changes nothing; another token's report is replaced. A file
    that somebody edits meanwhile is read again. `wanted` is asked after each reading: what it
    denies is not written, so that a slow writer can't put an old report over a newer one. Where
    the name of a file says how its task stands, it gets another one last, of which `renamed` is
    told. What `format` owns is not written. Raises
    OtherItem, BrokenFile, EditRefused, FileChanged (it changed again and again) and OSError, with
    the file as it was.
    """
    for _ in range(_TRIES):
        document = read.read(path)
        if not wanted():
            return None, None
        task = task_of(document, settings, format)
        if task is None:
            raise EditRefused(path, "it is no longer a task")
        kind = task.family.kind
        if kind is not None and not kind.writes:
            return None, None
        locate.expect(task, document, item_id, place)
        edits: list[edit.Edit] = [edit.PutSection(token, lines)]
        word = words.word_for(status, task, document, settings) if status else None
        if word is not None and task.state != status:
            edits.append(words.written(word, task, document))
            edits += kind.ending(document, task, status or "", time.time()) if kind else []
        edited = edit.edit(document, edits)
        if assignee and task.assignee is None and not names_nobody_readable(document, task):
            try:
                edited = edit.edit(document, [*edits, assign(document, task, assignee)])
            except EditRefused:
                pass
        looks, held = document.identity, None
        name = kind.new_name(os.path.basename(path), status or "") if kind else ""
        now = os.path.join(os.path.dirname(path), name) if name else path
        if now != path:
            # Not after half of it is written.
            write.refuse_taken(path, now)
        if edited.after != edited.before:
            log.record([(path, edited.before, edited.after, item_id)])
            try:
                looks, held = write.replace(path, document, edited.after), sha256(edited.before)
            except FileChanged:
                continue
        if now != path:
            log.record_rename(path, now, edited.after, item_id)
            looks = write.move(path, now)
            if renamed is not None:
                renamed(now)
        return looks, held
    raise FileChanged(path)


def _harmless(line: str) -> str:
    readable = line if line.isprintable() else _UNREADABLE.sub("�", line)
    readable = readable.replace("<!--", "&lt;!--").replace("-->", "--&gt;")
    if "[" not in readable:
        return readable
    # A list item that opens a bracket is a box to many tools, also in a quote.
    return _BOX.sub(r"\1\\[", readable)


def _code(text: object) -> str:
    plain = _harmless(" ".join(str(text).split()))[:200].replace("`", "'")
    return f"`{plain}`"
