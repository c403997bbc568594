"""What the errors of clients and services mean, in their real words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hypervisor.agents import limits

# A Tuesday, before summer time ends in Europe.
NOW = datetime(2026, 9, 29, 6, 0, tzinfo=ZoneInfo("UTC")).timestamp()


def at(year: int, month: int, day: int, hour: int, minute: int = 0, zone: str = "UTC") -> float:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp()


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


GEMINI_QUOTA = (
    '[API Error: {"error":{"code":429,"message":"You exceeded your current quota, please check '
    'your plan and billing details.\\nPlease retry in 34.074824224s.","status":'
    '"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo",'
    '"retryDelay":"34s"}]}}]'
)


@pytest.mark.parametrize(
    ("text", "kind", "resume_at"),
    [
        (
            "You've hit your session limit · resets 4:20pm (Asia/Tbilisi)",
            "session", at(2026, 9, 29, 16, 20, "Asia/Tbilisi"),
        ),
        (
            "You've hit your weekly limit · resets 3am (Europe/London)",
            "weekly", at(2026, 9, 30, 3, 0, "Europe/London"),
        ),
        ("You've hit your 5-hour limit · resets 7:57am (UTC)", "5-hour", at(2026, 9, 29, 7, 57)),
        (
            "You've hit your Opus weekly limit · resets Oct 3, 4pm (Europe/London)",
            "Opus weekly", at(2026, 10, 3, 16, 0, "Europe/London"),
        ),
        ("You've hit your Opus limit · resets Oct 3 (UTC)", "Opus weekly", at(2026, 10, 3, 0)),
        ("You're out of extra usage · resets 11:30am (UTC)", "extra usage",
         at(2026, 9, 29, 11, 30)),
        ("Claude AI usage limit reached|1790700000", "usage", 1790700000),
        (
            'API Error: 429 {"type":"error","error":{"type":"rate_limit_error","message":"This '
            'request would exceed your account\'s rate limit. Please try again later."}}',
            "rate", None,
        ),
        ("API Error: Request rejected (429) · try again later", "rate", None),
        (
            'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":'
            '"Overloaded"}}', "overloaded", NOW + 60,
        ),
        ("API Error: 529 Overloaded", "overloaded", NOW + 60),
        ("This organization has been disabled.", "organisation", None),
        ("Your organization has reached its monthly usage limit", "organisation", None),
        ("You've hit your monthly spend limit", "organisation", None),
        (
            'API Error: 400 {"type":"error","error":{"type":"invalid_request_error","message":"You '
            'have reached your specified API usage limits. You will regain access on 2026-10-01 at '
            '00:00 UTC."}}', "organisation", at(2026, 10, 1, 0),
        ),
        (
            "Agent terminated early due to an API error: You've hit your 5-hour limit · resets "
            "7:05am (UTC) (error type rate_limit, HTTP 429, model sent to the API: x)",
            "5-hour", at(2026, 9, 29, 7, 5),
        ),
        (GEMINI_QUOTA, "quota", NOW + 34),
        ("Quota exceeded for quota metric 'x'. Please retry in 34s.", "quota", NOW + 34),
        ("You have exhausted your daily quota on this model.", "quota", None),
        (
            "You have exhausted your capacity on this model. Your quota will reset after 5h23m10s.",
            "quota", NOW + 19390,
        ),
        (
            '{"error":{"code":429,"message":"No capacity available for model gemini-2.5-pro on the '
            'server","status":"RESOURCE_EXHAUSTED"}}', "overloaded", NOW + 60,
        ),
        ("got status: 503 UNAVAILABLE. The model is overloaded.", "overloaded", NOW + 60),
        ("503 UNAVAILABLE", "overloaded", NOW + 60),
        ("exceeded retry limit, last status: 429 Too Many Requests", "rate", None),
        ("rate limit exceeded: try again in 3.2s", "rate", NOW + 3.2),
        ("Quota exceeded. Check your plan and billing details.", "quota", None),
        ("Selected model is at capacity. Please try a different model.", "overloaded", NOW + 60),
        (
            "We’re currently experiencing high demand, which may cause temporary errors.",
            "overloaded", NOW + 60,
        ),
        (
            "You’ve hit your usage limit. Upgrade to Pro or try again in 3 days 4 hours 5 minutes.",
            "usage", NOW + 3 * 86400 + 4 * 3600 + 300,
        ),
    ],
)  # fmt: skip
def test_the_words_of_services_are_known_with_their_resets(
    text: str, kind: str, resume_at: float | None
) -> None:
    found = limits.read(text, now=NOW)
    assert found is not None
    assert (kind, resume_at) == (found.kind, found.resume_at)


@pytest.mark.parametrize(
    ("text", "more", "kind"),
    [
        ("new words that nobody knows", {"code": "rate_limit"}, "rate"),
        ("new words that nobody knows", {"status": 429}, "rate"),
        ("new words that nobody knows", {"code": "overloaded"}, "overloaded"),
        ("new words that nobody knows", {"status": 529}, "overloaded"),
        ("new words that nobody knows", {"code": "billing_error"}, "organisation"),
        ("Your session limit is near", {"code": "rate_limit"}, "session"),
        ("prompt is too long: 429 rate limit quota", {"code": "invalid_request"}, None),
        ("the item says usage limit reached|1790700000", {"status": 400}, None),
        ('API Error: 400 {"error":{"message":"tool_use ids 429 overloaded"}}', {}, None),
        ("API Error: 401 invalid x-api-key, quota unknown", {"code": "unknown"}, None),
        ("Your organization has been disabled.", {"code": "invalid_request"}, "organisation"),
        ("API Error: 500 Internal server error", {}, None),
        ("new words that nobody knows", {"code": "server_error", "status": 503}, "overloaded"),
        ("API Error: Connection error.", {"code": "server_error"}, None),
        ("", {}, None),
    ],
)
def test_codes_decide_before_words(text: str, more: dict[str, Any], kind: str | None) -> None:
    found = limits.read(text, now=NOW, **more)
    assert kind == (found and found.kind)


def test_a_time_that_comes_beside_the_text_counts_before_its_words() -> None:
    told = "You've hit your session limit · resets 7:05am (UTC)"
    for given in (NOW + 3999, (NOW + 3999) * 1000):
        found = limits.read(told, code="rate_limit", resets_at=given, now=NOW)
        assert found is not None and found.resume_at == NOW + 3999
    for odd in (True, "soon", None, -5, float("inf"), float("nan"), NOW + 9e8):
        found = limits.read(told, code="rate_limit", resets_at=odd, now=NOW)
        assert found is not None and found.resume_at == at(2026, 9, 29, 7, 5)


@pytest.mark.parametrize(
    ("told", "resume_at"),
    [
        ("resets 6:00am (UTC)", NOW + 60),  # rounded down to this minute: soon, not tomorrow
        ("resets 5:59am (UTC)", NOW + 60),
        ("resets 5:50am (UTC)", at(2026, 9, 30, 5, 50)),
        ("resets 12am (UTC)", at(2026, 9, 30, 0)),
        ("resets 12:30pm (UTC)", at(2026, 9, 29, 12, 30)),
        ("resets 16:20 (UTC)", at(2026, 9, 29, 16, 20)),
        ("resets 4\u202fPM UTC", at(2026, 9, 29, 16)),
        ("resets Jan 2, 3am (UTC)", at(2027, 1, 2, 3)),
        ("resets Oct 3 (UTC)", at(2026, 10, 3, 0)),
        ("resets 3 Oct, 4pm (UTC)", at(2026, 10, 3, 16)),
        ("resets Oct 3, 2026, 4pm (UTC)", at(2026, 10, 3, 16)),
        ("try again at Oct 3rd, 2026 8:56 AM (UTC)", at(2026, 10, 3, 8, 56)),
        ("resets Friday at 9:00 AM (UTC)", at(2026, 10, 2, 9)),
        ("resets 2026-10-03T16:00:00Z", at(2026, 10, 3, 16)),
        ("resets at 2026-10-03T16:00:00+02:00", at(2026, 10, 3, 14)),
        ("resets 7am (UTC+3)", at(2026, 9, 30, 4)),
        ("Retry-After: 600", NOW + 600),
        ("resets in 2h 5m", NOW + 7500),
        ("resets 25:00 (UTC)", None),
        ("resets 13pm (UTC)", None),
        ("resets Feb 31, 4pm (UTC)", None),
        ("resets Oct 3, 2099, 4pm (UTC)", None),
        ("retry 3 times", None),
        ("try again later", None),
        ("retry later, 404 items", None),
    ],
)
def test_resets_are_read(told: str, resume_at: float | None) -> None:
    assert resume_at == limits.resume_time(f"You've hit your limit · {told}", NOW)


@pytest.mark.parametrize("zone", ["", " (Nowhere/Town)", " (../../etc/passwd)", " (PDT)"])
def test_a_zone_that_is_not_named_or_not_known_is_the_machine_s_own(
    zone: str, in_tokyo: None
) -> None:
    found = limits.resume_time(f"try again at 8:56 PM{zone}.", NOW)
    assert found == at(2026, 9, 29, 20, 56, "Asia/Tokyo")


def test_clocks_that_are_put_back_or_forward_are_minded() -> None:
    london = ZoneInfo("Europe/London")
    evening = datetime(2026, 10, 24, 22, 0, tzinfo=london).timestamp()
    # It is still summer time at three in London's night's beginning, and no longer at three.
    assert limits.resume_time("resets 3am (Europe/London)", evening) == evening + 6 * 3600
    first = datetime(2026, 10, 25, 1, 30, tzinfo=london).timestamp()
    assert limits.resume_time("resets 1:30am (Europe/London)", evening) == first
    between = first + 1800
    assert limits.resume_time("resets 1:30am (Europe/London)", between) == first + 3600
    spring = datetime(2026, 3, 28, 22, 0, tzinfo=london).timestamp()
    # No clock shows 1:30 that night.
    assert limits.resume_time("resets 1:30am (Europe/London)", spring) == spring + 3.5 * 3600


def test_a_service_that_stays_overloaded_is_asked_less_and_less() -> None:
    first = limits.read("API Error: 529 Overloaded", now=NOW)
    assert first is not None
    waits = [(limits.again(first, times, now=NOW).resume_at or 0) - NOW for times in range(8)]
    assert waits == [60, 120, 240, 480, 900, 900, 900, 900]
    limit = limits.read("session limit", code="rate_limit", resets_at=NOW + 99, now=NOW)
    assert limit is not None and limits.again(limit, 3, now=NOW) == limit


def test_a_long_text_is_read_in_no_time() -> None:
    begin = time.perf_counter()
    for text in ("resets " * 20000, "organization " * 20000, "again in " + "9" * 100000):
        limits.read(text, now=NOW)
    assert time.perf_counter() - begin < 1
