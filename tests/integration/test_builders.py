# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of real builders, in the directory builders: each is pushed once, or refused with a reason.

The builders are Docker 20.10 (docker20-*), 29 with the classic store and with that of containerd (docker29-*,
docker29c-*), BuildKit 0.34, ctr 1.6 and 2.4, podman 4.3, buildah 1.28, kaniko, jib 3.4 and crane append. The archives
v-* and v2-* were changed by hand, hardlinks.tar was written with GNU tar from a directory with hard links.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

from integration.support import Module, ReadsOnly, recap

BUILDERS = Path(__file__).parent / "builders"
LINUX, WINDOWS, THREE = ["linux/amd64"], ["windows/amd64"], ["linux/amd64", "linux/arm64", "linux/arm/v7"]

# By file: the platforms of the images. One without a platform has none in its configuration.
PUSHED: dict[str, list[str]] = {
    "buildah-docker.tar": LINUX,
    "buildah-oci.tar": LINUX,
    "buildah-windows-amd64.tar": WINDOWS,
    "buildkit-docker.tar": LINUX,
    "buildkit-mp-oci.tar": ["linux/amd64", "linux/arm64"],
    "buildkit-oci.tar": LINUX,
    "buildkit-prov.tar": LINUX,
    "buildkit-windows.tar": WINDOWS,
    "buildkit-zstd.tar": LINUX,
    "crane-append.tar": [],
    "ctr16-docker.tar": LINUX,
    "ctr16-nomanifest.tar": LINUX,
    "ctr24-mp-all.tar": THREE,
    "docker20-buildkit.tar": LINUX,
    "docker20-classic.pzstd.tar.zst": LINUX,
    "docker20-classic.tar": LINUX,
    "docker29-classic.tar": LINUX,
    "docker29c-demo-bk.tar": LINUX,
    "docker29c-multiplatform.tar": THREE,
    "jib-docker.tar": LINUX,
    "jib-oci.tar": LINUX,
    "kaniko-zstd.tar": LINUX,
    "kaniko.tar": LINUX,
    "podman-dirz.tar": LINUX,
    "podman-docker.tar": LINUX,
    "podman-oci.tar": LINUX,
    "podman-ociarchive.tar": LINUX,
    "podman-ocidir.tar": LINUX,
    "v-config-space.tar": LINUX,
    "v-labels-odd.tar": LINUX,
    "v-uppercase-keys.tar": LINUX,
    "v2-manifest-newline.tar": LINUX,
}
LAYOUTS = {"buildkit-mp-oci.tar": ["linux/amd64", "linux/arm64"], "jib-oci.tar": LINUX, "podman-ociarchive.tar": LINUX}


def _items(paths: dict[Path, list[str]], repository: str) -> list[dict[str, Any]]:
    return [
        {"archive": str(path), "repository": f"{repository}/{number}", "tag": "1", "split_platforms": True}
        for number, path in enumerate(paths)
    ]


def _require_pushed_once(
    paths: dict[Path, list[str]], repository: str, module: Module, reads_only: ReadsOnly
) -> dict[str, Any]:
    items = _items(paths, repository)
    with reads_only():
        planned = module("zot_push", images=items, check=True)
    pushed = module("zot_push", images=items)
    with reads_only():
        again = module("zot_push", images=items)
    assert not pushed["failed"], pushed["msg"]
    for result, changed in ((planned, True), (pushed, True), (again, False)):
        assert [tag["changed"] for tag in result["tags"]] == [changed] * len(result["tags"]), result
    found: dict[str, list[str]] = {}
    for image in pushed["images"]:
        found.setdefault(image["repository"], []).extend(image["platforms"])
        assert image["media_type"] == "application/vnd.oci.image.manifest.v1+json"
    assert {name: sorted(platforms) for name, platforms in found.items()} == {
        item["repository"]: sorted(platforms) for item, platforms in zip(items, paths.values())
    }
    return pushed


def test_pushed_once(repository: str, module: Module, reads_only: ReadsOnly) -> None:
    """Every archive in one task: the first run pushes, the second changes nothing, check mode says the same."""
    paths = {BUILDERS / name: platforms for name, platforms in PUSHED.items()}
    _require_pushed_once(paths, repository, module, reads_only)


def test_oci_layouts(repository: str, module: Module, reads_only: ReadsOnly, tmp_path: Path) -> None:
    """As ko, podman and Bazel write them."""
    paths = {}
    for name, platforms in LAYOUTS.items():
        paths[tmp_path / name] = platforms
        with tarfile.open(BUILDERS / name) as tar:
            # Python 3.11 has the filter since 3.11.4, and Debian 12 has 3.11.2.
            tar.extractall(tmp_path / name, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    blob = next((tmp_path / "jib-oci.tar/blobs/sha256").iterdir())
    blob.rename(tmp_path / "blob")
    blob.symlink_to(tmp_path / "blob")
    _require_pushed_once(paths, repository, module, reads_only)


def test_another_builder_wrote_the_same_image(repository: str, module: Module, reads_only: ReadsOnly) -> None:
    """docker archives and OCI archives of one build."""
    for first, second in (
        ("buildkit-docker.tar", "buildkit-oci.tar"),
        ("buildkit-zstd.tar", "buildkit-docker.tar"),
        ("podman-ociarchive.tar", "podman-ocidir.tar"),
        ("buildah-oci.tar", "podman-ociarchive.tar"),
    ):
        options = {"repository": repository, "tags": [first.replace(".", "-")], "platform": "linux/amd64"}
        assert module("zot_push", archive=str(BUILDERS / first), **options)["changed"] is True
        with reads_only():
            assert module("zot_push", archive=str(BUILDERS / second), **options)["changed"] is False


def test_publish_every_platform_of_one_archive(repository: str, playbook: Any, module: Module) -> None:
    """One archive with three platforms, and one that is named for two architectures. The second run changes nothing."""
    several, oci = str(BUILDERS / "docker29c-multiplatform.tar"), str(BUILDERS / "buildkit-mp-oci.tar")
    images = [
        {"repository": f"{repository}/three", "archive": several},
        {"repository": f"{repository}/two", "archives": {"amd64": oci, "arm64": oci}},
    ]
    for changed in (True, False):
        run = playbook("killinit.zot.publish", zot_publish_revision="3f2c1ab", zot_publish_images=images)
        assert run.returncode == 0, run.stdout
        assert (recap(run)["changed"] > 0) is changed, run.stdout
    tags = [f"{repository}/three:latest", f"{repository}/two:3f2c1ab", f"{repository}/three:3f2c1ab-arm-v7"]
    found = [sorted(image["platforms"]) for image in module("zot_image_info", images=tags)["images"]]
    assert found == [sorted(THREE), ["linux/amd64", "linux/arm64"], ["linux/arm/v7"]]
