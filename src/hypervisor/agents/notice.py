"""A notice by which a client tells a session of workers that have ended."""

from __future__ import annotations


class Notice:
    """The ended `agents`, by their ids, and `how` they did: "completed", "failed", "killed"; in the
    client's `words`, and in these without what it calls the agent, `cause`. Each is "" where the
    client tells none.

    `delivered` is true once the model has seen it; `event` is true for one that a monitor made.
    """

    __slots__ = ("agents", "cause", "delivered", "event", "how", "words")

    def __init__(
        self, agents: list[str], how: str, words: str, cause: str, *, delivered: bool, event: bool
    ) -> None:
        self.agents = agents
        self.how = how
        self.words = words
        self.cause = cause
        self.delivered = delivered
        self.event = event
