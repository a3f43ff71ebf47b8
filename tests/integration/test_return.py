# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules return is what their RETURN says: the keys, the types, and samples that look like the real thing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from integration.blocks import ROOT
from integration.support import Module

from environment.images import Images

Returned = dict[str, Any]

TYPES = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict, "raw": object}
# What Ansible adds to every result, or documents for all modules.
COMMON = {"changed", "failed", "msg", "diff", "invocation", "warnings", "deprecations"}
SHAPES = (
    r"sha256:[0-9a-f]{64}",
    r"\S+@sha256:[0-9a-f]{64}",
    r"[\w.:-]+/[\w./-]+:[\w.-]+",
    r"application/vnd\.[\w.+-]+",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    r"linux/\w+(/\w+)?",
)


def _documented(module: str) -> Returned:
    text = (ROOT / f"plugins/modules/{module}.py").read_text(encoding="utf-8")
    found = re.search(r'^RETURN = r"""\n(.*?)"""', text, re.MULTILINE | re.DOTALL)
    assert found
    keys: Returned = yaml.safe_load(found[1])
    return keys


def _text(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else value


def _faults(keys: Returned, result: Returned, kind: str, at: str = "") -> Iterator[str]:
    """What is otherwise than documented. *kind* is "success" or "failure"."""
    yield from (f"{at}{name} is not documented" for name in sorted(result.keys() - keys.keys() - COMMON))
    for name, key in keys.items():
        if name not in result:
            if key["returned"].split(",")[0] in ("always", kind):
                yield f"{at}{name} is missing"
            continue
        value = result[name]
        if value is None:
            if "V(null)" not in _text(key["description"]):
                yield f"{at}{name} is null"
        elif not isinstance(value, TYPES[key["type"]]) or (key["type"] == "int" and isinstance(value, bool)):
            yield f"{at}{name} is {value!r}, and no {key['type']}"
        else:
            yield from _inside(key, value, kind, f"{at}{name}")


def _inside(key: Returned, value: Any, kind: str, at: str) -> Iterator[str]:
    entries = value if key["type"] == "list" else [value]
    if "contains" in key:
        for entry in entries:
            yield from _faults(key["contains"], entry, kind, f"{at}.")
    elif "elements" in key and any(not isinstance(entry, TYPES[key["elements"]]) for entry in entries):
        yield f"{at} is {value!r}, and no list of {key['elements']}"
    if "sample" in key and entries:
        samples = key["sample"] if key["type"] == "list" else [key["sample"]]
        for sample, entry in zip(samples, entries):
            if _shape(sample) != _shape(entry):
                yield f"{at} is {entry!r}, and its sample {sample!r}"


def _shape(value: Any) -> str:
    """What a value looks like. A name may be of any letters."""
    if isinstance(value, str):
        return next((shape for shape in SHAPES if re.fullmatch(shape, value)), "text")
    return type(value).__name__


def _all_samples(keys: Returned) -> Iterator[tuple[Returned, Any]]:
    for key in keys.values():
        if "sample" in key:
            yield key, key["sample"]
        yield from _all_samples(key.get("contains", {}))


@pytest.fixture
def runs(images: Images, repository: str, module: Module) -> Callable[[str], list[tuple[str, Returned]]]:
    """Run a module in every way in which it returns something else; each result with "success" or "failure"."""
    target = {"repository": f"{repository}/app", "archive": str(images["labels"])}
    amd64 = {**target, "archive": str(images["buildah-amd64"]), "tags": ["1-amd64"]}
    arm64 = {**target, "archive": str(images["buildah-arm64"]), "tags": ["1-arm64"]}
    moved = {**target, "archive": str(images["changed-env"]), "tags": ["latest"], "keep_previous": "{tag}-previous"}

    def run(name: str) -> list[tuple[str, Returned]]:
        if name == "zot_push":
            return [
                ("success", module(name, **target, tags=["latest"], check=True)),
                ("success", module(name, **target, tags=["latest"])),
                ("success", module(name, **moved)),
                ("success", module(name, images=[amd64, arm64])),
                ("failure", module(name, **target, tags=["latest"], platform="linux/s390x")),
                ("failure", module(name, **target, tags=["2"], password="wrong")),
            ]
        assert not module("zot_push", images=[amd64, arm64])["failed"]
        index = {"repository": f"{repository}/app", "manifests": ["1-amd64", "1-arm64"], "tags": ["1", "latest"]}
        if name == "zot_index":
            return [
                ("success", module(name, **index, check=True)),
                ("success", module(name, **index)),
                ("failure", module(name, **{**index, "manifests": ["absent"]})),
            ]
        assert not module("zot_index", **index)["failed"]
        absent = f"{repository}/absent"
        names = [f"{repository}/app:{tag}" for tag in ("1", "1-amd64", "absent")]
        return [
            ("success", module(name, images=names, repositories=[f"{repository}/app", absent], catalog=True)),
            ("success", module(name, images=names, query="images[0].digest")),
            ("failure", module(name, images=names, password="wrong")),
        ]

    return run


@pytest.mark.parametrize("name", ["zot_push", "zot_index", "zot_image_info"])
def test_returned_as_documented(name: str, runs: Callable[[str], list[tuple[str, Returned]]]) -> None:
    """In success and in failure; and every key that is documented is seen."""
    keys = _documented(name)
    results = runs(name)
    assert [kind for kind, result in results if result["failed"] != (kind == "failure")] == []
    assert [fault for kind, result in results for fault in _faults(keys, result, kind)] == []
    assert keys.keys() - {key for _kind, result in results for key in result} == set()


@pytest.mark.parametrize("name", ["zot_push", "zot_index", "zot_image_info"])
def test_samples_are_of_their_type(name: str) -> None:
    """Those of keys that no run returns included."""
    for key, sample in _all_samples(_documented(name)):
        assert isinstance(sample, TYPES[key["type"]])
