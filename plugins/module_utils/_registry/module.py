# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry options that all modules share, and the session of a module.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import typing as t
from types import MappingProxyType

from ansible.module_utils.basic import AnsibleFallbackNotFound, AnsibleModule

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import same_registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.accounts import (
    environment_account,
    foreign_account,
    require_complete,
    select_account,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import at_least, invalid_options
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Session, Task, open_task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import ACCOUNT, environment_variable


def _from_environment(setting: str) -> str:
    """The value of a setting in the environment. AWX sets empty variables, which count as not set."""
    value = os.environ.get(environment_variable(setting))
    if not value:
        raise AnsibleFallbackNotFound
    return value


_TYPES: t.Mapping[str, dict[str, t.Any]] = {
    "registry": {"type": "str"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "authfile": {"type": "path"},
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 600},
    "retries": {"type": "int", "default": 3},
    "skopeo_path": {"type": "path"},
    "crane_path": {"type": "path"},
    "registry_aliases": {"type": "list", "elements": "str", "default": []},
}
# An account in the environment may belong to another registry, so options_of() reads it, and not Ansible.
_REGISTRY_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    name: option if name in ACCOUNT else {**option, "fallback": (_from_environment, [name])}
    for name, option in _TYPES.items()
}


class Spec(t.NamedTuple):
    """The options of one module in addition to the shared ones, and the rules between them."""

    options: t.Mapping[str, dict[str, t.Any]]
    rules: t.Mapping[str, t.Any] = {}

    def for_module(self) -> dict[str, t.Any]:
        """The arguments of AnsibleModule."""
        return {"argument_spec": {**_REGISTRY_OPTIONS, **self.options}, **self.rules}


# A module that also reads a cluster names these options registry_*, because the plain names are those of the cluster.
_BESIDE_A_CLUSTER = {name: f"registry_{name}" for name in (*ACCOUNT, "ca_path", "validate_certs", "timeout")}
CLUSTER_MODULE_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    **{name: _REGISTRY_OPTIONS[name] for name in ("registry", "crane_path", "registry_aliases")},
    **{option: _REGISTRY_OPTIONS[name] for name, option in _BESIDE_A_CLUSTER.items()},
    "registry_timeout": {**_REGISTRY_OPTIONS["timeout"], "default": 30},
}


# A module that copies names the options of the registry to read from source_*. They have no fallback: the credentials
# in the environment belong to the registry in the environment.
_OF_A_SOURCE = ("registry", *ACCOUNT, "ca_path", "validate_certs")
SOURCE_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    f"source_{name}": {key: _TYPES[name][key] for key in ("type", "no_log") if key in _TYPES[name]}
    for name in _OF_A_SOURCE
}


def options_of(params: t.Mapping[str, t.Any]) -> Options:
    """The registry options of a module that only uses a registry. Raises ZotError."""
    at_least(1, timeout=params["timeout"])
    at_least(0, retries=params["retries"])
    return _options({name: params[name] for name in _REGISTRY_OPTIONS})


def options_beside_a_cluster(params: t.Mapping[str, t.Any]) -> Options:
    """The registry options of a module with C(CLUSTER_MODULE_OPTIONS). Raises ZotError."""
    at_least(1, registry_timeout=params["registry_timeout"])
    names = {name: _BESIDE_A_CLUSTER.get(name, name) for name in _REGISTRY_OPTIONS}
    return _options({name: params[names[name]] for name in names if names[name] in params}, names)


def _options(given: t.Mapping[str, t.Any], names: t.Mapping[str, str] = MappingProxyType({})) -> Options:
    """The options with the account that belongs to the registry. *names* are those of the module."""
    registry = given["registry"]
    account = select_account((given, environment_account(registry)))
    foreign = foreign_account(registry)
    require_complete(account, names, reason=foreign)
    return Options(**{**given, **dict.fromkeys(ACCOUNT), **account}, foreign_account=foreign, names=names)


def source_options_of(params: t.Mapping[str, t.Any]) -> Options:
    """The options of the source registry of a module with C(SOURCE_OPTIONS). Raises ZotError.

    If source and destination are the same registry, options that are not set are those of the destination.
    """
    destination = options_of(params)
    given = {name: params[f"source_{name}"] for name in _OF_A_SOURCE if params[f"source_{name}"] not in (None, "")}
    names = {name: f"source_{name}" for name in _OF_A_SOURCE}
    require_complete(given, names)
    registry = given.pop("registry", destination.registry)
    if registry == destination.registry or same_registry(registry or "", destination.registry or ""):
        names = {name: names[name] for name in given}
        registry = destination.registry
        kept = {} if given.keys() & set(ACCOUNT) else {name: getattr(destination, name) for name in ACCOUNT}
        given = {"ca_path": destination.ca_path, "validate_certs": destination.validate_certs, **kept, **given}
    return Options(
        registry,
        timeout=destination.timeout,
        retries=destination.retries,
        crane_path=destination.crane_path,
        names=names,
        **given,
    )


@contextlib.contextmanager
def open_registries(module: AnsibleModule, result: t.Callable[[], dict[str, t.Any]] = dict) -> t.Iterator[Task]:
    """A task that can open sessions. At its end all their processes and files are removed. Raises ZotError.

    *result* returns what the result also contains if a signal ends the process while a thread is blocked.
    """

    def fail(error: ZotError) -> None:
        module.fail_json(registry=module.params.get("registry"), **result(), **error.for_ansible())

    # What was imported lives until the end. This way no garbage collection visits it, which at the end of the process
    # takes 10 ms and in a worker process copies its memory: https://docs.python.org/3/library/gc.html#gc.freeze
    gc.freeze()
    for name in ("registry", "source_registry"):
        text = module.params.get(name) or ""
        if "@" in text:  # it may contain a password, and Ansible prints the options
            module.no_log_values.add(text)
    _protect_passwords(module)
    with invalid_options(), open_task(module.tmpdir, fail) as task:
        try:
            yield task
        finally:
            # A registry can return a secret, for example in a label. Shorter secrets would censor parts of other words.
            module.no_log_values.update(secret for secret in task.secrets if len(secret) >= 8)


# The options whose values appear as names in results.
_NAMES = (
    *("registry", "repository", "repositories", "images", "tags", "source", "manifests", "index", "keep_previous"),
    *("source_registry", "source_repository", "shared_tags", "digests", "revision", "in_use", "assume_pushed"),
    *("namespace", "namespaces", "workloads", "label_selectors", "name"),
)


def _protect_passwords(module: AnsibleModule) -> None:
    """Register the password of the environment as secret. Raises ZotError for a password that is part of a name."""
    params = module.params
    beside_a_cluster = "registry_password" in params
    account = options_beside_a_cluster(params) if beside_a_cluster else options_of(params)
    if account.password:
        module.no_log_values.add(account.password)
    passwords = {account.password, *(value for name, value in params.items() if name.endswith("password"))}
    for name in _NAMES:
        texts = list(_texts(params.get(name)))
        if any(password in text for password in passwords if password for text in texts):
            raise ZotError(
                "invalid_option",
                f"a password of this task occurs in the option {name}",
                hint="Ansible replaces a password by asterisks in all results, also within names. Use a password that"
                " is part of no name, for example an API key of Zot.",
            )


def _texts(value: t.Any) -> t.Iterator[str]:
    """All texts in the value of an option, without the paths of archives."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in ("archive", "archives"):
                yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, (str, int, float)):
        yield str(value)


@contextlib.contextmanager
def open_session(module: AnsibleModule, result: t.Callable[[], dict[str, t.Any]] = dict) -> t.Iterator[Session]:
    """The session of a module that only uses a registry. For *result* see open_registries(). Raises ZotError."""
    with open_registries(module, result) as task:
        yield task.session(options_of(module.params))
