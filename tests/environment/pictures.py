# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The picture of the report in docs/images, from a run with a real registry and a real Kubernetes: `./dev pictures`."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from environment import cluster
from environment.demo import OUTPUT, ROOT, Demo, archives_that_run, deployment, objects, release
from environment.images import build
from environment.registry import Registry, running

WIDTH, HEIGHT = 1120, 1310
PAGE = OUTPUT / "report.html"
PICTURE = ROOT / "docs" / "images" / "report.png"


def publish(demo: Demo, revision: str, archive: Path, *repositories: str) -> None:
    """Publish an archive under a revision and latest."""
    variables = {
        "zot_publish_revision": revision,
        "zot_publish_images": [{"repository": each, "archive": str(archive)} for each in repositories],
    }
    demo.play("publish", json.dumps(variables), expected="failed=0")


def deploy(demo: Demo, items: list[dict[str, Any]], *names: str) -> None:
    """Deploy workloads, and wait until their pods run."""
    manifest = OUTPUT / "objects.json"
    (ROOT / manifest).write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    try:
        demo.run("kubectl", "apply", "--filename", str(manifest))
    finally:
        (ROOT / manifest).unlink()  # it has the password
    for name in names:
        demo.run("kubectl", "rollout", "status", "--namespace=openclaw", f"deployment/{name}", expected="successfully")


def tell(demo: Demo, registry: Registry) -> None:
    """Publish and deploy, so that one workload is current, one is stale, and the image of one can be lost."""
    archives = archives_that_run()
    first, second = archives["amd64"], archives["new-amd64"]
    demo.play("publish", release("3f2c1ab", archives, "amd64"), expected="failed=0")
    demo.play("publish", release("9d0e4f7", archives, "new-amd64"), expected="failed=0")
    publish(demo, "3f2c1ab", first, "openclaw/workspace", "openclaw/docs")
    # An image of its own: another repository with a revision of the same image would keep it.
    own = build(ROOT / ".cache" / "images")["changed-env"]
    tool = {"archive": str(own), "repository": "tools/backup", "tags": ["latest"]}
    demo.run("ansible", "localhost", "--module-name=killinit.zot.zot_push", f"--args={json.dumps(tool)}")
    more = [deployment(registry, name, repository) for name, repository in
            (("workspace", "openclaw/workspace"), ("backup", "tools/backup"))]  # fmt: skip
    deploy(demo, [*objects(registry), *more], "openclaw", "workspace", "backup")
    publish(demo, "9d0e4f7", second, "openclaw/workspace")
    demo.play("report", f"zot_report_file={PAGE}", expected="failed=0")


def draw(host: str) -> None:
    """Show the page in a browser without a window, and keep what it shows. The registry has the name of the guides."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        raise SystemExit("install chromium")
    page = ROOT / OUTPUT / "picture.html"
    page.write_text((ROOT / PAGE).read_text(encoding="utf-8").replace(host, "oci.killinit.cc"), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}")
        size = (f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={PICTURE}")
        subprocess.run([browser, *options, *size, page.as_uri()], check=True, timeout=120)


def main() -> None:
    """Make the page and its picture."""
    shutil.rmtree(ROOT / OUTPUT, ignore_errors=True)
    (ROOT / OUTPUT).mkdir(parents=True)
    with running() as registry:
        demo = Demo(registry)
        with cluster.running(registry) as kubernetes:
            demo.use(kubernetes)
            tell(demo, registry)
        draw(registry.host)


if __name__ == "__main__":
    main()
