"""What tokens cost: list prices of `prices.toml`, under those of the user's own configuration.

That is asked where the client itself does not tell. No file of a project has a say in it.
"""

from __future__ import annotations

import re

from hypervisor.config.roots import user_file
from hypervisor.config.toml import parse, read_raw
from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from typing import TypedDict

    class Rates(TypedDict, total=False):
        """Dollars for a million tokens of each kind; see `prices.toml`."""

        input: float
        output: float
        cache_read: float
        cache_write: float
        cache_write_1h: float

    class Price(Rates, total=False):
        """Those of a model; `long` holds for requests `above` so many tokens."""

        above: int
        long: Rates
        until: date


FILE = f"{__file__.rpartition('/')[0]}/prices.toml"
_RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
# Services and clients write one model in several ways: its region and maker, its day, its context.
_BEFORE = re.compile(r"^(?:.*/|(?:[a-z]{2,6}\.)?[a-z]+\.)")
_AFTER = re.compile(r"(?:\[1m\]|-latest|[-@]20\d{6}(?:-v\d+(?::\d+)?)?|-20\d\d-\d\d-\d\d)$")
_ALIASES = re.compile(r"[a-z]+")
_known: dict[str, dict[str, Price]] = {}


def table() -> dict[str, Price]:
    """Return the prices by model. Raises UsageError for prices of the user's that are none."""
    own = user_file()
    if own not in _known:
        with open(FILE, "rb") as file:
            shipped = parse(file.read(), FILE)["models"]
        try:
            told = parse(read_raw(own), own).get("prices", {})
        except OSError:
            told = {}
        assert isinstance(shipped, dict)
        _known[own] = shipped | _checked(told, one_line(own))
    return _known[own]


def of(model: str) -> Price | None:
    """Return the price of a model as a client or its service calls it, None where it is not known.
    Raises UsageError as `table` does."""
    known = table()
    name = _AFTER.sub("", _AFTER.sub("", _BEFORE.sub("", model)))
    price = known.get(model) or known.get(name)
    if price is not None and "until" in price:
        from datetime import date

        return price if date.today() <= price["until"] else None
    return price


def usd(model: str, figures: Sequence[int], hour: int = 0) -> float | None:
    """Return what one request costs, None where that is not known; `figures` are its tokens: input,
    output, read from the cache, written to it, of which so many for an `hour`."""
    price = of(model)
    if price is None:
        return None
    sent, output, read, written = figures
    rates: Rates | None = price
    if "above" in price and sent + read + written > price["above"]:
        rates = price.get("long")
    if rates is None:
        return None
    plain = rates["input"]
    minutes = rates.get("cache_write", plain)
    cost = sent * plain + output * rates["output"] + read * rates.get("cache_read", plain)
    cost += (written - hour) * minutes + hour * rates.get("cache_write_1h", minutes)
    return cost / 1e6


def may_be_priced(model: str) -> bool:
    """True if the price of a model is known, or of one that a short name (`haiku`) stands for."""
    if of(model) is not None:
        return True
    short = _ALIASES.fullmatch(_AFTER.sub("", model))
    return short is not None and any(short[0] in name.split("-") for name in table())


def line(model: str) -> str:
    """Return the line that tells what a model costs, for the user's own configuration."""
    where = f"{user_file()}, below [prices]"
    return f'add to {where}: "{one_line(model, 80)}" = {{ input = 1.0, output = 5.0 }}'


def _checked(told: object, path: str) -> dict[str, Price]:
    """Return the prices of the user's own configuration. Raises UsageError."""
    if not isinstance(told, dict):
        raise UsageError(f"{path}: prices takes a table", _EXAMPLE)
    for model, price in told.items():
        tables = [price, price.get("long", price)] if isinstance(price, dict) else [price]
        if not all(isinstance(rates, dict) and _is_priced(rates) for rates in tables):
            raise UsageError(f"{path}: prices.{one_line(model, 80)} is not a price", _EXAMPLE)
    return told


_EXAMPLE = 'write "model" = { input = 1.0, output = 5.0 } below [prices]: dollars for 1M tokens'


def _is_priced(rates: dict[str, object]) -> bool:
    if not {"input", "output"} <= rates.keys() <= {*_RATES, "above", "long"}:
        return False
    numbers = [rate for name, rate in rates.items() if name != "long"]
    return all(type(rate) in (int, float) and 0 <= float(str(rate)) < 1e9 for rate in numbers)
