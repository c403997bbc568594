"""News as a POST to an address that the user has named: no redirect is followed, and what goes
wrong is told without the address, which may hold a key."""

from __future__ import annotations

import socket
import ssl
from typing import IO
from urllib import error, request
from urllib.parse import urlsplit

from hypervisor import __version__
from hypervisor.agents.notify import Lost
from hypervisor.config.notify import is_loopback
from hypervisor.system.processes import Late, within
from hypervisor.system.spans import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPMessage

_HEADERS = {"Content-Type": "application/json", "User-Agent": f"hypervisor/{__version__}"}


class _Stay(request.HTTPRedirectHandler):
    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage,
        newurl: str,
    ) -> None:  # fmt: skip
        """Follow nothing: the address is another than the one that the user named."""


def post(address: str, data: bytes, seconds: float) -> None:
    """Send `data` (JSON) to `address` within so many seconds. Raises Lost."""
    handlers: list[request.BaseHandler] = [_Stay()]
    if is_loopback(urlsplit(address).hostname or ""):
        handlers.append(request.ProxyHandler({}))
    opener = request.build_opener(*handlers)

    def carry_out() -> None:
        asked = request.Request(address, data, _HEADERS, method="POST")
        opener.open(asked, timeout=seconds).close()

    try:
        within(seconds, carry_out)
    except Exception as failure:
        raise Lost(_why(failure, seconds)) from None


def _why(failure: BaseException, seconds: float) -> str:
    if isinstance(failure, error.HTTPError):
        moved = ", a redirect, which is not followed" if 300 <= failure.code < 400 else ""
        return f"HTTP {failure.code}{moved}"
    inner = failure.reason if isinstance(failure, error.URLError) else failure
    if isinstance(inner, Late | TimeoutError):
        return f"no answer within {span(seconds)}"
    if isinstance(inner, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(inner, socket.gaierror):
        return "its host is not found"
    if isinstance(inner, ConnectionError):
        return "the connection was refused or broken off"
    return "it can't be reached"
