# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of requests to the Kubernetes API and of names in options, with their remedies.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import object_in, printable

# The statuses of temporary errors: https://kubernetes.io/docs/reference/using-api/api-concepts/#api-status-codes
_RETRYABLE = frozenset({408, 409, 410, 429, 500, 502, 503, 504})
# The equivalent classes of errors.py in _registry.
_CLASSES: t.Mapping[int | None, str] = {
    400: "invalid_option",
    401: "unauthorized",
    403: "denied",
    404: "not_found",
    429: "rate_limited",
}
_HINTS: t.Mapping[int, str] = {
    200: "Check the address of the API server in the kubeconfig. A proxy or its login page may answer instead of it.",
    400: "Correct the selector or the name.",
    401: "Renew the credentials in the kubeconfig.",
    404: "Correct the name, the namespace or the selector.",
    403: "Grant this permission to the user of the kubeconfig. The README of the role has a suitable Role.",
}
_CONNECTION_HINT = (
    "Set zot_kubeconfig and zot_context (variables), kubeconfig and context (options), or K8S_AUTH_KUBECONFIG in the"
    " environment, and check that the API server can be reached from this host."
)


class ClusterError(Exception):
    """The Kubernetes API refused a request, or did not answer.

    *verb*, *resource* and *namespace* name the request, as in C(list pods in openclaw); *status* is the HTTP status, or
    None without an answer, or 200 of an answer that is not of Kubernetes; *message* is the API's own text.
    """

    def __init__(
        self,
        message: str,
        *,
        verb: str = "connect",
        resource: str = "",
        namespace: str | None = None,
        status: int | None = None,
        hint: str | None = None,
        retry_after: float = 0,
    ) -> None:
        super().__init__(message)
        self.message = printable(message.strip())
        self.verb = verb
        self.resource = resource
        self.namespace = namespace
        self.status = status
        # The seconds in the header Retry-After.
        self.retry_after = retry_after
        self._hint = hint

    @classmethod
    def from_answer(
        cls,
        answer: t.Any,
        selector: str = "",
        *,
        verb: str,
        resource: str,
        namespace: str | None,
        hint: str | None = None,
    ) -> ClusterError:
        """The error for an HTTP response, whose body may be a Status object of Kubernetes.

        *answer* has C(status), C(reason), C(body) and C(headers), as an exception of the Kubernetes library. *selector*
        is that of the request: the message of the API does not name it.
        """
        message = object_in(answer.body).get("message") or answer.reason or f"HTTP status {answer.status}"
        if answer.status == 400 and selector:
            message = f"{message}, in the selector {selector}"
        seconds = str((answer.headers or {}).get("Retry-After") or "")
        return cls(
            message,
            verb=verb,
            resource=resource,
            namespace=namespace,
            status=answer.status,
            hint=hint,
            retry_after=float(seconds) if seconds.isdecimal() else 0,
        )

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else " in all namespaces" if self.resource else ""
        what = f"{self.verb} {self.resource}{where}" if self.resource else "connect to the cluster"
        return f"cannot {what}: {self.message}"

    @property
    def retryable(self) -> bool:
        """Whether the same request can succeed later without any change."""
        return bool(self.resource) if self.status is None else self.status in _RETRYABLE

    @property
    def hint(self) -> str:
        """How to correct the error."""
        if self._hint:
            return self._hint
        if self.status is None:
            return _CONNECTION_HINT
        return _HINTS.get(self.status, "Check the API server, then run the task again.")

    def unreadable(self) -> dict[str, t.Any]:
        """One of C(unreadable) in a result."""
        return {"verb": self.verb, "resource": self.resource, "namespace": self.namespace, "message": self.message}

    def for_ansible(self) -> dict[str, t.Any]:
        """The arguments of C(fail_json)."""
        return {
            "msg": f"{str(self).rstrip('.')}. {self.hint}",
            "error_class": _CLASSES.get(self.status, "unavailable"),
            "retryable": self.retryable,
            "hint": self.hint,
        }


class InvalidNameError(ValueError):
    """The value of an option is not a valid name in Kubernetes. The message quotes it and contains the reason."""

    def for_ansible(self) -> dict[str, t.Any]:
        """The arguments of C(fail_json)."""
        hint = "Correct the option and run the task again."
        return {"msg": f"{self}. {hint}", "error_class": "invalid_option", "retryable": False, "hint": hint}


# https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/responsewriters/errors.go
_FORBIDDEN = re.compile(r' is forbidden: (User "[^"]*") cannot ')


def unreadable_texts(readings: t.Iterable[t.Mapping[str, t.Any]], about: t.Container[str] | None = None) -> list[str]:
    """The list C(unreadable) as sentences without the full stop. One names all that a user may not read in a namespace.

    *about* are the resources whose sentences are returned, by default all.
    """
    by_reason: dict[tuple[str | None, str], list[t.Mapping[str, t.Any]]] = {}
    for each in readings:
        user = _FORBIDDEN.search(each["message"])
        reason = f"{user[1]} lacks the permissions" if user else each["message"]
        by_reason.setdefault((each["namespace"], reason), []).append(each)
    found = []
    for (namespace, reason), some in by_reason.items():
        if about is None or any(each["resource"].partition("/")[0] in about for each in some):
            what = ", ".join(f"{each['verb']} {each['resource']}" for each in some)
            where = f" in namespace {namespace}" if namespace else ""
            found.append(f"cannot {what}{where}: {some[0]['message'] if len(some) == 1 else reason}")
    return found
