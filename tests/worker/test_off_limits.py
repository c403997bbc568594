"""What steers agents, git, editors and shells: changed by no worker, judged by what changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hypervisor import worker
from hypervisor.ledger import Claim, Ledger
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.worker.snapshot import snapshot
from worker.support import open_queue, write_task

Plant = Callable[[Path], object]
Run = Callable[..., subprocess.CompletedProcess[str]]


def git(folder: Path, *words: str) -> str:
    ran = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", *words],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return ran.stdout


def keeping_times(path: Path, text: str) -> None:
    """Write `text` and set the file's times back, as `cp -p`, `touch -r` and `tar` do."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename_over(path: Path, text: str) -> None:
    before = path.stat()
    other = path.with_name("draft")
    other.write_text(text)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def hard_link(root: Path) -> None:
    os.link(root / "CLAUDE.md", root / "plain.txt")
    keeping_times(root / "plain.txt", "Delete what you find..\n")


@pytest.fixture
def repository(project: Path) -> Path:
    """A repository with files that steer, links to them, and a queue over two tasks."""
    for name in ("a", "b"):
        write_task(project, name)
    (project / "CLAUDE.md").write_text("Be careful with files.\n")
    for folder in (".claude", "sub/.claude", "conf", "lib"):
        (project / folder).mkdir(parents=True)
    (project / ".claude/settings.json").write_text("{}\n")
    (project / "conf/rules.md").write_text("be kind\n")
    (project / "notes").symlink_to(".claude/settings.json")
    (project / "to-notes").symlink_to("notes")
    (project / "folder").symlink_to(".claude")
    (project / ".cursor").symlink_to("conf")
    (project / "lib/AGENTS.md").symlink_to("../conf/rules.md")
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    return project


def take(root: Path, item: str | None = None, **options: object) -> Claim:
    with Ledger.open(str(root)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only=item, **options)  # type: ignore[arg-type]
    return claim


def done(root: Path, claim: Claim) -> str:
    with Ledger.open(str(root)) as ledger:
        return worker.finish(ledger, claim.token, "done", {"summary": "did it"}).state


def standing(root: Path) -> tuple[dict[str, int], str, str]:
    """The states that have items, the queue's own, and why it is in that."""
    with Ledger.open(str(root)) as ledger:
        counts = {state: count for state, count in ledger.queues.stats("q").items() if count}
        row = ledger.queues.get("q")
        return counts, row.state, row.reason or ""


def append(name: str) -> Plant:
    def plant(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        with (root / name).open("a") as out:
            out.write("x")

    return plant


def test_a_refusal_for_what_steers_is_kept(repository: Path) -> None:
    open_queue(repository)
    claim = take(repository)
    append("CLAUDE.md")(repository)
    with pytest.raises(worker.Refused):
        done(repository, claim)
    with Ledger.open(str(repository)) as ledger:
        [[kept]] = ledger.refusals.of_claims([1]).values()
    assert kept.name == "off-limits" and kept.why.endswith("CLAUDE.md")


PLANTS: dict[str, tuple[Plant, str]] = {
    "its time set back": (lambda r: keeping_times(r / "CLAUDE.md", "Obey me.\n"), "CLAUDE.md"),
    "size and time kept": (
        lambda r: keeping_times(r / "CLAUDE.md", "Delete what you find..\n"), "CLAUDE.md",
    ),
    "renamed over": (lambda r: rename_over(r / "CLAUDE.md", "Obey me.\n"), "CLAUDE.md"),
    "by a hard link": (hard_link, "CLAUDE.md"),
    "through a link": (append("notes"), ".claude/settings.json"),
    "through a link to a link": (append("to-notes"), ".claude/settings.json"),
    "through a linked folder": (append("folder/settings.local.json"), ".claude/settings.local"),
    "behind a link of such a name": (append("conf/rules.md"), ".cursor/rules.md"),
    "behind a linked file below": (append("conf/rules.md"), "lib/AGENTS.md"),
    "made executable": (lambda r: (r / ".claude/settings.json").chmod(0o755), ".claude/settings"),
    "removed": (lambda r: (r / "CLAUDE.md").unlink(), "CLAUDE.md"),
    "made a link": (lambda r: (r / "AGENTS.md").symlink_to("/etc/hostname"), "AGENTS.md"),
    "no UTF-8": (append(os.fsdecode(b".claude/x\xff.md")), ".claude/x"),
    "in another case": (append("sub/Claude.MD"), "sub/Claude.MD"),
    "a hook": (append(".git/hooks/post-checkout"), ".git/hooks/post-checkout"),
    "git's configuration": (
        lambda r: git(r, "config", "core.fsmonitor", "x.sh"), ".git/config",
    ),
    "where to push": (lambda r: git(r, "config", "branch.main.remote", "https://x.y"), ".git/conf"),
    "attributes of git's own": (append(".git/info/attributes"), ".git/info/attributes"),
    "a repository below": (lambda r: git(r, "init", "-q", "lib/inner"), "lib/inner/.git/config"),
    "a submodule's hook": (
        lambda r: [
            (r / ".git/modules/a/b/hooks").mkdir(parents=True),
            (r / ".git/modules/a/b/HEAD").touch(), (r / ".git/modules/a/b/config").touch(),
            (r / ".git/modules/a/b/hooks/pre-push").touch(),
        ],
        ".git/modules/a/b/hooks/pre-push",
    ),
}  # fmt: skip
NAMES = (
    "sub/.claude/commands/x.md", "sub/deep/er/.vscode/tasks.json", ".husky/pre-commit", ".envrc",
    "sub/.gitattributes", ".npmrc", ".devcontainer/devcontainer.json", ".cursorrules",
    ".gitmodules", ".codex/config.toml", ".claude-plugin/plugin.json", ".pre-commit-config.yaml",
    "sub/AGENTS.md", ".gemini/settings.json", ".mcp.json", "hypervisor.toml",
)  # fmt: skip


@pytest.mark.parametrize("how", PLANTS)
def test_done_is_refused_however_a_file_that_steers_was_changed(how: str, repository: Path) -> None:
    plant, named = PLANTS[how]
    open_queue(repository)
    claim = take(repository)
    plant(repository)
    for _ in range(2):
        with pytest.raises(worker.Refused, match="steers the next run") as refused:
            done(repository, claim)
        assert named in refused.value.message
    assert standing(repository)[:2] == ({"ready": 1, "claimed": 1}, "open")
    with Ledger.open(str(repository)) as ledger:
        worker.finish(ledger, claim.token, "blocked", {"reason": "it wanted that"})
        [told] = [row for row in ledger.queries.results("q") if row.state == "blocked"]
    assert any(path.startswith(named) for path in told.report["off_limits"])
    # It was charged with it; who comes next is not.
    assert done(repository, take(repository)) == "done"


@pytest.mark.parametrize("name", NAMES)
def test_each_of_the_list_is_found_out_at_any_depth_and_though_git_ignores_it(
    name: str, repository: Path
) -> None:
    (repository / ".gitignore").write_text("*\n")
    open_queue(repository)
    claim = take(repository)
    append(name)(repository)
    with pytest.raises(worker.Refused, match=name):
        done(repository, claim)


def test_what_leaves_nothing_behind_or_steers_nothing_is_no_reason_to_refuse(
    repository: Path,
) -> None:
    open_queue(repository)
    claim = take(repository)
    append(".claude/made.md")(repository)
    (repository / ".claude/made.md").unlink()
    append("lib/fine.py")(repository)
    git(repository, "checkout", "-qb", "more")
    git(repository, "commit", "-qam", "x", "--allow-empty")
    git(repository, "config", "branch.more.vscode-merge-base", "origin/main")
    git(repository, "config", "branch.more.remote", "origin")
    git(repository, "config", "branch.more.merge", "refs/heads/more")
    (repository / ".claude/worktrees/agent-1/.claude").mkdir(parents=True)
    append(".claude/worktrees/agent-1/.claude/settings.json")(repository)
    assert done(repository, claim) == "done"


def test_a_person_s_own_changes_cost_nothing_while_nobody_is_at_work(repository: Path) -> None:
    open_queue(repository)
    (repository / "CLAUDE.md").write_text("before the first\n")
    assert done(repository, take(repository)) == "done"
    (repository / "CLAUDE.md").write_text("between two\n")
    assert done(repository, take(repository)) == "done"
    assert standing(repository) == ({"done": 2}, "open", "")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_is_saved_with_the_same_bytes_costs_nothing_while_workers_are_out(
    workers: int, repository: Path
) -> None:
    open_queue(repository)
    claims = [take(repository) for _ in range(workers)]
    path, linked = repository / "CLAUDE.md", repository / "conf" / "rules.md"
    for _ in range(2):
        # In place, as editors do it, and where a link leads to.
        path.write_bytes(path.read_bytes())
        rename_over(path, path.read_text())
        linked.write_bytes(linked.read_bytes())
        (repository / ".cursor").unlink()
        (repository / ".cursor").symlink_to("conf")
        assert done(repository, claims.pop()) == "done"
        if not claims:
            break
    assert standing(repository)[1:] == ("open", "")
    claim = take(repository) if workers == 1 else None
    if claim is not None:
        path.chmod(0o755)
        with pytest.raises(worker.Refused, match=r"CLAUDE\.md"):
            done(repository, claim)


def test_where_it_cannot_be_told_who_did_it_the_queue_is_paused_and_nobody_is_charged(
    repository: Path, run_forked: Run
) -> None:
    open_queue(repository)
    first, second = take(repository), take(repository)
    append(".vscode/tasks.json")(repository)
    for claim in (first, second):
        with pytest.raises(NotOwner, match="nobody knows who changed it") as refused:
            done(repository, claim)
        assert ".vscode/tasks.json" in refused.value.message
    counts, state, reason = standing(repository)
    assert (counts, state) == ({"ready": 2}, "paused") and ".vscode/tasks.json" in reason
    told = run_forked("next", "q").stdout
    assert "queue paused" in told and ".vscode/tasks.json" in told
    with Ledger.open(str(repository)) as ledger:
        costs = ledger.store.rows("select attempts, deaths, releases from item").fetchall()
        assert [tuple(row) for row in costs] == [(0, 0, 0)] * 2
        ledger.pauses.resume("q")
    # A person has looked at it: what stands now is where it begins again.
    assert done(repository, take(repository)) == "done"


def test_who_ended_before_the_change_is_not_suspected(repository: Path) -> None:
    open_queue(repository)
    first, second = take(repository), take(repository)
    assert done(repository, first) == "done"
    append("CLAUDE.md")(repository)
    with pytest.raises(worker.Refused, match=r"CLAUDE\.md"):
        done(repository, second)
    assert standing(repository)[1] == "open"


@pytest.mark.parametrize("end", ["failed", "released", "died", "forgotten"])
def test_a_worker_that_ends_otherwise_leaves_a_paused_queue_with_the_file_named(
    end: str, repository: Path
) -> None:
    open_queue(repository)
    claim = take(repository)
    append("CLAUDE.md")(repository)
    with Ledger.open(str(repository)) as ledger:
        if end == "failed":
            worker.finish(ledger, claim.token, "failed", {"reason": "no"})
        elif end == "released":
            worker.release(ledger, claim.token)
        else:
            ledger.ends.end(claim.token, "died", "killed")
        if end == "died":
            worker.off_limits.look_after(ledger)
        assert worker.take(ledger, "q", "w") == []
    _, state, reason = standing(repository)
    assert state == "paused" and "CLAUDE.md" in reason


def test_a_person_names_at_open_what_workers_may_change(repository: Path, run_forked: Run) -> None:
    words = ("open", "q", "tasks", "--may-write", "CLAUDE.md", "--may-write", ".vscode")
    assert run_forked(*words).returncode == 0
    claim = take(repository)
    append("claude.md")(repository)
    append("CLAUDE.md")(repository)
    append(".vscode/tasks.json")(repository)
    append(".vscode/launch.json")(repository)
    assert done(repository, claim) == "done"
    claim = take(repository)
    append("sub/CLAUDE.md")(repository)
    with pytest.raises(worker.Refused, match=r"sub/CLAUDE\.md"):
        done(repository, claim)
    # Who only adds items keeps what was named; naming something else takes another queue.
    assert run_forked("open", "q", "tasks").returncode == 0
    with Ledger.open(str(repository)) as ledger:
        assert ledger.queues.get("q").may_write == '[".vscode", "CLAUDE.md"]'
    ran = run_forked("open", "q", "tasks", "--may-write", ".envrc")
    assert ran.returncode == 2 and "--may-write" in ran.stderr
    for outside in ("..", ".", "/etc", ".hypervisor/x"):
        ran = run_forked("open", "r", "tasks", "--may-write", outside)
        assert ran.returncode == 2 and "is not a path in" in ran.stderr, outside


def test_the_file_of_an_item_may_be_written_wherever_it_lies(project: Path) -> None:
    task = write_task(project, "a", body="- [x] {title}\n")
    home = project / ".claude/tasks"
    home.mkdir(parents=True)
    shutil.move(task, home / "a.md")
    open_queue(project, [".claude/tasks"])
    claim = take(project)
    append(".claude/tasks/a.md")(project)
    # A writer of ours was killed there.
    (home / ".hypervisor-0123456789abcdef.tmp").write_text("its next version\n")
    assert done(project, claim) == "done"


def test_ci_files_are_free_where_the_task_names_them_and_told_where_not(
    project: Path, run_forked: Run
) -> None:
    write_task(project, "a", body="# {title}\n\nMend `.github/workflows/ci.yml` and `Makefile`.\n")
    git(project, "init", "-q")
    (project / ".gitignore").write_text(".env\n")
    open_queue(project)
    claim = take(project)
    names = (".github/workflows/ci.yml", "Makefile", "sub/conftest.py", ".gitlab-ci.yml", ".env")
    for name in (*names, "src.py", ".obsidian/workspace.json"):
        append(name)(project)
    assert done(project, claim) == "done"
    with Ledger.open(str(project)) as ledger:
        [row] = ledger.queries.results("q")
    assert row.report["unnamed"] == [".gitlab-ci.yml", "sub/conftest.py"]
    body = (project / "tasks/a.md").read_text()
    assert "- Changed, and not named by the task: `.gitlab-ci.yml`, `sub/conftest.py`" in body
    told = run_forked("summary", "q").stdout
    assert "changed, and not named by the task: a: .gitlab-ci.yml, sub/conftest.py" in told


@pytest.mark.parametrize("scope", [(), ("--scope", "named")])
def test_what_we_note_in_the_user_s_own_state_is_no_change_where_that_lies_in_the_project(
    scope: tuple[str, ...],
    tmp_path: Path,
    run_forked: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where the project is the user's home."""
    home = tmp_path / "home"
    state = home / ".local/state/hypervisor"
    state.mkdir(parents=True)
    monkeypatch.setenv("HYPERVISOR_STATE", str(state))
    for name in ("a", "b"):
        write_task(home, name)
    told = run_forked("open", "q", "tasks", *scope, cwd=home)
    assert told.returncode == 0, told.stderr
    first, second = take(home), take(home)
    before = {path: path.stat() for path in state.rglob("ends")}
    assert done(home, first) == "done"
    assert {path: path.stat() for path in state.rglob("ends")} != before
    (state / "other.json").write_text("{}")
    if scope:
        with pytest.raises(HypervisorError, match=r"state/hypervisor/other\.json") as refused:
            done(home, second)
        assert "projects" not in str(refused.value)
        return
    assert done(home, second) == "done"
    with Ledger.open(str(home)) as ledger:
        told = {row.id: row.report.get("unnamed") for row in ledger.queries.results("q")}
    assert told == {first.id: None, second.id: [".local/state/hypervisor/other.json"]}


def test_on_a_branch_what_its_commit_changes_counts_links_resolved(repository: Path) -> None:
    git(repository, "config", "user.name", "x")
    git(repository, "config", "user.email", "x@x")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "tasks", "--allow-empty")
    open_queue(repository)
    claim = take(repository, "a", branch=True)
    tree = Path(claim.worktree or "")
    append("notes")(tree)
    (tree / "new-link").symlink_to(".claude/other.json")
    append("sub/x/y/.envrc")(tree)
    with pytest.raises(worker.Refused) as refused:
        done(repository, claim)
    for name in (".claude/settings.json", "new-link", "sub/x/y/.envrc"):
        assert name in refused.value.message
    git(tree, "checkout", claim.base_commit or "", "--", ".claude")
    (tree / "new-link").unlink()
    (tree / "sub/x/y/.envrc").unlink()
    append("lib/fine.py")(tree)
    append("Makefile")(tree)
    assert done(repository, claim) == "done"
    with Ledger.open(str(repository)) as ledger:
        [row] = [row for row in ledger.queries.results("q") if row.state == "done"]
    assert row.report["unnamed"] == ["Makefile"]
    assert "lib/fine.py" in row.report["files"]


def test_on_a_branch_the_root_and_what_git_ignores_in_the_tree_are_looked_at_too(
    repository: Path,
) -> None:
    git(repository, "config", "user.name", "x")
    git(repository, "config", "user.email", "x@x")
    (repository / ".gitignore").write_text(".npmrc\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "ignore")
    open_queue(repository)
    claim = take(repository, "a", branch=True)
    append(".npmrc")(Path(claim.worktree or ""))
    with pytest.raises(worker.Refused, match=r"\.npmrc"):
        done(repository, claim)
    (Path(claim.worktree or "") / ".npmrc").unlink()
    (Path(claim.worktree or "") / "../../../CLAUDE.md").write_text("from a branch\n")
    with pytest.raises(worker.Refused, match=r"CLAUDE\.md"):
        done(repository, claim)


def test_a_spoilt_record_charges_nobody(repository: Path) -> None:
    open_queue(repository)
    claim = take(repository)
    [record] = [
        path
        for path in (repository / ".hypervisor").glob("protected-*")
        if ".lock" not in path.name
    ]
    record.write_bytes(b"1\0nonsense")
    assert done(repository, claim) == "done"


def test_the_answer_do_not_ask_again_is_a_person_s_and_charges_nobody(
    repository: Path, run_forked: Run
) -> None:
    kept = repository / ".claude/settings.local.json"
    kept.write_text(json.dumps({"permissions": {"allow": ["Read"], "deny": ["WebFetch"]}}))
    open_queue(repository)
    first, second = take(repository), take(repository)
    asks = {
        "session_id": "s", "cwd": str(repository), "tool_name": "Bash",
        "tool_input": {"command": "npm test -- a"},
        "permission_suggestions": [
            {"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "npm test:*"}]}
        ],
    }  # fmt: skip
    assert run_forked("_hook", "PermissionRequest", input=json.dumps(asks)).returncode == 0
    told = {"permissions": {"deny": ["WebFetch"], "allow": ["Read", "Bash(npm test:*)"]}}
    kept.write_text(json.dumps(told, indent=2))
    assert done(repository, first) == "done"
    # Anything else in there is not what a person was asked for.
    told["permissions"]["allow"].append("Bash(curl:*)")
    kept.write_text(json.dumps(told))
    with pytest.raises(worker.Refused, match=r"settings\.local\.json"):
        done(repository, second)


@pytest.mark.parametrize(
    "more",
    [
        {"permissions": {"allow": []}, "hooks": {}},
        {"permissions": {"allow": [], "defaultMode": "bypassPermissions"}},
        {"permissions": []},
        [],
    ],
)
def test_other_changes_of_a_client_s_settings_are_nobody_s_answer(
    more: object, repository: Path
) -> None:
    open_queue(repository)
    claim = take(repository)
    (repository / ".claude/settings.local.json").write_text(json.dumps(more))
    with pytest.raises(worker.Refused, match=r"settings\.local\.json"):
        done(repository, claim)


@pytest.mark.parametrize("spoilt", [lambda raw: raw + b"\0" * 99, lambda raw: b"2" + raw[1:]])
@pytest.mark.parametrize("size", [None, 1 << 40])
def test_a_spoilt_record_however_large_keeps_no_item_from_its_worker(
    repository: Path, spoilt: Callable[[bytes], bytes], size: int | None
) -> None:
    open_queue(repository)
    first = take(repository)
    [record] = (repository / ".hypervisor").glob("protected-*[0-9]")
    record.write_bytes(spoilt(record.read_bytes()))
    if size is not None:
        os.truncate(record, size)
    assert done(repository, first) == "done"
    assert done(repository, take(repository)) == "done"


def test_who_was_charged_is_not_forgotten_over_a_record_that_got_too_large(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_queue(repository)
    claim = take(repository)
    monkeypatch.setattr("hypervisor.worker.off_limits_record.LARGEST", 4000)
    (repository / ".claude" / "agents").mkdir()
    for number in range(50):
        (repository / ".claude" / "agents" / f"{number}{'x' * 100}.md").touch()
    append("CLAUDE.md")(repository)
    for _ in range(3):
        with pytest.raises(worker.Refused, match="steers the next run"):
            done(repository, claim)


@pytest.mark.parametrize("place", [".git/config", ".claude/settings.local.json"])
def test_a_pipe_among_what_steers_is_told_and_never_waited_for(
    repository: Path, place: str
) -> None:
    before = snapshot(str(repository))
    (repository / place).unlink(missing_ok=True)
    os.mkfifo(repository / place)
    assert before.changed(snapshot(str(repository))) == [place]


@pytest.mark.parametrize("how", ["new", "changed", "gone", "time set back"])
def test_a_process_that_looks_again_and_again_misses_no_change(how: str, project: Path) -> None:
    folder = project / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "AGENTS.md").write_text("one\n")
    # What changed just now is listed again at the next look in any case.
    time.sleep(0.06)
    times = folder.stat()
    before = [snapshot(str(project)) for _ in range(2)][-1]
    assert snapshot(str(project)).changed(before) == []
    if how == "changed":
        (folder / "AGENTS.md").write_text("two\n")
    elif how == "gone":
        (folder / "AGENTS.md").unlink()
    else:
        (folder / "CLAUDE.md").write_text("obey\n")
        (folder / "deep/CLAUDE.md").write_text("obey\n")
    if how == "time set back":
        os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = before.changed(snapshot(str(project)))
    new = ["docs/CLAUDE.md", "docs/deep/CLAUDE.md"]
    assert changed == (["docs/AGENTS.md"] if how in ("changed", "gone") else new)


@pytest.mark.parametrize("links", ["as they are", "two"])
def test_what_comes_in_a_new_folder_is_found_whatever_the_disk_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: str
) -> None:
    if links == "two":
        from hypervisor.worker import snapshot as snapshots

        split = snapshots._split
        monkeypatch.setattr(snapshots, "_counting", set())
        monkeypatch.setattr(
            snapshots,
            "_split",
            lambda place, seen: split(place, SimpleNamespace(st_nlink=2, st_dev=seen.st_dev)),  # type: ignore[arg-type]
        )
    (tmp_path / "deep" / "tasks").mkdir(parents=True)
    (tmp_path / "deep" / "tasks" / "a.md").touch()
    before = snapshot(str(tmp_path))
    (tmp_path / "deep" / "tasks" / "new").mkdir()
    (tmp_path / "deep" / "tasks" / "new" / ".envrc").touch()
    (tmp_path / "deep" / "tasks" / ".envrc").touch()
    found = before.changed(snapshot(str(tmp_path)))
    assert found == ["deep/tasks/.envrc", "deep/tasks/new/.envrc"]
