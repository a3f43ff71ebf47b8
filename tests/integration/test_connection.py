# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role uses the cluster and the registry that the play names, in any way that Ansible knows."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

WAYS = {
    "module_defaults": {
        "module_defaults": {
            "group/killinit.zot.cluster": {"registry": "oci.example.com"},
            "group/kubernetes.core.k8s": {"kubeconfig": "KUBECONFIG"},
        }
    },
    "environment": {"environment": {"ZOT_REGISTRY": "oci.example.com", "K8S_AUTH_KUBECONFIG": "KUBECONFIG"}},
    "variables": {"vars": {"zot_registry": "oci.example.com", "zot_kubeconfig": "KUBECONFIG"}},
}


class _Api(http.server.BaseHTTPRequestHandler):
    """An API server that denies every request, and records the paths."""

    paths: set[str]

    def do_GET(self) -> None:
        """Refuse the request."""
        self.paths.add(self.path.partition("?")[0])
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of such an API server."""
    _Api.paths = set()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "users": [{"name": "a", "user": {"token": "x"}}],
            "current-context": "a",
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        yield path
        server.shutdown()


@pytest.mark.parametrize("way", WAYS)
def test_cluster_and_registry_of_the_play(way: str, kubeconfig: Path, tmp_path: Path) -> None:
    """The module reaches the API server of the play and knows the registry of the play."""
    role = {"ansible.builtin.include_role": {"name": "killinit.zot.zot_pull_secret"}}
    play = {"hosts": "localhost", "gather_facts": False, **WAYS[way], "tasks": [role]}
    path = tmp_path / "play.yml"
    path.write_text(yaml.safe_dump([play]).replace("KUBECONFIG\n", f"{kubeconfig}\n"), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ZOT_", "K8S_AUTH_"))}
    command = ["ansible-playbook", str(path), "--extra-vars=zot_namespace=somewhere"]
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stdout + run.stderr
    # The module connects once it knows the registry.
    assert any("/namespaces/somewhere/" in path for path in _Api.paths)
    assert "no registry is given" not in run.stdout + run.stderr


def test_without_kubernetes_core_the_error_says_what_to_install(tmp_path: Path) -> None:
    """The module itself could not say it: Ansible fails to find its imports first."""
    collection = tmp_path / "ansible_collections" / "killinit" / "zot"
    collection.parent.mkdir(parents=True)
    collection.symlink_to(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": "", "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false"}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}

    def run(module: str, arguments: str) -> str:
        command = ["ansible", "localhost", f"--module-name=killinit.zot.{module}", f"--args={arguments}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    output = run("zot_pull_secret_info", "namespace=openclaw registry=127.0.0.1:1")
    assert "ansible-galaxy collection install kubernetes.core" in output
    # What needs no cluster works: it fails only because nothing listens there.
    output = run("zot_image_info", "images=127.0.0.1:1/openclaw/openclaw:latest registry=127.0.0.1:1 retries=0")
    assert "kubernetes" not in output
    assert "connection refused" in output
