# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_cluster_image_info, where a kubelet reports digests and controllers keep a history. The rest is in the units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster.support import Site, cronjob, delete_namespaces, pull_secret, ready, workload
from integration.support import Module, Playbook

from environment.images import Images


def _index(module: Module, images: Images, repository: str, tag: str, amd64: str) -> set[str]:
    """Push an index, and return the digests of it, its members and their configurations."""
    for name, archive in (("amd64", amd64), ("arm64", "buildah-arm64")):
        tags = [f"{tag}-{name}"]
        assert not module("zot_push", archive=str(images[archive]), repository=repository, tags=tags)["failed"]
    manifests = [f"{tag}-amd64", f"{tag}-arm64"]
    assert not module("zot_index", repository=repository, manifests=manifests, tags=[tag])["failed"]
    described = module("zot_image_info", images=[f"{repository}:{each}" for each in (tag, *manifests)])["images"]
    members = {each["digest"] for each in described}
    return members | {each["manifest"]["config"]["digest"] for each in described[1:]}


def _used_images(playbook: Playbook, directory: Path, *namespaces: str) -> dict[str, Any]:
    """The result of the module; without *namespaces* that for all of them."""
    path = directory / "used.json"
    tasks = [
        {"killinit.zot.zot_cluster_image_info": {"namespaces": namespaces}, "register": "used"},
        {"ansible.builtin.copy": {"content": "{{ used | to_json }}", "dest": str(path), "mode": "600"}},
    ]
    (directory / "used.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    run = playbook(directory / "used.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    used: dict[str, Any] = json.loads(path.read_text())
    return used


def test_a_hundred_namespaces(site: Site, tmp_path: Path) -> None:
    """One run reads all of them, as each prune does."""
    image = site.push("buildah-amd64")
    namespaces = {f"{site.kubectl.namespace}-{number}" for number in range(100)}
    job = cronjob("nightly", {"containers": [{"name": "app", "image": image}]})
    objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces]
    objects += [{**job, "metadata": {"name": "nightly", "namespace": name}} for name in namespaces]
    try:
        # Without a namespace of its own, kubectl creates objects in several.
        site.kubectl(
            "apply", "--namespace=", "--filename=-", given={"apiVersion": "v1", "kind": "List", "items": objects}
        )
        used = _used_images(site.playbook, tmp_path)
    finally:
        delete_namespaces(site.cluster, namespaces)
    (users,) = [each["used_by"] for each in used["images"] if each["reference"] == image]
    assert {each["namespace"] for each in users} == namespaces


def test_what_a_cluster_uses(site: Site, tmp_path: Path) -> None:
    """Containers of each kind that run, an image volume, the history of two kinds, and a suspended CronJob."""
    images, registry, repository, module = site.images, site.registry, site.repository, site.module
    kubectl, playbook = site.kubectl, site.playbook
    old = _index(module, images, f"{repository}/app", "0a1b2c3", "buildah-amd64")
    new = _index(module, images, f"{repository}/app", "4d5e6f7", "changed-layer")
    side = _index(module, images, f"{repository}/side", "0a1b2c3", "changed-env")
    app, other = f"{registry.host}/{repository}/app", f"{registry.host}/{repository}/side:0a1b2c3"
    web: dict[str, Any] = {
        "pod": {
            "initContainers": [{"name": "sidecar", "image": other, "restartPolicy": "Always"}],
            "volumes": [{"name": "data", "image": {"reference": f"{app}:0a1b2c3-arm64"}}],
        },
        # No pod of the old revision runs beside one of the new.
        "spec": {"strategy": {"type": "Recreate"}},
    }
    kubectl.apply(
        pull_secret(registry, registry.reader), cronjob("report", {"containers": [{"name": "report", "image": other}]})
    )
    for tag in ("0a1b2c3", "4d5e6f7"):
        image = f"{app}:{tag}"
        kubectl.apply(workload(image, name="web", **web), workload(image, kind="StatefulSet", name="db"))
        ready(kubectl, "deployment/web", "statefulset/db")
    (name,) = kubectl("get", "pods", "--selector=app=web", "--output=name").split()
    kubectl("debug", name, f"--image={other}", "--container=debugger", "--attach=false")
    status = "jsonpath={.status.ephemeralContainerStatuses[0].state.running}"
    kubectl("wait", name, f"--for={status}", "--timeout=60s")

    used = _used_images(playbook, tmp_path, kubectl.namespace)
    assert used["at_risk"] == []
    names = {**dict.fromkeys(old, "old"), **dict.fromkeys(new, "new"), **dict.fromkeys(side, "side")}
    found = {
        (user["name"], user["use"], image["reference"].rpartition("/")[2], names[image["digest"]])
        for image in used["images"]
        for user in image["used_by"]
    }
    expected = {
        ("deployment/web", "running", "app:4d5e6f7", "new"),
        ("deployment/web", "template", "app:4d5e6f7", "new"),
        ("deployment/web", "history", "app:0a1b2c3", "old"),
        # The sidecar and the debugger.
        ("deployment/web", "running", "side:0a1b2c3", "side"),
        ("deployment/web", "template", "side:0a1b2c3", "side"),
        ("statefulset/db", "running", "app:4d5e6f7", "new"),
        ("statefulset/db", "template", "app:4d5e6f7", "new"),
        ("statefulset/db", "history", "app:0a1b2c3", "old"),
        ("cronjob/report", "template", "side:0a1b2c3", "side"),
    }
    # The status of a pod has no digest of an image volume.
    volume = {("deployment/web", use, "app:0a1b2c3-arm64") for use in ("running", "template")}
    assert {each for each in found if each[:3] not in volume} == expected
    assert {each[:3] for each in found} >= volume
