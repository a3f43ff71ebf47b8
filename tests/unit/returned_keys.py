# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the keys of a result with the RETURN of its module."""

from __future__ import annotations

import functools
import typing as t

import yaml

# What Ansible adds to every result.
_COMMON = {"changed", "failed", "msg", "warnings", "deprecations", "exception"}


def wrong_keys(documentation: str, result: t.Mapping[str, t.Any]) -> list[str]:
    """The keys of *result* that RETURN does not document, and those that it documents and *result* lacks."""
    keys = _parsed(documentation)
    # Ansible itself refuses some options, with a message alone.
    required = {name for name, key in keys.items() if key["returned"] == "success"} if "failed" not in result else ()
    return [*_wrong(keys, required, {name: result[name] for name in result.keys() - _COMMON}, "")]


@functools.cache
def _parsed(documentation: str) -> dict[str, t.Any]:
    keys: dict[str, t.Any] = yaml.safe_load(documentation)
    return keys


def _wrong(
    keys: t.Mapping[str, t.Any], required: t.Collection[str], result: t.Mapping[str, t.Any], at: str
) -> t.Iterator[str]:
    yield from (f"{at}{name} is not documented" for name in sorted(result.keys() - keys.keys()))
    yield from (f"{at}{name} is missing" for name in sorted(set(required) - result.keys()))
    for name, value in result.items():
        inner = keys.get(name, {}).get("contains")
        # A dictionary that is not known is null.
        for entry in (value if isinstance(value, list) else [value]) if inner and value is not None else ():
            yield from _wrong(inner, inner, entry, f"{at}{name}.")
