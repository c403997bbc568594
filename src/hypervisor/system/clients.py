"""The names by which the floors below `agents` know AI clients: data, and no rule.

All that a client is and does stands in its own folder in `agents`. This is what the floors below
can't ask it for: the variables that tell of the session around a process, and the names of files
that a client reads by itself.
"""

from __future__ import annotations

# The client whose plugin this is: its words are those of the hooks' handlers, and commands that we
# print name it.
HOST = "claude"
# How its sessions' commands are called on their way up, where no variable tells of it.
PROGRAM = "claude"
# What it tells its sessions' commands: which session it is, the client's process, how it was begun.
SESSION, PROCESS, ENTRY = "CLAUDE_CODE_SESSION_ID", "CLAUDE_PID", "CLAUDE_CODE_ENTRYPOINT"
# An entry that begins so has no person at it.
ENTRY_OF_PROGRAMS = "sdk"
# Any of these tells that an agent of some client has started this process.
AGENT_AROUND = (SESSION, PROCESS, "CLAUDECODE", "AI_AGENT", "GEMINI_CLI", "CODEX_THREAD_ID")
# The client that tells of itself by this takes the user's configuration away from the model's git.
HIDES_GIT_CONFIG = "GEMINI_CLI"

# What a client reads by itself when it is started in a folder, and obeys or runs.
FOLDERS = (".claude", ".claude-plugin", ".codex", ".gemini")
FILES = ("CLAUDE.local.md", "CLAUDE.md", "GEMINI.md")
# Whole checkouts, made by the client for its own workers.
TREES = ".claude/worktrees"
# Where a client keeps what its person allowed once and for all, in the middle of a run.
GRANTS = ".claude/settings.local.json"
