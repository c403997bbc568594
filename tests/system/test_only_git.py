"""`system/git` is the only place of the program that starts git."""

from __future__ import annotations

import ast

import pytest

from repository import modules

# What the doctor writes before its findings.
_LABELS = ("note", "ok", "wrong", "_install")


def starts_of_git(tree: ast.Module) -> list[int]:
    """Return the lines of a program that name git as a program to start: alone, as the first of
    several words, or in a shell's words."""
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = set()
    for node in ast.walk(tree):
        words = _text(node)
        first = words.split(" ")[0].rpartition("/")[2]
        if first not in ("git", "git.exe"):
            continue
        parent = above[node]
        if isinstance(parent, ast.List | ast.Tuple):
            if words != first or node is parent.elts[0]:
                found.add(node.lineno)
        elif words == first and not _only_told(node, above):
            found.add(node.lineno)
    return sorted(found)


def _only_told(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    """True where the word is a label, or is asked for and not started."""
    parent = above[node]
    if isinstance(parent, ast.Compare) or (isinstance(parent, ast.Dict) and node in parent.keys):
        return True
    if not isinstance(parent, ast.Call):
        return False
    name = getattr(parent.func, "attr", getattr(parent.func, "id", ""))
    return name in _LABELS or (name == "which" and isinstance(above[parent], ast.Compare))


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.parametrize(
    "text",
    [
        'subprocess.run(["git", "status"])',
        'subprocess.Popen(["git", *words], cwd=root)',
        'run(("git", "log"))',
        'words = ["/usr/bin/git", "-C", root]',
        'program = "git"\nask([program])',
        'git = shutil.which("git")\nask([git, "status"])',
        'os.execvp("git", words)',
        'subprocess.run(["sh", "-c", "git status"])',
        'subprocess.run(["sh", "-c", f"git -C {root} status"])',
        'subprocess.run(words, executable="git")',
    ],
)
def test_a_start_of_git_is_found(text: str) -> None:
    assert starts_of_git(ast.parse(text))


def test_only_system_git_starts_git() -> None:
    found = {place: lines for place, tree in modules("git") if (lines := starts_of_git(tree))}
    assert list(found) == ["system/git.py"]
