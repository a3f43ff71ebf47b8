# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No password of the registry or of a pull secret appears anywhere when the playbooks for a cluster run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cluster.support import Site, auth, pull_secret, ready, secret, workload
from integration.secret_leaks import TOOLS, Watched, assert_no_leak, forms, verbose_settings
from reliability.support import wait_until

OLD, OTHER = "an-old-password-0815", "that-of-another-registry-4711"


def test_secrets_are_nowhere(site: Site, tmp_path: Path) -> None:
    """release, which repairs a pull secret with an old password and restarts what is stale; then the others."""
    images, registry, repository, kubectl = site.images, site.registry, site.repository, site.kubectl
    environment, playbook, push = site.environment, site.playbook, site.push
    writer, reader = registry.writer, registry.reader
    kubectl.apply(pull_secret(registry, reader), workload(push("buildah-amd64", "app")))
    ready(kubectl, "deployment/openclaw")
    entries = {registry.host: {"auth": auth(reader.username, OLD)}, "other.example": {"auth": auth("other", OTHER)}}
    kubectl.apply(secret("zot-pull-secret", {"auths": entries}))

    del environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"]
    variables = {
        "zot_namespace": kubectl.namespace,
        "zot_username": writer.username,
        "zot_password": writer.password,
        "zot_publish_revision": "r1",
        "zot_publish_images": [{"repository": f"{repository}/app", "archive": str(images["changed-layer"])}],
    }
    repair = {
        "zot_pull_secret_repair": True,
        "zot_pull_secret_username": reader.username,
        "zot_pull_secret_password": reader.password,
    }
    secrets = [*forms(writer.username, writer.password), *forms(reader.username, reader.password)]
    secrets += [*forms(reader.username, OLD), *forms("other", OTHER)]
    environment |= verbose_settings(tmp_path)
    # Ansible puts a socket into it, whose path may not be long.
    with tempfile.TemporaryDirectory() as temporary:
        environment["TMPDIR"] = temporary
        for name, more, ends in (
            ("release", repair, 0),
            ("verify", {}, 0),
            ("restart", {}, 0),
            ("diagnose", {"zot_diagnose_pull_secret": "old"}, 2),
        ):
            if name == "diagnose":
                kubectl.apply(secret("old", {"auths": entries}))
                kubectl.apply(workload(f"{registry.host}/{repository}/app:none", name="broken", secret="old"))
                wait_until(lambda: "PullBackOff" in kubectl("get", "pods"), "the pull fails", 60)
            with Watched(Path(environment["HOME"])) as watched:
                run = playbook(f"killinit.zot.{name}", "-vvvv", "--diff", **variables, **more)
            assert run.returncode == ends, run.stdout + run.stderr
            places = [tmp_path, Path(temporary)]
            ours = [tmp_path / "variables.json"]
            # A restart reads the registry by HTTP alone.
            assert_no_leak(secrets, watched, run, places, ours=ours, tools=() if name == "restart" else TOOLS)
