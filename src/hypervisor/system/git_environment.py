"""What every git of ours is told, and what of our caller's environment it never hears of."""

from __future__ import annotations

import os

from hypervisor.system.clients import HIDES_GIT_CONFIG

# What would stop a worker that nobody watches, or run what somebody else has chosen, is off.
QUIET = (
    "commit.gpgSign=false",
    "tag.gpgSign=false",
    "push.gpgSign=false",
    "merge.verifySignatures=false",
    "log.showSignature=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "rerere.enabled=false",
    "advice.detachedHead=false",
    "credential.interactive=false",
    "protocol.ext.allow=never",
    # A folder that looks like a bare repository is files of a project, not a repository.
    "safe.bareRepository=explicit",
)
# What tells git of another repository than the one it is started in (`git rev-parse
# --local-env-vars`, of all versions), of programs to run, of other meanings of its words.
DROPPED = frozenset((
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
    "GIT_NAMESPACE", "GIT_QUARANTINE_PATH", "GIT_ATTR_SOURCE", "GIT_DEFAULT_HASH",
    "GIT_REF_FORMAT", "GIT_DEFAULT_REF_FORMAT", "GIT_REFLOG_ACTION", "GIT_INDEX_VERSION",
    "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_PAGER",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
))  # fmt: skip
_DROPPED_FAMILIES = ("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_TRACE", "GIT_PUSH_OPTION_")
_ASK_NOBODY = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_MERGE_AUTOEDIT": "no",
    "GCM_INTERACTIVE": "never",
    # A commit is what its id says, whatever somebody has put in its place.
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}
_SWITCHED_OFF = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")
# By these a user says who commits, other than in a file: agents in an environment of their own get
# them too.
IDENTITY = frozenset((
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL",
    "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
))  # fmt: skip


def environment(top: str, ours: bool) -> dict[str, str]:
    """Return the environment of a git at `top`; `ours`: its repository is the project's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in DROPPED and not name.startswith(_DROPPED_FAMILIES)
    }
    if HIDES_GIT_CONFIG in kept and all(kept.get(name) == os.devnull for name in _SWITCHED_OFF):
        # It says who commits, and which filters there are.
        for name in (*_SWITCHED_OFF, "GIT_CONFIG_NOSYSTEM"):
            kept.pop(name, None)
    # It looks no further up than we did; and a foreign repository does not say where its files are.
    kept |= _ASK_NOBODY | {"GIT_CEILING_DIRECTORIES": os.path.dirname(top)}
    return kept if ours else kept | {"GIT_WORK_TREE": top}
