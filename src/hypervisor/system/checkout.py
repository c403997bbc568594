"""Where a checkout stands, read without git: a process would take longer than a claim."""

from __future__ import annotations

import os

from hypervisor.system.reading import NotReadable, read_start

# How the mode of a link to another repository stands in an index.
GITLINK = 0o160000
_LARGEST = 4 << 20
# Where a repository that is apart from its main worktree notes that.
_MAIN = "hypervisor-main"
_HEX = frozenset("0123456789abcdef")


def head(folder: str) -> str | None:
    """Return the id of the commit at which `folder` is checked out, or None: `next` notes it
    with every claim.

    None stands for no repository, no commit yet, and whatever only git itself can read.
    """
    private = private_dir(folder)
    if private is None:
        return None
    text = _read(f"{private}/HEAD")
    if not text.startswith("ref: "):
        return _commit(text)
    return commit_of_ref(shared_dir(private), text[5:].rstrip("\n"))


def commit_of_ref(shared: str, name: str) -> str | None:
    """Return the commit that a ref is at, in the folder of a repository, where that can be read
    without git."""
    return _commit(_read(f"{shared}/{name}")) or _packed(f"{shared}/packed-refs", name)


def private_dir(folder: str) -> str | None:
    """Return the folder in which git keeps what it knows of the checkout around `folder`."""
    top = top_of(folder)
    return None if top is None else _private_at(top)


def _private_at(top: str) -> str | None:
    git = f"{top}/.git"
    if os.path.isdir(git):
        return git
    kind, colon, path = _read(git).partition(": ")
    return os.path.join(top, path.rstrip("\n")) if kind == "gitdir" and colon else None


def repository_at(folder: str) -> str | None:
    """Return the `private_dir` of the checkout whose top is `folder`; None where it has no `.git`,
    and where that is none of git's, as an empty one that a sandbox left."""
    return _private_at(folder) if _has_repository(folder) else None


def main_of(top: str, private: str) -> str:
    """Return the folder that all worktrees of a repository mean, for its checkout at `top` and that
    one's `private_dir`: the main worktree, or the folder whose `.git` leads to a bare repository;
    where neither is known, the repository's own folder."""
    common = os.path.realpath(shared_dir(private))
    if common == os.path.realpath(private):
        return top
    for told in ("..", _worktree_of(common), _read(f"{common}/{_MAIN}").rstrip("\n")):
        place = os.path.realpath(os.path.join(common, told))
        if _has_repository(place) and os.path.realpath(_private_at(place) or "") == common:
            return place
    return common


def note_main(top: str) -> None:
    """Note in a repository that is apart from its main worktree `top` where that is, since git
    does not: linked worktrees are to find it."""
    private = repository_at(top) if os.path.isfile(f"{top}/.git") else None
    if private and shared_dir(private) == private and not _worktree_of(private):
        try:
            with open(f"{private}/{_MAIN}", "wb") as out:
                out.write(os.fsencode(top) + b"\n")
        except OSError:
            return


def _worktree_of(repository: str) -> str:
    """Return what a repository's settings say of its main worktree, as submodules' do."""
    for line in _read(f"{repository}/config").split("\n"):
        name, _, told = line.partition("=")
        if name.strip().lower() == "worktree":
            return told.strip().strip('"')
    return ""


def shared_dir(private: str) -> str:
    """Return the folder of the repository that all its working trees share, for the `private_dir`
    of one of them."""
    common = _read(f"{private}/commondir").rstrip("\n")
    return os.path.join(private, common) if common else private


def top_of(folder: str) -> str | None:
    """Return the top folder of the checkout around `folder`, or None.

    Only a `.git` makes one: a folder that looks like a bare repository is files, as a clone brings
    them. A `.git` which is not a repository is passed by, as git does.
    """
    while not _has_repository(folder):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return None
    return folder


def _has_repository(folder: str) -> bool:
    git = f"{folder}/.git"
    if os.path.isfile(git):
        return True
    try:
        # A sandbox leaves an empty file there.
        has_head = os.lstat(f"{git}/HEAD").st_size > 0
    except OSError:
        return False
    return has_head and os.path.isdir(f"{git}/objects") and os.path.isdir(f"{git}/refs")


def git_file_of(private: str) -> str:
    """Return where the `.git` stands that leads to a `private_dir`, "" for that of a main one."""
    return _read(f"{private}/gitdir").rstrip("\n")


def is_own(folder: str, private: str) -> bool:
    """True if `private`, where the `.git` above `folder` leads, is kept for that working tree, and
    for no other one."""
    git = os.path.realpath(f"{top_of(folder)}/.git")
    told = git_file_of(private)
    if told:
        return os.path.realpath(os.path.join(private, told)) == git
    return git == private


def may_link(private: str) -> bool:
    """False if the index of a checkout surely holds no link to another repository."""
    mode = GITLINK.to_bytes(4, "big")
    try:
        for name in os.listdir(private):
            if name == "index" or name.startswith("sharedindex."):
                with open(os.path.join(private, name), "rb") as index:
                    if mode in index.read():
                        return True
    except OSError:
        return True
    return False


def _packed(path: str, name: str) -> str | None:
    try:
        if os.stat(path).st_size > _LARGEST:
            return None
    except OSError:
        return None
    text = _read(path)
    at = text.find(f" {name}\n")
    return _commit(text[text.rfind("\n", 0, at) + 1 : at]) if at >= 0 else None


def _commit(text: str) -> str | None:
    text = text.rstrip("\n")
    return text if len(text) in (40, 64) and _HEX.issuperset(text) else None


def _read(path: str) -> str:
    try:
        return os.fsdecode(read_start(path, _LARGEST)).replace("\r\n", "\n")
    except (OSError, NotReadable, ValueError):
        return ""
