# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge which workloads run something else than their tags mean, what cures them, and how far the cure is.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pods import (
    VOLUMES,
    Known,
    digest_of,
    memory,
    reported_by,
    started_with,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.workloads import (
    STATUS_OF,
    ImageUse,
    Object,
    image_uses,
    name_of,
    owner_of,
    template_of,
)

# As kubectl rollout restart: https://github.com/kubernetes/kubectl/blob/master/pkg/polymorphichelpers/objectrestarter.go
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

# A pull failed and is given up for a while, or will never be tried. The first ErrImagePull may still be cured by the
# second try.
_CANNOT_PULL = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NOTHING: t.Mapping[str, t.Any] = {"namespace": None, "pods": 0, "images": [], "patch": None}


def asked(workloads: t.Iterable[Object], registry: str, only: t.Collection[str]) -> list[str]:
    """The references to look up to judge *workloads*: each image of *registry* once, by its tag if it has one.

    *only* are the names of those that count, as C(deployment/openclaw); if it is empty, all do.
    """
    found: dict[str | None, None] = {}
    for workload in _selected(workloads, only):
        for use in image_uses(template_of(workload)["spec"]):
            reference = use.reference()
            if reference and reference.registry == registry:
                found[_asked(use)] = None
    return [text for text in found if text]


def judge(
    workloads: t.Iterable[Object],
    pods: t.Iterable[Object],
    images: t.Iterable[Object],
    *,
    only: t.Collection[str],
    moving: t.Collection[str],
    pin: bool,
    stamp: str,
) -> list[dict[str, t.Any]]:
    """Say of each workload that uses one of *images* whether it is stale, why, and what is to be done.

    *images* are results of zot_image_info, *only* is as for asked(), *moving* are references that would mean another
    image if this were no dry run, *pin* allows to set a digest where a restart would not help, *stamp* is the time that
    a restart writes. The shape is that of the filter rollout_plan.
    """
    known = Known(images, moving)
    living = _by_owner(pods)
    selected = _selected(workloads, only)
    there = {name_of(workload) for workload in selected}
    judged: list[dict[str, t.Any]] = [
        {**_NOTHING, "workload": name, "action": "blocked", "why": "it is not in the namespace"}
        for name in only
        if name not in there
    ]
    for workload in selected:
        own = living.get((workload["kind"], workload["metadata"]["name"]), [])
        uses = [
            (use, _judge_use(use, image, known, own, pin=pin))
            for use in image_uses(template_of(workload)["spec"])
            for image in known.by_reference(_asked(use))
        ]
        if only and not uses:
            why = "it uses no image of the registry"
            judged.append({**_NOTHING, "workload": name_of(workload), "action": "blocked", "why": why})
        if uses:
            action, why = _decide(workload, uses, pin=pin)
            judged.append(
                {
                    "workload": name_of(workload),
                    "namespace": workload["metadata"]["namespace"],
                    "pods": len(own),
                    "images": [verdict for _use, verdict in uses],
                    "action": action,
                    "why": why,
                    "patch": _patch(workload, uses, action, stamp) if action in ("restart", "pin") else None,
                }
            )
    return judged


def progress(
    plan: t.Iterable[Object], workloads: t.Iterable[Object], pods: t.Iterable[Object], *, stamp: str
) -> list[dict[str, str]]:
    """Say of each workload that *plan* restarts or pins whether that is C(done), C(waiting) or C(failed), and why."""
    current = {name_of(workload): workload for workload in workloads}
    living = _by_owner(pods)
    states = []
    for entry in plan:
        if entry["action"] not in ("restart", "pin"):
            continue
        workload = current.get(entry["workload"])
        if workload is None:
            state, why = "failed", "it is gone"
        else:
            own = living.get((workload["kind"], workload["metadata"]["name"]), [])
            new = [pod for pod in own if (pod["metadata"].get("annotations") or {}).get(RESTARTED_AT) == stamp]
            state, why = _state(workload, new)
        states.append({"workload": entry["workload"], "state": state, "why": why})
    return states


def report(
    plan: t.Sequence[Object], progress: t.Sequence[Object], after: t.Sequence[Object], *, verify: bool
) -> dict[str, t.Any]:
    """Sum up: C(ok), C(problems) and C(unproved) as sentences, and C(workloads) with what became of each.

    *after* is the verdict once everything was done, or empty; with *verify* nothing was to be done, so that what is
    stale is a problem.
    """
    states = {entry["workload"]: entry for entry in progress}
    later = {entry["workload"]: entry for entry in after}
    workloads, problems, unproved = [], [], []
    for entry in plan:
        name = entry["workload"]
        state, now = states.get(name), later.get(name)
        workloads.append(
            {
                **{key: value for key, value in entry.items() if key not in ("patch", "namespace")},
                "state": state["state"] if state else None,
                "after": now["images"] if now else None,
            }
        )
        last = (now or entry)["images"]
        unproved += [f"{name}: {use['why']}" for use in last if use["verdict"] == "unknown"]
        if entry["action"] == "blocked" or (verify and entry["action"] != "none"):
            problems.append(f"{name}: {entry['why']}")
        elif state and state["state"] == "failed":
            problems.append(f"{name}: {state['why']}. It was left like that; the old pods that are ready go on.")
        elif state and state["state"] == "waiting":
            problems.append(f"{name}: not finished in time: {state['why']}. It was left like that.")
        elif now and now["action"] != "none":
            problems.append(f"{name}: {'it was restarted, and still: ' if state else ''}{now['why']}")
    return {"ok": not problems, "problems": problems, "unproved": unproved, "workloads": workloads}


def _selected(workloads: t.Iterable[Object], only: t.Collection[str]) -> list[Object]:
    return [workload for workload in workloads if not only or name_of(workload) in only]


def _asked(use: ImageUse) -> str | None:
    reference = use.reference()
    if reference is None:
        return None
    return str(reference.tagged(reference.tag) if reference.tag else reference)


def _by_owner(pods: t.Iterable[Object]) -> dict[tuple[str, str], list[Object]]:
    found: dict[tuple[str, str], list[Object]] = {}
    for pod in pods:
        owner = owner_of(pod)
        over = pod["metadata"].get("deletionTimestamp") or pod["status"].get("phase") in ("Succeeded", "Failed")
        if owner and not over:
            found.setdefault(owner, []).append(pod)
    return found


def _judge_use(use: ImageUse, image: Object, known: Known, pods: t.Sequence[Object], *, pin: bool) -> dict[str, t.Any]:
    reference = use.reference()
    pinned = reference.digest if reference else None
    reported = [(pod, reported_by(pod, use)) for pod in pods]
    running = sorted({text for _pod, text in reported if text})
    old = [text for text in running if not known.same(text, image)] if image["exists"] else []
    stale = {
        text
        for pod, text in reported
        if text in old and (known.knows(text) or started_with(pod, use) != image["digest"])
    }
    wanted = image["digest"]
    where = f"{use.kind} {use.name}"
    if pinned and not (pin and reference and reference.tag):
        verdict, why, wanted = "pinned", f"{where}: {use.image} is pinned", pinned
    elif image["reference"] in known.moving:
        verdict, why = "stale" if pods else "not running", f"{where}: {_asked(use)} would mean another image"
        wanted = None
    elif not image["exists"]:
        verdict, why = "absent", f"{where}: {use.image} is not in the registry"
    elif stale:
        verdict, why = "stale", f"{where} runs {_names(stale)}, but {_asked(use)} means {_short(wanted)} now"
    elif use.kind == "image volume" and any(text is None for _pod, text in reported):
        verdict = "stale"
        why = f"{where}: Kubernetes does not say what it holds, and no annotation {VOLUMES} remembers it"
    elif old:
        verdict = "unknown"
        why = (
            f"{where} was started when {_asked(use)} meant {_short(wanted)}, as it does now; it reports {_names(old)},"
            " which the registry does not know, so that digests prove nothing"
        )
    else:
        verdict = "fresh" if running else "not running"
        why = f"{where}: {verdict}"
    return {
        "kind": use.kind,
        "name": use.name,
        "image": use.image,
        "pull_policy": use.pull_policy,
        "wanted": wanted,
        "running": running,
        "old": old,
        "verdict": verdict,
        "why": why,
    }


def _decide(workload: Object, uses: t.Sequence[tuple[ImageUse, Object]], *, pin: bool) -> tuple[str, str]:
    stale = [(use, verdict) for use, verdict in uses if verdict["verdict"] == "stale"]
    absent = [verdict for _use, verdict in uses if verdict["verdict"] == "absent"]
    strategy = workload["spec"].get("updateStrategy") or {}
    if absent:
        return "blocked", "; ".join(verdict["why"] for verdict in absent) + ": publish it first"
    if not stale:
        return "none", "; ".join(verdict["why"] for _use, verdict in uses)
    why = "; ".join(verdict["why"] for _use, verdict in stale)
    if workload["spec"].get("paused"):
        return "blocked", f"{why}; its rollouts are paused: kubectl rollout resume {name_of(workload)}"
    if strategy.get("type") == "OnDelete":
        return "blocked", f"{why}; its update strategy is OnDelete: delete its pods"
    if (strategy.get("rollingUpdate") or {}).get("partition"):
        return "blocked", f"{why}; its update strategy has a partition, below which no pod is updated: set it to 0"
    never = [use for use, _verdict in stale if use.pull_policy == "Never"]
    if never:
        return "blocked", f"{why}; {_listed(never)} is never pulled, since its pull policy is Never: set Always"
    held = [use for use, _verdict in stale if _is_held(use)]
    if held and not pin:
        return "blocked", (
            f"{why}; a restart cannot cure {_listed(held)}, since its pull policy {held[0].pull_policy} takes what the"
            " node has: set Always, or let zot_rollout_pin set the digest"
        )
    return ("pin" if held else "restart"), why


def _is_held(use: ImageUse) -> bool:
    """Whether a new pod would have the same image again: by its pull policy, or by a digest behind the tag."""
    reference = use.reference()
    return use.pull_policy != "Always" or bool(reference and reference.digest)


def _listed(uses: t.Iterable[ImageUse]) -> str:
    return ", ".join(f"{use.kind} {use.name}" for use in uses)


def _patch(workload: Object, uses: t.Sequence[tuple[ImageUse, Object]], action: str, stamp: str) -> dict[str, t.Any]:
    annotations = memory((use, verdict["wanted"]) for use, verdict in uses)
    template: dict[str, t.Any] = {"metadata": {"annotations": {RESTARTED_AT: stamp, **annotations}}}
    if action == "pin":
        specification: dict[str, list[dict[str, t.Any]]] = {}
        for use, verdict in uses:
            if verdict["verdict"] == "stale" and _is_held(use):
                # The tag stays in front of the digest, so that the next release knows what to follow.
                # In a dry run it may not be there yet.
                pinned = f"{_asked(use)}@{verdict['wanted']}" if verdict["wanted"] else _asked(use)
                fields = {"image": {"reference": pinned}} if use.kind == "image volume" else {"image": pinned}
                specification.setdefault(use.path[0], []).append({"name": use.name, **fields})
        template["spec"] = specification
    return {
        "apiVersion": "apps/v1",
        "kind": workload["kind"],
        "metadata": {name: workload["metadata"][name] for name in ("name", "namespace")},
        "spec": {"template": template},
    }


def _state(workload: Object, new: t.Sequence[Object]) -> tuple[str, str]:
    specification, status = workload["spec"], workload.get("status") or {}
    waiting = [(pod, *reason) for pod in new for reason in _waiting(pod)]
    for pod, reason, message in waiting:
        if reason in _CANNOT_PULL:
            return "failed", f"pod {pod['metadata']['name']} cannot pull: {reason}: {message}"
    seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    for condition in (status.get("conditions") or []) if seen else []:
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return "failed", "; ".join([condition.get("message") or "ProgressDeadlineExceeded", *_unready(waiting)])
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        whole = status.get("currentNumberScheduled", 0)
    else:
        wanted = specification.get("replicas", 1)
        updated, whole = status.get("updatedReplicas", 0), status.get("replicas", 0)
        ready = status.get("availableReplicas", 0)
    if seen and wanted == updated == whole == ready:
        return "done", f"{ready} of {wanted} pods are updated and available"
    if seen and specification.get("paused"):
        return "failed", f"its rollouts are paused: kubectl rollout resume {name_of(workload)}"
    text = f"{updated if seen else 0} of {wanted} pods are updated, {ready} available"
    return "waiting", "; ".join([text, *_unready(waiting)])


def _waiting(pod: Object) -> t.Iterator[tuple[str, str]]:
    for statuses in STATUS_OF.values():
        for status in pod["status"].get(statuses) or []:
            state = (status.get("state") or {}).get("waiting")
            if state:
                yield state.get("reason", ""), state.get("message", "")


def _unready(waiting: t.Iterable[tuple[Object, str, str]]) -> list[str]:
    # ContainerCreating and PodInitializing say nothing.
    return [
        f"pod {pod['metadata']['name']}: {reason}{': ' if message else ''}{message}"
        for pod, reason, message in waiting
        if reason not in ("", "ContainerCreating", "PodInitializing")
    ]


def _names(reported: t.Iterable[str]) -> str:
    return ", ".join(_short(digest_of(text)) for text in sorted(reported))


def _short(digest: str) -> str:
    return digest[:19]
