"""The claims in what our own verbs print, which are learned from there; see `cli/handout.py`."""

from __future__ import annotations

_CLAIM, _CLAIM_JSON = "claim ", '"token": "'
_ENDED, _ENDED_JSON = ("accepted ", "released "), '"ended": {"claim": "'
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz23456789")


def handed_out(text: str) -> list[str]:
    """Return the claims that an output of `next` or `done --next` hands out."""
    if _CLAIM not in text and _CLAIM_JSON not in text:
        return []
    found = []
    for line in text.split("\n"):
        plain = line.removeprefix(_CLAIM)
        if plain is not line and _is_claim(plain):
            found.append(plain)
        else:
            found += _quoted(line, _CLAIM_JSON)
    return found


def ended(text: str) -> set[str]:
    """Return the claims that an output tells the end of."""
    if _ENDED_JSON not in text and not any(word in text for word in _ENDED):
        return set()
    found = set()
    for line in text.split("\n"):
        if line.startswith(_ENDED):
            number, dash, letters = line[len(_ENDED[0]) :].partition("-")
            found.add(f"{number}{dash}{letters[:4]}")
        found.update(_quoted(line, _ENDED_JSON))
    return {claim for claim in found if _is_claim(claim)}


def _quoted(line: str, before: str) -> list[str]:
    """Return the claims in a line that stand in quotes behind `before`."""
    told = [part.partition('"') for part in line.split(before)[1:]] if before in line else ()
    return [claim for claim, quote, _ in told if quote and _is_claim(claim)]


def _is_claim(text: str) -> bool:
    number, _, letters = text.partition("-")
    return (
        number.isascii() and number.isdigit() and len(letters) == 4 and _LETTERS.issuperset(letters)
    )
