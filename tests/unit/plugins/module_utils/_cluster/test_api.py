# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection, by the real client of Kubernetes, against a server that answers captured objects."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._cluster import api as cluster_api
from ansible_collections.killinit.zot.plugins.module_utils._cluster.api import (
    ApiClient,
    Readings,
    cluster_module,
    connect,
)
from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.tests.unit.api_server import ApiServer, Request, kubeconfig, running, status
from ansible_collections.killinit.zot.tests.unit.module_arguments import module_arguments
from ansible_collections.killinit.zot.tests.unit.workload_objects import CLUSTER

Dict = dict[str, t.Any]
POD = CLUSTER["fresh"]["pods"][1]
MANAGED = {**POD, "metadata": {**POD["metadata"], "managedFields": [{"manager": "kubelet", "fieldsV1": {}}]}}


PAGE = "<!DOCTYPE html><title>Sign in</title>"
# What a proxy may answer with status 200 in place of the API server.
NOT_OF_KUBERNETES = [
    pytest.param(PAGE, id="a login page"),
    pytest.param({"error": "login required"}, id="another JSON object"),
    pytest.param([], id="a list"),
]


def answer_nothing(_request: Request) -> tuple[int, Dict]:
    return 200, {"items": []}


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds a cluster of this machine, nor that of another test, which the library keeps as its default."""
    pytest.importorskip("kubernetes").client.Configuration.set_default(None)
    for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG", "K8S_AUTH_HOST", "K8S_AUTH_CONTEXT", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def client(**options: t.Any) -> ApiClient:
    """What a module with these options connects to."""
    arguments = {"_ansible_tmpdir": "/nonexistent", "_ansible_remote_tmp": "/nonexistent", **options}
    with module_arguments(arguments):
        return connect(cluster_module({}))


def client_of(server: ApiServer) -> ApiClient:
    return client(kubeconfig=kubeconfig(server.address))


class Pages:
    """Gives out *count* pods in pages as the API server does; *expires* is the page whose token is too old."""

    def __init__(self, count: int, expires: int | None = None) -> None:
        self.pods = [{**MANAGED, "metadata": {**MANAGED["metadata"], "name": f"p{number}"}} for number in range(count)]
        self.expires = expires

    def __call__(self, request: Request) -> tuple[int, Dict]:
        start = int(request.query.get("continue", 0))
        limit = int(request.query["limit"])
        if self.expires is not None and start == self.expires * limit:
            self.expires = None
            return status(410, "Expired", "The provided continue parameter is too old")
        metadata = {"continue": str(start + limit)} if start + limit < len(self.pods) else {}
        return 200, {"kind": "PodList", "metadata": metadata, "items": self.pods[start : start + limit]}


class TestList:
    """Lists."""

    def test_is_paged(self) -> None:
        with running(Pages(5001)) as server:
            found = client_of(server).list("pods", "openclaw")
        assert [pod["metadata"]["name"] for pod in found] == [f"p{number}" for number in range(5001)]
        first, *others = [request.query for request in server.requests]
        assert first == {"limit": "500"}
        assert others == [{"limit": "500", "continue": str(start)} for start in range(500, 5001, 500)]
        assert {request.path for request in server.requests} == {"/api/v1/namespaces/openclaw/pods"}

    def test_begins_again_when_its_pages_expire(self) -> None:
        """None twice, none missing: the list may have changed. The second time it is read whole."""

        def respond(request: Request) -> tuple[int, Dict]:
            if "limit" not in request.query:
                return 200, {"items": pages.pods}
            return pages(request)

        pages = Pages(1201, expires=1)
        with running(respond) as server:
            found = client_of(server).list("pods", "openclaw")
        assert [pod["metadata"]["name"] for pod in found] == [f"p{number}" for number in range(1201)]
        assert [request.query for request in server.requests][-1] == {}

    def test_a_list_that_expires_at_once_is_an_error(self) -> None:
        with (
            running(lambda _request: status(410, "Expired", "too old")) as server,
            pytest.raises(ClusterError) as caught,
        ):
            client_of(server).list("pods", "openclaw")
        assert (caught.value.status, caught.value.retryable) == (410, True)
        assert len(server.requests) == 1

    def test_pages_are_read_one_by_one(self) -> None:
        """Memory holds one of them."""
        with running(Pages(1201)) as server:
            pages = client_of(server).pages("pods")
            assert len(next(pages)) == 500
            assert len(server.requests) == 1
            assert [len(page) for page in pages] == [500, 201]
        assert {request.path for request in server.requests} == {"/api/v1/pods"}

    def test_pages_that_expire_are_read_again(self) -> None:
        """None is missing; an object may be in two pages."""

        def respond(request: Request) -> tuple[int, Dict]:
            return pages(request) if "limit" in request.query else (200, {"items": pages.pods})

        pages = Pages(1201, expires=1)
        with running(respond) as server:
            found = list(client_of(server).pages("pods"))
        assert [len(page) for page in found] == [500, 1201]
        assert {pod["metadata"]["name"] for page in found for pod in page} == {f"p{number}" for number in range(1201)}

    def test_objects_are_whole_but_for_their_managed_fields(self) -> None:
        """An item of a list has neither version nor kind; they are added."""
        with running(Pages(1)) as server:
            (found,) = client_of(server).list("pods", "openclaw")
        assert (found["kind"], found["apiVersion"]) == ("Pod", "v1")
        assert found["status"] == POD["status"]
        assert found["metadata"]["managedFields"] == [{"manager": "kubelet"}]

    def test_selectors_are_those_of_the_server(self) -> None:
        with running(answer_nothing) as server:
            assert (
                client_of(server).list("deployments", labels=["app=x", "tier in (a,b)"], fields=["metadata.name=y"])
                == []
            )
        (request,) = server.requests
        assert request.path == "/apis/apps/v1/deployments"
        assert request.query["labelSelector"] == "app=x,tier in (a,b)"
        assert request.query["fieldSelector"] == "metadata.name=y"

    @pytest.mark.parametrize("metadata_only", [True, False])
    def test_metadata_alone(self, metadata_only: bool) -> None:
        """To know which namespaces have a Secret no Secret is fetched."""
        with running(answer_nothing) as server:
            client_of(server).list("secrets", metadata_only=metadata_only)
        (request,) = server.requests
        assert ("as=PartialObjectMetadataList" in request.headers["Accept"]) is metadata_only
        assert request.path == "/api/v1/secrets"


class TestGet:
    """Single objects."""

    def test_one(self) -> None:
        with running(lambda _request: (200, POD)) as server:
            found = client_of(server).get("pods", "openclaw", "p")
        assert found == POD
        assert server.requests[0].path == "/api/v1/namespaces/openclaw/pods/p"

    def test_none(self) -> None:
        with running(lambda _request: status(404, "NotFound", "no")) as server:
            assert client_of(server).get("namespaces", "", "typo") is None
        assert server.requests[0].path == "/api/v1/namespaces/typo"

    def test_a_name_stays_one_part_of_the_path(self) -> None:
        with running(lambda _request: status(404, "NotFound", "no")) as server:
            client_of(server).get("pods", "a/b", "../c?d")
        assert server.requests[0].path == "/api/v1/namespaces/a%2Fb/pods/..%2Fc%3Fd"


class TestErrors:
    """The message when an object cannot be read."""

    @pytest.mark.parametrize(
        ("code", "reason", "message", "retryable"),
        [
            (400, "BadRequest", "unable to parse requirement: found '=', expected: identifier", False),
            (401, "Unauthorized", "Unauthorized", False),
            (403, "Forbidden", 'pods is forbidden: User "ops" cannot list resource "pods"', False),
            (429, "TooManyRequests", "too many requests", True),
            (500, "InternalError", "etcdserver: request timed out", True),
            (503, "ServiceUnavailable", "the server is currently unable to handle the request", True),
        ],
    )
    def test_the_answer_of_the_server(self, code: int, reason: str, message: str, retryable: bool) -> None:
        with running(lambda _request: status(code, reason, message)) as server, pytest.raises(ClusterError) as caught:
            client_of(server).list("pods", "openclaw")
        error = caught.value
        assert str(error) == f"cannot list pods in namespace openclaw: {message}"
        assert (error.status, error.retryable) == (code, retryable)
        assert error.unreadable() == {
            "verb": "list",
            "resource": "pods",
            "namespace": "openclaw",
            "message": message,
        }
        assert error.for_ansible()["msg"].endswith(error.hint)

    def test_a_malformed_selector_is_named(self) -> None:
        """The API server says what is wrong with it, but not which."""
        answer = status(400, "BadRequest", "unable to parse requirement")
        with running(lambda _request: answer) as server, pytest.raises(ClusterError) as caught:
            client_of(server).list("pods", "openclaw", labels=["app=x", "a=b=\x1bc"])
        text = "cannot list pods in namespace openclaw: unable to parse requirement, in the selector app=x,a=b="
        assert str(caught.value).startswith(text)
        assert "\x1b" not in str(caught.value)

    @pytest.mark.parametrize("body", [["Bad", "Gateway"], PAGE, {"kind": "Status"}])
    def test_an_error_of_a_gateway(self, body: t.Any) -> None:
        with running(lambda _request: (502, body)) as server, pytest.raises(ClusterError) as caught:
            client_of(server).list("pods")
        assert (str(caught.value), caught.value.retryable) == ("cannot list pods in all namespaces: Bad Gateway", True)

    @pytest.mark.parametrize("answer", NOT_OF_KUBERNETES)
    def test_a_success_that_is_not_of_kubernetes(self, answer: t.Any) -> None:
        """Taken for an empty list it would prove that nothing is wrong."""
        with running(lambda _request: (200, answer)) as server:
            api = client_of(server)
            for read in (lambda: api.list("pods", "openclaw"), lambda: api.get("pods", "openclaw", "p")):
                with pytest.raises(ClusterError) as caught:
                    read()
                assert ") is not that of a Kubernetes API" in str(caught.value)
                assert "proxy" in caught.value.for_ansible()["msg"]
                assert caught.value.retryable is False
                # Every other request would have the same answer: nothing is left to be assessed.
                with pytest.raises(ClusterError):
                    Readings(api).list("pods", "openclaw")

    def test_a_server_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """kubernetes.core sets no limit, so that its task would never end. The request is repeated once."""
        monkeypatch.setattr(cluster_api, "_TIMEOUT", 0.5)

        def hang(request: Request) -> tuple[int, Dict]:
            if request.path.endswith("pods"):
                time.sleep(3)
            return 200, {"items": []}

        with running(hang) as server:
            api = client_of(server)
            api.list("nodes")
            started = time.monotonic()
            with pytest.raises(ClusterError) as caught:
                api.list("pods", "openclaw")
            assert time.monotonic() - started < 3
        assert str(caught.value).startswith("cannot list pods in namespace openclaw: ")
        assert (caught.value.status, caught.value.retryable) == (None, True)
        assert [request.path.rpartition("/")[2] for request in server.requests] == ["nodes", "pods", "pods"]

    @pytest.mark.parametrize("recovers", [True, False])
    def test_a_server_that_is_overloaded(self, monkeypatch: pytest.MonkeyPatch, recovers: bool) -> None:
        """The request is repeated once, after the time in Retry-After, but not after minutes."""
        monkeypatch.setattr(cluster_api, "_RETRY_AFTER", 0.1)
        answers = [status(503, "ServiceUnavailable", "overloaded")]

        def respond(_request: Request) -> tuple[int, Dict]:
            return answers.pop(0) if answers and recovers else answers[0] if answers else (200, {"items": []})

        with running(respond) as server:
            server.headers = {"Retry-After": "20"}
            api = client_of(server)
            started = time.monotonic()
            if recovers:
                assert api.list("pods", "openclaw") == []
            else:
                with pytest.raises(ClusterError) as caught:
                    api.list("pods", "openclaw")
                assert (caught.value.status, caught.value.retryable) == (503, True)
            assert time.monotonic() - started < 3
        assert len(server.requests) == 2

    def test_a_server_that_never_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its connections are accepted, but nothing behind them answers: the limit of the first request is shorter."""
        monkeypatch.setattr(cluster_api, "_FIRST_TIMEOUT", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            started = time.monotonic()
            with pytest.raises(ClusterError) as caught:
                client(host=f"http://127.0.0.1:{listener.getsockname()[1]}", api_key="k").list("pods")
            assert time.monotonic() - started < 5
        assert str(caught.value).startswith("cannot connect to the cluster: ")
        assert "K8S_AUTH_KUBECONFIG" in caught.value.for_ansible()["msg"]
        assert caught.value.retryable is False

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({}, id="no kubeconfig"),
            pytest.param({"kubeconfig": "/nonexistent/kubeconfig"}, id="no such file"),
            pytest.param({"kubeconfig": kubeconfig("http://127.0.0.1:1"), "context": "typo"}, id="no such context"),
            pytest.param({"kubeconfig": kubeconfig("http://127.0.0.1:1")}, id="nobody listens"),
            pytest.param({"host": "http://127.0.0.1:1", "api_key": "k"}, id="nobody listens there either"),
        ],
    )
    def test_no_connection_says_what_to_set(self, options: Dict) -> None:
        with pytest.raises(ClusterError) as caught:
            client(**options).list("pods")
        result = caught.value.for_ansible()
        assert result["msg"].startswith("cannot connect to the cluster: ")
        assert all(name in result["msg"] for name in ("zot_kubeconfig", "kubeconfig", "K8S_AUTH_KUBECONFIG"))
        assert "\n" not in result["msg"]
        assert result["retryable"] is False


def test_a_dead_server_is_one_clear_sentence() -> None:
    with pytest.raises(ClusterError) as caught:
        client(host="http://127.0.0.1:1", api_key="k").list("pods")
    assert str(caught.value) == "cannot connect to the cluster: no answer from http://127.0.0.1:1 (Connection refused)"


def test_the_clock_of_the_server_counts() -> None:
    """The clock of this host may differ by hours."""

    def respond(connection: socket.socket) -> None:
        connection.recv(4096)
        text = '{"items": []}'
        head = f"Date: Tue, 24 Nov 2026 03:04:30 GMT\r\nContent-Length: {len(text)}"
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}\r\n\r\n{text}".encode())

    with raw_server(respond) as address:
        connected = client(host=address, api_key="k")
        assert abs(connected.now() - time.time()) < 1
        connected.list("pods")
    assert abs(connected.now() - 1795489470) < 2


def _slowly(text: str, pause: float, length: int | None = None) -> t.Callable[[socket.socket], None]:
    """Answer with a text, character by character."""

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length or len(text)}\r\n\r\n"
        connection.sendall(head.encode())
        for character in text:
            connection.sendall(character.encode())
            time.sleep(pause)

    return answer


@contextlib.contextmanager
def raw_server(answer: t.Callable[[socket.socket], None]) -> t.Iterator[str]:
    """A server that writes to the connection itself; yields its address."""

    def serve() -> None:
        while True:
            with contextlib.suppress(OSError):
                connection, _address = listener.accept()
                with connection:
                    answer(connection)
            if listener.fileno() < 0:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(_slowly(json.dumps({"items": []}) * 9, 0.1), "no complete answer within", id="slowly"),
        pytest.param(_slowly('{"items": [', 0, length=99), "IncompleteRead", id="half"),
        pytest.param(lambda _connection: None, "(Connection reset by peer|Remote end closed)", id="nothing"),
    ],
)
def test_an_answer_that_never_ends(
    answer: t.Callable[[socket.socket], None], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, so that no timeout of the socket ends the read."""
    monkeypatch.setattr(cluster_api, "_FIRST_TIMEOUT", 0.3)
    monkeypatch.setattr(cluster_api, "_RETRY_AFTER", 0)
    with raw_server(answer) as address:
        started = time.monotonic()
        with pytest.raises(ClusterError) as caught:
            client(host=address, api_key="k").list("pods")
        assert time.monotonic() - started < 3
    assert re.search(rf"no answer from {address} \({reason}", str(caught.value))


class TestPlugin:
    """A program in the kubeconfig that gets the credentials."""

    def connected(self, script: str) -> ApiClient:
        plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]}
        config = kubeconfig("http://127.0.0.1:1")
        config["users"][0]["user"] = {"exec": {**plugin, "interactiveMode": "Never"}}
        return client(kubeconfig=config)

    def test_its_failure_is_the_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The library then sends requests without an account, and system:anonymous may not list anything."""
        with pytest.raises(ClusterError) as caught:
            self.connected("echo SSO session expired >&2; exit 3")
        assert "exec: process returned 3. SSO session expired" in str(caught.value)
        assert "Log in to the cluster again" in caught.value.for_ansible()["msg"]
        assert "SSO" not in "".join(capfd.readouterr())

    def test_it_has_a_limit(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        # In less time a machine under load does not start the plugin.
        monkeypatch.setattr(cluster_api, "_PLUGIN_TIMEOUT", 1.0)
        started = time.monotonic()
        with pytest.raises(ClusterError, match="the plugin in the kubeconfig did not end within 1 seconds"):
            self.connected(f"echo $$ > {tmp_path}/pid; exec sleep 30")
        assert time.monotonic() - started < 5
        assert not (Path("/proc") / (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.parametrize("by_option", [True, False], ids=["option", "environment"])
def test_a_kubeconfig_that_does_not_exist_is_named(
    by_option: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the directory in which a relative path was searched for."""
    monkeypatch.chdir(tmp_path)
    if not by_option:
        monkeypatch.setenv("K8S_AUTH_KUBECONFIG", "nope")
    with pytest.raises(ClusterError) as caught:
        client(**{"kubeconfig": "nope"} if by_option else {})
    message = str(caught.value)
    assert message == f"cannot connect to the cluster: the kubeconfig {tmp_path / 'nope'} does not exist"


@pytest.mark.parametrize(
    ("kubeconfig_files", "options"),
    [("none:one", {}), ("none", {"host": "http://127.0.0.1:1", "api_key": "k"})],
    ids=["one of several exists", "it is not used"],
)
def test_a_missing_kubeconfig_is_not_the_error(
    kubeconfig_files: str, options: Dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", kubeconfig_files)
    with pytest.raises(ClusterError) as caught:
        client(**options).list("pods")
    assert "does not exist" not in str(caught.value)


def test_the_environment_names_a_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running(answer_nothing) as server:
        monkeypatch.setenv("K8S_AUTH_KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
        api = client()
        assert api.list("pods") == []
        assert api.server == server.address


def test_only_the_list_is_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the version nor the groups of the API, of which kubernetes.core also writes a cache."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running(answer_nothing) as server:
        client_of(server).list("pods", "openclaw")
    assert [request.path for request in server.requests] == ["/api/v1/namespaces/openclaw/pods"]
    assert server.discoveries == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("k8srcp")]


class TestOptions:
    """The options of kubernetes.core that are not in a kubeconfig."""

    def test_impersonation_and_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("K8S_AUTH_IMPERSONATE_USER", "ops")
        with running(answer_nothing) as server:
            client(host=server.address, api_key="a-key", impersonate_groups=["one", "two"]).list("pods")
        headers = server.requests[0].headers
        assert (headers["Authorization"], headers["Impersonate-User"]) == ("Bearer a-key", "ops")
        assert headers.get_all("Impersonate-Group") == ["one", "two"]

    def test_proxy(self) -> None:
        with running(answer_nothing) as server:
            certificate = str(Path(__file__).parents[3] / "ca.pem")
            options = {"proxy": server.address, "proxy_headers": {"proxy_basic_auth": "a:b"}, "ca_cert": certificate}
            assert client(host="http://cluster.example", api_key="k", **options).list("pods") == []
        headers = server.requests[0].headers
        assert (headers["Host"], headers["Proxy-Authorization"]) == ("cluster.example", "Basic YTpi")

    @pytest.mark.parametrize("option", ["ca_cert", "client_cert", "client_key"])
    def test_a_certificate_that_does_not_exist_is_named(self, option: str) -> None:
        with pytest.raises(ClusterError, match=r"cannot connect to the cluster: .*/nonexistent/file\.pem"):
            client(host="https://127.0.0.1:1", api_key="k", **{option: "/nonexistent/file.pem"})
