# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every job template of playbooks/vars/awx.yml, with its default answers as AWX writes them."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

from cluster.support import Site, pods, pull_secret, ready, workload

from environment import awx_jobs
from environment import registry as registries

FIRST, SECOND, THIRD = "0a1b2c3", "4d5e6f7", "8d9e0f1"


def test_every_job_template_with_its_default_answers(site: Site, tmp_path: Path) -> None:
    """From the first revision to the second one and back."""
    registry, repository, images, kubectl = site.registry, site.repository, site.images, site.kubectl
    environment, playbook, module = site.environment, site.playbook, site.module
    for revision, archive in ((FIRST, "buildah-amd64"), (SECOND, "changed-layer")):
        (tmp_path / f"{revision}.tar").symlink_to(images[archive])
    templates = awx_jobs.job_templates([{"repository": f"{repository}/app", "archive": f"{tmp_path}/REVISION.tar"}])
    host = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (tmp_path / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"localhost": host}}}))
    image = f"{registry.host}/{repository}/app:latest"
    event = {"payload": {"name": f"{repository}/app", "reference": "latest", "digest": f"sha256:{'0' * 64}"}}
    ran = set()

    def run(name: str, revision: str = FIRST) -> CompletedProcess[str]:
        template = json.loads(json.dumps(templates[name]).replace("REVISION", "{{ zot_publish_revision }}"))
        questions = {each["variable"] for each in template["survey"]}
        answers = {
            "zot_publish_revision": revision,
            "zot_promote_revision": revision,
            "zot_namespace": kubectl.namespace,
            "zot_rotate_namespaces": kubectl.namespace,
        }
        given = {variable: answer for variable, answer in answers.items() if variable in questions}
        extra = tmp_path / "extravars"
        extra.write_text(awx_jobs.variables_of(template, given))
        # The EDA controller gives the event.
        more = {"ansible_eda": {"event": event}} if name == "event" else {}
        options = (f"--inventory={tmp_path / 'inventory.yml'}", "--extra-vars", f"@{extra}")
        done = playbook(awx_jobs.ROOT / f"playbooks/{name}.yml", *options, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        ran.add(name)
        return done

    def digests() -> set[str]:
        described = module("zot_image_info", images=[image])["images"][0]
        return {described["digest"]} if set(pods(kubectl).values()) == {described["digest"]} else set()

    kubectl.apply(pull_secret(registry, registry.reader))
    run("publish")
    kubectl.apply(workload(image))
    ready(kubectl, "deployment/openclaw")
    first = digests()
    assert first
    for name in ("verify", "restart", "diagnose", "event"):
        run(name)
    run("release", SECOND)
    second = digests()
    assert second
    assert second != first
    run("rollback")
    assert digests() == first
    for name in ("report", "prune"):
        run(name)
    assert digests() == first
    keys = registry.kind == "zot"
    if keys:
        # The credential type of the account for pods sets these variables.
        environment |= {"ZOT_PULL_USERNAME": registry.reader.username, "ZOT_PULL_PASSWORD": registry.reader.password}
        run("rotate")

    # The credential type of the source sets these variables.
    with registries.running() as source:
        account = {"username": source.writer.username, "password": source.writer.password, "ca_path": str(source.ca)}
        pushed = {"archive": str(images["changed-layer"]), "repository": f"{repository}/app", "tag": THIRD}
        assert not module("zot_push", registry=source.host, **account, **pushed)["failed"]
        environment |= {f"ZOT_SOURCE_{name.upper()}": value for name, value in account.items()}
        environment["ZOT_SOURCE_REGISTRY"] = source.host
        run("promote", THIRD)
    assert module("zot_image_info", images=[f"{repository}/app:{THIRD}"])["images"][0]["exists"]
    # test_prune.py runs the second job template of the playbook prune.
    assert ran == {name for name in templates if not name.startswith("Zot ") and (keys or name != "rotate")}
