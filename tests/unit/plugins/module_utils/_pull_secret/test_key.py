# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_pull_secret_key when the cluster or the registry fails in the middle. tests/cluster has everything else."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest

pytest.importorskip("ansible_collections.kubernetes.core", reason="the collection kubernetes.core is not installed")
pytest.importorskip("requests")

from ansible_collections.killinit.zot.plugins.module_utils._cluster.errors import ClusterError
from ansible_collections.killinit.zot.plugins.modules import zot_pull_secret_key
from ansible_collections.killinit.zot.tests.unit.api_keys import PASSWORD, Keys
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.pull_scene import entry, secret
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys
from ansible_collections.killinit.zot.tests.unit.web_server import running

Result = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it
Write = t.Callable[[], None]


class Cluster(FakeCluster):
    """Namespaces without a workload. *writing* is called for each write with a function that makes it."""

    def __init__(self, *namespaces: str) -> None:
        super().__init__()
        self.writing: t.Callable[[str, Write], None] = lambda _namespace, write: write()
        for name in namespaces:
            metadata = {"name": "default", "namespace": name, "uid": f"0123456{name}"}
            self.objects.append({"kind": "ServiceAccount", "metadata": metadata})

    def hold(self, host: str, namespace: str) -> None:
        """Give a namespace a pull secret with a password."""
        found = secret("zot-pull-secret", {host: entry("puller", PASSWORD)})
        found["metadata"] |= {"namespace": namespace, "uid": "1", "resourceVersion": "1"}
        self.objects.append(found)

    def write(
        self, verb: str, _resource: str, namespace: str, _name: str | None, body: Result, **_more: t.Any
    ) -> Result:
        """Create or patch a secret."""
        document = copy.deepcopy(body)

        def write() -> None:
            kept = [each for each in self.objects if not (each["kind"] == "Secret" and _in(each, namespace))]
            old = next((each for each in self.objects if each not in kept), {})
            metadata = {"uid": "1", "resourceVersion": "2", "name": "zot-pull-secret", "namespace": namespace}
            self.objects = [*kept, {**old, **document, "metadata": {**document["metadata"], **metadata}}]

        assert verb in ("create", "patch")
        self.writing(namespace, write)
        return document


def _in(document: t.Mapping[str, t.Any], namespace: str) -> bool:
    return bool(document["metadata"].get("namespace") == namespace)


def refused(status: int | None) -> ClusterError:
    return ClusterError("no", verb="patch", resource="secrets/zot-pull-secret", namespace="a", status=status)


Rotate = t.Callable[..., Result]


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def rotate(keys: Keys, run_module: t.Any, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Rotate]:
    """Run the module for the namespaces of a cluster."""
    with running(keys) as server:

        def run(cluster: Cluster, *namespaces: str, **options: t.Any) -> Result:
            for name in namespaces:
                if not any(each["kind"] == "Secret" and _in(each, name) for each in cluster.objects):
                    cluster.hold(server.host, name)
            monkeypatch.setattr(zot_pull_secret_key, "connect", lambda _module: cluster)
            given = {"registry": server.host, "pull_username": "puller", "pull_password": PASSWORD, **options}
            none = dict.fromkeys(("username", "password", "retries"))
            given = {"namespaces": list(namespaces), **none, **given}
            result: Result = run_module(zot_pull_secret_key.main, **given)
            returned = {name: value for name, value in result.items() if name != "diff"}
            assert wrong_keys(zot_pull_secret_key.RETURN, returned) == []
            printed = json.dumps(result)
            assert not [text for text in (PASSWORD, entry("puller", PASSWORD)["auth"], "zak_") if text in printed]
            return result

        yield run


def rows(result: Result) -> list[tuple[str, str | None]]:
    return [(each["result"], each["uuid"]) for each in result["secrets"]]


def test_two_runs(rotate: Rotate, keys: Keys) -> None:
    """Otherwise the other tests here would show nothing."""
    cluster = Cluster("a", "b")
    planned = rotate(cluster, "a", "b", check=True)
    assert (planned["changed"], rows(planned), keys.held) == (True, [("renewed", None)] * 2, {})
    done = rotate(cluster, "a", "b")
    assert (done["changed"], rows(done)) == (True, [("renewed", "uuid-1"), ("renewed", "uuid-2")])
    assert [each["proof"] for each in done["secrets"]] == ["registry"] * 2
    again = rotate(cluster, "a", "b")
    assert (again["changed"], rows(again)) == (False, [("kept", "uuid-1"), ("kept", "uuid-2")])
    forced = rotate(cluster, "a", force_renewal=True)
    assert [each["uuid"] for each in forced["secrets"][0]["revoked"]] == ["uuid-1"]
    assert list(keys.held) == ["uuid-2", "uuid-3"]


@pytest.mark.parametrize("status", [403, 422])
def test_a_refused_write_revokes_the_new_key(rotate: Rotate, keys: Keys, status: int) -> None:
    """The other namespace is renewed."""
    cluster = Cluster("a", "b")

    def writing(namespace: str, write: Write) -> None:
        if namespace == "a":
            raise refused(status)
        write()

    cluster.writing = writing
    result = rotate(cluster, "a", "b")
    assert (result["failed"], rows(result)) == (True, [("failed", None), ("renewed", "uuid-2")])
    assert [each["uuid"] for each in result["secrets"][0]["revoked"]] == ["uuid-1"]
    assert list(keys.held) == ["uuid-2"]


def test_a_lost_answer_is_judged_by_the_secret(rotate: Rotate, keys: Keys) -> None:
    """The write that was done is a success. One that may still be done leaves the new key to the next run."""
    cluster = Cluster("a", "b")

    def writing(namespace: str, write: Write) -> None:
        if namespace == "a":
            write()
        raise refused(504)

    cluster.writing = writing
    result = rotate(cluster, "a", "b")
    assert rows(result) == [("renewed", "uuid-1"), ("failed", None)]
    assert list(keys.held) == ["uuid-1", "uuid-2"]
    cluster.writing = lambda _namespace, write: write()
    assert rows(rotate(cluster, "a", "b")) == [("kept", "uuid-1"), ("renewed", "uuid-3")]
    assert list(keys.held) == ["uuid-1", "uuid-3"]


def test_another_run_has_written_its_key(rotate: Rotate, keys: Keys) -> None:
    """Its key stays, the own key is revoked, and the run fails."""
    cluster = Cluster("a")
    other = Cluster("a")
    assert rotate(other, "a")["changed"]

    def writing(_namespace: str, _write: Write) -> None:
        cluster.objects = other.objects

    cluster.writing = writing
    result = rotate(cluster, "a")
    assert (result["failed"], rows(result), list(keys.held)) == (True, [("failed", "uuid-1")], ["uuid-1"])
    assert "another run" in result["msg"]


def test_a_cluster_that_goes_away(rotate: Rotate, keys: Keys) -> None:
    """The namespaces that remain are not tried: each of them would wait for the same timeout."""
    cluster = Cluster("a", "b", "c")

    def writing(namespace: str, write: Write) -> None:
        write()
        if namespace == "a":
            cluster.get = cluster.list = gone  # type: ignore[method-assign]

    def gone(*_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
        cluster.requests.append(("gone", "", None))
        raise refused(None)

    cluster.writing = writing
    result = rotate(cluster, "a", "b", "c")
    assert [each[0] for each in rows(result)] == ["failed"] * 3
    assert [each[0] for each in cluster.requests].count("gone") == 1
    assert list(keys.held) == ["uuid-1"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"pull_password": "wrong-0815"}, "401"),
        ({"pull_password": "zak_0123456789abcdef"}, "a key must not make keys"),
        ({"pull_password": ""}, "zot_pull_secret_username"),
        ({"renew_before": "90d"}, "renew_before"),
        ({"namespaces": []}, "namespaces is empty"),
        ({"namespaces": "A,b"}, "A"),
    ],
)
def test_nothing_is_tried(rotate: Rotate, keys: Keys, options: Result, word: str) -> None:
    cluster = Cluster("a")
    namespaces = () if "namespaces" in options else ("a",)
    result = rotate(cluster, *namespaces, **options)
    assert (result["failed"], word in result["msg"], keys.made, cluster.requests) == (True, True, 0, [])


def test_a_namespace_whose_label_is_not_known(rotate: Rotate, keys: Keys) -> None:
    cluster = Cluster("a")
    cluster.refused = {"serviceaccounts"}
    result = rotate(cluster, "a")
    assert (result["failed"], keys.made) == (True, 0)
    assert "serviceaccounts" in result["msg"]
