# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connect to a cluster as kubernetes.core does. No other file imports kubernetes.core.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import os
import typing as t
from urllib.parse import quote

from ansible_collections.killinit.zot.plugins.module_utils._cluster.client import RESOURCES, Object
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.module_utils._cluster.kubeconfig import connection_options
from ansible_collections.killinit.zot.plugins.module_utils._oci.text import printable
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule

# Seconds for one request. kubernetes.core sets no limit, so that a task would never end if the API server hangs.
_TIMEOUT = 60
# The client reads the version and the groups of the API before the first request that accepts a limit.
_CONNECT_TIMEOUT = 10
# urllib3 repeats a request without an answer three times: a server that hangs would be waited for four times as long.
_RETRIES = 1
# The longest pause before that in seconds. urllib3 waits as long as the header Retry-After says, even for hours.
_RETRY_AFTER = 5
# Objects of one answer: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
_PAGE = 500
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


def connect(module: AnsibleK8SModule) -> ApiClient:
    """Connect to the cluster in the options of a task. Raises ClusterError if the connection fails."""
    where = {"verb": "connect", "resource": "", "namespace": None}
    answers: list[t.Any] = []
    try:
        with _limited_requests(answers):
            client = get_api_client(module)
        return ApiClient(client.client, client.configuration.host)
    except Exception as error:  # the libraries below raise errors of a dozen unrelated classes
        # So the library fails when the list of the API's groups is anything else, for example a web page.
        if answers and isinstance(error, (AttributeError, LookupError, TypeError)):
            raise _not_of_kubernetes(answers[-1], **where) from error
        # The message of the library names no file. With a host and credentials it does not read the kubeconfig.
        kubeconfig = connection_options(module.params).get("kubeconfig")
        is_unreadable = type(error.__cause__).__name__ == "ConfigException"
        if is_unreadable and kubeconfig and not any(map(os.path.exists, kubeconfig.split(os.pathsep))):
            raise ClusterError(f"the kubeconfig {kubeconfig} does not exist") from error
        raise _cluster_error(error, **where) from error


@contextlib.contextmanager
def _limited_requests(answers: list[t.Any]) -> t.Iterator[None]:
    """Limit the time of requests of the Kubernetes library, which has no option for it, and record the responses."""
    library: t.Any = importlib.import_module("kubernetes.client.rest")
    rest = library.RESTClientObject
    request = rest.request

    class Retry(library.urllib3.Retry):  # type: ignore[misc]
        def get_retry_after(self, response: t.Any) -> float:
            return min(super().get_retry_after(response) or 0, _RETRY_AFTER)

    def limited(*arguments: t.Any, **options: t.Any) -> t.Any:
        if options.get("_request_timeout") is None:
            options["_request_timeout"] = _CONNECT_TIMEOUT
        # All requests of a client share one pool, also those after this block.
        arguments[0].pool_manager.connection_pool_kw["retries"] = Retry(_RETRIES, redirect=False)
        answers.append(request(*arguments, **options))
        return answers[-1]

    rest.request = limited
    try:
        yield
    finally:
        rest.request = request


class ApiClient:
    """A Client on the dynamic client of the Kubernetes library."""

    def __init__(self, client: t.Any, server: str) -> None:
        self.server = server
        self._client = client

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        labels: t.Sequence[str] = (),
        fields: t.Sequence[str] = (),
        metadata_only: bool = False,
    ) -> t.List[Object]:  # noqa: UP006 - within the class, list is this method
        """All objects of a resource. Raises ClusterError."""
        selectors = [("labelSelector", labels), ("fieldSelector", fields)]
        query = [(name, ",".join(parts)) for name, parts in selectors if parts]
        accept = _METADATA if metadata_only else "application/json"
        try:
            try:
                return [item for page in self._pages(resource, namespace, query, accept, _PAGE) for item in page]
            except _ExpiredError:
                pass
            # The pages expired during the read. Like client-go, read the whole list with one request.
            return [item for page in self._pages(resource, namespace, query, accept, None) for item in page]
        except ClusterError as error:
            if error.status == 400 and query:  # the API's message does not name the selector
                selector = ", ".join((*labels, *fields))
                error.message = printable(f"{error.message}, in the selector {selector}")
            raise

    def pages(self, resource: str, namespace: str | None = None) -> t.Iterator[t.List[Object]]:  # noqa: UP006
        """All objects of a resource, page by page. Raises ClusterError."""
        try:
            yield from self._pages(resource, namespace, [], "application/json", _PAGE)
        except _ExpiredError:
            yield from self._pages(resource, namespace, [], "application/json", None)

    def _pages(
        self,
        resource: str,
        namespace: str | None,
        query: t.Sequence[tuple[str, str]],
        accept: str,
        limit: int | None,
    ) -> t.Iterator[t.List[Object]]:  # noqa: UP006
        version, kind = RESOURCES[resource]
        paging = [("limit", str(limit))] if limit else []
        while True:
            try:
                document = self._request("list", resource, namespace, None, [*query, *paging], accept)
            except ClusterError as error:
                raise _ExpiredError if error.status == 410 and len(paging) > 1 else error from error
            found: t.List[Object] = []  # noqa: UP006
            for item in document.get("items") or []:
                # managedFields is half of the size of an object, and no verdict needs it.
                item["metadata"].pop("managedFields", None)
                found.append({**item, "apiVersion": version, "kind": kind})
            yield found
            page = (document.get("metadata") or {}).get("continue")
            if not page:
                return
            paging = [("limit", str(limit)), ("continue", page)]

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object; None when it does not exist. Raises ClusterError."""
        try:
            return self._request("get", resource, namespace, name, [], "application/json")
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def _request(
        self,
        verb: str,
        resource: str,
        namespace: str | None,
        name: str | None,
        query: t.Sequence[tuple[str, str]],
        accept: str,
    ) -> dict[str, t.Any]:
        version = RESOURCES[resource][0]
        parts = ["apis" if "/" in version else "api", version]
        parts += ["namespaces", quote(namespace, safe="")] if namespace else []
        parts += [resource, *([quote(name, safe="")] if name else [])]
        where = {"verb": verb, "resource": f"{resource}/{name}" if name else resource, "namespace": namespace}
        try:
            answer = self._client.request(
                "get",
                "/" + "/".join(parts),
                query_params=list(query),
                header_params={"Accept": accept},
                serialize=False,
                _request_timeout=_TIMEOUT,
            )
            data = answer.data
        except Exception as error:
            raise _cluster_error(error, **where) from error
        with contextlib.suppress(ValueError, RecursionError):
            document = json.loads(data)
            if isinstance(document, dict) and ("metadata" if name else "items") in document:
                return document
        raise _not_of_kubernetes(answer, **where)


class _ExpiredError(Exception):
    """The pages of a list expired during the read."""


def _cluster_error(error: Exception, **where: t.Any) -> ClusterError:
    """The error for an HTTP status, or for a request without a response."""
    status = getattr(error, "status", None)
    if status:
        return ClusterError.from_answer(status, getattr(error, "reason", ""), getattr(error, "body", ""), **where)
    return ClusterError((str(error).strip() or type(error).__name__).splitlines()[0], **where)


def _not_of_kubernetes(answer: t.Any, **where: t.Any) -> ClusterError:
    """The error for a successful response that is not of the API server, for example the login page of a proxy."""
    content_type = answer.headers.get("Content-Type") or "no content type"
    return ClusterError(f"the answer ({content_type}) is not that of a Kubernetes API", status=200, **where)
