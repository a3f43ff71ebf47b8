# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read from pods and events which images a cluster cannot pull, and in kubelet's own words why.

Private to killinit.zot: it may change at any time.

What kubelet writes: https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/images/image_manager.go
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import secret_names, service_account_of
from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import (
    STATUS_OF,
    ImageUse,
    Object,
    image_uses,
    owner_of,
)

# Waiting reasons of a container: pkg/kubelet/images/types.go and k8s.io/cri-api/pkg/errors there.
_CANNOT_PULL = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CRASHED = frozenset({"CrashLoopBackOff", "RunContainerError"})
_STATUS_OF = {**STATUS_OF, "ephemeralContainers": "ephemeralContainerStatuses"}
# Reasons of events, in pkg/kubelet/events/event.go there; other controllers speak of images, too.
_FAILED = frozenset({"Failed", "BackOff", "InspectFailed", "ErrImageNeverPull"})
_LIMIT = 400

_IMAGE = re.compile(r'image (?:(?:tag )?"((?:[^"\\]|\\.)*)"|pull failed for (\S+) because)')
_PULL = re.compile(r'Failed to pull image "(?:[^"\\]|\\.)*": (.*)', re.DOTALL)
_FRAMES = re.compile(
    r'(?:Back-off pulling image "(?:[^"\\]|\\.)*"(?:: |$)|(?:Err|Image|Registry|Signature)[A-Za-z]+: '
    r"|rpc error: code = \w+ desc = |failed to pull and unpack image \"[^\"]*\": )"
)

# In this order: a later sign may stand in the text of an earlier one. Texts of containerd 1.7 and 2.x, and of CRI-O.
_WORDS: t.Sequence[tuple[str, re.Pattern[str]]] = [
    (word, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for word, pattern in (
        ("malformed", r"invalid reference format|couldn't parse image name|InvalidImageName"),
        ("never", r"is not present with pull policy of Never"),
        ("platform", r"no match for platform|no image found in (?:image index|manifest list) for architecture"),
        ("disk", r"no space left on device|disk quota exceeded"),
        (
            "plain_http",
            r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake",
        ),
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
        # All that an older kubelet tells of it.
        ("refused", r"the registry is unavailable"),
    )
]


def failures(
    pods: t.Iterable[Object], events: t.Iterable[Object], *, now: float, wait: float
) -> list[dict[str, t.Any]]:
    """Say of each image of each pod that fails, or may fail, to be pulled what the cluster knows of it.

    *now* is in seconds since 1970, *wait* the seconds that a first pull may take. The shape is that of the filter
    diagnose_failures.
    """
    told: dict[str, list[Object]] = {}
    for event in events:
        told.setdefault((event.get("involvedObject") or {}).get("uid") or "", []).append(event)
    return [
        failure
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        for failure in _of_pod(pod, told.get(pod["metadata"]["uid"], []), now, wait)
    ]


def word(said: str, image: str) -> str:
    """What kubelet's words mean in one word, or nothing if they are not known."""
    text = re.sub(r"https?://[^\s\"]+", " ", said.replace(image, " "))
    return next((found for found, sign in _WORDS if sign.search(text)), "")


def _of_pod(pod: Object, events: t.Sequence[Object], now: float, wait: float) -> t.Iterator[dict[str, t.Any]]:
    statuses = {
        (section, status["name"]): status
        for section, name in _STATUS_OF.items()
        for status in pod["status"].get(name) or []
    }
    waiting = [(status.get("state") or {}).get("waiting") for status in statuses.values()]
    # An image volume is pulled before any container starts.
    held = bool(waiting) and all(waiting)
    tells = any(event.get("type") == "Warning" or event.get("reason") == "Pulling" for event in events)
    silent = held and not tells and now - _start(pod) > wait
    for use in image_uses(pod["spec"]):
        story = _Story(use.image, events)
        status = statuses.get((use.path[0], use.name)) or {}
        state, said = _state(use, status, story)
        if not state and use.kind == "image volume":
            said = next((text for each in waiting if each for text in [_about(use, each)] if text), "")
            state = "failed" if said else ""
        if not state and (held if use.kind == "image volume" else (status.get("state") or {}).get("waiting")):
            if story.failed:
                state = "failed"
            elif (story.pulling and now - story.pulling > wait) or (silent and not story.known):
                state = "waiting"
        if state:
            yield {
                "pod": pod["metadata"]["name"],
                "subject": _subject(pod),
                "node": pod["spec"].get("nodeName"),
                "use": use.kind,
                "name": use.name,
                "image": use.image,
                "pull_policy": use.pull_policy,
                "state": state,
                "said": _clean(said) or story.said,
                "secrets": secret_names(pod["spec"]),
                "service_account": service_account_of(pod["spec"]),
                "next_try": story.next_try(now),
            }


def _state(use: ImageUse, status: Object, story: _Story) -> tuple[str, str]:
    """What a container's own status says: C(failed), C(crashed) or nothing, and kubelet's words."""
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    # What keeps kubelet from reading a pull secret stands where the reason should be.
    if reason in _CANNOT_PULL or " " in reason:
        named = _named(message)
        if named and not _is(use.image, named):
            return "", ""
        return "failed", message if reason != "ErrImagePull" or not story.said else story.said
    ended = [each["terminated"] for each in (state, status.get("lastState") or {}) if each.get("terminated")]
    if ended and ended[0].get("exitCode") and not state.get("running") and (reason in _CRASHED or not waiting):
        code = f"it ended with exit code {ended[0]['exitCode']}"
        return "crashed", ": ".join(filter(None, [code, str(ended[0].get("message") or message)]))
    return "", ""


def _about(use: ImageUse, waiting: Object) -> str:
    message = str(waiting.get("message") or "")
    return message if _is(use.image, _named(message)) else ""


def _named(message: str) -> str:
    """The image of which kubelet speaks, or nothing."""
    found = _IMAGE.search(message)
    return (found[1] or found[2]) if found else ""


def _is(image: str, named: str) -> bool:
    """Whether kubelet names this image; it adds C(:latest) where there is no tag."""
    return named in (image, f"{image}:latest")


class _Story:
    """What the events of a pod tell of one image."""

    def __init__(self, image: str, events: t.Iterable[Object]) -> None:
        self.said, self.tries = "", 0
        pulling: list[float] = []
        failed: list[tuple[float, str]] = []
        pulled = 0.0
        for event in events:
            if not _is(image, _named(event.get("message") or "")):
                continue
            when, reason = _time(event), event.get("reason")
            if reason == "Pulling":
                pulling.append(when)
                self.tries += event.get("count") or (event.get("series") or {}).get("count") or 1
            elif reason == "Pulled":
                pulled = max(pulled, when)
            elif reason in _FAILED:
                failed.append((when, event["message"]))
        self.known = bool(pulling or failed or pulled)
        self.last = max([when for when, _text in failed], default=0.0)
        began = max(pulling, default=0.0)
        # Within one second nobody knows what came first.
        self.failed = bool(failed) and self.last >= began and self.last > pulled
        self.pulling = 0.0 if self.failed or pulled >= began else began
        for _when, text in sorted(failed):
            found = _PULL.search(text)
            self.said = _clean(found[1]) if found else self.said

    def next_try(self, now: float) -> int | None:
        """In about how many seconds kubelet pulls again: it waits 10 s after the first try, then twice as long each
        time, 300 s at most; None if nothing tells.
        """
        if not self.failed or not self.tries:
            return None
        pause = min(300, 10 << min(self.tries - 1, 5))
        return max(0, round(self.last + pause - now))


def _subject(pod: Object) -> str:
    """What is to be changed to change the pod: its Deployment, or whatever else controls it, or itself."""
    owners = [each for each in pod["metadata"].get("ownerReferences") or [] if each.get("controller")]
    kind, name = owner_of(pod) or (
        (owners[0]["kind"], owners[0]["name"]) if owners else ("Pod", pod["metadata"]["name"])
    )
    return f"{kind.lower()}/{name}"


def _start(pod: Object) -> float:
    return _seconds(pod["status"].get("startTime")) or float("inf")


def _time(event: Object) -> float:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), *(event.get(key) for key in ("lastTimestamp", "eventTime")))
    return next((seconds for seconds in map(_seconds, times) if seconds), 0.0)


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0


def _clean(text: str) -> str:
    """Kubelet's words without its frames around the cause, on one line."""
    while _FRAMES.match(text):
        text = _FRAMES.sub("", text, count=1)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    # What it comes from stands at the end.
    return text if len(text) <= _LIMIT else f"{text[: _LIMIT // 4]} … {text[-3 * _LIMIT // 4 :]}"
