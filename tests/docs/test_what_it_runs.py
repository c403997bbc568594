"""The page on processes, addresses and files names every place of the source that has to do with
any of them, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.typist import REPO
from repository import parsed, text_of

PAGE = (REPO / "docs/what-it-runs.md").read_text(encoding="utf-8")
SOURCES = {
    **{str(path.relative_to(REPO / "src/hypervisor")): path
       for path in (REPO / "src/hypervisor").rglob("*.py")},
    **{f"launcher/{path.name}": path for path in (REPO / "launcher").glob("*.py")},
    **{f"scripts/{path.name}": path for path in (REPO / "skills").rglob("*.py")},
}  # fmt: skip
_STARTS = re.compile(
    r"subprocess\.\w+|os\.(?:exec|spawn|posix_spawn|fork|system|popen|startfile)\w*|pty\.\w+|ask"
    r"|webbrowser\.open\w*|multiprocessing\.\w+|asyncio\.create_subprocess\w*"
)
_REACHES = (
    "socket ssl http urllib.request ftplib smtplib telnetlib poplib imaplib xmlrpc requests httpx "
    "httpx2 aiohttp hypervisor.ledger.libpq mcp"
)
_OUTSIDE = re.compile(
    r"expanduser|XDG_|tempfile\.\w+|mkdtemp|gettempdir|Path\.home|HYPERVISOR_HOME|/tmp/batch"
)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def named(title: str) -> set[str]:
    """The places of the source that a section names."""
    return set(re.findall(r"`([\w/]+\.py)`", section(title)))


def holding(pattern: str) -> Iterator[tuple[str, Path]]:
    """Yield the sources in whose text `pattern` is found."""
    return ((name, path) for name, path in SOURCES.items() if re.search(pattern, text_of(path)))


def calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            yield node


def starting() -> dict[str, set[str]]:
    """The places that start processes, and the programs that stand there as texts."""
    found: dict[str, set[str]] = {}
    for name, path in holding(_STARTS.pattern):
        for call in calls(path):
            if not _STARTS.fullmatch(ast.unparse(call.func)):
                continue
            programs = found.setdefault(name, set())
            first = call.args[0] if call.args else None
            word = first.elts[0] if isinstance(first, ast.List) and first.elts else first
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                programs.add(word.value)
    return found


def test_every_place_that_starts_a_process_is_named_and_no_other() -> None:
    found = starting()
    assert {
        "system/processes.py",
        "worker/verify.py",
        "agents/pool/process.py",
        "launcher/setup.py",
    } <= set(found)
    # git is started there in the words of another.
    assert named("Processes") == set(found) | {"system/git.py"}


def test_every_program_that_stands_in_the_source_is_named_beside_its_place() -> None:
    rows = [line for line in section("Processes").splitlines() if line.startswith("| ")]
    for name, programs in starting().items():
        row = "\n".join(line for line in rows if f"`{name}`" in line)
        for program in programs:
            words = {program, program.rpartition("/")[2]}
            assert any(re.search(rf"`{re.escape(word)}[` ]", row) for word in words), (
                name,
                program,
            )


def test_what_the_scripts_of_the_shell_start_is_named() -> None:
    scripts = [REPO / name for name in ("bin/hypervisor", "hooks/guard", "gemini/start",
                                        "launcher/setup.sh", "launcher/stand_in.sh")]  # fmt: skip
    inner = {"if", "then", "else", "elif", "fi", "for", "do", "done", "while", "until", "case",
             "esac", "in", "set", "unset", "exit", "return", "shift", "read", "printf", "echo",
             "command", "cd", "pwd", "test", "exec", "export", "trap", "eval", "break", "continue",
             "local", "true"}  # fmt: skip
    named_here = {"python", "uv", "sh", "readlink", "hypervisor", "git", "head", "cat"}
    for script in scripts:
        lines = script.read_text(encoding="utf-8").splitlines()
        text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        quoted = r"\\.|'[^']*'|\"(?:[^\"\\$]|\\.|\$(?!\())*\""
        text = re.sub(quoted, "''", text)
        own = set(re.findall(r"^(\w+)\(\)", text, re.MULTILINE))
        begins = r"(?:^|[;&|({]|\b(?:then|else|do|exec|if|elif|while|!)\s)\s*"
        words = re.findall(rf"{begins}([a-z][a-z0-9_]*)(?= |$)", text, re.MULTILINE)
        assert set(words) - inner - own <= named_here, script


def test_every_place_that_can_reach_an_address_is_named_and_no_other() -> None:
    found = {"launcher/setup.py", "system/remote.py"}
    reaching = tuple(_REACHES.split())
    for name, path in holding("|".join(reaching).replace(".", "|")):
        for node in ast.walk(parsed(path)):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            if any(f"{module}.".startswith(f"{one}.") for module in modules for one in reaching):
                found.add(name)
    assert named("Addresses") == found


def test_no_address_stands_in_the_source() -> None:
    for name, path in holding("://"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                hosts = re.findall(r"\b(?:https?|wss?|ftp)://([\w.-]+\.[a-z]{2,})", node.value)
                assert set(hosts) <= {"json-schema.org"}, name


def test_every_place_that_has_to_do_with_files_outside_is_named_and_no_other() -> None:
    found = {"views/page/write.py", "agents/doctor/bundle.py", "agents/claude/upgrade.py"}
    for name, path in holding(_OUTSIDE.pattern):
        tree = parsed(path)
        texts = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call))
        named_files = (
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        )
        told = [*texts, *(str(one.value) for one in named_files)]
        if any(_OUTSIDE.search(text) for text in told):
            found.add(name)
    assert named("Files outside of the project") == found | {"launcher/setup.py"}
