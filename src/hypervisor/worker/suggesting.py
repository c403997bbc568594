"""More work that a worker has found: kept with its claim until a person decides on it."""

from __future__ import annotations

from hypervisor.system.errors import UsageError
from hypervisor.worker.handout import own_claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger

_LONGEST_TITLE = 200


def suggest(ledger: Ledger, token: str, title: str, body: str | None) -> str:
    """Keep what the worker of a claim has found, and return its id. Raises UsageError for a title
    that is none, NotOwner, and HypervisorError beyond what one claim may suggest."""
    from hypervisor.system.redact import Redactor

    clean = Redactor().text
    title = clean(title).strip()
    if not title or "\n" in title or len(title) > _LONGEST_TITLE:
        raise UsageError(
            f"a title is one line of up to {_LONGEST_TITLE} characters",
            "put the rest into the body",
        )
    own_claim(token, ledger.ends.holding(token))
    return ledger.suggestions.suggest(token, title, clean(body) if body else None)
