"""What holds where `hypervisor.toml` says nothing, in the shape of that file."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    # Words that ship with the program, by name: `aops`. What your settings say goes before them.
    "preset": "",
    "project": "",  # names the project where several share one store
    # Class of a status -> the words for it, in any case, with `_`, `-` or a space between words.
    "status": {
        "ready": ["inbox", "active", "ready", "queued", "todo", "to do", "open", "new", "backlog"],
        "in_progress": [
            "in progress",
            "doing",
            "started",
            "review",
            "in review",
            "merge ready",
            "merging",
            "partial",
            "decomposing",
            "consensus",
        ],
        "blocked": ["blocked"],
        "waiting": ["waiting", "paused", "on hold", "deferred", "someday", "dormant"],
        "done": ["done", "complete", "completed", "closed", "finished", "resolved"],
        "cancelled": [
            "cancelled",
            "canceled",
            "won't do",
            "wont do",
            "wontfix",
            "won't fix",
            "archived",
            "superseded",
            "abandoned",
        ],
        "failed": ["failed", "issues found"],
        "draft": ["draft", "submitted"],
    },
    # What makes a Markdown file a task, as does a `status`, or `id` and `title`.
    "types": ["goal", "project", "epic", "task", "action", "bug", "feature", "learn"],
    # Other ways of writing task files: `name`, `detect`, `fields`, `words`.
    "families": [],
    "walk": {
        # Folders that a walk leaves out, besides hidden ones.
        "skip": [
            "archive",
            "sessions",
            "contacts",
            "assets",
            "diagrams",
            "dotfiles",
            "metrics",
            "qa",
            "node_modules",
        ],
    },
    "preflight": {
        # Assignees that are people: their tasks are held. Who gets what needs judgement is one.
        "humans": [],
        # Assignees that are agents: workers may have their tasks. Who gets what is automatable is
        # one. Tasks of anybody else are held until it is said who that is.
        "agents": ["claude", "claude code", "codex", "copilot", "gemini", "gemini cli"],
        # Assignees that stand for any agent, or for nobody: workers may have their tasks.
        "anyone": ["agent", "ai", "any", "anyone", "bot", "nobody", "none", "unassigned", "worker"],
        # Tags of tasks that a person has to do: they are held.
        "human_tags": [
            "human",
            "human-required",
            "needs-review",
            "peer_review",
            "vote",
        ],
        "human_types": ["learn"],  # the same by type
        "human_complexities": ["blocked-human"],  # the same by complexity
        "lock_folders": ["locks", "/tmp/hypervisor/locks"],  # of other tools
        # Tool that workers lack -> patterns over a task's title and prose, in any case. None by
        # itself: a word is no proof that a task needs the tool; its key `tools` is.
        "tools": {},
    },
    "tools": {
        # Tools of [preflight.tools], or `mcp__…`, that the user's workers have after all.
        "available": [],
    },
    "permissions": {
        # Our hooks let workers use their own commands and the project's files without a dialog.
        # Only in the user's own configuration.
        "by_hooks": True,
    },
    "triage": {
        "judgement": "",  # who gets what needs judgement, or what no rule knows
        "automatable": "",  # who gets what a worker can do
        "complexity": False,  # write the key `complexity`
        "wikilinks": True,  # add `Project: [[…]]`
        # Headings that close a task.
        "close_headings": ["Close Reason", "Closed"],
        # Phrases in a task that ask for a person.
        "judgement_phrases": ["requires human", "underspecified", "needs clarification"],
        # Tags of what a worker can do, unless one of the above says otherwise.
        "automatable_tags": ["bot-assigned"],
        # Judgement is needed: over the lower-cased prose and title; `.` stays within a line.
        "judgement_patterns": [
            r"\breview\b",
            r"\brespond\b.*\b(email|to)\b",
            r"\bmeeting\b",
            r"\bdecision\b",
            r"\bdesign\b.*\b(decision|choice)\b",
            r"\bapprove\b",
            r"\bfinance\b",
            r"\breceipt\b",
            r"\bpeer.?review\b",
        ],
        # Otherwise, a worker can do it: over the same text.
        "automatable_patterns": [
            r"\bimplement\b.*\b(function|method|class|script)\b",
            r"\bfix\b.*\b(bug|error|issue)\b",
            r"\btest\b.*\b(coverage|unit|integration)\b",
            r"\brefactor\b",
            r"\bupdate\b.*\b(config|schema|spec)\b",
            r"\badd\b.*\b(field|parameter|option)\b",
        ],
        # Project -> target of the link that it gets, where that is not its name.
        "links": {},
    },
    # Name of a caller of the task server -> `complexity`, the classes of tasks that it may claim.
    "callers": {},
    "limits": {
        "lease": "15m",  # a silent claim ends after this
        "max_attempts": 3,  # failed or unreported attempts of an item
        "max_deaths": 3,  # crashes, turn limits and API errors of its workers
        "max_releases": 3,  # times that workers give it back
        "item_calls": 200,  # tool calls that a worker may take for an item: then that is an attempt
        "item_minutes": 60,  # … and minutes; never less than a lease
        "verify_timeout": "10m",  # a queue's check may take this long
        "undo_days": 7,  # what files were before an edit is kept this long
        "outputs": "7d",  # workers' transcripts are kept for this long …
        "outputs_mb": 500,  # … and up to this size
        "workers": 8,  # background workers at once, 20 at most
        # Nothing more is handed out when so great a share of a usage window is used; a project can
        # only lower it.
        "window": 0.9,
        "ask_above": 20,  # ask before a batch larger than this is spent on
    },
}
