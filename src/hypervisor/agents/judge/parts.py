"""What a judge is shown of a report: the task, the report, the answer, and what was changed, within
bounds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from hypervisor.ledger import Ledger
from hypervisor.ledger.findings import Reviewed
from hypervisor.system.checkout import top_of
from hypervisor.system.errors import HypervisorError
from hypervisor.system.git import Git
from hypervisor.system.quick_json import loads

# Of each part, in characters.
_LONGEST = 64 * 1024
_FILES = 20


def shown(
    ledger: Ledger, queue: str, report: Reviewed, clean: Callable[[str], str]
) -> list[tuple[str, str]]:
    """Return the parts, each with its name and passed to `clean`; what is too long is cut in its
    middle, and says so."""
    told: dict[str, object] = loads(report.report) if report.report else {}
    parts = [
        ("instructions", ledger.queues.get(queue).instructions or ""),
        ("task", _task(ledger.root, report)),
        ("report", json.dumps(told, ensure_ascii=False, indent=1)),
        ("answer", report.answer or ""),
        ("change", _change(ledger, report, told)),
    ]
    return [(name, _cut(clean(text))) for name, text in parts if text]


def _cut(text: str) -> str:
    left = len(text) - _LONGEST
    half = _LONGEST // 2
    return f"{text[:half]}\n… ({left} characters cut here) …\n{text[-half:]}" if left > 0 else text


def _task(root: str, report: Reviewed) -> str:
    """Return what an item asks for, without reports of ours."""
    named = f"{report.id}\n{report.title or ''}\n"
    if report.payload:
        return named + report.payload
    if report.path is None:
        return named
    from hypervisor.tasks import markdown, read

    path = os.path.join(root, report.path)
    try:
        if report.fingerprint is None:
            with open(path, "rb") as source:
                return named + source.read(2 * _LONGEST).decode("utf-8", "replace")
        document = read.read(path)
    except (HypervisorError, OSError):
        return named
    return named + markdown.without_own_section(document.body)


def _change(ledger: Ledger, report: Reviewed, told: dict[str, object]) -> str:
    """Return the diff of the commit that a report names, else how the files look that it names."""
    claim = ledger.queries.claim_of(report.token)
    commit = told.get("commit")
    if isinstance(commit, str) and top_of(ledger.root) is not None:
        base = claim.base_commit if claim is not None and claim.branch else None
        span = [f"{base}", commit] if base else [f"{commit}^", commit]
        # A worker names the commit: it may look like an option.
        options = ("--no-ext-diff", "--no-textconv", "--end-of-options")
        code, out, _ = Git(ledger.root).run("diff", *options, *span, "--")
        if not code:
            return out
    files = told.get("files")
    shown = []
    for name in files[:_FILES] if isinstance(files, list) else []:
        place = os.path.realpath(os.path.join(ledger.root, str(name)))
        if not place.startswith(os.path.join(os.path.realpath(ledger.root), "")):
            continue
        try:
            with open(place, "rb") as source:
                text = source.read(_LONGEST).decode("utf-8", "replace")
        except OSError:
            continue
        shown.append(f"{name}, as it is now:\n{text}")
    return "\n\n".join(shown)
