"""The files of the example folder: the shapes that real folders of tasks hold, all invented."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from hypervisor.system.errors import UsageError

SETTINGS = """\
# What holds for this folder; see docs/settings.md.
# Words that ship with the program: `nic` gets what needs judgement, `bot` what a worker can do.
preset = "aops"
"""

# (project, title, prose) of routine tasks as the tools of one family generate them.
_ROUTINE = (
    ("aops", "Rename config key in loader", "Update the config of `lib/loader.py`."),
    ("aops", "Implement retry function for uploads", "Three attempts, doubling pauses."),
    ("aops", "Fix bug in date parser", "`2026-02-30` is read as 2 March."),
    ("aops", "Add unit test for the slug cutter", "Cut at 50 characters, never in a word."),
    ("aops", "Refactor index builder", "One pass over the folder instead of three."),
    ("aops", "Add field for the due date to exports", "Empty where a task has none."),
    ("osb", "Update schema of case files", "The `region` key became a list."),
    ("osb", "Fix issue with empty rulings", "An empty file stops the import."),
    ("osb", "Add option to skip drafts", "Off unless somebody asks for it."),
    ("osb", "Review translation of case 17", "Two passages read oddly."),
    ("academic", "Respond to editor's email about figures", "She needs them in vector form."),
    ("academic", "Approve final proofs", "Deadline is Friday."),
    ("academic", "Prepare agenda for lab meeting", "Half an hour, three points."),
    ("academic", "Peer-review submission 4411", "Two pages at most."),
    ("hdr", "Decision on second supervisor", "Two names are on the table."),
    ("hdr", "Collect receipt for conference fee", "The form wants the original."),
    ("hdr", "Draft reading list on sampling", "Ten papers, newest first."),
    ("buttermilk", "Implement class for batch scoring", "Reads rows, writes rows."),
    ("buttermilk", "Improve test coverage of the scorer", "Nothing tests the empty batch."),
    ("mediamarkets", "Update spec of the price table", "Two columns changed their unit."),
    ("mediamarkets", "Sketch chart of weekly prices", "Lines, one per region."),
    ("reco", "Add parameter for the sample size", "Default 500."),
    ("garden", "Plant list for the north bed", "Shade, dry, at most a metre high."),
    ("garden", "Order seeds", "- [ ] beans\n- [ ] kale"),
)

# (status, title, body) of tasks that carry a state.
_STATES = (
    ("done", "Archive last year's notes", "All moved."),
    ("done", "Close the old survey", "Link switched off."),
    ("Completed", "Print posters", "Twelve copies."),
    ("cancelled", "Migrate to the other wiki", "Nobody wants it any more."),
    ("active", "Import of bounced addresses", "Ran twice.\n\n## Close Reason\n\nFixed in abc1234"),
    ("active", "Duplicate rows in the report", "Seen on Monday.\n\n## Closed\n\nNot seen again."),
    ("blocked", "Publish data set", "The repository is down."),
    ("waiting", "Sign the data agreement", "The other side has it."),
    ("in_progress", "Rewrite the methods section", "Half of it stands."),
    ("draft", "Something about dashboards", "Idea only, needs clarification."),
    ("simmering", "Try the new plotting package", "One evening."),
)

# (number, title, status, labels, body) of tasks of the other family.
_BACKLOG: tuple[tuple[int, str, str, list[str], str], ...] = (
    (1, "Add dark theme", "To Do", ["ui"], "Follow the system's setting."),
    (2, "Add option for compact lists", "To Do", ["ui", "cli"], "One line per entry."),
    (3, "Fix error on empty boards", "To Do", ["bug"], "The server answers 500."),
    (4, "Board export", "In Progress", ["cli"], "CSV first."),
    (5, "Keyboard shortcuts", "Done", [], "Arrow keys and enter."),
    (6, "Telemetry", "Won't Do", [], "Nobody asked for it."),
    (7, "Write release notes", "To Do", ["docs"], "## Acceptance Criteria\n\n- [ ] one page"),
    (8, "Choose a licence", "To Do", [], "A decision for all of us."),
    (
        9,
        "Old sidebar",
        "To Do",
        ["ui"],
        "Gone since May.\n\n## Close Reason\n\nReplaced by BACK-1.",
    ),
)


def files() -> Iterator[tuple[str, bytes]]:
    """Yield the path, relative to the example folder, and the bytes of each file."""
    yield "hypervisor.toml", SETTINGS.encode()
    for project, title, prose in _ROUTINE:
        yield _task(project, title, prose, project=project)
    for status, title, body in _STATES:
        yield _task("inbox", title, body, status=status)
    for number, title, status, labels, body in _BACKLOG:
        yield _backlog(number, title, status, labels, body)
    yield from _relations()
    yield from _oddities()
    yield from _broken()
    yield "notes/2026-01-20 lab meeting.md", b"# Lab meeting\n\nNotes, not a task.\n"
    yield "notes/reading.md", b"---\nauthor: A. B.\n---\n\nA note with front matter.\n"


def _task(
    folder: str, title: str, body: str, *, status: str = "active", type_: str = "task",
    project: str = "", more: str = "", id_: str = "",
) -> tuple[str, bytes]:  # fmt: skip
    id_ = id_ or _id(folder, title)
    slug = "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())[:50]
    header = (
        f"id: {id_}\ntitle: {title}\npermalink: {id_}\nalias:\n- {id_}-{slug}\n- {id_}\n"
        f"type: {type_}\nstatus: {status}\npriority: 2\norder: 0\n"
        "created: '2026-01-20T06:51:36.823842+00:00'\n"
        "modified: '2026-01-20T07:00:05.737037+00:00'\n"
        f"{more}depth: 1\nleaf: true\n" + (f"project: {project}\n" if project else "")
    )
    text = f"---\n{header}---\n\n# {title}\n\n{body}\n"
    return f"tasks/{folder}/{id_}-{slug}.md", text.encode()


def _backlog(
    number: int, title: str, status: str, labels: list[str], body: str
) -> tuple[str, bytes]:
    listed = "".join(f"\n  - {label}" for label in labels) or " []"
    text = (
        f"---\nid: BACK-{number}\ntitle: {title}\nstatus: {status}\nassignee: []\n"
        f"created_date: '2026-01-{number + 10}'\nlabels:{listed}\ndependencies: []\n---\n\n"
        f"## Description\n\n{body}\n"
    )
    return f"backlog/back-{number} - {title.replace(' ', '-')}.md", text.encode()


def _relations() -> Iterator[tuple[str, bytes]]:
    """An epic with children that wait for one another, and links that lead nowhere."""
    epic = _id("garden", "Redo the garden path")
    yield _task("garden", "Redo the garden path", "Before summer.", type_="epic", project="garden")
    first = _id("garden", "Measure the path")
    for title, after in (
        ("Measure the path", "[]"),
        ("Order gravel", f"[{first}]"),
        ("Lay the edging", f"[{first}]"),
    ):
        more = f"parent: {epic}\ndepends_on: {after}\n"
        yield _task("garden", title, "- [ ] done", project="garden", more=more)
    yield _task(
        "inbox", "Follow up on the grant", "See the parent.", more="parent: aops-00000000\n"
    )


def _oddities() -> Iterator[tuple[str, bytes]]:
    """Files that are read and edited like any other, with their own habits kept."""
    path, raw = _task("inbox", "Update config of the mail rules", "From a Windows machine.")
    yield path, raw.replace(b"\n", b"\r\n")
    path, raw = _task("inbox", "Fix bug in the byte order", "Starts with a mark.")
    yield path, b"\xef\xbb\xbf" + raw
    yield _task("inbox", "Tidy tags", "One tag, not in a list.", more="tags: bot-assigned\n")
    yield _task("inbox", "Tidy dependencies", "None, written as null.", more="depends_on: null\n")
    yield _task(
        "aops", "Document the set-up", "See [[academicOps|AO]].\n\n```bash\n# install\n- [ ] x\n"
        "## Close Reason\n```", project="aops",
    )  # fmt: skip
    yield _task("inbox", "Antwort an Jürgen über Maße", "Mit Umlauten – und Gedankenstrich.")
    yield _task("inbox", "🌱", "Only a picture for a title.", id_="inbox-5eed5eed")
    yield _task(
        "inbox", "Thread about rooms", "> Could you review and approve this in the meeting?\n\n"
        "Sorted out by phone.", more='source: email\nemail_from: "A B <a@example.org>"\n',
    )  # fmt: skip
    yield _task("inbox", "Invite the panel", "Send it to all of them.", more="tools: [outlook]\n")
    yield _task("inbox", "File the new papers", "By year.", more="tools: [zotero]\n")
    for folder in ("inbox", "garden"):
        yield _task(folder, "Water the beds", f"Seen from {folder}.", id_="garden-0dd0f00d")


def _broken() -> Iterator[tuple[str, bytes]]:
    """Files that nobody can edit without guessing: reported with their line, never written."""
    yield _task("inbox", "[Learn] Hook router: silent failure", "The colon needs quotes.")
    path, raw = _task("inbox", "Left over from a merge", "Two states.")
    yield path, raw.replace(b"priority: 2\n", b"priority: 2\nstatus: done\n")
    path, raw = _task("inbox", "Caf\u00e9 list", "Written in another encoding.")
    yield path, raw.decode().encode("latin-1")
    path, raw = _task("inbox", "Never closed", "Its header has no end.")
    yield path, raw.replace(b"---\n\n", b"\n", 1)
    path, raw = _task("inbox", "Twice wrapped", "A tool put a second header before the first.")
    yield path, b"---\ncomplexity: mechanical\nassignee: bot\n---\n" + raw


def _id(folder: str, title: str) -> str:
    return f"{folder}-{zlib.crc32(title.encode()):08x}"


__all__ = ["files", "lay_out"]


def lay_out(folder: str) -> int:
    """Write the example files into `folder`, which must be missing or empty; return how many.

    Raises UsageError for a folder that holds anything, OSError where it can't be written.
    """
    try:
        os.makedirs(folder)
    except FileExistsError:
        if not os.path.isdir(folder) or os.listdir(folder):
            raise UsageError(
                f"{folder}: exists and isn't empty", "name a new folder: hypervisor demo --dir DIR"
            ) from None
    count = 0
    for path, raw in files():
        place = os.path.join(folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "xb") as out:
            out.write(raw)
        count += 1
    return count
