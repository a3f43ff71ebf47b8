# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a registry and remove tags over one HTTP session, which is faster than one run of crane for each tag.

Private to killinit.zot: it may change at any time.

The library requests handles proxies and certificates. Each response is limited in time and in size.
"""

from __future__ import annotations

import http.cookiejar
import re
import socket
import threading
import time
import typing as t
import warnings
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest, is_tag
from ansible_collections.killinit.zot.plugins.module_utils._registry.account import Account
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import is_loopback
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_answers import (
    Answer,
    TooLongError,
    authorize,
    codes_of,
    invalid_answer,
    joined,
    object_of,
    origin,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Access

# The search extension describes a tag in about 600 bytes.
_LONGEST_ANSWER = 32 * 1024 * 1024
_PIECE = 64 * 1024
_CONNECTIONS = 16
# A thread that waits for a response checks at this interval, in seconds, whether the task has ended.
_OFTEN = 0.2
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS, _MOST_PAGES, _MOST_TAGS = 3, 10_000, 1_000_000
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json,"
    " application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
# https://distribution.github.io/distribution/spec/auth/token/: a token without a lifetime is valid for 60 seconds.
_TOKEN_SECONDS, _EARLIER = 60, 5
_CLASSES: t.Mapping[int, str] = {401: "unauthorized", 403: "denied", 404: "not_found", 429: "rate_limited"}
# Zot sends these if it refuses to delete a digest that an index lists or that has several tags.
_NOT_DELETED: t.Mapping[int, str] = {405: "denied", 409: "denied"}
_ABSENT = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next\b', re.IGNORECASE)
_BEARER = re.compile(r"\bBearer\s+((?:\w+=(?:\"[^\"]*\"|[^\s,\"]+)(?:\s*,\s*)?)+)", re.IGNORECASE)
_PARAMETER = re.compile(r"(\w+)=(?:\"([^\"]*)\"|([^\s,\"]+))")
# The errors of OpenSSL for a server that does not support TLS.
_NOT_TLS = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG")


class HttpSession:
    """Reads one registry with the credentials of a session. Threads may share it. Every method raises ZotError."""

    def __init__(self, session: Access) -> None:
        if not session.name:
            raise missing_registry()
        self.name = session.name
        self._session = session
        self._loopback = is_loopback(session.name)
        self._may_be_plain = session.insecure or self._loopback
        self._scheme = "https"
        # The header Date of the last response.
        self.date = ""
        self._requests, self._client = self._open()
        # The Bearer token of each scope, and the time at which it expires.
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def account(self, repository: str) -> Account:
        """The credentials for a repository."""
        return self._session.credentials.account(self.name, repository)

    def digest(self, reference: Reference) -> str | None:
        """The digest of a reference; None only if it does not exist. Zot does not count a HEAD request as a pull."""
        answer = self._read_object("HEAD", reference, f"manifests/{reference.digest or reference.tag}", _MANIFESTS)
        if answer is None:
            return None
        found = answer.headers.get("Docker-Content-Digest", reference.digest or "")
        if not is_digest(found) or reference.digest not in (None, found):
            raise invalid_answer(str(reference), f"its digest is {found!r}")
        return found

    def manifest(self, reference: Reference) -> bytes | None:
        """The manifest or index of a reference, byte by byte. None only if it does not exist."""
        answer = self._read_object("GET", reference, f"manifests/{reference.digest or reference.tag}", _MANIFESTS)
        return None if answer is None else answer.body

    def blob(self, reference: Reference) -> bytes | None:
        """The blob with the digest of *reference*, for example a configuration. None only if it does not exist."""
        answer = self._read_object("GET", reference, f"blobs/{reference.digest}")
        return None if answer is None else answer.body

    def tags(self, repository: str) -> list[str] | None:
        """The tags of a repository, in the order of the registry. None only if it does not exist."""
        found: dict[str, None] | None = None
        for page in self.pages(repository, f"/v2/{repository}/tags/list"):
            tags = page.get("tags") or []
            if not isinstance(tags, list) or not all(isinstance(tag, str) and is_tag(tag) for tag in tags):
                raise invalid_answer(f"{self.name}/{repository}", "its tags are not a list of tags")
            found = found or {}
            found.update(dict.fromkeys(tags))
            if len(found) > _MOST_TAGS:
                raise invalid_answer(f"{self.name}/{repository}", f"it has more than {_MOST_TAGS:,} tags")
        return None if found is None else list(found)

    def remove_tag(self, reference: Reference, digest: str) -> str:
        """Remove a tag only if it has this *digest*. Return C(removed), C(absent) or C(moved).

        Zot has no conditional DELETE, so the tag is read right before each attempt.
        """
        path, repository = f"/v2/{reference.repository}/manifests/{reference.tag}", reference.repository
        attempted = False

        def attempt() -> str:
            nonlocal attempted
            current = self.digest(reference)
            if current != digest:
                # If the response to an earlier attempt was lost, this task has removed the absent tag.
                return "moved" if current else "removed" if attempted else "absent"
            attempted = True
            self._once("DELETE", path, str(reference), repository, "*/*")
            return "removed"

        try:
            return self._session.runner.retry(attempt)
        except ZotError as error:
            # Another client removed the tag after this task had read it.
            if error.error_class == "not_found":
                return "absent"
            raise

    def has_blob(self, reference: Reference) -> bool:
        """Whether the repository has the blob with the digest of *reference*, for example a configuration."""
        return self._read_object("HEAD", reference, f"blobs/{reference.digest}") is not None

    def document(self, repository: str, path: str) -> dict[str, t.Any] | None:
        """The JSON object of a path that belongs to *repository*; None only if it does not exist."""
        what = f"{self.name}{path.partition('?')[0]}"
        answer = self._read("GET", path, what, repository)
        return None if answer is None else object_of(answer, what)

    def pages(self, repository: str, path: str) -> t.Iterator[dict[str, t.Any]]:
        """The JSON objects of a list, page by page. There are none if the list does not exist.

        https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
        """
        what = f"{self.name}{path.partition('?')[0]}"
        visited: set[str] = set()
        while True:
            if path in visited or len(visited) >= _MOST_PAGES:
                raise invalid_answer(what, "its pages do not end")
            visited.add(path)
            answer = self._read("GET", path, what, repository)
            if answer is None and len(visited) > 1:
                raise invalid_answer(what, "its next page does not exist")
            if answer is None:
                return
            yield object_of(answer, what)
            following = _NEXT.search(answer.headers.get("Link", ""))
            if not following:
                return
            url = joined(answer.url, following[1], what)
            if not self._is_ours(url):
                raise invalid_answer(what, "its next page is on another host")
            path = urlunsplit(("", "", *urlsplit(url)[2:4], ""))

    def _read_object(self, method: str, reference: Reference, name: str, accept: str = "*/*") -> Answer | None:
        """The response for an object in the repository of *reference*; None if the object does not exist."""
        path = f"/v2/{reference.repository}/{name}"
        return self._read(method, path, str(reference), reference.repository, accept)

    def _read(self, method: str, path: str, what: str, repository: str, accept: str = "*/*") -> Answer | None:
        """The response to one request, with retries; None if the object does not exist."""
        try:
            return self._session.runner.retry(lambda: self._once(method, path, what, repository, accept))
        except ZotError as error:
            if error.error_class == "not_found":
                return None
            raise

    def _once(self, method: str, path: str, what: str, repository: str, accept: str) -> Answer:
        account = self._session.credentials.prepare(self.name, repository)
        answer = self._authorized(method, path, what, repository, accept)
        self.date = answer.headers.get("Date", "")
        if answer.status == (202 if method == "DELETE" else 200):
            return answer
        text = answer.body.decode(errors="replace")
        codes = codes_of(answer.body)
        classes = {**_CLASSES, **(_NOT_DELETED if method == "DELETE" else {})}
        error_class = classes.get(answer.status, "unavailable" if answer.status >= 500 else "tool_failed")
        if codes & _ABSENT:
            error_class = "not_found"
        elif answer.status == 429 and re.search(r'"limit": ?"[0-9]', text):
            error_class = "quota_exceeded"
        wait = answer.headers.get("Retry-After", "")
        message = f"HTTP status {answer.status}{''.join(f', {code}' for code in sorted(codes))}"
        denied = method == "DELETE" and error_class == "denied"
        raise ZotError(
            error_class,
            f"cannot {'remove' if method == 'DELETE' else 'read'} {what}: {message}",
            hint="The user may not remove tags of this repository: {credentials}. In Zot this is the action delete."
            if denied
            else None,
            values=self._session.explained(account),
            # Redact before shortening the text, because a part of a secret would not be recognized.
            stderr=f"{message}\nRetry-After: {wait}\n{self._session.credentials.redact(text)[:4096]}",
        )

    def _authorized(self, method: str, path: str, what: str, repository: str, accept: str) -> Answer:
        """The response to a request with the cached token, with a new token, or with the credentials themselves."""
        account = self._session.credentials.account(self.name, repository)
        scope = f"repository:{repository}:{'pull,delete' if method == 'DELETE' else 'pull'}"
        with self._lock:
            token, until = self._tokens.get(scope, ("", 0.0))
        authorization = f"Bearer {token}" if token and time.monotonic() < until else account.basic
        answer = self._send(method, path, what, accept, authorization)
        # Only the registry itself may send a challenge: another host must not choose who receives the credentials.
        if answer.status != 401 or not self._is_ours(answer.url):
            return answer
        challenge = _BEARER.search(answer.headers.get("WWW-Authenticate", ""))
        if not challenge:
            return answer
        fields = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(challenge[1])}
        with self._lock:
            newer, until = self._tokens.get(scope, ("", 0.0))
            if newer == token or time.monotonic() >= until:  # no other thread has renewed the token
                newer, seconds = self._token(fields, scope, account.basic, account.identity_token)
                self._tokens[scope] = newer, time.monotonic() + seconds - _EARLIER
        return self._send(method, path, what, accept, f"Bearer {newer}")

    def _token(self, fields: t.Mapping[str, str], scope: str, basic: str, identity_token: str) -> tuple[str, float]:
        """A token and its lifetime. https://distribution.github.io/distribution/spec/auth/token/"""
        repository = scope.split(":")[1]
        what = f"a token for {self.name}/{repository}"
        realm = joined(f"https://{self.name}/", fields.get("realm", ""), what)
        scheme = urlsplit(realm).scheme
        if scheme != "https" and not (scheme == "http" and self._may_be_plain):
            raise invalid_answer(what, f"the realm {realm!r} is not an address with https")
        query = {"service": fields.get("service", ""), "scope": scope}
        if identity_token:
            form = {
                **query,
                "grant_type": "refresh_token",
                "refresh_token": identity_token,
                "client_id": "killinit.zot",
            }
            answer = self._bounded(lambda end: self._exchange("POST", realm, "*/*", "", end, data=form), what)
        else:
            answer = self._bounded(lambda end: self._exchange("GET", realm, "*/*", basic, end, params=query), what)
        if answer.status != 200:
            error_class = "unauthorized" if answer.status in (400, 401, 403) else "unavailable"
            raise ZotError(
                error_class,
                f"cannot get {what}: {realm} answers with HTTP status {answer.status}",
                values=self._session.explained(self._session.credentials.prepare(self.name, repository)),
            )
        document = object_of(answer, what)
        token, seconds = document.get("token") or document.get("access_token"), document.get("expires_in")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise invalid_answer(what, "it has no token")
        self._session.credentials.secrets.add(token)
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        return token, max(t.cast("float", seconds), _TOKEN_SECONDS) if is_number else _TOKEN_SECONDS

    def _send(self, method: str, path: str, what: str, accept: str, authorization: str) -> Answer:
        """Follow redirects and return the last response. Only the host of the registry receives *authorization*."""
        url = f"{self._scheme}://{self.name}{path}"
        for _attempt in range(_MOST_REDIRECTS + 1):
            credentials = authorization if self._is_ours(url) else ""
            answer = self._bounded(lambda end: self._try(method, url, accept, credentials, end), what)  # noqa: B023
            location = answer.headers.get("Location")
            # A redirect must not choose what a DELETE removes.
            if answer.status not in _REDIRECTS or not location or method == "DELETE":
                return answer
            url = joined(answer.url, location, what)
            if urlsplit(url).scheme not in ("https", self._scheme):
                raise invalid_answer(what, f"it redirects to {url!r}, which is not an address with https")
        raise invalid_answer(what, f"it redirects more than {_MOST_REDIRECTS} times")

    def _try(self, method: str, url: str, accept: str, authorization: str, end: float) -> Answer:
        """Send one request. Like crane, use plain HTTP if that is allowed and the registry does not support TLS."""
        try:
            return self._exchange(method, url, accept, authorization, end)
        except self._requests.exceptions.SSLError as error:
            if not (self._may_be_plain and self._is_ours(url) and _NOT_TLS.search(str(error).upper())):
                raise
        self._scheme = "http"
        return self._exchange(method, f"http:{url.partition(':')[2]}", accept, authorization, end)

    def _exchange(self, method: str, url: str, accept: str, authorization: str, end: float, **more: t.Any) -> Answer:
        left = max(end - time.monotonic(), 0.001)
        with self._client.request(
            method,
            url,
            headers={"Accept": accept, "Accept-Encoding": "identity"},
            auth=lambda request: authorize(request, authorization),
            allow_redirects=False,
            stream=True,
            timeout=left,
            # Set for each request, because REQUESTS_CA_BUNDLE would override the setting of the client.
            verify=False if self._session.insecure else self._session.ca_bundle,
            **more,
        ) as response:
            body = bytearray()
            for piece in response.iter_content(_PIECE):
                body += piece
                if len(body) > _LONGEST_ANSWER:
                    raise TooLongError
            return Answer(response.status_code, response.headers, bytes(body), response.url)

    def _bounded(self, exchange: t.Callable[[float], Answer], what: str) -> Answer:
        """Run *exchange* with a time limit for the whole response, and convert its errors to ZotError.

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
            self._session.runner.require_running(what)
        result = found[0] if found else failed.Timeout()
        if isinstance(result, Answer):
            return result
        if isinstance(result, TooLongError):
            raise invalid_answer(what, f"it is longer than {_LONGEST_ANSWER >> 20} MiB") from result
        # The libraries wrap the reason several times, and each wrapper makes the message longer.
        reason: BaseException = result
        while reason.__cause__ or reason.__context__:
            reason = t.cast("BaseException", reason.__cause__ or reason.__context__)
        # While a body is read, requests calls a timeout a ConnectionError: https://github.com/psf/requests/issues/5430
        if isinstance(result, failed.Timeout) or (isinstance(reason, socket.timeout) and reason.errno is None):
            raise ZotError(
                "unavailable",
                f"cannot read {what}: no complete answer within {timeout} seconds",
                hint="Check the registry and the network, or increase the timeout.",
            ) from result
        if not isinstance(result, (failed.RequestException, OSError, ValueError)):
            raise result
        text = self._session.credentials.redact(f"cannot read {what}: {reason or type(reason).__name__}")
        is_tls = isinstance(result, failed.SSLError) and "EOF" not in str(reason)
        raise ZotError("tls" if is_tls else "unavailable", text, values=self._session.explained("")) from result

    def _is_ours(self, url: str) -> bool:
        """Whether an address belongs to the registry: the same host and port, and an allowed scheme."""
        schemes = ("https", "http") if self._may_be_plain else ("https",)
        return origin(url) in [origin(f"{scheme}://{self.name}") for scheme in schemes]

    def _open(self) -> tuple[t.Any, t.Any]:
        try:
            import requests  # imported late: only some modules use HTTP themselves
            import requests.adapters
        except ImportError as error:
            raise ZotError(
                "tool_missing",
                "the Python library requests is required and cannot be imported",
                hint="Install requests for the Python that runs the module.",
            ) from error
        client: t.Any = requests.Session()
        client.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS, pool_block=True))
        client.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS, pool_block=True))
        client.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        # _send() follows redirects. The library would read the bodies of redirects without a limit.
        client.get_redirect_target = lambda _response: None
        # Like crane, use no proxy for a loopback address.
        client.trust_env = not self._loopback
        if self._session.insecure:
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        return requests, client
