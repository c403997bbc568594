"""The words that verbs, messages, pages and the reference keep to."""

from __future__ import annotations

WORDS = {
    "source": "what you name to be worked on: a folder, file, list, table, pattern or task id",
    "format": "how a file holds tasks; most are recognised automatically",
    "task": "something with a state of its own in its source: front matter, a check box, a row",
    "item": "what a worker gets: a task, a row or a file",
    "queue": "items that were opened under one name, and how they are to be worked on",
    "generation": "one round of a queue; a queue that has ended gets a new one when opened again",
    "held": "not let into a queue, for a reason that pre-flight names",
    "ready": "may be handed out now",
    "waiting": "in a queue, behind other items",
    "worker": "who works on items: an agent, a command or a person",
    "claim": "one item in the hands of one worker, known by its token",
    "lease": "how long a claim lives without a heartbeat",
    "attempt": "one try at an item; each failed end uses one up",
    "report": "what a worker says at the end of an item",
    "answer": "the structured part of a report, for programs",
    "check": "a command that must pass before done is accepted",
    "proof": "how a done item is known to be done: claimed, checked, judged or reviewed",
    "verdict": "what a person or a second model says about a done item",
    "done": "ended well, with an accepted report",
    "blocked": "ended with a reason why a person has to look at it",
    "failed": "ended after its attempts were used up",
    "skipped": "left out, since there is nothing to do",
    "cancelled": "ended by a person before or while it was worked on",
    "not attempted": "still untried when the queue came to rest",
    "budget": "what a queue may use before it hands out nothing more",
}
