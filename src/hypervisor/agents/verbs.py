"""What each verb is to those who may run it: the one table for hooks, pools, the program itself and
the tests of the plugin's files.

A worker is an agent that works a queue off, or any agent that a session has started; a session is
the conversation with the user. What nobody grants is asked of the user by the client.
"""

from __future__ import annotations

# What a verb is.
WORKER = "worker"  # a worker's own work: granted to it
LOOK = "look"  # changes nothing that matters: refused to nobody
SESSION = "session"  # the owner's part of a batch: granted to the session, refused to workers
COMMAND = "command"  # granted by the plugin's command of its name, refused to workers
ASK = "ask"  # the user is asked each time, with the command in sight; refused to workers
PERSON = "person"  # for a person in a terminal
OWN = "own"  # for our own processes

_OF_KIND = {
    WORKER: ("next", "done", "block", "fail", "release", "heartbeat", "commit", "suggest"),
    LOOK: (
        "preflight", "wait", "status", "summary", "results", "show", "log", "expire", "report",
        "doctor", "completion", "review",
    ),
    SESSION: ("open", "plan", "resume", "integrate"),
    COMMAND: ("cancel", "triage", "pull"),
    ASK: (
        "check", "allow", "work", "judge", "demo", "pause", "retry", "undo", "unlock", "prune",
        "move", "serve",
    ),
    PERSON: ("adopt",),
    OWN: ("_triage-worker", "_batch-worker", "_hook", "_monitor"),
}  # fmt: skip
VERBS = {verb: kind for kind, verbs in _OF_KIND.items() for verb in verbs}
# Other words for a verb.
ALIASES = {"run": "work", "start": "work", "ls": "status"}
VERBS |= {word: VERBS[verb] for word, verb in ALIASES.items()}

# Options that make more of a verb than what is granted: the user is asked.
MORE = {
    "report": ("--output", "--open"),
    "results": ("--out",),
    "doctor": ("--bundle", "--unlock", "--adopt"),
    "integrate": ("--into",),
    "cancel": ("--all",),
    "open": (
        "--yes-up-to", "--ladder", "--repeat", "--notify", "--max-attempts", "--max-deaths",
        "--max-lost", "--max-refusals",
    ),
    "review": ("--sample", "--again", "--accept", "--reject"),
}  # fmt: skip

# What is granted to a worker, and to a session.
WORKER_VERBS = _OF_KIND[WORKER]
SESSION_VERBS = (
    "preflight", "open", "plan", "wait", "status", "summary", "results", "review", "show", "log",
    "resume", "integrate",
)  # fmt: skip
# What a session does in later turns, too: the news of a batch comes after the one that began it.
LATER = ("plan", "integrate")
LOOKS = tuple(verb for verb in SESSION_VERBS if VERBS[verb] == LOOK)
