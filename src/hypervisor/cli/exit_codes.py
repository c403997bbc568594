"""With what each command ends: one table over all verbs."""

from __future__ import annotations

CODES = {
    0: "it did what was asked",
    1: "something failed, was blocked or was refused",
    2: "usage: an unknown name or option, or not allowed here",
    3: "nothing was handed out, or there was nothing to do",
    4: "the claim is not yours, or no longer",
    5: "wait: items are left, and nobody is working on them",
}
# What holds for one version only.
CHANGES = (
    "`next` that hands out nothing while the queue is at work ends with 0 in this version, and "
    "with 3 in the next; `why` in its --json says why: drained, waiting, paused, rung or world."
)
