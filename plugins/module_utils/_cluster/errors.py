# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of requests to the Kubernetes API and of names in options, with their remedies, and time limits.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import subprocess
import threading
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import object_in, printable

if t.TYPE_CHECKING:
    from types import FrameType, TracebackType

T = t.TypeVar("T")

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
    def from_answer(cls, answer: t.Any, selector: str = "", **where: t.Any) -> ClusterError:
        """The error for an HTTP response, whose body may be a Status object of Kubernetes.

        *answer* has C(status), C(reason), C(body) and C(headers), as an exception of the Kubernetes library. *selector*
        is that of the request: the message of the API does not name it. *where* are more arguments of the error.
        """
        message = object_in(answer.body).get("message") or answer.reason or f"HTTP status {answer.status}"
        if answer.status == 400 and selector:
            message = f"{message}, in the selector {selector}"
        seconds = str((answer.headers or {}).get("Retry-After") or "")
        retry_after = float(seconds) if seconds.isdecimal() else 0
        return cls(message, status=answer.status, retry_after=retry_after, **where)

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


class _OutOfTime(BaseException):
    """Not an Exception, because the library catches those."""


def call_within(seconds: float, function: t.Callable[[], T]) -> T:
    """Call the function. Raise TimeoutError after *seconds*, and kill the process that it waits for.

    A timeout of a socket limits the wait for the next byte, not the whole answer, and the library starts the plugin of
    a kubeconfig without any limit. Only the main thread can be interrupted. In another thread there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        return function()
    running = True

    def end(_number: int, _frame: FrameType | None) -> None:
        if running:
            raise _OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    try:
        # The alarm may come when the function has ended. The end of a `with` block could not catch that.
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return function()
        finally:
            running = False
    except _OutOfTime as error:
        _kill_processes(error.__traceback__)
        raise TimeoutError(f"no complete answer within {seconds:g} seconds") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _kill_processes(traceback: TracebackType | None) -> None:
    """Kill the processes of the interrupted functions, which have no other reference to them."""
    while traceback:
        for value in traceback.tb_frame.f_locals.values():
            # A process that is only being started has no number yet.
            if isinstance(value, subprocess.Popen) and value.pid:
                value.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    value.wait(1)
        traceback = traceback.tb_next


def retries(count: int, longest_pause: float) -> t.Any:
    """The retries of urllib3. It waits as long as the header Retry-After says, even for hours: limit the pause."""
    from urllib3 import Retry

    class LimitedRetry(Retry):
        def get_retry_after(self, response: t.Any) -> float:
            return min(super().get_retry_after(response) or 0, longest_pause)

    return LimitedRetry(count, redirect=False)


@contextlib.contextmanager
def logged_errors() -> t.Iterator[list[str]]:
    """The errors that the library logs in the block. If a plugin fails, the library only logs the error."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Handler(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        yield found
    finally:
        logging.getLogger().removeHandler(handler)


def first_cause(error: BaseException) -> str:
    """The text of the first cause of an error: the errors around it repeat the request."""
    # urllib3 also passes on an error as the reason or as an argument of another one.
    found = [each for each in (getattr(error, "reason", None), *error.args) if isinstance(each, BaseException)]
    inner = found[0] if found else error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return first_cause(inner) if inner else getattr(error, "strerror", None) or first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of the text of an error, or its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
