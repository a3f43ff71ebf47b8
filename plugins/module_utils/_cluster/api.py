# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connect to the Kubernetes API as kubernetes.core does, and read what a task selects.

No other file of module_utils imports kubernetes.core.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import copy
import logging
import os
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import quote

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import (
    ClusterError,
    call_within,
    first_cause,
    first_line,
    logged_errors,
    retries,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import (
    Object,
    WorkloadName,
    api_of,
    namespace_name,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import object_in, parse_http_date, words
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as kubernetes_core
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule

# Seconds for one request. kubernetes.core sets no limit, so that a task would never end if the API server hangs.
_TIMEOUT = 60
# Seconds for a request before the API server has answered any: a server that does not exist may accept connections.
_FIRST_TIMEOUT = 15
# Seconds for the plugin of a kubeconfig, which may request a token over the network.
_PLUGIN_TIMEOUT = 60
# urllib3 repeats a read without an answer three times: a server that hangs would be waited for four times as long.
_RETRIES = 1
# The longest pause before that in seconds. urllib3 waits as long as the header Retry-After says, even for hours.
_RETRY_AFTER = 5
# Objects of one answer: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
_PAGE = 500
# One definition of a custom resource may have a megabyte.
_PAGE_OF_DEFINITIONS = 20
# The HTTP method of each verb, and the type of its body.
_METHODS = {
    "get": ("get", None),
    "list": ("get", None),
    "create": ("post", "application/json"),
    "patch": ("patch", "application/merge-patch+json"),
    "delete": ("delete", "application/json"),
}
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def cluster_module(options: t.Mapping[str, t.Any], **rules: t.Any) -> AnsibleK8SModule:
    """The module of a task that reads a cluster. *options* are added to those of the connection."""
    module = AnsibleK8SModule(
        argument_spec={**copy.deepcopy(AUTH_ARG_SPEC), **options}, supports_check_mode=True, check_pyyaml=False, **rules
    )
    # The content of a kubeconfig is secret. A path is not, and commands in a result contain it.
    if isinstance(module.params["kubeconfig"], str):
        module._module.no_log_values.discard(module.params["kubeconfig"])
    return module


def exit_module(module: AnsibleK8SModule, result: dict[str, t.Any]) -> None:
    """End a module with its result. Since ansible-core 2.19, exit_json() reports C(warnings) in it as deprecated."""
    for text in result.pop("warnings", ()):
        module._module.warn(text)
    module.exit_json(**result)


def connection_options(params: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The options C(kubeconfig) and C(context) of a task, or their variables in the environment, if they are set.

    A kubeconfig is an absolute path, or several with the separator of C(KUBECONFIG). The content of a kubeconfig, which
    contains credentials, is omitted.
    """
    given = {name: params.get(name) or os.environ.get(f"K8S_AUTH_{name.upper()}") for name in ("kubeconfig", "context")}
    found = {name: value for name, value in given.items() if value and isinstance(value, str)}
    if "kubeconfig" in found:
        paths = found["kubeconfig"].split(os.pathsep)
        found["kubeconfig"] = os.pathsep.join(os.path.abspath(os.path.expanduser(path)) for path in paths if path)
    return found


def connect(module: AnsibleK8SModule) -> ApiClient:
    """The API of the cluster in the options of a task. No request is sent. Raises ClusterError for unusable options."""
    # kubernetes.core reads the version and the groups of the API when it creates its own client. The modules read only
    # resources with a known path, and do not need both.
    from kubernetes.client import ApiClient as HttpClient
    from kubernetes.dynamic import DynamicClient

    # The library can log the answers, which may contain secrets.
    logging.getLogger("kubernetes.client.rest").setLevel(logging.WARNING)
    try:
        with logged_errors() as logged:
            configuration = call_within(
                _PLUGIN_TIMEOUT,
                lambda: kubernetes_core._create_configuration(kubernetes_core._create_auth_spec(module)),
            )
        if logged:
            message = f"the credentials in the kubeconfig cannot be used: {' '.join(logged[0].split())}"
            raise ClusterError(message, hint="Log in to the cluster again, or correct the kubeconfig.")
        for path in filter(None, (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)):
            # The error of the first request would not name the file.
            with open(path, "rb"):
                pass
        configuration.retries = retries(_RETRIES, _RETRY_AFTER)
        client = HttpClient(configuration)
        for name, value in kubernetes_core._create_headers(module).items():
            kubernetes_core._set_header(client, name, value)
        return ApiClient(DynamicClient(client, discoverer=lambda *_arguments: None), configuration.host)
    except ClusterError:
        raise
    except TimeoutError as error:
        message = f"the plugin in the kubeconfig did not end within {_PLUGIN_TIMEOUT:g} seconds"
        raise ClusterError(message, hint="Run its command in a terminal, and log in to the cluster again.") from error
    except Exception as error:  # the libraries below raise errors of a dozen unrelated classes
        # The message of the library names no file. With a host and credentials it does not read the kubeconfig.
        kubeconfig = connection_options(module.params).get("kubeconfig")
        is_unreadable = type(error).__name__ == "ConfigException"
        if is_unreadable and kubeconfig and not any(map(os.path.exists, kubeconfig.split(os.pathsep))):
            raise ClusterError(f"the kubeconfig {kubeconfig} does not exist") from error
        raise ClusterError(first_line(error)) from error


class ApiClient:
    """The Kubernetes API with the credentials of one user. Every method raises ClusterError.

    *server* is the address of the API server.
    """

    def __init__(self, client: t.Any, server: str) -> None:
        self.server = server
        self._client = client
        self._has_answered = False
        self._clock_offset = 0.0

    def now(self) -> float:
        """The time of the API server in seconds since 1970, from its last answer. The clock of this host may differ."""
        return time.time() + self._clock_offset

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: t.Sequence[str] = (),
        fields: t.Sequence[str] = (),
        metadata_only: bool = False,
    ) -> t.List[Object]:  # noqa: UP006 - within the class, list is this method
        """All objects of a resource, in one namespace or in all, that match every selector.

        With *metadata_only* the API sends only C(metadata) of each object.
        """
        selectors = [("labelSelector", labels), ("fieldSelector", fields)]
        query = [(name, ",".join(parts)) for name, parts in selectors if parts]
        accept = _METADATA if metadata_only else "application/json"
        try:
            return [item for page in self._pages(resource, namespace, query, accept, _PAGE) for item in page]
        except _ExpiredError:
            # The pages expired during the read. Like client-go, read the whole list with one request.
            return [item for page in self._pages(resource, namespace, query, accept, None) for item in page]

    def pages(self, resource: str, namespace: str | None = None) -> t.Iterator[t.List[Object]]:  # noqa: UP006
        """All objects page by page, to limit the use of memory. An object may be in two pages."""
        page = _PAGE_OF_DEFINITIONS if resource == "customresourcedefinitions" else _PAGE
        try:
            yield from self._pages(resource, namespace, [], "application/json", page)
        except _ExpiredError:
            yield from self._pages(resource, namespace, [], "application/json", None)

    def _pages(
        self, resource: str, namespace: str | None, query: t.Sequence[tuple[str, str]], accept: str, limit: int | None
    ) -> t.Iterator[t.List[Object]]:  # noqa: UP006
        version, _name, kind = api_of(resource)
        paging = [("limit", str(limit))] if limit else []
        while True:
            try:
                document = self._request("list", resource, namespace, None, [*query, *paging], accept)
            except ClusterError as error:
                raise _ExpiredError if error.status == 410 and len(paging) > 1 else error from error
            found: t.List[Object] = []  # noqa: UP006
            for item in document.get("items") or []:
                # managedFields is half of the size of an object. Only the names of the writers are needed.
                writers = {each.get("manager") for each in item["metadata"].pop("managedFields", None) or ()}
                if writers:
                    item["metadata"]["managedFields"] = [{"manager": each} for each in writers]
                found.append({**item, "apiVersion": version, "kind": kind or item.get("kind") or resource})
            yield found
            page = (document.get("metadata") or {}).get("continue")
            if not page:
                return
            paging = [("limit", str(limit)), ("continue", page)]

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object; None when it does not exist."""
        try:
            return self._request("get", resource, namespace, name, [], "application/json")
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def write(
        self,
        verb: str,
        resource: str,
        namespace: str,
        name: str | None,
        body: Object,
        *,
        dry_run: bool = False,
        hint: str | None = None,
    ) -> Object:
        """Create, patch (a JSON merge patch) or delete an object. Return the answer.

        *hint* is that of the error.
        """
        query = [("dryRun", "All")] if dry_run else []
        query += [] if verb == "delete" else [("fieldManager", "killinit.zot")]
        try:
            return self._request(verb, resource, namespace, name, query, "application/json", body, hint)
        except ClusterError as error:
            if error.status != 429:
                raise
            # The API server has not processed the request.
            time.sleep(min(error.retry_after, _RETRY_AFTER))
            return self._request(verb, resource, namespace, name, query, "application/json", body, hint)

    def _request(
        self,
        verb: str,
        resource: str,
        namespace: str | None,
        name: str | None,
        query: t.Sequence[tuple[str, str]],
        accept: str,
        body: Object | None = None,
        hint: str | None = None,
    ) -> dict[str, t.Any]:
        version, path, _kind = api_of(resource)
        parts = ["apis" if "/" in version else "api", version]
        parts += ["namespaces", quote(namespace, safe="")] if namespace else []
        parts += [path, *([quote(name, safe="")] if name else [])]
        where: dict[str, t.Any] = {
            "verb": verb,
            "resource": f"{resource}/{name}" if name else resource,
            "namespace": namespace,
            "hint": hint,
        }
        method, content_type = _METHODS[verb]
        timeout = _TIMEOUT if self._has_answered else _FIRST_TIMEOUT

        def send() -> tuple[t.Any, t.Any]:
            answer = self._client.request(
                method,
                "/" + "/".join(parts),
                body=body,
                query_params=list(query),
                header_params={"Accept": accept},
                content_type=content_type,
                serialize=False,
                # A pair, because older versions of the library ignore a number with a fraction.
                _request_timeout=(timeout, timeout),
            )
            return answer, answer.data

        try:
            # A read without an answer is repeated. The whole answer has twice the time of its first byte.
            answer, data = call_within(2 * timeout + _RETRY_AFTER, send)
        except Exception as error:
            status = getattr(error, "status", None)
            if status:
                self._has_answered = True
                selector = ", ".join(text for option, text in query if option.endswith("Selector"))
                raise ClusterError.from_answer(error, selector, **where) from error
            message = f"no answer from {self.server} ({first_cause(error)})"
            raise ClusterError(message, **where if self._has_answered else {}) from error
        self._has_answered = True
        date = parse_http_date(answer.headers.get("Date") or "")
        self._clock_offset = date.timestamp - time.time() if date else 0.0
        document = object_in(data)
        if ("items" if verb == "list" else "metadata") in document:
            return document
        # For example the login page of a proxy.
        content_type = answer.headers.get("Content-Type") or "no content type"
        raise ClusterError(f"the answer ({content_type}) is not that of a Kubernetes API", status=200, **where)


class _ExpiredError(Exception):
    """The pages of a list expired during the read."""


class Readings:
    """Reads the resources for one verdict. A resource that cannot be read is recorded in *unreadable*."""

    def __init__(self, client: ApiClient, *, raise_temporary: bool = False) -> None:
        """With *raise_temporary*, an error that a retry can correct is raised instead of recorded."""
        self.client = client
        self._raise_temporary = raise_temporary
        self.unreadable: list[dict[str, t.Any]] = []

    def list(self, resource: str, namespace: str | None = None, **query: t.Any) -> t.List[Object] | None:  # noqa: UP006
        """Like ApiClient.list(); None if the resource cannot be read. Raises ClusterError if the connection fails."""
        try:
            return self.client.list(resource, namespace, **query)
        except ClusterError as error:
            self._note(error)
            return None

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """Like ApiClient.get(); also None if the object cannot be read. *unreadable* then lists it."""
        try:
            return self.client.get(resource, namespace, name)
        except ClusterError as error:
            self._note(error)
            return None

    def _note(self, error: ClusterError) -> None:
        # No response, a response of another server, a malformed selector, or no credentials: all requests would fail.
        if error.status in (None, 200, 400, 401) or (self._raise_temporary and error.retryable):
            raise error
        self.unreadable.append(error.unreadable())


@dataclass(frozen=True)
class Selection:
    """The options C(namespace), C(workloads), C(label_selectors) and C(allow_empty) of a task."""

    namespace: str
    names: t.Sequence[WorkloadName] = ()
    labels: t.Sequence[str] = ()
    allow_empty: bool = False

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Selection:
        """The selection of a task. A module may lack some of the four options. Raises InvalidNameError."""
        return cls(
            namespace_name(params["namespace"]),
            tuple(dict.fromkeys(map(WorkloadName.parse, words(params.get("workloads", ()))))),
            # The API refuses an empty selector in a list of selectors.
            tuple(text.strip() for text in params["label_selectors"] if text.strip()),
            params.get("allow_empty", False),
        )

    @property
    def with_labels(self) -> str:
        """The label selectors as a part of a sentence; empty if there are none."""
        return f" with the labels {', '.join(self.labels)}" if self.labels else ""

    def nothing(self, message: str, resource: str = "workloads", *, hint: str | None = None) -> ClusterError:
        """The error for a selection that finds no *resource*."""
        return ClusterError(message, verb="find", resource=resource, namespace=self.namespace, status=404, hint=hint)

    def require_namespace(self, client: ApiClient, resource: str = "workloads") -> None:
        """Raise ClusterError if the namespace does not exist. A mistyped name is not an empty namespace."""
        try:
            found = client.get("namespaces", "", self.namespace)
        except ClusterError as error:
            # The permission to read it is optional.
            if error.status != 403:
                raise
            return
        if found is None:
            raise self.nothing("the namespace does not exist", resource)
