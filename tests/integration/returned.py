# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the result of a module with its RETURN."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from integration.blocks import ROOT

Returned = dict[str, Any]

TYPES = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict, "raw": object}
# What Ansible adds to every result, or documents for all modules.
COMMON = {"changed", "failed", "msg", "diff", "invocation", "warnings", "deprecations", "exception"}


def documented(module: str) -> Returned:
    """The RETURN of a module."""
    text = (ROOT / f"plugins/modules/{module}.py").read_text(encoding="utf-8")
    found = re.search(r'^RETURN = r"""\n(.*?)"""', text, re.MULTILINE | re.DOTALL)
    assert found
    keys: Returned = yaml.safe_load(found[1])
    return keys


def _text(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else value


def faults(keys: Returned, result: Returned, kind: str, at: str = "") -> Iterator[str]:
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
            yield from faults(key["contains"], entry, kind, f"{at}.")
    elif "elements" in key and any(not isinstance(entry, TYPES[key["elements"]]) for entry in entries):
        yield f"{at} is {value!r}, and no list of {key['elements']}"
