# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP requests to a registry, each limited in time and in size, and parts of their responses.

Private to killinit.zot: it may change at any time.

The library requests handles proxies and certificates.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
import time
import typing as t
import warnings
from dataclasses import dataclass
from functools import partial
from urllib.parse import urljoin, urlsplit

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import InvalidImageError, json_object
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import object_in
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import disk_errors
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import (
    ZotError,
    classify_response,
    missing_library,
    missing_registry,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._registry.tls import is_loopback

# The search extension describes a tag in about 600 bytes.
_LONGEST_ANSWER = 32 * 1024 * 1024
_PIECE = 64 * 1024
_CONNECTIONS = 16
# A thread that waits for a response checks at this interval, in seconds, whether the task has ended.
_OFTEN = 0.2
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
# What a request does, for the messages of errors.
VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "DELETE": "remove"}
# The errors of OpenSSL for a server that does not support TLS.
_NOT_TLS = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG")


@dataclass(frozen=True)
class Answer:
    """A response of the registry. *url* is the address that sent it."""

    status: int
    headers: t.Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True)
class HttpRequest:
    """A request to the registry with the credentials of a *repository*. *what* is its object in the messages of errors.

    *content* is the media type and the body.
    """

    method: str
    path: str
    what: str
    repository: str = ""
    accept: str = "*/*"
    content: tuple[str, bytes] | None = None


class TooLongError(Exception):
    """The answer exceeds the limit."""


class HttpClient:
    """Sends requests to one registry. Threads may share it. Every method raises ZotError."""

    def __init__(self, session: Session, registry: str | None) -> None:
        if not registry:
            raise missing_registry()
        self.name = registry
        self._session = session
        self._loopback = is_loopback(registry)
        self.may_be_plain = session.insecure or self._loopback
        self._scheme = "https"
        self._requests = self._library()
        # Requests are sent without a session of the library, which takes cookies, ~/.netrc and REQUESTS_CA_BUNDLE into
        # account, reads the bodies of redirects without a limit, and takes half as long again for each request.
        adapter = self._requests.adapters.HTTPAdapter if session.insecure else self._verifying_adapter()
        self._adapter = adapter(pool_maxsize=_CONNECTIONS, pool_block=True)
        self._proxies_of: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def send(self, request: HttpRequest, authorization: str) -> Answer:
        """Follow redirects and return the last response. Only the host of the registry receives *authorization*."""
        url = f"{self._scheme}://{self.name}{request.path}"
        for _attempt in range(_MOST_REDIRECTS + 1):
            credentials = authorization if self.is_ours(url) else ""
            answer = self._bounded(
                lambda end: self._try(request, url, credentials, end),  # noqa: B023
                f"{VERBS[request.method]} {request.what}",
            )
            location = answer.headers.get("Location")
            # A redirect must not choose what a request writes or removes.
            if answer.status not in _REDIRECTS or not location or request.method in ("PUT", "DELETE"):
                return answer
            url = joined(answer.url, location, request.what)
            if urlsplit(url).scheme not in ("https", self._scheme):
                raise invalid_answer(request.what, f"it redirects to {url!r}, which is not an address with https")
        raise invalid_answer(request.what, f"it redirects more than {_MOST_REDIRECTS} times")

    def send_once(self, method: str, url: str, what: str, authorization: str, **more: t.Any) -> Answer:
        """The response of any address, without redirects. *more* are arguments of requests."""
        return self._bounded(lambda end: self._exchange(method, url, authorization, end, **more), f"read {what}")

    def is_ours(self, url: str) -> bool:
        """Whether an address belongs to the registry: the same host and port, and an allowed scheme."""
        schemes = ("https", "http") if self.may_be_plain else ("https",)
        return origin(url) in [origin(f"{scheme}://{self.name}") for scheme in schemes]

    def refused(
        self, answer: Answer, message: str, account: str, *, denied: str | None = None, removes: bool = False
    ) -> ZotError:
        """The error for a response. *account* is the origin of the credentials, *denied* the hint without rights."""
        text, codes = answer.body.decode(errors="replace"), _codes_of(answer.body)
        error_class = classify_response(answer.status, codes, text, removes=removes)
        status = f"HTTP status {answer.status}{''.join(f', {code}' for code in sorted(codes))}"
        wait = answer.headers.get("Retry-After", "")
        return ZotError(
            error_class,
            f"{message}: {status}",
            hint=denied if error_class == "denied" else None,
            values=self._session.explained(account),
            # Redact before shortening the text, because a part of a secret would not be recognized.
            stderr=f"{status}\nRetry-After: {wait}\n{self._session.credentials.redact(text)[:4096]}",
        )

    def _try(self, request: HttpRequest, url: str, authorization: str, end: float) -> Answer:
        """Send one request. Like crane, use plain HTTP if that is allowed and the registry does not support TLS."""
        media_type, data = request.content or ("", None)
        headers = {"Accept": request.accept, **({"Content-Type": media_type} if media_type else {})}
        try:
            return self._exchange(request.method, url, authorization, end, data=data, headers=headers)
        except self._requests.exceptions.SSLError as error:
            if not (self.may_be_plain and self.is_ours(url) and _NOT_TLS.search(str(error).upper())):
                raise
        self._scheme = "http"
        return self._exchange(
            request.method, f"http:{url.partition(':')[2]}", authorization, end, data=data, headers=headers
        )

    def _exchange(self, method: str, url: str, authorization: str, end: float, **more: t.Any) -> Answer:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", **more.pop("headers", {})}
        # Without auth, the library would take credentials from the address.
        auth = partial(authorize, authorization=authorization)
        request = self._requests.Request(method, url, headers, auth=auth, **more).prepare()
        with self._adapter.send(
            request,
            stream=True,
            timeout=max(end - time.monotonic(), 0.001),
            verify=not self._session.insecure,
            proxies=self._proxies(url),
        ) as response:
            body = bytearray()
            for piece in response.iter_content(_PIECE):
                body += piece
                if len(body) > _LONGEST_ANSWER:
                    raise TooLongError
            return Answer(response.status_code, response.headers, bytes(body), response.url)

    def _bounded(self, exchange: t.Callable[[float], Answer], action: str) -> Answer:
        """Run *exchange* with a time limit for the whole response, and convert its errors to ZotError.

        *action* is what cannot be done then, for example "read REFERENCE".

        The timeout of requests applies to each read, so a response that sends one byte at a time would never end.
        """
        failed, timeout = self._requests.exceptions, self._session.timeout
        found: list[Answer | BaseException] = []

        def run() -> None:
            try:
                found.append(exchange(time.monotonic() + timeout))
            except BaseException as error:
                found.append(error)

        end, thread = time.monotonic() + timeout, threading.Thread(target=run, daemon=True)
        thread.start()
        while thread.is_alive() and time.monotonic() < end:
            thread.join(min(end - time.monotonic(), _OFTEN))
            self._session.runner.require_running(f"cannot {action}")
        result = found[0] if found else failed.Timeout()
        if isinstance(result, Answer):
            return result
        if isinstance(result, TooLongError):
            raise invalid_answer(action.partition(" ")[2], f"it is longer than {_LONGEST_ANSWER >> 20} MiB") from result
        # The libraries wrap the reason several times, and each wrapper makes the message longer.
        reason: BaseException = result
        while reason.__cause__ or reason.__context__:
            reason = t.cast("BaseException", reason.__cause__ or reason.__context__)
        # While a body is read, requests calls a timeout a ConnectionError: https://github.com/psf/requests/issues/5430
        if isinstance(result, failed.Timeout) or (isinstance(reason, socket.timeout) and reason.errno is None):
            raise ZotError(
                "unavailable",
                f"cannot {action}: no complete answer within {timeout} seconds",
                hint="Check the registry and the network, or increase the timeout.",
            ) from result
        if not isinstance(result, (failed.RequestException, OSError, ValueError)):
            raise result
        text = self._session.credentials.redact(f"cannot {action}: {reason or type(reason).__name__}")
        is_tls = isinstance(result, failed.SSLError) and "EOF" not in str(reason)
        raise ZotError("tls" if is_tls else "unavailable", text, values=self._session.explained("")) from result

    def _proxies(self, url: str) -> dict[str, str]:
        """The proxies for an address. Like crane, use none if the registry has a loopback address."""
        if self._loopback:
            return {}
        host = urlsplit(url).netloc
        if host not in self._proxies_of:
            self._proxies_of[host] = self._requests.utils.get_environ_proxies(url)
        return self._proxies_of[host]

    def _verifying_adapter(self) -> t.Any:
        """An adapter whose connections share one TLS context.

        The library would load the certificates for each connection. Those of a system take as long as 30 requests.
        """
        from urllib3.util.ssl_ import create_urllib3_context

        context: t.Any = create_urllib3_context()
        # The library would set the protocols again for each connection, which frees memory that another thread may be
        # reading: https://github.com/python/cpython/issues/141012
        context.set_alpn_protocols(["http/1.1"])
        context.set_alpn_protocols = lambda _protocols: None
        with disk_errors(self._session.directory):
            handle, bundle = tempfile.mkstemp(suffix=".pem", dir=self._session.directory)
            with os.fdopen(handle, "wb") as file:
                file.write(self._session.trust.whole())
        try:
            context.load_verify_locations(bundle)
        except OSError as error:  # ssl.SSLError
            reason = f"cannot read the certificates for {self.name}: {error}"
            raise ZotError("tls", reason, values=self._session.explained("")) from error

        base: t.Any = self._requests.adapters.HTTPAdapter

        class Adapter(base):  # type: ignore[misc]
            def init_poolmanager(self, *arguments: t.Any, **more: t.Any) -> None:
                super().init_poolmanager(*arguments, ssl_context=context, **more)

            def proxy_manager_for(self, *arguments: t.Any, **more: t.Any) -> t.Any:
                return super().proxy_manager_for(*arguments, ssl_context=context, **more)

            def cert_verify(self, conn: t.Any, *_arguments: t.Any) -> None:
                conn.cert_reqs = "CERT_REQUIRED"

        return Adapter

    def _library(self) -> t.Any:
        try:
            import requests  # imported late: only some modules use HTTP themselves
            import requests.adapters
        except ImportError as error:
            raise missing_library("requests", "to read the registry") from error
        if self._session.insecure:
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        return requests


def joined(base: str, location: str, what: str) -> str:
    """The absolute address of a link in a response. Raises ZotError for a malformed address."""
    try:
        url = urljoin(base, location)
        origin(url)
    except ValueError as error:
        raise invalid_answer(what, f"it names the address {location!r}: {error}") from error
    return url


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)


def authorize(request: t.Any, authorization: str) -> t.Any:
    """Set the header of one request."""
    request.headers.pop("Authorization", None)
    if authorization:
        request.headers["Authorization"] = authorization
    return request


def object_of(answer: Answer, what: str) -> dict[str, t.Any]:
    """The JSON object in an answer. Raises ZotError for anything else."""
    try:
        return json_object(answer.body, "the answer")
    except InvalidImageError as error:
        kind = answer.headers.get("Content-Type", "")
        raise invalid_answer(what, f"{error}{f' ({kind})' if 'json' not in kind else ''}") from error


def _codes_of(body: bytes) -> set[str]:
    """The error codes of a response. Zot wraps them in a list, except for wrong credentials."""
    errors = object_in(body).get("errors")
    found = [each.get("code") for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    return {code for code in found if isinstance(code, str) and re.fullmatch("[A-Z_]{1,40}", code)}


def invalid_answer(what: str, reason: str) -> ZotError:
    """The error for a response that is not a response of a registry."""
    return ZotError(
        "tool_failed",
        f"{what}: the answer of the registry is invalid: {reason}",
        hint="Check that the address is that of a registry. If the error remains, ask its operator.",
    )
