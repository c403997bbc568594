"""What an error of a client or of its service says about limits, and when the limit ends.

Codes decide first: the client's own word for the error, then the HTTP status. Words decide where
there is neither, since they change with each version of a client; of these, too, a status that
stands in them comes first. What is read is an error's text, never a worker's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from typing import TypeGuard

ORGANISATION = "organisation"
OVERLOADED = "overloaded"
# A service that is overloaded is asked again after so many seconds, twice as many each time.
_PASSES = 60.0
_PASSES_AT_MOST = 900.0
# A time that went by no longer ago was rounded down, or the clocks differ.
_GRACE = 120.0
# No window of any service is longer, in seconds: what lies further ahead was misread.
_FURTHEST = 400 * 86400.0
_READ = 8000

# A client's own words for an error, and the types that the services give it.
_LIMIT_CODES = frozenset(
    (
        "rate_limit", "rate_limit_error", "rate_limit_exceeded", "resource_exhausted",
        "too_many_requests", "usage_limit_exceeded", "usage_limit_reached",
    )
)  # fmt: skip
_OVERLOADED_CODES = frozenset(
    ("overloaded", "overloaded_error", "server_overloaded", "slow_down", "unavailable")
)
_ACCOUNT_CODES = frozenset(
    ("account_on_hold", "billing_error", "insufficient_quota", "oauth_org_not_allowed",
     "verification_required")
)  # fmt: skip
# These decide nothing: the status and the words do.
_VAGUE_CODES = frozenset(("", "api_error", "error", "none", "other", "server_error", "unknown"))

# The kinds of limits by their words; the first that fits names it.
_ACCOUNT = re.compile(
    r"organi[sz]ation(?: has been| is| was)? (?:disabled|out of)|"
    r"organi[sz]ation\b.{0,40}\b(?:reached|hit|exceeded|used up)|"
    r"(?:paused|disabled) (?:for|by) your (?:organi[sz]ation|admin)|"
    r"(?:reached|hit) your specified[\w\s-]*usage limit|monthly spend limit|spend(?:ing)? limit|"
    r"credit balance|out of (?:usage )?credits|requires? (?:usage )?credits|usage allocation|"
    r"seat type doesn|insufficient_quota|account (?:is )?on hold|billing_error",
    re.IGNORECASE,
)
_KINDS = (
    ("extra usage", re.compile(r"extra usage", re.IGNORECASE)),
    ("Opus weekly", re.compile(r"\bopus\b[\w ]{0,20} limit", re.IGNORECASE)),
    ("Sonnet weekly", re.compile(r"\bsonnet\b[\w ]{0,20} limit", re.IGNORECASE)),
    ("weekly", re.compile(r"\b(?:weekly|7-day) (?:usage )?limit", re.IGNORECASE)),
    ("5-hour", re.compile(r"\b(?:5|five)-hour (?:usage )?limit", re.IGNORECASE)),
    ("session", re.compile(r"\bsession limit", re.IGNORECASE)),
    (ORGANISATION, _ACCOUNT),
    (
        OVERLOADED,
        re.compile(
            r"overloaded|no capacity|at capacity|high demand|\bUNAVAILABLE\b|\b529\b|"
            r"\b503\b|service unavailable",
            re.IGNORECASE,
        ),
    ),
    ("quota", re.compile(r"\bquota\b|RESOURCE_EXHAUSTED|exhausted your", re.IGNORECASE)),
    ("usage", re.compile(r"usage.?limit|(?:hit|reached) your [\w .-]{0,30}limit", re.IGNORECASE)),
    ("rate", re.compile(r"rate.?limit|too many requests|\b429\b", re.IGNORECASE)),
)
_STATUS = re.compile(
    r"(?:API Error|HTTP|status(?: code)?|rejected|error code|\\?\"code\\?\")[\s:=(]{1,4}"
    r"([1-5]\d\d)\b|^\W{0,3}([45]\d\d)\b",
    re.IGNORECASE,
)
_TYPE = re.compile(r"\\?\"type\\?\"\s*:\s*\\?\"(\w+_error)\\?\"|\(error type (\w+)")

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_LEAD = r"(?:resets?|retry|again|access|available|until)"
_STAMP = re.compile(r"\|\s*(1\d{9})(?:\d{3})?\b")
_SECONDS = re.compile(
    r"retry-after\W{1,4}(\d{1,8}(?:\.\d+)?)\b(?!\s*[mh])|"
    r"retry_?delay\W{1,8}(\d{1,8}(?:\.\d+)?)s",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"(?:retry|resets?|again)\D{0,20}?(?:after|in) (?=\d)"
    r"(?:(\d{1,4})\s*d(?:ays?)?[\s,]*)?(?:(\d{1,5})\s*h(?:(?:ou)?rs?)?[\s,]*)?"
    r"(?:(\d{1,6})\s*m(?:in(?:ute)?s?)?(?!s)[\s,]*)?(?:(\d{1,8}(?:\.\d+)?)\s*s)?",
    re.IGNORECASE,
)
_ISO = re.compile(
    rf"{_LEAD}\b\D{{0,12}}(20\d\d)-(\d\d)-(\d\d)(?:(?:T|,? at |,? )(\d\d):(\d\d)(?::(\d\d))?)?"
    r"(?:\.\d+)?\s*(Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d)?(?:\s*\(([^()\n]{1,64})\))?",
    re.IGNORECASE,
)
_ZONE = r"(?:\s*\((?P<zone>[^()\n]{1,64})\)|\s+(?P<bare>UTC|GMT|Z)\b)?"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_DATE = (
    rf"(?:{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?|(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\s+"
    rf"{_MONTH.replace('month', 'month2')}|(?P<weekday>{'|'.join(_DAYS)})[a-z]*)"
    r"(?:,?\s+(?P<year>20\d\d))?"
)
_TIME = (
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::\d\d)?)?(?:\s*(?P<half>[ap])\.?m\b\.?)?(?![\d/-])"
)
_CLOCK = re.compile(
    rf"{_LEAD}\b(?:\s+(?:at|on|by))?:?\s+"
    rf"(?:{_DATE}(?:(?:,|\s+at|,\s+at)?\s+{_TIME})?|{_TIME.replace('?P<', '?P<t_')}){_ZONE}",
    re.IGNORECASE,
)


# Usage windows by their names: the share that is used (1 is all of it), and when the window ends.
Windows = dict[str, tuple[float, float]]
_WINDOWS = {"five_hour": "5-hour", "seven_day": "weekly"}


@dataclass(frozen=True)
class Limit:
    """A limit that a client has met: its `kind` (session, 5-hour, weekly, Opus weekly, extra usage,
    organisation, quota, usage, rate, overloaded), the error's text, and when the service wants to
    be asked again, in Unix time; None where it doesn't tell, or where a person has to act."""

    kind: str
    text: str
    resume_at: float | None = None

    @property
    def passing(self) -> bool:
        """True if the service is overloaded: nobody's share is used up."""
        return self.kind == OVERLOADED


def read(
    text: str,
    *,
    code: str = "",
    status: int | None = None,
    resets_at: object = None,
    now: float | None = None,
) -> Limit | None:
    """Return the limit that an error tells of, or None where it is another error.

    `code` is the client's word for the error, `status` the HTTP status, `resets_at` the time (Unix)
    that came beside the text, where there are any; `now` is when the error was told.
    """
    import time

    now = time.time() if now is None else now
    text = text[:_READ]
    kind = _kind(text, code.lower(), status)
    if kind is None:
        return None
    at = _sane(resets_at, now) or resume_time(text, now)
    if at is None and kind == OVERLOADED:
        at = now + _PASSES
    return Limit(kind, text, at)


def again(limit: Limit, times: int, *, now: float) -> Limit:
    """Return an overload that has come `times` times before, with nothing done in between: it is
    waited for longer. Other limits stay as they are."""
    if not limit.passing or times < 1 or limit.resume_at is None:
        return limit
    wait = min(_PASSES_AT_MOST, _PASSES * 2 ** min(times, 10))
    return Limit(limit.kind, limit.text, max(limit.resume_at, now + wait))


def _kind(text: str, code: str, status: int | None) -> str | None:
    if status is None and (found := _STATUS.search(text)):
        status = int(found[1] or found[2])
    if code in _VAGUE_CODES and (told := _TYPE.search(text)):
        code = (told[1] or told[2]).lower()
    if code in _OVERLOADED_CODES:
        return OVERLOADED
    if code in _ACCOUNT_CODES or status == 402:
        return _named(text, ORGANISATION)
    if code in _LIMIT_CODES or status == 429:
        return _named(text, "rate")
    if code in _VAGUE_CODES and status in (503, 529):
        return OVERLOADED
    if code not in _VAGUE_CODES or (status is not None and status != 500):
        # Another error for certain, whatever it quotes; but an account can be refused by any code.
        return ORGANISATION if _ACCOUNT.search(text) else None
    return _named(text, None)


def _named(text: str, otherwise: str | None) -> str | None:
    return next((kind for kind, words in _KINDS if words.search(text)), otherwise)


def resume_time(text: str, now: float | None = None) -> float | None:
    """Return when a limit ends, in Unix time, if an error's text tells it.

    A time without a date is the next such time after `now`, in the zone that is named, and without
    one, or with one that this machine doesn't know, in the machine's own: clients print that one.
    """
    import time

    now = time.time() if now is None else now
    if stamp := _STAMP.search(text):
        return _sane(float(stamp[1]), now)
    if told := _SECONDS.search(text):
        return _sane(now + float(told[1] or told[2]), now)
    after = _AFTER.search(text)
    if after and any(after.groups()):
        days, hours, minutes, seconds = (float(part or 0) for part in after.groups())
        return _sane(now + days * 86400 + hours * 3600 + minutes * 60 + seconds, now)
    try:
        if iso := _ISO.search(text):
            return _sane(_of_iso(iso), now)
        if clock := _CLOCK.search(text):
            return _next(clock, now)
    except (ValueError, OverflowError, OSError):
        # No such day or hour, or one that no clock reaches.
        return None
    return None


def _sane(at: object, now: float) -> float | None:
    """Return a time that may be one; what has just gone by is asked for again in a minute."""
    if isinstance(at, bool) or not isinstance(at, int | float):
        return None
    at = float(at) / 1000 if at > 1e11 else float(at)
    if not 1e9 < at < now + _FURTHEST:
        return None
    return max(at, now + _PASSES) if at <= now else at


def _of_iso(found: re.Match[str]) -> float:
    year, month, day = (int(part) for part in found.groups()[:3])
    hour, minute, second = (int(part or 0) for part in found.groups()[3:6])
    return _stamp((year, month, day), hour, minute, second, _zone(found[7] or found[8] or ""), 0)


def _next(found: re.Match[str], now: float) -> float | None:
    told = found.groupdict()
    hour, minute, half = (told[key] or told[f"t_{key}"] for key in ("hour", "minute", "half"))
    day = told["day"] or told["day2"]
    if not (half or minute or day or told["weekday"]):
        # "retry 3 times" is no time of the day.
        return None
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half.lower() == "p" else 0)
    zone = _zone(told["zone"] or told["bare"] or "")
    month = told["month"] or told["month2"]
    for date in _dates(month, day, told["year"], told["weekday"], zone, now):
        for fold in (0, 1):
            # An hour that the end of summer time brings twice is twice the next such time.
            try:
                at = _stamp(date, hours, int(minute or 0), 0, zone, fold)
            except ValueError:
                continue
            if at > now - _GRACE or told["year"]:
                return _sane(at, now)
    return None


def _dates(
    month: str | None,
    day: str | None,
    year: str | None,
    weekday: str | None,
    zone: tzinfo | None,
    now: float,
) -> Iterator[tuple[int, int, int]]:
    """Yield the days that are meant, the earliest first."""
    from datetime import datetime, timedelta

    today = datetime.fromtimestamp(now, zone)
    if month and day:
        years = (int(year),) if year else range(today.year - 1, today.year + 2)
        for one in years:
            yield one, _MONTHS.index(month[:3].lower()) + 1, int(day)
        return
    for ahead in range(-1, 9):
        date = (today + timedelta(days=ahead)).date()
        if weekday is None or date.weekday() == _DAYS.index(weekday[:3].lower()):
            yield date.year, date.month, date.day


def _stamp(
    date: tuple[int, int, int], hour: int, minute: int, second: int, zone: tzinfo | None, fold: int
) -> float:
    from datetime import datetime

    return datetime(*date, hour, minute, second, tzinfo=zone, fold=fold).timestamp()


def _zone(name: str) -> tzinfo | None:
    """Return the time zone of that name or offset, None for the machine's own."""
    from datetime import timedelta, timezone

    name = name.strip()
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    offset = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?", name, re.IGNORECASE)
    if offset:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(ahead if offset[1] == "+" else -ahead)
    if not name:
        return None
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def windows(told: object) -> Windows:
    """Return the usage windows that a `rate_limit_info` of a client's stream tells of; what is odd
    stays out."""
    found: Windows = {}
    if not isinstance(told, dict):
        return found
    parts = told.get("unifiedWindows")
    parts = dict(parts) if isinstance(parts, dict) else {}
    if isinstance(kind := told.get("rateLimitType"), str):
        # An older client tells of one window alone.
        parts.setdefault(kind, told)
    for key, name in _WINDOWS.items():
        part = parts.get(key)
        if not isinstance(part, dict):
            continue
        used, ends = part.get("utilization"), part.get("resetsAt")
        if _is_number(used) and _is_number(ends) and 0 <= used < 100 and 1e9 < ends < 1e11:
            found[name] = float(used), float(ends)
    return found


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
