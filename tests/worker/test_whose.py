"""What a worker commits of files that others have changed, too, in the same working tree."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.config.roots import create_state
from hypervisor.intake import opening
from hypervisor.ledger import Claim, Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.system.git import Git
from hypervisor.worker.commits import edits
from hypervisor.worker.commits.commit import commit
from hypervisor.worker.commits.whose import NotTold, Whose
from hypervisor.worker.off_limits import tokens_out
from ledger.conftest import engine, pytest_generate_tests
from worker.branches.support import WHO, commit_all, git
from worker.support import open_queue, write_task

__all__ = ["engine", "pytest_generate_tests"]

F = "f.txt"
LINES = [f"line {number}\n" for number in range(30)]


class Tree:
    """A working tree with a committed file `f.txt` of 30 lines, and a queue of six tasks, the first
    four of which name it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        git(root, "init", "--quiet", "-b", "main")
        (root / F).write_text("".join(LINES))
        for number in range(6):
            named = "Mend `f.txt`.\n" if number < 4 else "Mend it.\n"
            write_task(root, f"t{number}", body=f"# T\n\n{named}")
        commit_all(root, "first")
        self.ledger: Ledger

    def open(self, *, commits: bool = False) -> None:
        # By the clock, what is there is older than any hand-out.
        time.sleep(0.06)
        open_queue(self.root, instructions="Commit what you did." if commits else None)
        self.ledger = Ledger.open(str(self.root))

    def take(self, item: str) -> Claim:
        claim = worker.take(self.ledger, "q", "w", only=item)[0]
        time.sleep(0.06)
        return claim

    def change(self, at: int, text: str, name: str = F) -> None:
        """Have somebody replace a line, by whatever means."""
        path = self.root / name
        lines = path.read_text().splitlines(keepends=True)
        lines[at] = f"{text}\n"
        path.write_text("".join(lines))
        time.sleep(0.06)

    def edit(self, claim: Claim | None, at: int, text: str) -> None:
        """Have a worker replace a line by a tool that hooks see."""
        tokens = [claim.token] if claim else []
        file = str(self.root / F)
        if claim:
            edits.note(self.ledger.state, edits.BEFORE, tokens, file)
        self.change(at, text)
        edits.note(self.ledger.state, edits.AFTER, tokens, file)

    def commit(self, claim: Claim, *files: str) -> str:
        row = self.ledger.ends.holding(claim.token)
        self.ledger.sessions.note_commits(row.queue)
        whose = Whose(self.ledger, row)
        return commit(
            self.ledger.state, f"of {claim.id}", files or (F,), str(self.root), whose=whose
        )

    def end(self, claim: Claim) -> None:
        worker.finish(self.ledger, claim.token, "done", {"summary": "did it"}, force=True)

    def kept(self) -> dict[int, str]:
        """The lines that the last commit has changed since the first."""
        return self._changed(git(self.root, "show", "HEAD:f.txt"))

    def stands(self) -> dict[int, str]:
        return self._changed((self.root / F).read_text())

    def _changed(self, text: str) -> dict[int, str]:
        return {
            at: line.strip()
            for at, (line, first) in enumerate(zip(text.splitlines(True), LINES, strict=True))
            if line != first
        }


@pytest.fixture
def tree(project: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    del engine
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    tree = Tree(project)
    yield tree
    tree.ledger.close()


def test_seven_items_that_did_not_commit_are_not_taken_along_by_the_eighth(tree: Tree) -> None:
    tree.open(commits=True)
    for number in range(3):
        claim = tree.take(f"t{number}")
        tree.change(number, f"of t{number}")
        tree.end(claim)
    claim = tree.take("t3")
    tree.change(20, "of t3")
    tree.commit(claim)
    assert tree.kept() == {20: "of t3"}
    assert tree.stands() == {0: "of t0", 1: "of t1", 2: "of t2", 20: "of t3"}
    # Others' changes are as they were: in the working tree, and not staged.
    assert git(tree.root, "diff", "--cached", "--name-only") == ""
    assert F in git(tree.root, "diff", "--name-only").split()


def test_what_the_user_had_not_committed_stays_uncommitted(tree: Tree) -> None:
    tree.change(1, "the user's")
    (tree.root / "new").write_text("the user's\n")
    tree.open()
    claim = tree.take("t0")
    tree.change(20, "of t0")
    (tree.root / "own").write_text("of t0\n")
    tree.commit(claim, F, "own")
    assert tree.kept() == {20: "of t0"}
    assert git(tree.root, "show", "--format=", "--name-only").split() == [F, "own"]
    assert git(tree.root, "status", "--porcelain", F, "new").split("\n")[:-1] == [
        " M f.txt", "?? new"
    ]  # fmt: skip
    tree.change(22, "of t0, too")
    tree.commit(claim)
    assert tree.kept() == {20: "of t0", 22: "of t0, too"}
    assert tree.stands() == {1: "the user's", 20: "of t0", 22: "of t0, too"}


def test_items_one_after_the_other_commit_the_same_lines_each(tree: Tree) -> None:
    tree.open()
    for number in range(4):
        claim = tree.take(f"t{number}")
        tree.change(5, f"of t{number}")
        tree.commit(claim)
        assert tree.kept() == {5: f"of t{number}"}
        tree.end(claim)


def test_another_item_at_work_whose_task_names_the_file_is_named(tree: Tree) -> None:
    tree.open()
    ours, other = tree.take("t0"), tree.take("t1")
    tree.change(3, "by whom?")
    with pytest.raises(
        NotTold, match=r"f.txt may hold changes of t1 \(at work\): nothing was comm"
    ):
        tree.commit(ours)
    assert tree.kept() == {}
    tree.end(other)
    with pytest.raises(NotTold, match=r"t1 \(done\).*--branch"):
        tree.commit(ours)


def test_an_item_at_work_that_can_not_have_had_its_part_is_no_hindrance(tree: Tree) -> None:
    tree.open()
    ours, without = tree.take("t0"), tree.take("t4")
    tree.change(3, "of t0")
    # It names the file, and the file has not changed since it was handed out.
    tree.take("t1")
    tree.commit(ours)
    assert tree.kept() == {3: "of t0"}
    tree.change(4, "of t4")
    with pytest.raises(NotTold, match="t1"):
        tree.commit(without)


def test_edits_that_hooks_saw_tell_the_changes_of_two_items_at_work(tree: Tree) -> None:
    tree.open(commits=True)
    one, two = tree.take("t0"), tree.take("t1")
    tree.edit(one, 3, "of t0")
    tree.edit(one, 4, "of t0")
    tree.commit(one)
    assert tree.kept() == {3: "of t0", 4: "of t0"}
    tree.edit(two, 20, "of t1")
    tree.commit(two)
    assert tree.kept() == {3: "of t0", 4: "of t0", 20: "of t1"}


def test_a_change_between_two_edits_that_hooks_saw_is_not_ours(tree: Tree) -> None:
    tree.open()
    ours = tree.take("t0")
    tree.take("t1")
    tree.edit(ours, 3, "of t0")
    tree.change(20, "by a shell")
    tree.edit(ours, 4, "of t0")
    with pytest.raises(NotTold, match="t1"):
        tree.commit(ours)


def test_an_item_that_was_seen_to_edit_the_file_is_named_though_its_task_does_not(
    tree: Tree,
) -> None:
    tree.open()
    ours, other = tree.take("t4"), tree.take("t5")
    tree.edit(ours, 3, "of t4")
    tree.edit(other, 20, "of t5")
    with pytest.raises(NotTold, match=r"may hold changes of t5 \(at work\)"):
        tree.commit(ours)
    tree.edit(None, 21, "by the session")
    with pytest.raises(NotTold, match=r"t5.*, an edit that belongs to no item"):
        tree.commit(ours)


def test_a_file_that_has_not_changed_since_is_not_ours(tree: Tree) -> None:
    tree.open()
    first = tree.take("t0")
    tree.change(3, "of t0")
    (tree.root / "new").write_text("x\n")
    tree.end(first)
    time.sleep(0.06)
    claim = tree.take("t1")
    for name, by in ((F, r" \(by t0 \(done\)\)"), ("new", "")):
        with pytest.raises(NotTold, match=f"{name} is as it was when this item was .*out{by}:"):
            tree.commit(claim, name)
    assert tree.kept() == {}


def test_what_is_not_known_of_earlier_items_is_refused_with_their_names(tree: Tree) -> None:
    tree.open()
    first = tree.take("t0")
    tree.change(3, "of t0")
    tree.end(first)
    claim = tree.take("t1")
    tree.change(20, "of t1")
    with pytest.raises(NotTold, match=r"may hold changes of t0 \(done\)"):
        tree.commit(claim)
    # From then on it is noted how the tree looks when an item is handed out.
    tree.end(claim)
    claim = tree.take("t2")
    tree.change(25, "of t2")
    tree.commit(claim)
    assert tree.kept() == {25: "of t2"}


def test_a_second_attempt_commits_what_the_first_has_done(tree: Tree) -> None:
    tree.open(commits=True)
    claim = tree.take("t0")
    tree.change(3, "of the first")
    tree.ledger.ends.end(claim.token, "died", "killed")
    claim = tree.take("t0")
    tree.change(20, "of the second")
    tree.commit(claim)
    assert tree.kept() == {3: "of the first", 20: "of the second"}


@pytest.mark.embedded
def test_a_change_in_the_same_lines_as_one_from_before_is_refused(tree: Tree) -> None:
    tree.open(commits=True)
    first = tree.take("t0")
    tree.change(3, "of t0")
    tree.end(first)
    claim = tree.take("t1")
    tree.change(3, "of t1")
    head = git(tree.root, "rev-parse", "HEAD")
    with pytest.raises(NotTold, match=r"in the same lines .* \(by t0 \(done\)\): nothing was"):
        tree.commit(claim)
    assert git(tree.root, "rev-parse", "HEAD") == head
    assert tree.stands() == {3: "of t1"}


def _new(path: Path) -> None:
    path.write_text("of t0\n")


def _bytes(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


def _link(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("elsewhere")


def _large(path: Path) -> None:
    path.write_text("x\n" * (1 << 20))


@pytest.mark.embedded
@pytest.mark.parametrize(("name", "made"), [("new", _new), (F, _bytes), (F, _link), (F, _large)])
def test_what_can_not_be_divided_is_refused(
    name: str, made: Callable[[Path], None], tree: Tree
) -> None:
    made(tree.root / name)
    tree.open()
    claim = tree.take("t0")
    path = tree.root / name
    path.unlink()
    path.write_text("of t0, and of whom?\n")
    with pytest.raises(NotTold, match=r"can't be told from its own|in the same lines"):
        tree.commit(claim, name)
    assert git(tree.root, "log", "--format=%s") == "first\n"


@pytest.mark.embedded
def test_a_file_behind_a_filter_is_never_divided(tree: Tree) -> None:
    git(tree.root, "config", "--global", "filter.vault.clean", "tr a-z A-Z")
    (tree.root / ".gitattributes").write_text("*.txt filter=vault\n")
    commit_all(tree.root, "filtered")
    tree.change(1, "the user's")
    tree.open()
    claim = tree.take("t0")
    tree.change(20, "of t0")
    with pytest.raises(NotTold, match="can't be told from its own"):
        tree.commit(claim)
    assert "the user's" not in git(tree.root, "cat-file", "--batch-all-objects", "--batch")


@pytest.mark.embedded
def test_modes_line_ends_and_deletions_are_committed_as_they_are(tree: Tree) -> None:
    (tree.root / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (tree.root / "gone").write_text("x\n")
    commit_all(tree.root, "more")
    text = "".join(LINES).replace("\n", "\r\n")
    (tree.root / F).write_bytes(text.replace("line 1\r", "the user's\r").encode())
    (tree.root / "gone").write_text("the user's\n")
    tree.open()
    claim = tree.take("t0")
    text = text.replace("line 1\r", "the user's\r").replace("line 20\r", "of t0\r")
    (tree.root / F).write_bytes(text.encode())
    os.chmod(tree.root / F, 0o755)
    (tree.root / "gone").unlink()
    tree.commit(claim, F, "gone")
    assert tree.kept() == {20: "of t0"}
    assert git(tree.root, "ls-tree", "HEAD", F).startswith("100755 ")
    assert git(tree.root, "ls-tree", "HEAD", "gone") == ""
    assert (tree.root / F).read_bytes() == text.encode()


@pytest.mark.embedded
def test_what_others_have_staged_in_other_files_stays_staged(tree: Tree) -> None:
    tree.change(1, "the user's")
    tree.open()
    claim = tree.take("t0")
    (tree.root / "theirs").write_text("x\n")
    git(tree.root, "add", "theirs")
    tree.change(20, "of t0")
    tree.commit(claim)
    assert git(tree.root, "diff", "--cached", "--name-only") == "theirs\n"
    assert git(tree.root, "show", "--format=", "--name-only") == "f.txt\n"


def test_notes_go_with_the_items_that_they_were_made_for(tree: Tree) -> None:
    tree.open(commits=True)
    noted = tree.root / ".hypervisor" / "begun"
    claim, lost = tree.take("t0"), tree.take("t1")
    assert {claim.token, lost.token} <= set(os.listdir(noted))
    tree.end(claim)
    assert claim.token not in os.listdir(noted)
    tree.ledger.generations.cancel("q")
    opening.note_tree(tree.ledger, "q")
    assert lost.token not in os.listdir(noted)


def test_no_tree_is_looked_at_for_a_queue_whose_workers_do_not_commit(tree: Tree) -> None:
    tree.open()
    claim = tree.take("t0")
    assert claim.token not in os.listdir(tree.root / ".hypervisor" / "begun")


def test_an_item_that_is_out_in_another_checkout_is_no_hindrance(tree: Tree) -> None:
    tree.open()
    ours, other = tree.take("t0"), tree.take("t1")
    tree.change(3, "of t0")
    row = tree.ledger.ends.holding(ours.token)
    assert tokens_out(tree.ledger) == {ours.token, other.token}
    whose = Whose(tree.ledger, row, {ours.token})
    commit(tree.ledger.state, "m", [F], str(tree.root), whose=whose)
    assert tree.kept() == {3: "of t0"}


def test_a_commit_in_a_repository_of_its_own_within_the_project_goes_by_what_is_known_there(
    tree: Tree,
) -> None:
    inner = tree.root / "inner"
    git(tree.root, "init", "--quiet", "-b", "main", "inner")
    (inner / F).write_text("x\n")
    commit_all(inner, "inner")
    # There the clock has to tell that it is older than the hand-out.
    os.utime(inner / F, (1, 1))
    time.sleep(0.06)
    tree.open(commits=True)
    claim = tree.take("t0")
    with pytest.raises(NotTold, match="is as it was"):
        commit_in(tree, claim, inner)
    (inner / F).write_text("of t0\n")
    time.sleep(0.06)
    commit_in(tree, claim, inner)
    assert git(inner, "show", "HEAD:f.txt") == "of t0\n"
    assert git(tree.root, "log", "--format=%s") == "first\n"


def commit_in(tree: Tree, claim: Claim, folder: Path) -> None:
    row = tree.ledger.ends.holding(claim.token)
    commit(tree.ledger.state, "m", [F], str(folder), whose=Whose(tree.ledger, row))


@pytest.mark.embedded
def test_what_is_known_of_edits_is_bounded_and_the_newest_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "_LARGEST", 2000)
    git(project, "init", "--quiet")
    state = create_state(str(project))
    for number in range(100):
        edits.note(state, edits.AFTER, [str(number)], str(project / "f"))
    known = [edit.tokens for edit in edits.of_file(state, "f")]
    assert known[-1] == ["99"] and 5 < len(known) < 40
    assert (project / ".hypervisor" / "edits").stat().st_size < 2500


# --- what its user is doing meanwhile


def _two_lines_of_work(tree: Tree) -> None:
    """Put a commit on each of two branches that change the same line of another file."""
    for branch in ("side", "main"):
        git(
            tree.root, "checkout", "--quiet", "-B", branch, *(["first"] if branch == "main" else [])
        )
        (tree.root / "other").write_text(f"of {branch}\n")
        (tree.root / f"{branch}.txt").write_text("alone\n")
        commit_all(tree.root, branch)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("sign", "words"),
    [
        ("MERGE_HEAD", ("merge", "--no-commit", "--strategy=ours", "side")),
        ("CHERRY_PICK_HEAD", ("cherry-pick", "--strategy=recursive", "side")),
        ("REVERT_HEAD", ("revert", "--no-commit", "HEAD")),
        ("rebase-merge", ("rebase", "--autostash", "--exec", "false", "HEAD~1")),
        ("BISECT_LOG", ("bisect", "start")),
    ],
)
def test_no_commit_ends_what_its_user_is_in_the_midst_of(
    tree: Tree, sign: str, words: tuple[str, ...]
) -> None:
    git(tree.root, "tag", "first")
    _two_lines_of_work(tree)
    tree.change(1, "the user's")
    tree.open()
    claim = tree.take("t0")
    tree.change(20, "of t0")
    before = git(tree.root, "rev-parse", "HEAD")
    try:
        git(tree.root, *words)
    except AssertionError:
        assert sign in ("CHERRY_PICK_HEAD", "rebase-merge"), "these stop in the middle"
    (tree.root / "new").write_text("of t0\n")
    at_work = git(tree.root, "status", "--porcelain")
    for files in ((F,), ("new",)):
        with pytest.raises(HypervisorError, match="is under way here: nothing was committed"):
            tree.commit(claim, *files)
    assert git(tree.root, "rev-parse", "HEAD") == before
    assert git(tree.root, "status", "--porcelain") == at_work
    assert (tree.root / ".git" / sign).exists()


@pytest.mark.embedded
def test_a_file_in_conflict_is_not_taken_for_merged(tree: Tree) -> None:
    tree.open()
    tree.change(5, "the user's")
    git(tree.root, "stash", "--quiet")
    tree.change(5, "another")
    commit_all(tree.root, "another")
    claim = tree.take("t0")
    with pytest.raises(AssertionError):
        git(tree.root, "stash", "pop")
    with pytest.raises(HypervisorError, match="a merge of these files is under way here"):
        tree.commit(claim)
    assert "UU f.txt" in git(tree.root, "status", "--porcelain")


@pytest.mark.embedded
def test_a_commit_of_a_part_takes_back_nothing_that_somebody_commits_meanwhile(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.change(1, "the user's")
    tree.open()
    claim = tree.take("t0")
    tree.change(20, "of t0")
    ran = Git.__call__

    def run(self: Git, *words: str, **more: str) -> str:
        if words[0] == "commit" and not (tree.root / "u").exists():
            (tree.root / "u").write_text("the user's\n")
            git(tree.root, "add", "u")
            git(tree.root, "commit", "--quiet", "-m", "meanwhile", "--", "u")
        return ran(self, *words, **more)

    monkeypatch.setattr(Git, "__call__", run)
    with pytest.raises(
        HypervisorError, match="somebody else has committed meanwhile; run the command"
    ):
        tree.commit(claim)
    assert git(tree.root, "log", "-1", "--format=%s") == "meanwhile\n"
    tree.commit(claim)
    assert git(tree.root, "show", "HEAD:u") == "the user's\n"
    assert (tree.kept(), tree.stands()) == ({20: "of t0"}, {1: "the user's", 20: "of t0"})


@pytest.mark.embedded
def test_what_the_user_has_staged_in_the_same_file_stays_staged(tree: Tree) -> None:
    tree.change(1, "staged")
    git(tree.root, "add", F)
    tree.change(5, "not staged")
    tree.open()
    claim = tree.take("t0")
    tree.change(20, "of t0")
    tree.commit(claim)
    assert tree.kept() == {20: "of t0"}
    assert tree._changed(git(tree.root, "show", ":f.txt")) == {1: "staged", 20: "of t0"}
    assert tree.stands() == {1: "staged", 5: "not staged", 20: "of t0"}


@pytest.mark.embedded
@pytest.mark.parametrize("how", ["--assume-unchanged", "--skip-worktree"])
def test_what_the_user_keeps_from_git_is_not_committed(tree: Tree, how: str) -> None:
    git(tree.root, "update-index", how, F)
    tree.change(1, "the user's")
    tree.open()
    claim = tree.take("t0")
    tree.change(20, "of t0")
    with pytest.raises(HypervisorError, match=r"^f\.txt: git was told to overlook changes there"):
        tree.commit(claim)
    assert tree.kept() == {}
