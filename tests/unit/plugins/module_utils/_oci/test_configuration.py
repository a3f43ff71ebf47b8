# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import (
    image_identity,
    predicted_configurations,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import InvalidImageError, json_object

CONFIG: dict[str, t.Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-11-23T10:00:00Z",
    "config": {"Env": ["A=1", "B=2"], "Labels": {"a": "1", "b": "2"}, "Cmd": ["x"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]},
    "history": [{"created": "2026-11-23T10:00:00Z", "created_by": "x"}],
}


def changed(**changes: t.Any) -> dict[str, t.Any]:
    return {**CONFIG, **changes}


def container(**changes: t.Any) -> dict[str, t.Any]:
    return changed(config={**CONFIG["config"], **changes})


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(container(Labels={"b": "2", "a": "1"}), id="labels in another order"),
        pytest.param(container(User="", Volumes=None, Entrypoint=[], ExposedPorts={}), id="empty fields"),
        pytest.param(
            container(Healthcheck={"Test": ["NONE"]}, OnBuild=["RUN x"], Hostname="h", Shell=["sh"]), id="Docker's"
        ),
        pytest.param(container(ArgsEscaped=True), id="ArgsEscaped, which skopeo 1.11 drops"),
        pytest.param(changed(docker_version="25", id="x", container_config={"Cmd": ["y"]}), id="Docker's at the top"),
        pytest.param(changed(created="2026-11-23T11:00:00.000+01:00"), id="another zone"),
        pytest.param(changed(variant="", author=None), id="empty at the top"),
        pytest.param(
            changed(
                history=[{"created": "2026-11-23T10:00:00Z", "created_by": "x", "empty_layer": False, "author": ""}]
            ),
            id="empty in the history",
        ),
        pytest.param(dict(reversed(list(CONFIG.items()))), id="order of the keys"),
    ],
)
def test_same_content(other: dict[str, t.Any]) -> None:
    assert image_identity(other) == image_identity(CONFIG)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(container(Labels={"a": "1"}), id="a label less"),
        pytest.param(container(Labels={"a": "1", "b": "3"}), id="a label's value"),
        pytest.param(container(Env=["B=2", "A=1"]), id="order of the environment"),
        pytest.param(container(Cmd=["y"]), id="Cmd"),
        pytest.param(container(Entrypoint=["y"]), id="Entrypoint"),
        pytest.param(container(User="1000"), id="User"),
        pytest.param(container(WorkingDir="/w"), id="WorkingDir"),
        pytest.param(container(ExposedPorts={"80/tcp": {}}), id="ExposedPorts"),
        pytest.param(container(Volumes={"/v": {}}), id="Volumes"),
        pytest.param(container(StopSignal="SIGINT"), id="StopSignal"),
        pytest.param(changed(rootfs={"diff_ids": ["sha256:1"]}), id="a layer less"),
        pytest.param(changed(rootfs={"diff_ids": ["sha256:2", "sha256:1"]}), id="order of the layers"),
        pytest.param(changed(rootfs=None), id="no layer"),
        pytest.param(changed(architecture="arm64"), id="architecture"),
        pytest.param(changed(os="windows"), id="os"),
        pytest.param(changed(variant="v8"), id="variant"),
        pytest.param(changed(author="me"), id="author"),
        pytest.param({**CONFIG, "os.version": "10"}, id="os.version"),
        pytest.param({**CONFIG, "os.features": ["x"]}, id="os.features"),
        pytest.param(changed(created="2026-11-23T10:00:00.000000001Z"), id="a nanosecond"),
        pytest.param(changed(created=None), id="no time"),
        pytest.param(changed(created="yesterday"), id="not a time"),
        pytest.param(changed(history=[]), id="no history"),
        pytest.param(changed(history=[{"created": "2026-11-23T10:00:00Z", "created_by": "y"}]), id="a step"),
        pytest.param(
            changed(history=[{"created": "2026-11-23T10:00:01Z", "created_by": "x"}]), id="the time of a step"
        ),
    ],
)
def test_other_content(other: dict[str, t.Any]) -> None:
    assert image_identity(other) != image_identity(CONFIG)


PAIRS = json.loads((Path(__file__).parents[3] / "captured_configurations.json").read_text(encoding="utf-8"))["pairs"]
MADE = [
    pytest.param(pair["docker"].encode(), made["config"].encode(), id=f"{pair['name']}, {made['tools'][0]}")
    for pair in PAIRS
    for made in pair["oci"]
]


@pytest.mark.parametrize(("docker", "oci"), MADE)
def test_what_skopeo_makes_of_a_configuration(docker: bytes, oci: bytes) -> None:
    """It is known to the byte, and is the same image."""
    config = json_object(docker, "it")
    assert oci in predicted_configurations(config)
    assert image_identity(json_object(oci, "it")) == image_identity(config)


def test_every_age_of_skopeo_is_captured() -> None:
    """A prediction that is never right would be for nothing."""
    right = {
        predicted_configurations(json_object(docker, "it")).index(oci) for docker, oci in (each.values for each in MADE)
    }
    different = predicted_configurations({"architecture": "arm", "variant": "v7", "config": {"ArgsEscaped": True}})
    assert len(set(different)) == len(different)
    assert right == {0, 1, 2}


@pytest.mark.parametrize(
    ("document", "message"),
    [({"rootfs": {"diff_ids": "sha256:1"}}, r"rootfs\.diff_ids"), ({"config": {"Labels": ["a"]}}, "Labels is no")],
    ids=["layers", "labels"],
)
def test_content_refuses_what_is_of_the_wrong_kind(document: dict[str, t.Any], message: str) -> None:
    with pytest.raises(InvalidImageError, match=message):
        image_identity(document)
