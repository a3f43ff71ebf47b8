# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of modules and the checks of their values, and the session of a module.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import (
    InvalidReferenceError,
    MissingRegistryError,
    Reference,
    registry_name,
    repository_name,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem, words
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Options, Session, Task, open_task

T = t.TypeVar("T")

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


@contextlib.contextmanager
def invalid_options() -> t.Iterator[None]:
    """Convert the errors of reference.py into an error of an option."""
    try:
        yield
    except MissingRegistryError as error:
        raise missing_registry() from error
    except InvalidReferenceError as error:
        raise ZotError("invalid_option", str(error)) from error


def registry_option(text: str | None) -> str:
    """The registry of a task. Raises ZotError if the task has none, or an invalid one."""
    if not text:
        raise missing_registry()
    with invalid_options():
        return registry_name(text)


def references_option(name: str, texts: t.Sequence[t.Any], registry: str) -> tuple[Reference, ...]:
    """The references of a list, without duplicates. *registry* is the default. Raises ZotError for another registry."""
    with invalid_options():
        found = tuple(
            dict.fromkeys(Reference.parse(text, registry=registry) for text in words(texts_option(name, texts)))
        )
    for each in found:
        if each.registry != registry:
            raise ZotError("invalid_option", f"{each} is not an image of {registry}")
    return found


def repositories_option(name: str, texts: t.Sequence[t.Any]) -> tuple[str, ...]:
    """The repositories of a list, without duplicates and registry. Raises ZotError for an invalid repository."""
    with invalid_options():
        return tuple(dict.fromkeys(repository_name(text) for text in words(texts_option(name, texts))))


def text_option(name: str, value: t.Any) -> str:
    """An option of the type raw that must be text. Raises ZotError for another value."""
    problem = text_problem(name, value)
    if problem:
        raise ZotError("invalid_option", problem)
    return str(value)


def optional_text(name: str, value: t.Any) -> str | None:
    """Like text_option(), but None if the option is not set."""
    return None if value is None else text_option(name, value)


def texts_option(name: str, value: t.Any) -> list[str]:
    """The items of a list or of a comma-separated text. Raises ZotError for an item that is not text."""
    if isinstance(value, (list, tuple)):
        return [text_option(f"{name}[{index}]", item) for index, item in enumerate(value)]
    return words([text_option(name, value)])


def images_option(params: t.Mapping[str, t.Any]) -> list[t.Mapping[str, t.Any]]:
    """The entries of the option images. Without this option, the task itself is the only entry. Raises ZotError."""
    if params["images"] is None:
        return [params]
    if not params["images"]:
        raise ZotError("invalid_option", "images is empty: list at least one image")
    return list(params["images"])


def overwrite_option(value: t.Any, references: t.Iterable[Reference]) -> frozenset[Reference]:
    """The tags that may be moved to another image: all, none, or those that the option lists. Raises ZotError."""
    if value is None or isinstance(value, bool):
        return frozenset(references) if value in (None, True) else frozenset()
    # Extra vars of a command line are text, not booleans.
    text = value.lower() if isinstance(value, str) else ""
    if text in ("true", "yes", "false", "no"):
        return overwrite_option(text in ("true", "yes"), references)
    if isinstance(value, (int, float)) or text in ("on", "off", "y", "n"):
        raise ZotError("invalid_option", f"overwrite is {value}: use true, false or a list of tags")
    tags = texts_option("overwrite", value)
    return frozenset(each for each in references if each.tag in tags)


def at_least(minimum: int, **values: int) -> None:
    """Raise ZotError for an option whose value is below *minimum*."""
    for name, value in values.items():
        if value < minimum:
            raise ZotError("invalid_option", f"{name} is {value}, but must be at least {minimum}")


def tag_owners(requests: t.Iterable[tuple[t.Iterable[Reference], T]], kind: str) -> dict[Reference, T]:
    """The owner of each tag. *requests* has the tags of each owner. Raises ZotError for a tag of two owners."""
    owners: dict[Reference, T] = {}
    for references, owner in requests:
        for reference in references:
            if owners.setdefault(reference, owner) is not owner:
                raise ZotError("invalid_option", f"{reference} is a tag of two {kind}")
    return owners


def platform_option(text: str) -> Platform:
    """The platform that an option names. Raises ZotError for any other text."""
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise ZotError("invalid_option", str(error)) from error
