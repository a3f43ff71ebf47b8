# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the images that a cluster cannot pull, from its pods, its events and the messages of kubelet.

Private to killinit.zot: it may change at any time.

The messages of kubelet: https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/images/image_manager.go
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    CANNOT_PULL_REASONS,
    STATUS_OF,
    ImageUse,
    Object,
    controller_of,
    image_uses,
    is_unreadable_secret,
    secret_names,
    service_account_of,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import parse_time

_CRASHED = frozenset({"CrashLoopBackOff", "RunContainerError"})
# The reasons of the events of kubelet (pkg/kubelet/events/event.go). Events of other controllers also name images.
_FAILED = frozenset({"Failed", "BackOff", "InspectFailed", "ErrImageNeverPull"})
_LIMIT = 400

_IMAGE = re.compile(r'image (?:(?:tag )?"((?:[^"\\]|\\.)*)"|pull failed for (\S+) because)')
_PULL = re.compile(r'Failed to pull image "(?:[^"\\]|\\.)*": (.*)', re.DOTALL)
# Text around the cause that kubelet and the runtime add.
_PREFIX = re.compile(
    r'(?:Back-off pulling image "(?:[^"\\]|\\.)*"(?:: |$)|(?:Err|Image|Registry|Signature)[A-Za-z]+: '
    r"|rpc error: code = \w+ desc = |failed to pull and unpack image \"[^\"]*\": )"
)

# The order matters: a later pattern may occur in the text of an earlier one. Texts of containerd 1.7 and 2.x, and of
# CRI-O.
_PATTERNS: t.Sequence[tuple[str, re.Pattern[str]]] = [
    (error, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for error, pattern in (
        ("malformed", r"invalid reference format|couldn't parse image name|InvalidImageName"),
        ("never", r"is not present with pull policy of Never"),
        ("platform", r"no match for platform|no image found in (?:image index|manifest list) for architecture"),
        ("disk", r"no space left on device|disk quota exceeded"),
        ("plain_http", r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake"),
        ("timeout", r"TLS handshake timeout"),
        ("tls", r"x509:|tls: |HTTP request to an HTTPS server"),
        ("host", r"no such host|server misbehaving|name resolution|\blookup [^ ]+(?: on [^ ]+)?:.* i/o timeout"),
        ("refused", r"connection refused|connection reset|no route to host|network is unreachable"),
        ("timeout", r"i/o timeout|deadline exceeded|timed out|request canceled"),
        ("quota", r"toomanyrequests:.*\blimit:[0-9]"),
        ("rate", r"\b429\b|too ?many ?requests|pull rate limit"),
        (
            "unauthorized",
            (
                r"\b401\b|unauthorized|no basic auth credentials|authentication required|authorization failed"
                r"|invalid username/password"
            ),
        ),
        ("denied", r"\b403\b|denied|forbidden"),
        ("absent", r"not found|manifest unknown|name unknown|not known to registry"),
        ("broken", r"\b5[0-9][0-9] [A-Z]|\b5[0-9][0-9] \("),
        # Older versions of kubelet give no more detail.
        ("refused", r"the registry is unavailable"),
    )
]


@dataclass(frozen=True)
class PullFailure:
    """One image of one pod that cannot be pulled, or that is not pulled yet after a long time.

    *state* is C(failed) if a pull has failed, C(waiting) if the first pull has not ended yet, C(crashed) if the
    container was started and ended, which may be because its image is for another architecture. *message* is kubelet's
    text on one line, without the prefixes. *next_try* is the number of seconds until kubelet's next pull, if known.

    The content is not validated: the creator of a pod chooses it.
    """

    pod: str
    owner_kind: str
    owner_name: str
    node: str
    use: ImageUse
    state: str
    message: str
    secrets: tuple[str, ...]
    service_account: str
    next_try: int | None

    @property
    def resource(self) -> str:
        """The object to change in order to change the pod, for example C(deployment/openclaw)."""
        return f"{self.owner_kind}/{self.owner_name}"

    @property
    def image(self) -> str:
        """The image, as in the specification of the pod."""
        return self.use.image


def find_failures(
    pods: t.Iterable[Object], events: t.Iterable[Object], *, now: float, pull_timeout: float
) -> list[PullFailure]:
    """The images that pods fail to pull, and those whose first pull takes longer than *pull_timeout* seconds.

    *now* is the time of the API server in seconds since 1970. The clock of a node may differ from it.
    """
    by_pod: dict[str, list[Object]] = {}
    for event in events:
        by_pod.setdefault((event.get("involvedObject") or {}).get("uid") or "", []).append(event)
    return [
        failure
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        for failure in _of_pod(pod, by_pod.get(pod["metadata"]["uid"], []), now, pull_timeout)
    ]


def kubelet_error(message: str, image: str) -> str:
    """The error class of kubelet's message for an image; empty if the message is not known."""
    text = re.sub(r"https?://[^\s\"]+", " ", message.replace(image, " ") if image else message)
    return next((error for error, pattern in _PATTERNS if pattern.search(text)), "")


def _of_pod(pod: Object, events: t.Sequence[Object], now: float, pull_timeout: float) -> t.Iterator[PullFailure]:
    status, specification = pod.get("status") or {}, pod["spec"]
    statuses = {(section, each["name"]): each for section, name in STATUS_OF.items() for each in status.get(name) or []}
    waiting = [(each.get("state") or {}).get("waiting") for each in statuses.values()]
    # An image volume is pulled before any container starts.
    blocked = bool(waiting) and all(waiting)
    explained = any(event.get("type") == "Warning" or event.get("reason") == "Pulling" for event in events)
    created = _seconds(pod["metadata"].get("creationTimestamp"))
    began = _seconds(status.get("startTime"))
    # The start is the time of the node, the creation that of the API server.
    began = began and (began if created <= began <= now else created)
    overdue = blocked and not explained and bool(began) and now - began > pull_timeout
    # The object to change in order to change the pod.
    kind, name = controller_of(pod)
    for use in image_uses(specification):
        history = PullEvents(use.image, events)
        own = statuses.get((use.path[0], use.name)) or {}
        state, message = _state(use, own, history)
        if not state and use.kind == "image volume":
            message = next((text for each in waiting if each for text in [_about(use, each)] if text), "")
            state = "failed" if message else ""
        if not state and (blocked if use.kind == "image volume" else (own.get("state") or {}).get("waiting")):
            if history.failed:
                state = "failed"
            elif now - max(history.pulling or now, created) > pull_timeout or (overdue and not history.known):
                state = "waiting"
        if state:
            yield PullFailure(
                pod=pod["metadata"]["name"],
                owner_kind=kind,
                owner_name=name,
                node=specification.get("nodeName") or "",
                use=use,
                state=state,
                message=_clean(message) or history.message,
                secrets=tuple(secret_names(specification)),
                service_account=service_account_of(specification),
                next_try=history.next_try(now),
            )


def _state(use: ImageUse, status: Object, history: PullEvents) -> tuple[str, str]:
    """C(failed), C(crashed) or an empty text, from the status of a container, and the message of kubelet."""
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    if reason in CANNOT_PULL_REASONS or is_unreadable_secret(reason):
        named = _named(message)
        if named and not _is(use.image, named):
            return "", ""
        return "failed", message if reason != "ErrImagePull" or not history.message else history.message
    ended = [each["terminated"] for each in (state, status.get("lastState") or {}) if each.get("terminated")]
    if ended and ended[0].get("exitCode") and not state.get("running") and (reason in _CRASHED or not waiting):
        code = f"it ended with exit code {ended[0]['exitCode']}"
        return "crashed", ": ".join(filter(None, [code, str(ended[0].get("message") or message)]))
    return "", ""


def _about(use: ImageUse, waiting: Object) -> str:
    message = str(waiting.get("message") or "")
    return message if _is(use.image, _named(message)) else ""


def _named(message: str) -> str:
    """The image in a message of kubelet; empty if there is none."""
    found = _IMAGE.search(message)
    return (found[1] or found[2]) if found else ""


def _is(image: str, named: str) -> bool:
    """Whether the image in a message is this image. Kubelet adds C(:latest) to an image without a tag."""
    return named in (image, f"{image}:latest")


class PullEvents:
    """The events of a pod about one image."""

    def __init__(self, image: str, events: t.Iterable[Object]) -> None:
        self.message, self.tries = "", 0
        pulling: list[float] = []
        failed: list[tuple[float, str]] = []
        pulled = 0.0
        for event in events:
            message = event.get("message") or ""
            if not _is(image, _named(message)):
                continue
            when, reason = _time(event), event.get("reason")
            if reason == "Pulling":
                pulling.append(when)
                self.tries += event.get("count") or (event.get("series") or {}).get("count") or 1
            elif reason == "Pulled":
                pulled = max(pulled, when)
            elif reason in _FAILED:
                failed.append((when, message))
        self.known = bool(pulling or failed or pulled)
        self.last = max([when for when, _text in failed], default=0.0)
        began = max(pulling, default=0.0)
        # Times of events have whole seconds: within one second the order is not known.
        self.failed = bool(failed) and self.last >= began and self.last > pulled
        self.pulling = 0.0 if self.failed or pulled >= began else began
        for _when, text in sorted(failed):
            found = _PULL.search(text)
            self.message = _clean(found[1]) if found else self.message

    def next_try(self, now: float) -> int | None:
        """Seconds until kubelet pulls again; None if that is not known.

        Kubelet waits 10 seconds after the first try, then twice as long each time, up to 300 seconds.
        """
        if not self.failed or not self.tries:
            return None
        pause = min(300, 10 << min(self.tries - 1, 5))
        # The clock of the node may be fast or slow.
        return max(0, min(pause, round(self.last + pause - now)))


def _time(event: Object) -> float:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), *(event.get(key) for key in ("lastTimestamp", "eventTime")))
    return next((seconds for seconds in map(_seconds, times) if seconds), 0.0)


def _seconds(text: object) -> float:
    """A time of the Kubernetes API in seconds since 1970; 0 for anything else."""
    found = parse_time(text)
    return found.timestamp if found else 0.0


def _clean(text: str) -> str:
    """Kubelet's message without the prefixes around the cause, on one line."""
    while _PREFIX.match(text):
        text = _PREFIX.sub("", text, count=1)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    # The cause is at the end.
    return text if len(text) <= _LIMIT else f"{text[: _LIMIT // 4]} … {text[-3 * _LIMIT // 4 :]}"
