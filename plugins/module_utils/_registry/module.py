# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry options that all modules share, and the session of a module.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import gc
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.options import at_least, invalid_options
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Session, Task, open_task

_REGISTRY_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    "registry": {"type": "str", "fallback": (env_fallback, ["ZOT_REGISTRY"])},
    "username": {"type": "str", "fallback": (env_fallback, ["ZOT_USERNAME"])},
    "password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["ZOT_PASSWORD"])},
    "authfile": {"type": "path", "fallback": (env_fallback, ["ZOT_AUTHFILE"])},
    "ca_path": {"type": "path", "fallback": (env_fallback, ["ZOT_CA_PATH"])},
    "validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["ZOT_VALIDATE_CERTS"])},
    "timeout": {"type": "int", "default": 600},
    "retries": {"type": "int", "default": 3},
    "skopeo_path": {"type": "path"},
    "crane_path": {"type": "path"},
}


class Spec(t.NamedTuple):
    """The options of one module in addition to the shared ones, and the rules between them."""

    options: t.Mapping[str, dict[str, t.Any]]
    rules: t.Mapping[str, t.Any] = {}

    def for_module(self) -> dict[str, t.Any]:
        """The arguments of AnsibleModule."""
        return {"argument_spec": {**_REGISTRY_OPTIONS, **self.options}, **self.rules}


# A module that also reads a cluster names these options registry_*, because the plain names are those of the cluster.
_BESIDE_A_CLUSTER = ("username", "password", "authfile", "ca_path", "validate_certs")
CLUSTER_MODULE_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    "registry": _REGISTRY_OPTIONS["registry"],
    **{f"registry_{name}": _REGISTRY_OPTIONS[name] for name in _BESIDE_A_CLUSTER},
    "registry_timeout": {"type": "int", "default": 30},
    "crane_path": _REGISTRY_OPTIONS["crane_path"],
}


# A module that copies names the options of the registry to read from source_*. They have no fallback: the credentials
# in the environment belong to the registry in the environment.
_OF_A_SOURCE = ("registry", "username", "password", "authfile", "ca_path", "validate_certs")
SOURCE_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    f"source_{name}": {
        key: _REGISTRY_OPTIONS[name][key] for key in ("type", "no_log") if key in _REGISTRY_OPTIONS[name]
    }
    for name in _OF_A_SOURCE
}


def options_of(params: t.Mapping[str, t.Any]) -> Options:
    """The registry options of a module that only uses a registry. Raises ZotError."""
    at_least(1, timeout=params["timeout"])
    at_least(0, retries=params["retries"])
    return Options(**{name: params[name] for name in _REGISTRY_OPTIONS})


def options_beside_a_cluster(params: t.Mapping[str, t.Any]) -> Options:
    """The registry options of a module with C(CLUSTER_MODULE_OPTIONS). Raises ZotError."""
    at_least(1, registry_timeout=params["registry_timeout"])
    return Options(
        params["registry"],
        timeout=params["registry_timeout"],
        crane_path=params["crane_path"],
        names={name: f"registry_{name}" for name in _BESIDE_A_CLUSTER},
        **{name: params[f"registry_{name}"] for name in _BESIDE_A_CLUSTER},
    )


def source_options_of(params: t.Mapping[str, t.Any]) -> Options:
    """The options of the source registry of a module with C(SOURCE_OPTIONS). Raises ZotError.

    If source and destination are the same registry, options that are not set are those of the destination.
    """
    destination = options_of(params)
    given = {name: params[f"source_{name}"] for name in _OF_A_SOURCE if params[f"source_{name}"] is not None}
    names = {name: f"source_{name}" for name in _OF_A_SOURCE}
    if given.get("registry", destination.registry) == destination.registry:
        names = {name: names[name] for name in given}
        account = ("username", "password", "authfile")
        kept = {} if given.keys() & set(account) else {name: getattr(destination, name) for name in account}
        given = {"ca_path": destination.ca_path, "validate_certs": destination.validate_certs, **kept, **given}
    return Options(
        given.pop("registry", destination.registry),
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
    with invalid_options(), open_task(module.tmpdir, fail) as task:
        try:
            yield task
        finally:
            # A registry can return a secret, for example in a label. Shorter secrets would censor parts of other words.
            module.no_log_values.update(secret for secret in task.secrets if len(secret) >= 8)


@contextlib.contextmanager
def open_session(module: AnsibleModule, result: t.Callable[[], dict[str, t.Any]] = dict) -> t.Iterator[Session]:
    """The session of a module that only uses a registry. For *result* see open_registries(). Raises ZotError."""
    with open_registries(module, result) as task:
        yield task.session(options_of(module.params))
