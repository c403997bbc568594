"""Keys taken out of text before it is kept or shown: those of this environment, whatever has the
shape of one, and what stands where only a key does.

A shape counts between borders, so that `docs/risk-…` holds no `sk-…`. A text is looked at whole; a
log, which comes line by line, through `Redactor.lines`, which remembers an open private key.
"""

from __future__ import annotations

import os

from hypervisor.system import signs
from hypervisor.system.late import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping

MARK = "[redacted]"


# The services that the clients talk to, and those that workers' commands often do.
_SHAPES = (
    # Models.
    r"sk-(?:ant|proj|svcacct|admin|or)-(?=[\w-]*\d)[\w-]{20,}",
    r"sk-(?=[A-Za-z]*\d)[0-9A-Za-z]{20,}",
    r"AIza[\w-]{35,}", r"ya29\.[\w-]{20,}", r"1//0[\w-]{30,}", r"GOCSPX-[\w-]{20,}",
    r"hf_[0-9A-Za-z]{30,}", r"r8_[0-9A-Za-z]{30,}", r"gsk_[0-9A-Za-z]{40,}",
    r"xai-[0-9A-Za-z]{40,}", r"pplx-[0-9A-Za-z]{40,}", r"nvapi-[\w-]{40,}",
    # Code and registries.
    r"gh[pousr]_[0-9A-Za-z]{36,}", r"github_pat_\w{40,}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[\w-]{20,}",
    r"AT(?:ATT|CTT|BB)(?=[\w-]*\d)[\w=-]{20,}", r"npm_[0-9A-Za-z]{36,}", r"pypi-AgE[\w-]{50,}",
    r"dckr_(?:pat|oat)_[\w-]{20,}", r"rubygems_[0-9a-f]{40,}", r"cio[0-9A-Za-z]{32}(?!\w)",
    r"oy2[a-z0-9]{43}(?!\w)", r"AKCp[0-9A-Za-z]{50,}",
    # Clouds.
    r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![0-9A-Za-z])", r"LTAI[0-9A-Za-z]{12,}",
    r"do[opr]_v1_[0-9a-f]{64}", r"hv[sbr]\.[\w-]{24,}", r"dapi[0-9a-f]{32}", r"HRKU-[\w-]{30,}",
    r"[0-9A-Za-z]{14}\.atlasv1\.[\w-]{60,}", r"pul-[0-9a-f]{40}",
    r"dp\.(?:pt|st|ct|sa)\.[\w-]{40,}",
    r"[\w~.]{3}8Q~[\w~.-]{31,34}", r"tskey-[a-z]+-[\w-]{20,}",
    r"pscale_(?:tkn|pw|oauth)_[\w-]{30,}",
    r"sbp_[0-9a-f]{40}", r"sntry[su]_[\w+/=.-]{40,}", r"gl(?:sa|c)_[\w+/=-]{32,}",
    r"NRAK-[0-9A-Z]{27}", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}",
    # Payment, mail, talk, and others.
    r"(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{16,}", r"whsec_[0-9A-Za-z+/=]{24,}",
    r"sq0(?:atp|csp|idp)-[\w-]{22,}", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    r"rzp_(?:live|test)_[0-9A-Za-z]{14,}", r"access_token\$(?:production|sandbox)\$[0-9a-z$]{40,}",
    r"SG\.[\w-]{16,}\.[\w-]{32,}", r"key-[0-9a-f]{32}", r"[0-9a-f]{32}-us\d{1,2}",
    r"SK[0-9a-f]{32}(?!\w)", r"xox[abeprs]-[0-9A-Za-z-]{10,}", r"xapp-\d-[0-9A-Za-z-]{20,}",
    r"\d{8,10}:AA[\w-]{33}(?![\w-])", r"lin_(?:api|oauth)_[0-9A-Za-z]{32,}",
    r"(?:ntn|secret)_(?=[A-Za-z]*\d)[0-9A-Za-z]{43,}", r"figd_[\w-]{36,}", r"PMAK-[0-9a-f-]{40,}",
    # Signed web tokens, and encrypted ones.
    r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}",
)  # fmt: skip
_SHAPED = late(rf"(?<![0-9A-Za-z])(?:{'|'.join(_SHAPES)})")

# A private key: lines of base64, perhaps with a header, quoted, indented or in a string, where its
# newlines are written out.
_KIND = r"[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?"
_BEGIN = late(rf"-----BEGIN {_KIND}-----")
_END = late(rf"-----END {_KIND}-----")
_BASE64 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/="
_SEPARATORS = " \t\r\n>|#*+,\"'\\-"
_HEADER = r"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset): [^\r\n\\\"]{1,100}"
_APART = r"[\s>|#*+,\"'\\nr-]{1,24}"
_PRIVATE = late(
    rf"-----BEGIN {_KIND}-----(?:{_APART}(?:[0-9A-Za-z+/=]{{16,128}}|{_HEADER}))*"
    rf"(?:(?:{_APART}[0-9A-Za-z+/=]{{1,128}})?(?:{_APART})?-----END {_KIND}-----)?"
)
# Its lines are as long as whole groups of base64 are.
_BODY = late(
    rf"[ \t>|#*+-]{{0,12}}(?:[0-9A-Za-z+/=]{{16,128}}|(?:[0-9A-Za-z+/=]{{4}}){{1,4}}|{_HEADER})?"
    r"[\"',\\]{0,3}\s*"
)
_LONGEST_KEY = 400  # lines

# What comes before a secret, then the secret, which alone is taken out.
_QUOTE = r"\\{0,4}[\"']"
_AFTER = (
    # Headers.
    rf"(?:proxy-)?authorization(?:{_QUOTE})?\s{{0,3}}[:=]\s{{0,3}}(?:{_QUOTE})?"
    r"(?:(?:bearer|basic|token|apikey|negotiate|ntlm|key)\s+(?P<header>[^\s\"'\\,]{4,})"
    r"|digest\s+(?P<digest>[^\"'\\,\r\n]{4,}))",
    r"(?<![\w-])bearer\s{1,2}(?P<bearer>(?=[\w.~+/-]*\d)[\w.~+/-]{16,}=*)",
    # Addresses.
    r"://(?P<login>[^/\s:@\"'<>]*:[^/\s@\"'<>]+)(?=@)",
    r"://(?P<user>(?=[\w-]*\d)[\w-]{20,})(?=@)",
    r"hooks\.slack\.com/services/(?P<slack>[\w/]{20,})",
    r"/api/webhooks/\d{6,}/(?P<webhook>[\w-]{20,})",
    r"[?&;](?:x-amz-(?:signature|credential|security-token)|sig|signature|access_token|id_token"
    r"|refresh_token|token|api_?key|password|passwd|pwd|secret|client_secret|private_token|auth)="
    r"(?P<query>[^&\s\"'<>#\\]{6,})",
    r"(?:AccountKey|SharedAccessKey|SharedAccessSignature)=(?P<azure>[\w+/=%&-]{20,})",
)
_PLACED = late(f"(?i){'|'.join(_AFTER)}")
_BASIC = late(r"(?i)(?<![\w-])basic\s([0-9A-Za-z+/]{8,}={0,2})(?![\w+/=])")

_ASSIGNED = late(
    r"(?i)(?<![\w.])(?P<option>--)?"
    r"(?P<name>[\w.-]{0,60}?(?:passw(?:or)?d|passphrase|pwd|secret|token|key|_auth|credentials?)"
    r"[\w.-]{0,16})"
    rf"(?P<between>(?:{_QUOTE})?[ \t]{{0,8}}(?::|=>?|:=)[ \t]{{0,8}}|[ \t](?=[^\s-]))"
    rf"(?:(?P<quote>{_QUOTE})(?P<quoted>(?:(?!(?P=quote))[^\r\n]){{1,4096}})(?P=quote)"
    r"|(?P<bare>[^\s,;\"'<>|)\]}\\]{1,4096}))"
)
_PASSWORD = late(
    r"(?i)(?:passw(?:or)?d|passphrase|pwd|secret)"
    r"(?:[_.-]?(?:\d+|old|new|value|dev|test|prod|staging))?$"
)
_TOKEN = late(
    r"(?i)(?:token|(?:api|access|secret|private|account|auth|encryption|signing|master|deploy|license"
    r"|webhook|storage|service|shared|session|client)[_.-]?key|_auth|credentials?)(?:[_.-]?\d+)?$"
)
_KEY = late(r"_KEY\d*$")
# What code, schemas and forms say instead of a secret.
_NO_SECRET = late(
    r"(?i)(?:none|null|nil|true|false|undefined|string|str|text|bytes|integer|number|boolean|required"
    r"|optional|any|yes|no|empty|hidden|(?:your|my|the|new|old|some)?[_ -]?"
    r"(?:password|passwd|secret|token|key|passphrase)|x+|\.+|\*+)$|[$<{%*(\[]|\.\.\."
)
_ODD = late(r"[!@#%^&*+=~?/]|\d{4}")
_CODE = late(r"[A-Za-z_]\w*(?:(?:\.|::|->)\w+)+$|.*[(\[{`]")


class Redactor:
    """Takes keys out of text. `environment` is where values of keys are known from."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._values = signs.values(os.environ if environment is None else environment)

    def text(self, text: str) -> str:
        """Return a whole text without keys."""
        if any(value in text for value in self._values):
            text = _without_known(text, self._values)
        if "-----" in text:
            text = _without_ends(_PRIVATE.sub(MARK, text))
        if signs.of_a_shape(text):
            text = _SHAPED.sub(MARK, text)
        if signs.hints(text) and signs.places(text):
            text = _PLACED.sub(_only_group, text)
            text = _BASIC.sub(_basic, text)
            text = _ASSIGNED.sub(_assigned, text)
        return text

    def report(self, report: Mapping[str, object]) -> dict[str, object]:
        """Return a worker's report without keys."""
        return {name: self._value(value) for name, value in report.items()}

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._value(one) for name, one in value.items()}
        return [self._value(one) for one in value] if isinstance(value, list) else value

    def chunks(self) -> Callable[[list[bytes]], list[bytes]]:
        """Return a function that takes the lines of one log, many at a time, as `lines` does."""
        clean, near_key = self.lines(), 0

        def clean_all(lines: list[bytes]) -> list[bytes]:
            nonlocal near_key
            # Who prints without end prints the same again and again.
            shown = b"\n".join(set(lines)).decode("utf-8", "surrogateescape")
            if "-----" in shown:
                near_key = len(lines) + _LONGEST_KEY
            # What all of them together don't hold, none of them does.
            if not near_key and not signs.may_hold(shown, self._values):
                return lines
            near_key = max(0, near_key - len(lines))
            return [clean(line) for line in lines]

        return clean_all

    def lines(self) -> Callable[[bytes], bytes]:
        """Return a function that takes the lines of one log, in order, and returns each without
        keys; bytes that are no UTF-8 stay as they are. Each line of a private key is marked."""
        left = 0

        def clean(line: bytes) -> bytes:
            nonlocal left
            shown = line.decode("utf-8", "surrogateescape")
            begun = _BEGIN.search(shown)
            if begun is None and left:
                left -= 1
                if _BODY.fullmatch(shown):
                    body = shown.strip()
                    return (shown.replace(body, MARK) if body else shown).encode()
                left = 0
            elif begun and _BODY.fullmatch(shown, begun.end()):
                left = _LONGEST_KEY
            told = self.text(shown)
            return line if told is shown else told.encode("utf-8", "surrogateescape")

        return clean


def _without_ends(text: str) -> str:
    """Return a text without the ends of private keys whose beginnings were cut off."""
    place = 0
    while end := _END.search(text, place):
        before = text[: end.start()]
        kept = before
        while True:
            rest = kept.rstrip(_SEPARATORS)
            shorter = rest.rstrip(_BASE64)
            length = len(rest) - len(shorter)
            if length > 128 or length < (16 if kept is not before else 1):
                break
            kept = shorter
        text = f"{kept}{MARK}{text[end.end() :]}"
        place = len(kept)
    return text


def secrets(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables in `environment` that look like secrets, by their names or
    by what they hold, sorted."""
    shapes = Redactor({})
    return sorted(
        name
        for name, value in environment.items()
        if signs.names_a_key(name) or shapes.text(value) != value
    )


def _without_known(text: str, values: Iterable[str]) -> str:
    import re

    return re.sub("|".join(map(_bordered, values)), MARK, text)


def _bordered(value: str) -> str:
    import re

    # A password that is a word may be part of others.
    return rf"(?<![A-Za-z]){value}(?![A-Za-z])" if value.isalpha() else re.escape(value)


def _only_group(match: re.Match[str]) -> str:
    """Return a match with its one group taken out."""
    begin, end = match.span(match.lastgroup or 0)
    start = match.start()
    value = match[0][begin - start : end - start]
    if value.strip().startswith((MARK, "$", "{", "<")):
        return match[0]
    return match[0][: begin - start] + MARK + match[0][end - start :]


def _basic(match: re.Match[str]) -> str:
    """`Basic` is a word of prose as well: what follows counts if it is a login in base64."""
    import base64
    import binascii

    try:
        login = base64.b64decode(match[1] + "=" * (-len(match[1]) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return match[0]
    return match[0].replace(match[1], MARK) if ":" in login and login.isprintable() else match[0]


def _assigned(match: re.Match[str]) -> str:
    """Take the value of a name out where it plainly is a secret."""
    value = match["quoted"] or match["bare"]
    if not _is_secret(match, value):
        return match[0]
    start = match.start()
    begin, end = match.span("quoted" if match["quoted"] else "bare")
    return match[0][: begin - start] + MARK + match[0][end - start :]


def _is_secret(match: re.Match[str], value: str) -> bool:
    name, between = match["name"], match["between"]
    if not between.strip("\"'\\ \t") and not match["option"]:
        return False
    if MARK in value or _NO_SECRET.match(value) or name.startswith("HYPERVISOR_"):
        return False
    is_quoted = match["quoted"] is not None
    is_mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    is_variable = name.isupper() and between == "="
    if _PASSWORD.search(name):
        if is_variable:
            return len(value) >= 4
        if " " in value:
            return False
        if is_quoted:
            return len(value) >= 4
        # A constant of a program is a number.
        if _CODE.match(value) or (name.isupper() and value.isdigit()):
            return False
        # An ordinary word after `password:` is most often a sentence or code.
        is_odd = is_mixed or _ODD.search(value) is not None
        is_line = between in "=:" and _is_whole_line(match)
        return len(value) >= 4 and (is_odd or is_line)
    if _TOKEN.search(name):
        if " " in value or (not is_quoted and not is_variable and _CODE.match(value)):
            return False
        if is_variable:
            return len(value) >= 8 and not value.isdigit()
        return len(value) >= (12 if is_quoted else 16) and is_mixed
    return bool(is_variable and _KEY.search(name) and len(value) >= 16 and is_mixed)


def _is_whole_line(match: re.Match[str]) -> bool:
    text = match.string
    before = text[: match.start()].rpartition("\n")[2].strip()
    after = text[match.end() :].partition("\n")[0].strip()
    return not after and before in ("", "-", "export", "set")
