"""What a text has in it if it may hold a key: plain words, looked for without a pattern.

Most texts have none of it, and `redact`, which has the patterns, need not be loaded for them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Whose values are keys.
_PARTS = ("SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL", "AUTHORIZATION")
_SHORTEST = 8
# Each shape of a key, see `redact`, has one of these in it.
_SIGNS = (
    "sk-", "AIza", "ya29.", "1//0", "GOCSPX-", "hf_", "r8_", "gsk_", "xai-", "pplx-", "nvapi-",
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glcbt-",
    "glptt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-", "glffct-", "ATATT", "ATCTT",
    "ATBB", "npm_", "pypi-", "dckr_", "rubygems_", "cio", "oy2", "AKCp", "AKIA", "ASIA", "ABIA",
    "ACCA", "LTAI", "doo_", "dop_", "dor_", "hvs.", "hvb.", "hvr.", "dapi", "HRKU-", "atlasv1",
    "pul-", "dp.", "8Q~", "tskey-", "pscale_", "sbp_", "sntrys_", "sntryu_", "glsa_", "glc_",
    "NRAK-", "AGE-", "_live_", "_test_", "whsec_", "sq0", "shpat_", "shpca_", "shppa_", "shpss_",
    "access_token$", "SG.", "key-", "-us", "SK", "xox", "xapp-", ":AA", "lin_", "ntn_", "secret_",
    "figd_", "PMAK-", "eyJ",
)  # fmt: skip
# What names a key, or comes before one.
_HINTS = (
    "pass", "secret", "token", "key", "auth", "bearer", "basic", "pwd", "credential", "://", "sig",
)  # fmt: skip
# One of these stands there, or beside it.
_BETWEEN = (":", "=", "--", "bearer", "basic", "/services/", "/webhooks/")


def may_hold_key(text: str, environment: Mapping[str, str]) -> bool:
    """True if `redact.Redactor(environment)` has anything to look for in `text`."""
    return may_hold(text, values(environment))


def may_hold(text: str, known: Sequence[str]) -> bool:
    """True if a key may stand in `text`, one of those that are `known` among them."""
    return (
        "-----" in text or of_a_shape(text) or hints(text) or any(value in text for value in known)
    )


def of_a_shape(text: str) -> bool:
    """True if a key of a known shape may stand in `text`."""
    return any(sign in text for sign in _SIGNS)


def hints(text: str) -> bool:
    """True if `text` has words in it that come before a key."""
    folded = text.casefold()
    return any(hint in folded for hint in _HINTS)


def places(text: str) -> bool:
    """True if `text` has in it what stands between a word that hints at a key and the key."""
    folded = text.casefold()
    return any(sign in folded for sign in _BETWEEN)


def values(environment: Mapping[str, str]) -> list[str]:
    """Return the keys that variables hold, the longest first: one key may begin with another."""
    known: set[str] = set()
    for name, value in environment.items():
        if names_a_key(name) and not _is_place(value):
            # A private key is kept in a variable as its lines.
            known |= {line.strip() for line in value.splitlines() if not line.strip().isdigit()}
    return sorted((one for one in known if len(one) >= _SHORTEST), key=len, reverse=True)


def names_a_key(name: str) -> bool:
    """True for a variable whose value is a key, by its name."""
    upper = name.upper()
    parts = upper.split("_")
    return (
        any(word in upper for word in _PARTS)
        or "TOKEN" in upper.replace("TOKENIZ", "")
        or any(part == "AUTH" or part.endswith(("KEY", "KEYS")) for part in parts)
        or parts[-1] == "PAT"
        or (len(parts) > 1 and parts[-1] == "PWD")
    )


def _is_place(value: str) -> bool:
    """True for what names a file or socket: SSH_AUTH_SOCK, GOOGLE_APPLICATION_CREDENTIALS."""
    return value.startswith(("/", "./", "~/"))
