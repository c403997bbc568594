"""The folder of state: this user's own, made on this machine, or refused with nothing touched."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger, NewItem, Options, adopt
from hypervisor.system import machine, notes
from hypervisor.system.errors import HypervisorError
from hypervisor.system.state import Foreign, State
from ledger.support import Child, counts, first_release, in_terminal
from repository import REPO

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the user's own for each test."""
    folder = tmp_path / "own"
    monkeypatch.setenv("HYPERVISOR_STATE", str(folder))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "root"
    folder.mkdir()
    return folder


def used(root: Path, done: int = 0) -> list[str]:
    """Make a ledger at `root` with three items, `done` of them done; return the others' tokens."""
    with Ledger.open(str(root), create=True) as ledger:
        ledger.generations.open("q", [NewItem(str(number)) for number in range(3)])
        tokens = [claim.token for claim in ledger.claims.claim("q", "w", 3)]
        for token in tokens[:done]:
            ledger.ends.finish(token, "done", {"summary": "x"})
    return tokens[done:]


def refusal(root: Path) -> str:
    with pytest.raises(HypervisorError) as error, Ledger.open(str(root)):
        pass
    told = str(error.value)
    assert "\n" not in told and "; " in told, "one line, with the mend"
    return told


def looks(folder: Path) -> dict[str, object]:
    """Return all that is below `folder`, so that any change shows."""
    seen: dict[str, object] = {}
    for here, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(here, name)
            status = os.lstat(path)
            inside = Path(path).read_bytes() if stat.S_ISREG(status.st_mode) else b""
            link = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
            seen[path] = (status.st_mode, status.st_mtime_ns, link, hashlib.sha256(inside).digest())
    return seen


# -- whose it is --


def test_a_machine_that_lacks_descriptors_for_the_moment_makes_no_folder_a_stranger_s(
    root: Path,
) -> None:
    State.create(str(root))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    told = set()
    try:
        for more in range(8):
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, before[1]))
            try:
                State.find(str(root))
            except Foreign as error:
                told.add((error.message.rpartition(": ")[2], error.fix.partition(" (")[0]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert told == {("Too many open files", "raise the limit of open files")}


def test_a_state_is_noted_with_the_user_and_known_again(root: Path, own: Path) -> None:
    used(root)
    made = State.find(str(root))
    assert made is not None
    note = (own / "projects" / made.id / "note").read_text()
    status = os.stat(root / ".hypervisor")
    assert f"device {status.st_dev}\ninode {status.st_ino}\n" in note
    assert f"machine {machine.machine_id()}\n" in note
    assert note.endswith(f"path {root}/.hypervisor\n")
    assert stat.S_IMODE(status.st_mode) == 0o700


@pytest.mark.parametrize(
    "variables, place",
    [
        ({"HYPERVISOR_STATE": "{home}/a", "XDG_STATE_HOME": "{home}/b"}, "a"),
        ({"HYPERVISOR_STATE": "", "XDG_STATE_HOME": "{home}/b"}, "b/hypervisor"),
        ({"HYPERVISOR_STATE": "", "XDG_STATE_HOME": "relative"}, ".local/state/hypervisor"),
        ({"HYPERVISOR_STATE": "", "XDG_STATE_HOME": ""}, ".local/state/hypervisor"),
    ],
)
def test_where_the_users_own_state_folder_is(
    variables: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    assert notes.home() == str(tmp_path / place)


def test_a_folder_that_nobody_noted_is_refused_and_stays_as_it_is(
    root: Path, run_hypervisor: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    used(root)
    monkeypatch.setenv("HYPERVISOR_STATE", str(tmp_path / "another user's"))
    before = looks(root)
    assert "not made by you on this machine" in refusal(root)
    for line in (
        "open q .", "next q", "done 1-abcd --summary x", "status", "summary q", "report q",
        "wait q", "prune", "undo q", "integrate q", "unlock a", "retry q", "cancel q", "pause q",
        "log q", "show q 1", "plan q", "work q --agent command -- true", "doctor", "triage .",
    ):  # fmt: skip
        told = run_hypervisor(*line.split(), cwd=root)
        assert told.returncode != 0, line
        assert "Traceback" not in told.stderr, told.stderr
    assert looks(root) == before


def test_a_moved_project_goes_on_and_its_place_is_noted(root: Path, own: Path) -> None:
    [token, *_] = used(root)
    moved = root.parent / "moved"
    root.rename(moved)
    with Ledger.open(str(moved)) as ledger:
        assert ledger.ends.finish(token, "done", {}) == "done"
    [note] = (own / "projects").glob("*/note")
    assert note.read_text().endswith(f"path {moved}/.hypervisor\n")
    assert os.path.samefile(note.parent / "place", moved / ".hypervisor")


def test_a_device_that_got_another_number_is_the_same_where_the_path_is(
    root: Path, own: Path
) -> None:
    used(root)
    [note] = (own / "projects").glob("*/note")
    device = os.stat(root).st_dev
    note.write_text(note.read_text().replace(f"device {device}\n", f"device {device + 1}\n"))
    with Ledger.open(str(root)) as ledger:
        assert counts(ledger) == {"claimed": 3}
    assert f"device {device}\n" in note.read_text()
    moved = root.parent / "moved"
    note.write_text(note.read_text().replace(f"device {device}\n", f"device {device + 1}\n"))
    root.rename(moved)
    assert "a copy" in refusal(moved)


def test_a_copy_is_refused_until_it_is_adopted(root: Path) -> None:
    used(root, done=1)
    copy = root.parent / "copy"
    shutil.copytree(root, copy, symlinks=True)
    before = looks(copy)
    assert "a copy of another project's" in refusal(copy)
    assert looks(copy) == before
    adopt(str(copy))
    for place in copy, root:
        with Ledger.open(str(place)) as ledger:
            assert counts(ledger)["done"] == 1


def test_another_machine_with_the_same_files_is_refused_but_a_container_of_this_one_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(root)
    monkeypatch.setattr(machine, "machine_id", lambda: "a container")
    with Ledger.open(str(root)) as ledger:
        assert counts(ledger) == {"claimed": 3}
    monkeypatch.setattr(machine, "boot_id", lambda: "another boot")
    assert "a copy" in refusal(root)


def test_a_folder_that_others_may_read_is_refused_with_the_command_that_mends_it(
    root: Path,
) -> None:
    used(root)
    folder = root / ".hypervisor"
    folder.chmod(0o755)
    told = refusal(root)
    mend = told.rpartition("; ")[2]
    assert mend == f"chmod 700 {folder}"
    subprocess.run(["sh", "-c", mend], check=True)
    with Ledger.open(str(root)) as ledger:
        assert counts(ledger) == {"claimed": 3}


def test_what_a_clone_brings_is_told_as_that_whatever_its_mode(root: Path) -> None:
    """As git checks it out, others may read it; `chmod` would not make it the user's."""
    used(root)
    (root / ".hypervisor").chmod(0o755)
    copy = root.parent / "copy"
    shutil.copytree(root, copy, symlinks=True)
    assert "a copy of another project's" in refusal(copy)
    (copy / ".hypervisor/id").unlink()
    assert "not made by you on this machine" in refusal(copy)


def test_where_the_folder_of_notes_is_gone_nobody_is_told_to_move_the_state_away(
    root: Path, own: Path
) -> None:
    used(root)
    own.rename(own.with_name("away"))
    told = refusal(root)
    assert f"HYPERVISOR_STATE={own}" in told and told.endswith("; unset HYPERVISOR_STATE")


def test_owner_and_mode_are_not_asked_where_the_file_system_knows_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(root)
    (root / ".hypervisor").chmod(0o777)
    monkeypatch.setattr("hypervisor.system.mounts.file_system", lambda *_: "vfat")
    with Ledger.open(str(root)) as ledger:
        assert counts(ledger) == {"claimed": 3}


def test_a_folder_of_another_user_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used(root)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(Foreign):
        State.find(str(root))


def test_a_state_that_git_tracks_is_refused_at_open_and_at_adopt(
    root: Path, run_hypervisor: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(root)
    (root / "t.md").write_text("---\nid: t\ntitle: T\nstatus: active\n---\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "-f", ".hypervisor/ledger.db"], cwd=root, check=True)
    for line in (["open", "other", "t.md"], ["adopt", "--yes"]):
        told = run_hypervisor(*line, cwd=root)
        assert told.returncode == 1 and "git tracks files in it" in told.stderr, line
    subprocess.run(["git", "rm", "-rq", "--cached", ".hypervisor"], cwd=root, check=True)
    assert run_hypervisor("open", "other", "t.md", cwd=root).returncode == 0


def test_where_the_users_folder_cannot_be_written_only_a_new_project_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: Path
) -> None:
    used(root, done=1)

    def ro(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypervisor.system.folder.Folder.write", ro)
        with Ledger.open(str(root)) as ledger:
            assert counts(ledger) == {"claimed": 2, "done": 1}
    (tmp_path / "file").touch()
    monkeypatch.setenv("HYPERVISOR_STATE", str(tmp_path / "file" / "no folder"))
    new = tmp_path / "new"
    new.mkdir()
    with pytest.raises(Foreign, match="can't be noted as yours"):
        State.create(str(new))
    assert os.listdir(new) == []


def test_projects_that_are_gone_are_forgotten_after_a_month(root: Path, own: Path) -> None:
    used(root)
    [note] = (own / "projects").glob("*/note")
    shutil.rmtree(root)
    assert notes.prune(time.time()) == 0, "a disk may be away for a while"
    other = root.parent / "other"
    other.mkdir()
    State.create(str(other))
    assert note.parent.exists()
    for one in note.parent.iterdir():
        os.utime(one, (1, 1), follow_symlinks=False)
    another = root.parent / "another"
    another.mkdir()
    State.create(str(another))
    assert not note.parent.exists()
    assert len(list((own / "projects").glob("*/note"))) == 2


def test_making_a_project_looks_at_few_others_however_many_there_are(
    root: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(root)
    [note] = (own / "projects").glob("*")
    for _ in range(100):
        shutil.copytree(note, note.with_name(notes.new_id()), symlinks=True)
    read: list[str] = []
    once = notes.Note.read
    monkeypatch.setattr(notes.Note, "read", lambda name: read.append(name) or once(name))
    new = root.parent / "new"
    new.mkdir()
    State.create(str(new))
    assert 0 < len(read) < 30


def test_many_that_make_it_at_once_get_one(root: Path) -> None:
    children = [Child(lambda: State.create(str(root)).id) for _ in range(12)]
    assert len({child.result() for child in children}) == 1
    assert sorted(os.listdir(root)) == [".hypervisor"]


@pytest.mark.parametrize("said", ["y", "n", "", None])
def test_adopt_shows_what_it_takes_over_and_asks(
    root: Path, run_hypervisor: Run, said: str | None
) -> None:
    with Ledger.open(str(root), create=True) as ledger:
        ledger.generations.open(
            "inbox", [NewItem("a")], Options(verify="make\x1b[2J me", commands='["npm x"]')
        )
    copy = root.parent / "copy"
    shutil.copytree(root, copy, symlinks=True)
    if said is None:
        told = run_hypervisor("adopt", cwd=copy)
        assert told.returncode == 2 and "hypervisor adopt --yes" in told.stderr
        shown = told.stdout
    else:
        program = str(REPO / "bin/hypervisor")
        code, shown = in_terminal([program, "adopt"], str(copy), f"{said}\n")
        assert code == (0 if said == "y" else 1)
    assert "inbox: open, 1 item" in shown and "workers may run: npm x" in shown
    assert "runs at each done: make" in shown and "\x1b" not in shown
    if said == "y":
        with Ledger.open(str(copy)) as ledger:
            assert ledger.queues.stats("inbox")["ready"] == 1
    else:
        assert "a copy of another project's" in refusal(copy)


def test_adopt_shows_words_that_are_nested_too_deep_as_they_stand(
    root: Path, run_hypervisor: Run
) -> None:
    with Ledger.open(str(root), create=True) as ledger:
        ledger.generations.open("inbox", [NewItem("a")], Options(commands="[" * 100_000))
    copy = root.parent / "copy"
    shutil.copytree(root, copy, symlinks=True)
    told = run_hypervisor("adopt", cwd=copy)
    assert told.returncode == 2 and "workers may run: [[[" in told.stdout


# -- the first release --


def test_state_of_the_first_release_is_noted_silently_and_goes_on_in_mid_batch(
    root: Path, own: Path
) -> None:
    token = first_release(str(root))
    with Ledger.open(str(root)) as ledger:
        assert ledger.ends.finish(token, "done", {"summary": "still mine"}) == "done"
    assert len(list((own / "projects").glob("*/note"))) == 1
    assert (root / ".hypervisor/id").is_file()


@pytest.mark.parametrize("how", ["the first release", "adopted", "could not be written"])
def test_ends_that_were_never_noted_are_noted_when_the_ledger_is_next_opened(
    root: Path, own: Path, run_hypervisor: Run, how: str
) -> None:
    if how == "the first release":
        first_release(str(root))
        count = 1
    else:
        used(root, done=2)
        count = 2
    if how == "adopted":
        adopt(str(root))
    elif how == "could not be written":
        next((own / "projects").glob("*/ends")).unlink()
    assert "would go unnoticed" not in run_hypervisor("status", cwd=root).stdout
    [ends] = (own / "projects").glob("*/ends")
    assert ends.read_text().strip() == str(count)


def test_a_claim_in_the_log_of_the_first_release_alone_is_found(root: Path) -> None:
    token = first_release(str(root))
    database = root / ".hypervisor/ledger.db"
    # A reader keeps the log from being folded back; what a killed process leaves looks so.
    connection = sqlite3.connect(database)
    connection.execute("pragma wal_autocheckpoint = 0")
    connection.execute("create table later (x)")
    connection.commit()
    kept = {name: (root / ".hypervisor" / name).read_bytes() for name in ("ledger.db-wal",)}
    connection.close()
    for name, data in kept.items():
        (root / ".hypervisor" / name).write_bytes(data)
    with Ledger.open(str(root)) as ledger:
        assert ledger.ends.finish(token, "done", {}) == "done"


def test_a_clone_s_or_a_copy_s_state_of_the_first_release_is_refused_and_not_touched(
    root: Path, tmp_path: Path
) -> None:
    first_release(str(root))
    copy = tmp_path / "copy"
    shutil.copytree(root, copy, symlinks=True)
    before = looks(copy)
    assert "not made by you on this machine" in refusal(copy)
    assert looks(copy) == before
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "-f", "."], cwd=root, check=True)
    before = looks(root / ".hypervisor")
    assert "git tracks files in it" in refusal(root)
    assert looks(root / ".hypervisor") == before


@pytest.mark.parametrize(
    "name", ["outputs", "live", "undo", "outputs/x", "hook-error.txt", "verify.lock", "reports"]
)
def test_state_of_the_first_release_with_a_link_in_it_is_refused(root: Path, name: str) -> None:
    first_release(str(root))
    (root / "mine").mkdir()
    path = root / ".hypervisor" / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(root / "mine")
    assert "a link, or no plain file of ours" in refusal(root)


def test_a_ledger_of_the_first_release_whose_tables_never_end_is_refused_soon(root: Path) -> None:
    first_release(str(root))
    with sqlite3.connect(root / ".hypervisor/ledger.db") as connection:
        connection.execute("alter table meta rename to old")
        connection.execute(
            "create view meta as with recursive n(x) as (select 1 union all select x + 1 from n) "
            "select x as key, x as value from n"
        )
    connection.close()
    begun = time.monotonic()
    assert "not made by you" in refusal(root)
    assert time.monotonic() - begun < 30


# -- an older state, put back --


def test_an_older_ledger_that_is_put_back_is_refused_until_it_is_adopted(root: Path) -> None:
    used(root)
    backup = root.parent / "backup"
    shutil.copytree(root / ".hypervisor", backup, symlinks=True)
    with Ledger.open(str(root)) as ledger:
        for row in ledger.store.rows("select token from claim").fetchall():
            ledger.ends.finish(row["token"], "done", {})
    for name in os.listdir(backup):
        if (backup / name).is_file():
            # In place: the file stays the file that it is.
            (root / ".hypervisor" / name).write_bytes((backup / name).read_bytes())
    told = refusal(root)
    assert "of 3 reports accepted here 3 are missing" in told
    adopt(str(root))
    with Ledger.open(str(root)) as ledger:
        assert counts(ledger) == {"ready": 3}
        [claim] = ledger.claims.claim("q", "w")
        ledger.ends.finish(claim.token, "done", {})
    with Ledger.open(str(root)) as ledger:
        assert counts(ledger) == {"ready": 2, "done": 1}


def test_a_power_cut_that_loses_claims_is_no_restore(root: Path) -> None:
    used(root, done=2)
    kept = {
        name: (root / ".hypervisor" / name).read_bytes()
        for name in os.listdir(root / ".hypervisor")
        if name.startswith("ledger.db")
    }
    with Ledger.open(str(root)) as ledger:
        ledger.ends.release(ledger.store.rows("select token from claim").fetchall()[2]["token"])
        ledger.claims.claim("q", "w")
        ledger.pauses.pause("q")
    for name, data in kept.items():
        (root / ".hypervisor" / name).write_bytes(data)
    with Ledger.open(str(root)) as ledger:
        assert counts(ledger) == {"claimed": 1, "done": 2}


def test_a_mark_that_cannot_be_written_is_told_and_stops_nothing(
    root: Path, own: Path, monkeypatch: pytest.MonkeyPatch, run_hypervisor: Run
) -> None:
    [token] = used(root, done=2)
    [ends] = (own / "projects").glob("*/ends")
    ends.unlink()
    ends.mkdir()
    with Ledger.open(str(root)) as ledger:
        assert ledger.ends.finish(token, "done", {}) == "done"
    assert "would go unnoticed" in run_hypervisor("status", cwd=root).stdout


def test_a_new_ledger_where_an_older_was_moved_away_is_no_restore(root: Path) -> None:
    used(root, done=2)
    for name in os.listdir(root / ".hypervisor"):
        if name.startswith("ledger.db"):
            (root / ".hypervisor" / name).unlink()
    with Ledger.open(str(root), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a")])
        assert counts(ledger) == {"ready": 1}


# -- what stands in it --


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.db-shm"])
@pytest.mark.parametrize("kind", ["link", "second name", "fifo"])
def test_a_ledger_file_that_is_no_plain_file_of_ours_is_not_opened(
    root: Path, name: str, kind: str, tmp_path: Path
) -> None:
    used(root)
    path, mine = root / ".hypervisor" / name, tmp_path / "mine"
    if path.exists():
        path.rename(mine)
    else:
        mine.write_bytes(b"precious")
    before = mine.read_bytes()
    if kind == "link":
        path.symlink_to(mine)
    elif kind == "second name":
        path.hardlink_to(mine)
    else:
        os.mkfifo(path)
    assert "no plain file of ours" in refusal(root) or "a link" in refusal(root)
    assert mine.read_bytes() == before


LINKS = {
    "live": "folder", "locks": "folder", "outputs": "folder", "undo": "folder", "scope": "folder",
    "reports": "folder", "recovered": "folder", "kept": "folder", "outputs/q": "folder",
    "undo/q": "folder",
    "ledger.lock": "file", "verify.lock": "file", "commit.lock": "file", "create.lock": "file",
    "worktrees.lock": "file", "integrate.lock": "file", "store.lock": "file",
    "hook-error.txt": "file", "task-index.json": "file", "store": "file", "reports/q.html": "file",
    ".gitignore": "file", "id": "file", "live/q": "file",
}  # fmt: skip
# One of each kind: a folder, what is in a folder, a lock, what is written whole.
OFTEN = {"locks", "undo/q", "ledger.lock", "reports/q.html", "live/q", ".gitignore"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in OFTEN else pytest.mark.thorough) for name in LINKS],
)
def test_a_link_in_it_leads_nobody_out_of_it(
    project: Path, run_forked: Run, monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path
) -> None:
    """Every verb runs once, with a link to something of the user's in the place of what is ours."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for one in ("file", "q", "notes"):
        (outside / one).write_text(f"precious {one}")
        os.utime(outside / one, (1, 1))
    (project / "tasks").mkdir()
    for one in "abc":
        text = f"---\nid: {one}\ntitle: T\nstatus: active\n---\nDo it.\n"
        (project / "tasks" / f"{one}.md").write_text(text)
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], cwd=project, check=True)
    subprocess.run([*git, "add", "."], cwd=project, check=True)
    subprocess.run([*git, "commit", "-qm", "first"], cwd=project, check=True)
    State.create(str(project))
    assert run_forked("open", "q", "tasks", "--verify", "true").returncode == 0
    path = project / ".hypervisor" / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(outside if LINKS[name] == "folder" else outside / "file")
    before = looks(outside)
    token = run_forked("next", "q").stdout.partition("claim ")[2].split("\n")[0] or "1-abcd"
    (project / "made.txt").write_text("1")
    for line in (
        ["commit", token, "-m", "x", "made.txt"], ["done", token, "--summary", "x"],
        ["report", "q"], ["prune", "--days", "0"], ["integrate", "q"], ["triage", "tasks"],
        ["undo", "triage"], ["undo", "q"], ["wait", "q", "--timeout", "0"], ["unlock", "a"],
        ["next", "q", "--branch"], ["work", "q", "--agent", "command", "--", "true"],
        ["status"], ["cancel", "q"],
    ):  # fmt: skip
        run_forked(*line)
    hook = {"session_id": "s", "hook_event_name": "Stop", "cwd": str(project)}
    run_forked("_hook", "Stop", input=str(hook))
    assert looks(outside) == before
