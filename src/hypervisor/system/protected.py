"""What steers agents, git, editors and shells: the one list of it, by name.

A program reads these by itself when it is next started in the folder, and runs or obeys what stands
in them. So no worker changes one, whatever its task says; a person may let it (`--may-write`).
"""

from __future__ import annotations

from hypervisor.system import clients

# At any depth, since most of them are read from subfolders too; in any case, since some disks know
# no difference. A folder stands for everything below it.
FOLDERS = (
    *clients.FOLDERS, ".agents", ".clinerules", ".continue", ".cursor", ".devcontainer", ".git",
    ".githooks", ".github/instructions", ".husky", ".hypervisor", ".idea/runConfigurations",
    ".junie", ".kilocode", ".mise", ".opencode", ".qwen", ".roo", ".windsurf",
)  # fmt: skip
FILES = (
    *clients.FILES, "AGENTS.md", "AGENTS.override.md", "hypervisor.toml", "lefthook.yml",
    "mise.local.toml", "mise.toml", "opencode.json", "opencode.jsonc", ".aider.conf.yml",
    ".cursorrules", ".devcontainer.json", ".dir-locals-2.el", ".dir-locals.el", ".envrc", ".exrc",
    ".gitattributes", ".github/copilot-instructions.md", ".gitmodules", ".goosehints",
    ".lefthook.yml", ".mcp.json", ".mise.local.toml", ".mise.toml", ".npmrc", ".nvim.lua",
    ".nvimrc", ".pnpmfile.cjs", ".pre-commit-config.yaml", ".roorules", ".vimrc",
    ".vscode/launch.json", ".vscode/mcp.json", ".vscode/settings.json", ".vscode/tasks.json",
    ".windsurfrules", ".yarnrc", ".yarnrc.yml", ".zed/settings.json", ".zed/tasks.json",
)  # fmt: skip
# Each of these checkouts is looked at for itself.
TREES = clients.TREES
GRANTS = clients.GRANTS

_FOLDERS = frozenset(name.casefold() for name in FOLDERS)
_FILES = frozenset(name.casefold() for name in FILES)
# What runs at the next build or test: a task may be about it, and then it says so.
_BUILDS = frozenset(
    ("makefile", "gnumakefile", "conftest.py", "jenkinsfile", "azure-pipelines.yml")
)
# The last parts of the names above, folded: files by another name count only below a folder with a
# leading dot, or have one themselves.
NAMES = frozenset(name.rpartition("/")[2] for name in _FILES) | _BUILDS
# What programs that people have open write by themselves, all the time.
_CHURN = frozenset((
    ".ds_store", ".history", ".idea", ".obsidian", ".smart-env", ".stfolder", ".trash", ".vs",
))  # fmt: skip
_TEMPORARY = (".swp", ".swo", ".tmp", "~", "#")


def steers(path: str) -> bool:
    """True if what lies at `path`, from the root or a folder in it, steers the next run."""
    parts = path.casefold().split("/")
    if path.casefold().startswith(f"{TREES}/"):
        return False
    last = len(parts) - 1
    return any(
        part in _FOLDERS
        or f"{part}/{parts[at + 1] if at < last else ''}" in _FOLDERS
        or (at == last and part in _FILES)
        or (at + 1 == last and f"{part}/{parts[last]}" in _FILES)
        for at, part in enumerate(parts)
    )


def wants_naming(path: str) -> bool:
    """True for what a worker may change where its task names it, and else changes in the open: CI
    and build files, tests that run by themselves, and all other paths with a leading dot."""
    parts = path.casefold().split("/")
    if parts[-1] in _BUILDS:
        return True
    if not _CHURN.isdisjoint(parts) or parts[-1].endswith(_TEMPORARY):
        return False
    return any(part.startswith(".") for part in parts)


def allowed(path: str, named: list[str]) -> bool:
    """True if `path` is one of `named`, or below one of them; in any case, as everything here."""
    folded = path.casefold()
    return any(folded == name or folded.startswith(f"{name}/") for name in map(str.casefold, named))
