"""Tokens like `17-x7q2`: a claim's number, and letters so that a mistyped one names no other."""

from __future__ import annotations

from hypervisor.system.errors import NotOwner


def token_no(token: str) -> int:
    """Return the number of a token like `17-x7q2`. Raises NotOwner if it has none."""
    number = number_of(token)
    if number < 0:
        raise NotOwner(f"'{token[:40]}' is not a token", "copy it from the line 'claim TOKEN'")
    return number


def number_of(token: str) -> int:
    """Return the number of a token, or -1 for what is none: it names no claim."""
    number, dash, letters = token.partition("-")
    if not dash or not letters or not number.isdecimal() or len(number) > 15:
        return -1
    return int(number)
