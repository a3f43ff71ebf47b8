# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of modules and the checks of their values, and the session of a module.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t
from types import MappingProxyType

from ansible.module_utils import basic
from ansible.module_utils.basic import AnsibleFallbackNotFound, AnsibleModule

from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Platform
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import (
    InvalidReferenceError,
    MissingRegistryError,
    Reference,
    registry_name,
    repository_name,
    same_registry,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.revision import Revisions
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import text_problem, words
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, missing_registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session, Task, open_task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import (
    ACCOUNT,
    OPTIONS_BESIDE_A_CLUSTER,
    Options,
    environment_account,
    environment_variable,
    foreign_account,
    select_account,
    settable,
)


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


CLUSTER_MODULE_OPTIONS: t.Mapping[str, dict[str, t.Any]] = {
    **{option: _REGISTRY_OPTIONS[name] for name, option in OPTIONS_BESIDE_A_CLUSTER.items()},
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
    given = {name: params[option] for name, option in OPTIONS_BESIDE_A_CLUSTER.items()}
    return _options(given, OPTIONS_BESIDE_A_CLUSTER)


def _options(given: t.Mapping[str, t.Any], names: t.Mapping[str, str] = MappingProxyType({})) -> Options:
    """The options with the account that belongs to the registry. *names* are those of the module."""
    registry = given["registry"]
    account = select_account((given, environment_account(registry)))
    foreign = foreign_account(registry)
    require_complete(account, names, reason=foreign)
    return Options(**{**given, **dict.fromkeys(ACCOUNT), **account}, foreign_account=foreign, names=names)


def require_complete(account: t.Mapping[str, t.Any], names: t.Mapping[str, str], *, reason: str | None = None) -> None:
    """Raise ZotError for half an account. *names* are the options of the module.

    *reason* says why the account in the environment does not complete it.
    """
    options = {name: names.get(name, name) for name in ACCOUNT}
    if {"username", "authfile"} <= account.keys():
        raise ZotError(
            "invalid_option",
            f"{options['authfile']} and {options['username']} are mutually exclusive",
            hint=f"Remove one of {settable('authfile', options['authfile'])} and"
            f" {settable('username', options['username'])}.",
        )
    missing = [name for name in ("username", "password") if name not in account]
    if len(missing) == 1 and "authfile" not in account:
        user = account.get("username")
        raise ZotError(
            "invalid_option",
            f"the user {user!r} has no password" if user else "the password has no user name",
            hint=f"Set {settable(missing[0], options[missing[0]])}.{f' {reason}.' if reason else ''}",
        )


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
    *("registry", "repository", "repositories", "images", "tags", "source", "manifests", "keep_previous"),
    *("source_registry", "source_repository", "shared_tags", "digests", "revision", "in_use", "assume_pushed"),
    *("namespace", "namespaces", "workloads", "label_selectors", "name", "label"),
)


def _protect_passwords(module: AnsibleModule) -> None:
    """Register the password of the environment as secret. Raises ZotError for a password that is part of a name."""
    params = module.params
    beside_a_cluster = "registry_password" in params
    account = options_beside_a_cluster(params) if beside_a_cluster else options_of(params)
    if account.password:
        module.no_log_values.add(account.password)
    given = (value for name, value in params.items() if name.endswith("password"))
    # A password of the type raw may be a number. Its own check refuses that.
    passwords = {account.password, *(value for value in given if isinstance(value, str))}
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


def run_registry_module(
    spec: Spec,
    work: t.Callable[[AnsibleModule, Session], dict[str, t.Any]],
    result: t.Callable[[], dict[str, t.Any]] = dict,
) -> None:
    """Run a module that only uses a registry. *work* returns the result, and *result* that of a task that fails."""
    # Not imported by its name, because ansible-lint replaces it while it checks the options of a task.
    module = basic.AnsibleModule(**spec.for_module(), supports_check_mode=True)
    registry = module.params["registry"]
    try:
        with open_session(module, result) as session:
            found = work(module, session)
    except ZotError as error:
        module.fail_json(**{"registry": registry, **result(), **error.for_ansible()})
    module.exit_json(registry=registry, **found)


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
    """The items of a list, or of a text with commas or lines. Raises ZotError for an item that is not text."""
    if isinstance(value, (list, tuple)):
        return [text_option(f"{name}[{index}]", item) for index, item in enumerate(value)]
    # A blank is no separator: "1.4 2" is more often a typing error than two tags.
    return [item for item in map(str.strip, re.split(r"[,\n]", text_option(name, value))) if item]


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


def seconds_option(name: str, value: t.Any) -> int:
    """A duration with a unit, in seconds. Raises ZotError for anything else."""
    text = text_option(name, value)
    found = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", text)
    if not found:
        raise ZotError("invalid_option", f"{name} is {text!r}: use a number and the unit m, h, d or w, for example 30d")
    return int(found[1]) * {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}[found[2]]


def pattern_option(name: str, text: str) -> re.Pattern[str]:
    """A regular expression. Raises ZotError for any other text."""
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ZotError("invalid_option", f"{name}: {text!r} is not a regular expression: {error}") from error


def revisions_option(text: str | None) -> Revisions:
    """The tags that are revisions: those that the option matches, if it is set. Raises ZotError."""
    return Revisions(pattern_option("revisions", text) if text else None)


def platform_option(text: str) -> Platform:
    """The platform that an option names. Raises ZotError for any other text."""
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise ZotError("invalid_option", str(error)) from error
