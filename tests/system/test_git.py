"""git as we start it: what it is told, what it may run, how long it may take."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.system.checkout import head, top_of
from hypervisor.system.errors import HypervisorError, SetupError
from hypervisor.system.git import Git, GitError
from hypervisor.system.git_environment import DROPPED
from hypervisor.system.remote import run_remote
from repository import REPO
from worker.branches.support import WHO, commit_all, git

pytestmark = pytest.mark.usefixtures("identity")
SOURCES = REPO / "src"


@pytest.fixture
def repository(project: Path) -> Path:
    git(project, "init", "--quiet", "-b", "main")
    (project / "a.txt").write_text("a\n")
    commit_all(project)
    return project


def told(root: Path, script: str, **options: object) -> str:
    """Have git run a shell's words as it would run a helper, and return what they print."""
    return Git(str(root), **options)("-c", f"alias.say=!{script}", "say")  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(path: Path) -> str:
    until = time.monotonic() + 20
    while not path.exists() or not path.read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.02)
    return path.read_text().strip()


# -- what it is told --


def test_all_that_names_another_repository_to_git_is_dropped() -> None:
    listed = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True
    )
    assert listed.stdout.split()
    assert set(listed.stdout.split()) <= DROPPED


def test_of_the_callers_environment_identity_and_access_stay_and_programs_go(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay = {
        **WHO, "GIT_SSH_COMMAND": "ssh -v", "GIT_ASKPASS": "/bin/true", "SSH_AUTH_SOCK": "/s",
        "GIT_SSL_CAINFO": "/ca", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
    }  # fmt: skip
    go = {
        "GIT_EXTERNAL_DIFF": "/x", "GIT_TEMPLATE_DIR": "/x", "GIT_OBJECT_DIRECTORY": "/x",
        "GIT_NAMESPACE": "x", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "alias.say",
        "GIT_CONFIG_VALUE_0": "!echo foreign", "GIT_QUARANTINE_PATH": "/x", "GIT_EXEC_PATH": "/x",
        "GIT_ICASE_PATHSPECS": "1", "GIT_ATTR_SOURCE": "x", "GIT_TRACE": "/dev/stdout",
    }  # fmt: skip
    for name, value in (stay | go).items():
        monkeypatch.setenv(name, value)
    lines = told(repository, "env").splitlines()
    seen = dict(line.partition("=")[::2] for line in lines)
    assert {name: seen.get(name) for name in stay} == stay
    # git itself sets where its own programs are.
    assert not {name for name, value in go.items() if seen.get(name) == value}
    assert seen["GIT_TERMINAL_PROMPT"] == "0" and seen["GIT_EDITOR"] == "true"


def test_it_works_in_its_folder_where_another_repository_is_named(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = repository.parent / "other"
    git(repository.parent, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    (repository / "a.txt").write_text("b\n")
    here = Git(str(repository))
    here("commit", "--quiet", "--all", "--message", "x")
    assert here("rev-parse", "--show-toplevel").strip() == str(repository)
    assert head(str(repository)) and head(str(other)) is None


@pytest.mark.parametrize("client", [True, False])
def test_the_shell_of_gemini_does_not_take_the_users_configuration_away(
    client: bool, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "config", "--global", "user.name", "Mine")
    for name, value in {
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "credential.helper", "GIT_CONFIG_VALUE_0": "",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    if client:
        monkeypatch.setenv("GEMINI_CLI", "1")
    assert Git(str(repository)).run("config", "user.name")[1] == ("Mine\n" if client else "")


# -- how long it takes --


def test_a_step_that_takes_too_long_is_ended_with_all_it_has_started(repository: Path) -> None:
    note, beats = repository.parent / "pid", []
    with pytest.raises(GitError, match=r"longer than 1 s"):
        told(
            repository, f"sh -c 'sleep 300 & echo $! >{note}; wait'",
            seconds=1.0, beat=lambda: beats.append(1), beat_every=0.2,
        )  # fmt: skip
    assert not is_alive(int(note.read_text())) and len(beats) >= 2


def test_what_the_beat_raises_ends_it(repository: Path) -> None:
    def lost() -> None:
        raise SetupError("the lease is another's")

    begun = time.monotonic()
    with pytest.raises(SetupError):
        told(repository, "sleep 300", beat=lost, beat_every=0.1)
    assert time.monotonic() - begun < 30


def test_it_has_no_terminal_and_a_helper_that_stays_is_not_waited_for(repository: Path) -> None:
    begun = time.monotonic()
    said = told(repository, "sh -c 'sleep 300 & ps -o sid= -p $$; echo $! >&2; echo $!'").split()
    try:
        assert int(said[0]) != os.getsid(0)
        assert time.monotonic() - begun < 30
    finally:
        os.kill(int(said[1]), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_asked_to_end_it_takes_git_along(repository: Path, number: signal.Signals) -> None:
    note = repository.parent / "pid"
    program = (
        f"import sys; sys.path.insert(0, {str(SOURCES)!r})\n"
        "from hypervisor.system.git import Git\n"
        f"Git({str(repository)!r})('-c', 'alias.say=!echo $$ >{note}; exec sleep 300', 'say')\n"
    )
    ours = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    pid = int(wait_for(note))
    ours.send_signal(number)
    assert ours.wait(timeout=30) != 0
    until = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(pid)


# -- which repository it takes --


def test_a_folder_that_looks_like_a_bare_repository_is_files(repository: Path) -> None:
    planted = repository / "work"
    git(repository, "init", "--quiet", "--bare", "work")
    (planted / "config").write_text("[core]\nbare = false\nworktree = .\n[alias]\nx = !echo ran\n")
    (planted / "deep").mkdir()
    for folder in (planted, planted / "deep"):
        assert top_of(str(folder)) == str(repository)
        assert Git(str(folder)).top() == str(repository)
        assert Git(str(folder)).run("x")[0] != 0


def test_without_a_repository_git_is_not_started(tmp_path: Path) -> None:
    base = tmp_path.resolve()
    git(base, "init", "--quiet", "--bare", "bare")
    with pytest.raises(GitError, match="not a git repository"):
        Git(str(base / "bare"))("log")
    (base / "empty" / ".git").mkdir(parents=True)
    with pytest.raises(GitError, match="not a git repository"):
        Git(str(base / "empty"))("log")


def _into_main(root: Path, sub: Path) -> None:
    (sub / ".git").write_text(f"gitdir: {root}/.git\n")


def _into_a_linked_one(root: Path, sub: Path) -> None:
    (sub / ".git").write_text(f"gitdir: {root}/.git/worktrees/linked\n")


def _into_files_of_the_project(root: Path, sub: Path) -> None:
    git(root, "init", "--quiet", "--bare", "files")
    (sub / ".git").write_text("gitdir: ../files\n")


def _a_repository(root: Path, sub: Path) -> None:
    git(sub, "init", "--quiet")


@pytest.mark.parametrize(
    "lead", [_into_main, _into_a_linked_one, _into_files_of_the_project, _a_repository]
)
def test_a_working_tree_is_the_projects_only_if_the_project_keeps_it(
    lead: Callable[[Path, Path], None], repository: Path
) -> None:
    git(repository, "worktree", "add", "--quiet", "--detach", "../linked")
    sub = repository / "sub"
    sub.mkdir()
    lead(repository, sub)
    at_root = Git(str(repository))
    assert at_root.at(str(repository.parent / "linked")).is_there()
    with pytest.raises(HypervisorError, match="no working tree of the repository"):
        at_root.at(str(sub))
    assert not Git(str(sub), root=str(repository)).is_there()


def test_a_tree_that_is_led_elsewhere_meanwhile_is_not_worked_in(repository: Path) -> None:
    linked, evil = repository.parent / "linked", repository.parent / "evil"
    git(repository, "worktree", "add", "--quiet", "--detach", str(linked))
    git(repository.parent, "init", "--quiet", "evil")
    git(evil, "config", "core.fsmonitor", f"touch {repository.parent}/ran; :")
    there = Git(str(repository)).at(str(linked))
    (linked / ".git").write_text(f"gitdir: {evil}/.git\n")
    with pytest.raises(HypervisorError, match="no working tree"):
        there("status")
    (linked / ".git").unlink()
    with pytest.raises(HypervisorError, match="no working tree"):
        there("status")
    assert not (repository.parent / "ran").exists()


# -- what it may run --


def test_hooks_and_remotes_of_a_foreign_repository_do_not_count(repository: Path) -> None:
    nested = repository / "sub"
    git(repository, "init", "--quiet", "sub")
    for root in (repository, nested):
        git(root, "config", "hypervisor.remote", "origin")
        git(root, "config", "hypervisor.hooks", "true")
    assert Git(str(repository)).remote_name() == "origin"
    foreign = Git(str(nested), root=str(repository))
    assert foreign.remote_name() is None
    hook = nested / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\ntouch {repository.parent}/ran\n")
    hook.chmod(0o755)
    (repository.parent / "config").write_text("[core]\neditor = false\n")
    git(nested, "config", "include.path", str(repository.parent / "config"))
    # Even where the user runs hooks everywhere.
    git(repository, "config", "--global", "hypervisor.hooks", "true")
    foreign = Git(str(nested), root=str(repository))
    foreign("commit", "--quiet", "--allow-empty", "--message", "x")
    assert not (repository.parent / "ran").exists()


def test_a_foreign_repository_does_not_say_where_its_files_are(repository: Path) -> None:
    nested = repository / "sub"
    git(repository, "init", "--quiet", "sub")
    git(nested, "config", "core.worktree", str(repository.parent))
    (nested / "f").write_text("x")
    foreign = Git(str(nested), root=str(repository))
    foreign("add", "--", "f")
    assert foreign("ls-files") == "f\n"


def test_a_remote_is_a_name_and_no_option_and_runs_no_command(repository: Path) -> None:
    git(repository, "config", "hypervisor.remote", "--upload-pack=touch ran")
    with pytest.raises(HypervisorError, match="is not a remote"):
        Git(str(repository)).remote_name()
    git(repository, "config", "protocol.ext.allow", "always")
    with pytest.raises(GitError, match="'ext' not allowed"):
        run_remote(Git(str(repository)), "fetch", f"ext::touch {repository.parent}/ran")
    assert not (repository.parent / "ran").exists()


def test_the_users_own_way_to_call_ssh_is_kept(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = repository.parent / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" >{repository.parent}/called; exit 1\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(ssh))
    with pytest.raises(GitError):
        run_remote(Git(str(repository)), "fetch", "ssh://nowhere.example/x")
    assert "nowhere.example" in (repository.parent / "called").read_text()


def test_what_git_and_a_remote_say_is_escaped(repository: Path) -> None:
    hub = repository.parent / "hub"
    git(repository, "init", "--quiet", "--bare", str(hub))
    hook = hub / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nprintf 'no\\033[2J\\342\\200\\256\\r\\nway' >&2; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitError) as error:
        run_remote(Git(str(repository)), "push", str(hub), "main")
    assert "\\u001b" in str(error.value) and str(error.value).isprintable()


def test_a_configuration_that_git_can_not_read_is_told_and_not_passed_by(repository: Path) -> None:
    with (repository / ".git" / "config").open("a") as configuration:
        configuration.write("[broken\n")
    with pytest.raises(GitError, match="bad config"):
        Git(str(repository)).setting("hypervisor.remote")
