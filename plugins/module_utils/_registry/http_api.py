# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a registry, and write and remove tags, over HTTP, which is faster than one run of crane for each tag.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import threading
import time
import typing as t
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, is_digest, is_tag
from ansible_collections.killinit.zot.plugins.module_utils._registry.authfile import Account
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import (
    NO_DELETE,
    NO_READ,
    ZotError,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_client import (
    VERBS,
    Answer,
    HttpClient,
    HttpRequest,
    invalid_answer,
    joined,
    object_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session

_MOST_PAGES, _MOST_TAGS = 10_000, 1_000_000
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json,"
    " application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
# https://distribution.github.io/distribution/spec/auth/token/: a token without a lifetime is valid for 60 seconds.
_TOKEN_SECONDS, _EARLIER = 60, 5
_SUCCESS = {"PUT": 201, "DELETE": 202}
# What a token must allow.
_ACTIONS = {"PUT": "pull,push", "DELETE": "pull,delete"}
# The hint for a user who lacks the permission.
_DENIED = {"GET": NO_READ, "HEAD": NO_READ, "DELETE": NO_DELETE}
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next\b', re.IGNORECASE)
_BEARER = re.compile(r"\bBearer\s+((?:\w+=(?:\"[^\"]*\"|[^\s,\"]+)(?:\s*,\s*)?)+)", re.IGNORECASE)
_PARAMETER = re.compile(r"(\w+)=(?:\"([^\"]*)\"|([^\s,\"]+))")


class Http:
    """Reads and writes one registry with the credentials of a session.

    Threads may share it. Every method raises ZotError.
    """

    def __init__(self, session: Session, registry: str | None = None) -> None:
        """*registry* is that of the session by default."""
        self._client = HttpClient(session, registry or session.name)
        self.name = self._client.name
        self._session = session
        # The header Date of the last response.
        self.date = ""
        # The Bearer token of each scope, and the time at which it expires.
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self.close = self._client.close

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

    def put_manifest(self, reference: Reference, media_type: str, raw: bytes) -> None:
        """Write a manifest or index whose content the repository has, for example under one more tag. No retry."""
        path = f"/v2/{reference.repository}/manifests/{reference.tag}"
        self._once(HttpRequest("PUT", path, str(reference), reference.repository, content=(media_type, raw)))

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
        path = f"/v2/{reference.repository}/manifests/{reference.tag}"
        attempted = False

        def attempt() -> str:
            nonlocal attempted
            current = self.digest(reference)
            if current != digest:
                # If the response to an earlier attempt was lost, this task has removed the absent tag.
                return "moved" if current else "removed" if attempted else "absent"
            attempted = True
            self._once(HttpRequest("DELETE", path, str(reference), reference.repository))
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
        answer = self._read(HttpRequest("GET", path, what, repository))
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
            answer = self._read(HttpRequest("GET", path, what, repository))
            if answer is None and len(visited) > 1:
                raise invalid_answer(what, "its next page does not exist")
            if answer is None:
                return
            yield object_of(answer, what)
            following = _NEXT.search(answer.headers.get("Link", ""))
            if not following:
                return
            url = joined(answer.url, following[1], what)
            if not self._client.is_ours(url):
                raise invalid_answer(what, "its next page is on another host")
            path = urlunsplit(("", "", *urlsplit(url)[2:4], ""))

    def _read_object(self, method: str, reference: Reference, name: str, accept: str = "*/*") -> Answer | None:
        """The response for an object in the repository of *reference*; None if the object does not exist."""
        path = f"/v2/{reference.repository}/{name}"
        return self._read(HttpRequest(method, path, str(reference), reference.repository, accept))

    def _read(self, request: HttpRequest) -> Answer | None:
        """The response to one request, with retries; None if the object does not exist."""
        try:
            return self._session.runner.retry(lambda: self._once(request))
        except ZotError as error:
            if error.error_class == "not_found":
                return None
            raise

    def _once(self, request: HttpRequest) -> Answer:
        method, account = request.method, self._session.credentials.origin(self.name, request.repository)
        answer = self._authorized(request)
        self.date = answer.headers.get("Date", "")
        if answer.status == _SUCCESS.get(method, 200):
            return answer
        message, removes = f"cannot {VERBS[method]} {request.what}", method == "DELETE"
        raise self._client.refused(answer, message, account, denied=_DENIED.get(method), removes=removes)

    def _authorized(self, request: HttpRequest) -> Answer:
        """The response to a request with the cached token, with a new token, or with the credentials themselves."""
        account = self._session.credentials.account(self.name, request.repository)
        scope = f"repository:{request.repository}:{_ACTIONS.get(request.method, 'pull')}"
        with self._lock:
            token, until = self._tokens.get(scope, ("", 0.0))
        authorization = f"Bearer {token}" if token and time.monotonic() < until else account.basic
        answer = self._client.send(request, authorization)
        # Only the registry itself may send a challenge: another host must not choose who receives the credentials.
        if answer.status != 401 or not self._client.is_ours(answer.url):
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
        return self._client.send(request, f"Bearer {newer}")

    def _token(self, fields: t.Mapping[str, str], scope: str, basic: str, identity_token: str) -> tuple[str, float]:
        """A token and its lifetime. https://distribution.github.io/distribution/spec/auth/token/"""
        repository = scope.split(":")[1]
        what = f"a token for {self.name}/{repository}"
        realm = joined(f"https://{self.name}/", fields.get("realm", ""), what)
        scheme = urlsplit(realm).scheme
        if scheme != "https" and not (scheme == "http" and self._client.may_be_plain):
            raise invalid_answer(what, f"the realm {realm!r} is not an address with https")
        query = {"service": fields.get("service", ""), "scope": scope}
        if identity_token:
            form = {
                **query,
                "grant_type": "refresh_token",
                "refresh_token": identity_token,
                "client_id": "killinit.zot",
            }
            answer = self._client.send_once("POST", realm, what, "", data=form)
        else:
            answer = self._client.send_once("GET", realm, what, basic, params=query)
        if answer.status != 200:
            error_class = "unauthorized" if answer.status in (400, 401, 403) else "unavailable"
            raise ZotError(
                error_class,
                f"cannot get {what}: {realm} answers with HTTP status {answer.status}",
                values=self._session.explained(self._session.credentials.origin(self.name, repository)),
            )
        document = object_of(answer, what)
        token, seconds = document.get("token") or document.get("access_token"), document.get("expires_in")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise invalid_answer(what, "it has no token")
        self._session.credentials.secrets.add(token)
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        return token, max(t.cast("float", seconds), _TOKEN_SECONDS) if is_number else _TOKEN_SECONDS
