"""The answer that an end as done brings, where its queue has a schema for answers."""

from __future__ import annotations

import json

from hypervisor.system.text import one_line
from hypervisor.worker import checks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.rows import Holding
    from hypervisor.system.redact import Redactor

LARGEST = 256 * 1024
# What a command prints may be so long.
LARGEST_OUTPUT = 1 << 20
_SUMMARY = 400
_FENCES = ("```json", "```")
_MEND = "fix it, then run done again; the item is still yours"


class Unfit(checks.CheckFailed):
    """An answer is missing, or does not fit the schema of its queue."""


def given(row: Holding, report: dict[str, object]) -> dict[str, object]:
    """Return a report with its `answer` as a value that fits the queue's schema, and a summary.

    The answer comes as JSON text, as what a command printed (`output`), or as a value. Raises
    UsageError where the queue wants none, and Unfit.
    """
    if row.answer is None:
        from hypervisor.system.errors import UsageError

        raise UsageError(
            f"queue {row.queue_name} asks for no answer", "say it with --summary instead"
        )
    try:
        value = _value(row, report)
        from hypervisor.system.redact import Redactor

        value = _clean(value, Redactor())
        _fits(row.answer, value)
    except ValueError as error:
        raise Unfit(str(error), _MEND, by="answer") from None
    from hypervisor.ledger.reports import dumps

    report = {name: one for name, one in report.items() if name != "output"} | {"answer": value}
    if not report.get("summary"):
        report["summary"] = f"answer: {one_line(dumps(value), _SUMMARY)}"
    return report


def differs(answer: object, kept: str | None) -> bool:
    """True if an answer, as `given` takes it, is another than the one (JSON) that was accepted."""
    from hypervisor.system.redact import Redactor

    try:
        value = _read(answer, LARGEST) if isinstance(answer, str) else answer
        return bool(_clean(value, Redactor()) != json.loads(kept or "null"))
    except ValueError:
        return True


def _value(row: Holding, report: dict[str, object]) -> object:
    """Return the answer in a report. Raises ValueError."""
    if "output" in report:
        return _printed(row.answer or "", str(report["output"]))
    answer = report.get("answer")
    if answer is None:
        raise ValueError(
            f"answer: it is missing; write it behind --answer, as JSON that fits the schema "
            f"(hypervisor next {row.queue_name} --schema)"
        )
    if not isinstance(answer, str):
        answer = json.dumps(answer, ensure_ascii=False)
    return _read(answer, LARGEST)


def _printed(schema: str, output: str) -> object:
    """Return what a command printed as its answer: all of it, else its last line that is not
    empty. An object, unless the schema's top says another type. Raises ValueError."""
    from hypervisor.system.quick_json import loads

    if not output.isascii():
        try:
            output.encode()
        except UnicodeEncodeError:
            raise ValueError("answer: what the command printed is not UTF-8") from None
    any_kind = "type" in loads(schema)
    lines = output.rstrip().rpartition("\n")
    trouble = None
    for text in dict.fromkeys((output, lines[2])):
        try:
            value = _read(text, LARGEST_OUTPUT)
        except ValueError as error:
            trouble = trouble or error
            continue
        if any_kind or isinstance(value, dict):
            return value
    raise trouble or ValueError("answer: the command printed no object")


def _read(text: str, most: int) -> object:
    """Return the value in strict JSON, a fence around it taken off. Raises ValueError."""
    from hypervisor.system import strict_json

    told = text.strip()
    first, _, rest = told.partition("\n")
    if first.strip() in _FENCES and told.endswith("```") and rest:
        told = rest[:-3].strip()
    if not told:
        raise ValueError("answer: it is empty")
    if len(told.encode("utf-8", "surrogatepass")) > most:
        raise ValueError(f"answer: it is longer than {most // 1024} KB")
    try:
        value: object = strict_json.decoder().decode(told)
    except RecursionError:
        raise ValueError("answer: nested too deep") from None
    except ValueError as error:
        raise ValueError(f"answer: not JSON: {one_line(error, 120)}") from None
    if trouble := strict_json.trouble(value, told):
        raise ValueError(f"answer: {trouble[0]}")
    return value


def _clean(value: object, redactor: Redactor) -> object:
    """Return a value with the keys taken out of its texts."""
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, list):
        return [_clean(one, redactor) for one in value]
    if isinstance(value, dict):
        return {name: _clean(one, redactor) for name, one in value.items()}
    return value


def _fits(schema: str, value: object) -> None:
    from hypervisor.system import validating

    if faults := validating.faults(schema, value):
        raise ValueError(faults)
