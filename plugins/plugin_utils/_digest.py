# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resolve tags to digests in the process of Ansible itself: without signal handlers, processes and remaining threads.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, most_similar
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_api import Http
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import (
    ACCOUNT,
    Options,
    environment_account,
    foreign_account,
    select_account,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import (
    at_least,
    invalid_options,
    require_complete,
    text_option,
)
from ansible_collections.killinit.zot.plugins.plugin_utils._settings import Variables

_PARALLEL = 8


def pinned(
    terms: t.Iterable[t.Any], given: t.Mapping[str, t.Any], direct: t.Mapping[str, t.Any], variables: Variables
) -> list[str]:
    """The pinned reference of each term, in their order. Raises AnsibleError, also for an image that does not exist.

    *given* are the settings of the lookup, and *direct* its arguments.
    """
    try:
        return _pin(_options(given, direct, variables), terms)
    except ZotError as error:
        raise AnsibleError(error.for_ansible()["msg"]) from None
    except TypeError as error:  # validate_certs is not a truth value
        raise AnsibleError(f"validate_certs: {error}") from error


def _options(given: t.Mapping[str, t.Any], direct: t.Mapping[str, t.Any], variables: Variables) -> Options:
    # AWX sets empty variables in the environment.
    text = {
        name: str(given[name]) for name in ("registry", "ca_path", "validate_certs") if given[name] not in (None, "")
    }
    registry = text.get("registry")

    def accounts() -> t.Iterator[t.Mapping[str, t.Any]]:
        yield direct
        yield {name: variables.get(name) for name in ACCOUNT}
        yield environment_account(registry)

    account = {name: str(value) for name, value in select_account(accounts()).items()}
    foreign = foreign_account(registry)
    require_complete(account, {}, reason=foreign)
    at_least(1, timeout=given["timeout"])
    at_least(0, retries=given["retries"])
    authfile, ca_path = (path and os.path.expanduser(path) for path in (account.get("authfile"), text.get("ca_path")))
    return Options(
        registry,
        account.get("username"),
        account.get("password"),
        authfile,
        ca_path=ca_path,
        validate_certs=boolean(text.get("validate_certs", True)),
        timeout=given["timeout"],
        retries=given["retries"],
        foreign_account=foreign,
    )


def _pin(options: Options, terms: t.Iterable[t.Any]) -> list[str]:
    with invalid_options():
        references = [Reference.parse(text_option("the reference", each), registry=options.registry) for each in terms]
    found: dict[Reference, str] = {}
    for registry in dict.fromkeys(each.registry for each in references):
        with _http(options, registry) as http:
            some = list(dict.fromkeys(each for each in references if each.registry == registry))
            with ThreadPoolExecutor(max_workers=min(len(some), _PARALLEL)) as pool:
                found.update(zip(some, pool.map(lambda each: _digest(http, each), some)))
    return [str(each.pinned(found[each])) for each in references]


@contextlib.contextmanager
def _http(options: Options, registry: str) -> t.Iterator[Http]:
    # The directory contains CA certificates and no credentials, which are only written for the tools.
    with tempfile.TemporaryDirectory(prefix="zot-") as directory:
        http = Http(Session(options, directory), registry)
        try:
            yield http
        finally:
            http.close()


def _digest(http: Http, reference: Reference) -> str:
    digest = http.digest(reference)
    if digest is None:
        hint = "" if reference.digest else most_similar(reference, http.tags(reference.repository))
        raise ZotError("not_found", f"{reference} does not exist", hint=hint or None)
    return digest
