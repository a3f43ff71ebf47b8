# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module zot_pull_secret, from main() down, with the real client of Kubernetes and a server with its rules."""

from __future__ import annotations

import base64
import json
import logging
import time
import typing as t

import pytest
from hypothesis import settings

pytest.importorskip("ansible_collections.kubernetes.core", reason="the collection kubernetes.core is not installed")

from ansible_collections.killinit.zot.plugins.module_utils._cluster import api as cluster_api
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import PullCredentials, PullSecret
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret import run as room
from ansible_collections.killinit.zot.plugins.modules import zot_pull_secret
from ansible_collections.killinit.zot.tests.unit.api_server import ApiServer, Request, kubeconfig, running, status
from ansible_collections.killinit.zot.tests.unit.pull_scene import secret, service_account
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys
from ansible_collections.killinit.zot.tests.unit.secret_store import Dict, SecretStore

REGISTRY, NAME = "oci.killinit.cc", "zot-pull-secret"
COPY = f"{NAME}-before-repair"
NEW = PullCredentials("puller", "new-password-0815").entry()
OLD = PullCredentials("puller", "old-password-4711").entry()
# As other tools write them: without a user name, with unusual spaces, and with fields that kubelet does not know.
GHCR = '{"auth": "c29tZWJvZHk6Z2hjci1wYXNzd29yZA==",   "email":"a@b.example", "identitytoken": "ghcr-t0ken-1234"}'
QUAY = '{"username":"robot$a","password":"quay-password-77","auth":"cm9ib3QkYTpxdWF5LXBhc3N3b3JkLTc3"}'
SECRETS = [each["password"] for each in (NEW, OLD)] + [each["auth"] for each in (NEW, OLD)]
SECRETS += ["ghcr-t0ken-1234", "c29tZWJvZHk6Z2hjci1wYXNzd29yZA==", "quay-password-77"]
DOCUMENT = f'{{"auths": {{"ghcr.io": {GHCR}, "{REGISTRY}": {json.dumps(OLD)}, "https://quay.io/v2/": {QUAY}}}}}'
OURS_ONLY = json.dumps({"auths": {REGISTRY: OLD}})
METADATA = {
    "labels": {"team": "a"},
    "annotations": {"note": "b"},
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "1"}],
}


class Cluster:
    """Runs the module against a server that holds secrets."""

    def __init__(
        self, server: ApiServer, store: SecretStore, run_module: t.Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.server, self.store = server, store
        self._run, self._log = run_module, caplog

    def __call__(self, **options: t.Any) -> Dict:
        given = {
            "registry": REGISTRY,
            "namespace": "openclaw",
            "kubeconfig": kubeconfig(self.server.address),
            "pull_username": "puller",
            "pull_password": "new-password-0815",
            # The fixture gives these options of the other modules.
            **dict.fromkeys(("username", "password", "retries")),
            **options,
        }
        result: Dict = self._run(zot_pull_secret.main, **given)
        assert (
            wrong_keys(zot_pull_secret.RETURN, {name: value for name, value in result.items() if name != "diff"}) == []
        )
        shown = json.dumps(result) + self._log.text
        data = [value for each in self.store.objects.values() for value in each.get("data", {}).values()]
        assert not [each for each in [*SECRETS, *data] if each in shown]
        return result

    def auths(self, name: str = NAME) -> dict[str, str]:
        """The entries of a secret, each as its JSON text."""
        found = self.store.secret(name)
        return dict(PullSecret.read(found).auths) if found else {}

    def everywhere(self) -> dict[str, str]:
        """The entries of the secret and of its copy."""
        return {**self.auths(COPY), **self.auths()}


@pytest.fixture
def cluster(
    run_module: t.Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> t.Iterator[Cluster]:
    monkeypatch.setattr(room, "_PAUSE", 0.01)
    monkeypatch.setattr(room, "_POLL", 0.01)
    monkeypatch.setattr(room, "_LONGEST_DELETION", 0.2)
    caplog.set_level(logging.DEBUG)
    store = SecretStore()
    with running(store) as server:
        yield Cluster(server, store, run_module, caplog)


def given(kind: str, **more: t.Any) -> Dict:
    """A secret of each kind that the API server treats differently, with the entries of three registries."""
    fields = {"immutable": True} if kind == "immutable" else {}
    found = secret(NAME, DOCUMENT, **fields, **more)
    if kind == "Opaque":
        found["type"] = "Opaque"
    if kind == "dockercfg":
        entries = json.loads(DOCUMENT)["auths"]
        text = "{" + ", ".join(f'"{name}": {_text(name, each)}' for name, each in entries.items()) + "}"
        data = base64.b64encode(text.encode()).decode()
        found.update(type="kubernetes.io/dockercfg", data={".dockercfg": data})
    return found


def _text(name: str, entry: t.Any) -> str:
    return {"ghcr.io": GHCR, "https://quay.io/v2/": QUAY}.get(name) or json.dumps(entry)


KINDS = {"plain": "merge", "immutable": "replace", "Opaque": "replace", "dockercfg": "replace"}


@pytest.mark.parametrize("kind", KINDS)
def test_other_entries_stay_byte_by_byte(kind: str, cluster: Cluster) -> None:
    cluster.store.put(given(kind))
    planned = cluster(_ansible_check_mode=True)
    assert cluster.store.writes == []
    done, again = cluster(), cluster()
    assert [each["changed"] for each in (planned, done, again)] == [True, True, False]
    assert [each["action"] for each in (planned, done, again)] == [KINDS[kind], KINDS[kind], "none"]
    assert planned["diff"] == done["diff"]
    assert done["changes"] == [f"entry {REGISTRY}: credentials updated"]
    assert cluster.auths() == {"ghcr.io": GHCR, "https://quay.io/v2/": QUAY, REGISTRY: json.dumps(NEW)}
    assert list(cluster.store.objects) == [("secrets", NAME)]


def test_a_missing_secret_is_created(cluster: Cluster) -> None:
    cluster.store.put(service_account("default", "other"))
    planned = cluster(service_accounts=["default"], _ansible_check_mode=True)
    assert cluster.store.writes == []
    done = cluster(service_accounts=["default"])
    again = cluster(service_accounts=["default"])
    assert [each["changed"] for each in (planned, done, again)] == [True, True, False]
    assert planned["service_accounts"] == done["service_accounts"] == ["default"]
    assert cluster.auths() == {REGISTRY: json.dumps(NEW)}
    account = cluster.store.objects["serviceaccounts", "default"]
    assert account["imagePullSecrets"] == [{"name": "other"}, {"name": NAME}]


def test_each_name_of_the_registry_gets_an_entry(cluster: Cluster) -> None:
    """Kubelet compares the name in the image with the name of the entry."""
    cluster(registry_aliases=["zot.zot.svc:5000"])
    assert cluster.auths() == {REGISTRY: json.dumps(NEW), "zot.zot.svc:5000": json.dumps(NEW)}
    cluster(registry_aliases=["zot.zot.svc:5000"], state="absent")
    assert cluster.store.secret() is None


def test_everything_else_of_a_replaced_secret_is_kept(cluster: Cluster) -> None:
    before = given("immutable")
    before["metadata"].update(METADATA)
    before["metadata"]["annotations"] = {
        **METADATA["annotations"],
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    before["data"]["more"] = "eA=="
    cluster.store.put(before)
    assert cluster(force=True)["action"] == "replace"
    after = t.cast("Dict", cluster.store.secret())
    assert {name: after["metadata"][name] for name in METADATA} == METADATA
    assert (after["data"]["more"], after["immutable"]) == ("eA==", True)


@pytest.mark.no_cover
@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("processed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", [*KINDS, "missing", "only ours"])
def test_no_end_of_a_run_loses_an_entry(kind: str, processed: bool, state: str, cluster: Cluster) -> None:
    """The client ends before or after each request; then the next run ends before or after each of its requests.

    At every moment the entries of the other registries are in the secret or in its copy, and a complete run finishes.
    """
    others = {"ghcr.io": GHCR, "https://quay.io/v2/": QUAY} if kind in KINDS else {}
    points = 0
    # ./dev quick ends only at every third request.
    step = 1 if settings().max_examples >= 100 else 3
    for end in range(1, 60, step):
        _reset(cluster, kind)
        cluster.store.end_at, cluster.store.processed = end, processed
        interrupted = cluster(state=state, service_accounts=["default"], force=True)
        if not interrupted.get("failed"):
            break
        points += 1
        assert others.items() <= cluster.everywhere().items(), end
        # A second run is interrupted at one of its requests, too.
        cluster.store.count, cluster.store.end_at = 0, 1 + end % 7
        cluster(state=state, service_accounts=["default"], force=True)
        assert others.items() <= cluster.everywhere().items(), end
        cluster.store.end_at = None
        finished = cluster(state=state, service_accounts=["default"], force=True)
        assert not finished.get("failed"), finished
        wanted = {**others, **({REGISTRY: json.dumps(NEW)} if state == "present" else {})}
        assert cluster.auths() == wanted, end
        assert cluster.store.secret(COPY) is None
        after = cluster.store.secret()
        if after and kind in KINDS:
            assert {name: after["metadata"][name] for name in METADATA} == METADATA
            assert after["data"]["more"] == "eA=="
        assert not cluster(state=state, service_accounts=["default"], force=True)["changed"]
    assert points >= 1


def _reset(cluster: Cluster, kind: str) -> None:
    cluster.store.objects.clear()
    cluster.store.count, cluster.store.end_at = 0, None
    cluster.store.put(service_account("default"))
    if kind in KINDS:
        found = given(kind)
        found["metadata"].update(METADATA)
        found["data"]["more"] = "eA=="
        cluster.store.put(found)
    elif kind == "only ours":
        cluster.store.put(secret(NAME, OURS_ONLY))


@pytest.mark.parametrize("at", range(1, 7))
def test_a_concurrent_change_is_kept(at: int, cluster: Cluster) -> None:
    """Another client adds an entry right before one of the writes, also between the copy and the deletion."""
    cluster.store.put(given("immutable"))
    added = '{"auth": "YTpi"}'
    writes = 0

    def change(_request: Request) -> None:
        nonlocal writes
        writes += 1
        if writes == at:
            found = cluster.store.secret()
            auths = {**cluster.auths(), "late.example": added}
            text = json.dumps({"auths": {name: json.loads(each) for name, each in auths.items()}})
            cluster.store.put({**secret(NAME, text), "immutable": bool(found and found.get("immutable"))})

    cluster.store.before = change  # type: ignore[assignment]
    result = cluster()
    assert not result.get("failed"), result
    assert set(cluster()["changes"]) <= {f"entry {REGISTRY}: credentials updated"}
    names = {"ghcr.io", "https://quay.io/v2/", REGISTRY, *(["late.example"] if writes >= at else [])}
    assert set(cluster.auths()) == names
    assert json.loads(cluster.auths()[REGISTRY]) == NEW
    assert cluster.store.secret(COPY) is None


MANAGED: dict[str, tuple[Dict, str]] = {
    "owner": ({"ownerReferences": [{"kind": "ExternalSecret", "name": "zot"}]}, "the ExternalSecret zot"),
    "External Secrets": ({"labels": {"reconcile.external-secrets.io/managed": "true"}}, "External Secrets"),
    "Sealed Secrets": ({"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}, "Sealed Secrets"),
    "Helm": ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "Helm (shop)"),
    "Helm template": ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
    "Argo CD": ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:/Secret:openclaw/x"}}, "Argo CD (shop)"),
    "Argo CD by its label": (
        {
            "labels": {"app.kubernetes.io/instance": "shop"},
            "managedFields": [{"manager": "argocd-controller"}, {"manager": "kubectl"}],
        },
        "Argo CD (shop)",
    ),
    "Flux": ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}, "Flux (shop)"),
}


@pytest.mark.parametrize("name", MANAGED)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_managed_secret_is_changed_only_by_force(name: str, state: str, cluster: Cluster) -> None:
    metadata, owner = MANAGED[name]
    found = given("plain")
    found["metadata"].update(metadata)
    cluster.store.put(found)
    for check_mode in (True, False):
        refused = cluster(state=state, _ansible_check_mode=check_mode)
        assert refused["error_class"] == "denied"
        assert f"is managed by {owner}, which would undo" in refused["msg"]
        assert "force (zot_pull_secret_force)" in refused["msg"]
    assert cluster.store.writes == []
    assert cluster(state=state, force=True)["action"] == "merge"
    # Nothing to do is no change.
    assert cluster(state=state)["changed"] is False


def test_a_label_that_people_use_too_is_no_manager(cluster: Cluster) -> None:
    found = given("plain")
    found["metadata"]["labels"] = {"app.kubernetes.io/instance": "shop"}
    found["metadata"]["managedFields"] = [{"manager": "kubectl-create"}]
    cluster.store.put(found)
    assert cluster()["action"] == "merge"


class TestFinalizer:
    """A secret that is not removed at once."""

    @pytest.fixture
    def held(self, cluster: Cluster) -> Cluster:
        found = given("immutable")
        found["metadata"]["finalizers"] = ["example.com/hold"]
        cluster.store.put(found)
        return cluster

    def test_is_waited_for_within_the_limit(self, held: Cluster) -> None:
        failed = held()
        assert "its finalizers are: example.com/hold" in failed["msg"]
        assert failed["retryable"] is True
        assert {"ghcr.io", "https://quay.io/v2/"} <= held.auths(COPY).keys()
        # The next run waits for the same deletion.
        assert "example.com/hold" in held()["msg"]
        del held.store.objects["secrets", NAME]
        assert held()["action"] == "create"
        assert held.auths() == {"ghcr.io": GHCR, "https://quay.io/v2/": QUAY, REGISTRY: json.dumps(NEW)}

    def test_that_ends_in_time(self, held: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(room, "_LONGEST_DELETION", 10)
        reads = 0

        class Store(SecretStore):
            def __call__(self, request: Request) -> tuple[int, t.Any]:
                nonlocal reads
                found = self.secret()
                if found and found["metadata"].get("deletionTimestamp"):
                    reads += 1
                    if reads == 3:
                        del self.objects["secrets", NAME]
                return super().__call__(request)

        held.store.__class__ = Store
        assert held()["action"] == "replace"
        assert held.auths().keys() == {"ghcr.io", "https://quay.io/v2/", REGISTRY}


class TestRefusals:
    """What the module does not do."""

    def test_another_use_of_the_secret(self, cluster: Cluster) -> None:
        cluster.store.put({**given("plain"), "type": "kubernetes.io/tls"})
        failed = cluster(force=True)
        assert "kubernetes.io/tls" in failed["msg"]
        assert "zot_pull_secret_name" in failed["msg"]

    def test_another_secret_with_the_name_of_the_copy(self, cluster: Cluster) -> None:
        cluster.store.put(given("immutable"))
        cluster.store.put(secret(COPY, DOCUMENT))
        assert COPY in cluster()["msg"]
        assert cluster.store.writes == []

    @pytest.mark.parametrize("name", ["pull_username", "pull_password"])
    @pytest.mark.parametrize("value", [12345, True, 1.5])
    def test_a_value_that_is_not_text(self, name: str, value: t.Any, cluster: Cluster) -> None:
        """YAML reads 0012345 as the number 5349."""
        failed = cluster(**{name: value})
        assert f"{name} (zot_{'pull_secret_' + name[5:]}) is not text" in failed["msg"]
        assert "12345" not in failed["msg"].replace("0012345", "")

    def test_no_credentials(self, cluster: Cluster) -> None:
        """Then only the service accounts can change."""
        none = {"pull_username": None, "pull_password": None}
        failed = cluster(**none)
        assert "pull_username and pull_password" in failed["msg"]
        assert "zot_pull_secret_username" in failed["msg"]
        cluster.store.put(given("plain"))
        cluster.store.put(service_account("default"))
        done = cluster(**none, service_accounts=["default"])
        assert (done["action"], done["service_accounts"]) == ("none", ["default"])
        assert cluster.auths()[REGISTRY] == json.dumps(OLD)

    def test_a_refused_creation_after_the_deletion(self, cluster: Cluster) -> None:
        """The error says that nothing is lost, and hides what a webhook quotes."""
        cluster.store.put(given("immutable"))
        quoted: list[str] = []

        def refuse(request: Request) -> tuple[int, t.Any] | None:
            if request.verb == "POST" and request.body["metadata"].get("name") == NAME:
                data = request.body["data"][".dockerconfigjson"]
                quoted.append(data)
                return status(403, "Forbidden", f"webhook denied {data} {base64.b64decode(data).decode()}")
            return None

        cluster.store.before = refuse
        failed = cluster()
        assert failed["error_class"] == "denied"
        assert quoted[0] not in failed["msg"]
        assert "creates the secret with all its entries" in failed["msg"]
        cluster.store.before = lambda _request: None
        assert cluster()["action"] == "create"
        assert cluster.auths().keys() == {"ghcr.io", "https://quay.io/v2/", REGISTRY}

    def test_a_service_account_that_does_not_exist(self, cluster: Cluster) -> None:
        failed = cluster(service_accounts=["typo"])
        assert "the service account typo does not exist" in failed["msg"]


def test_names_of_the_full_length(cluster: Cluster) -> None:
    name = ".".join(["a" * 60] * 4) + ".bbbbbbbbb"
    assert len(name) == 253
    cluster.store.put({**given("immutable"), "metadata": {"name": name}})
    assert cluster(name=name)["action"] == "replace"
    assert [each for _resource, each in cluster.store.objects] == [name]


def test_absent_keeps_a_secret_with_anything_else(cluster: Cluster) -> None:
    for document, more, action in (
        (OURS_ONLY, {}, "delete"),
        (json.dumps({"auths": {REGISTRY: OLD}, "HttpHeaders": {"a": "b"}}), {}, "merge"),
        (json.dumps({"auths": {REGISTRY: OLD, f"{REGISTRY}/team": OLD}}), {}, "merge"),
        (OURS_ONLY, {"more": "eA=="}, "merge"),
        ("not JSON", {}, "none"),
        (json.dumps({"auths": {"x": 1}}), {}, "none"),
    ):
        found = secret(NAME, document)
        found["data"].update(more)
        cluster.store.put(found)
        cluster.store.put(service_account("default", NAME))
        done = cluster(state="absent", service_accounts=["default"])
        assert done["action"] == action, document
        assert done["service_accounts"] == (["default"] if action == "delete" else [])


class TestLimits:
    """Every request ends."""

    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cluster_api, "_TIMEOUT", 0.3)
        monkeypatch.setattr(cluster_api, "_RETRY_AFTER", 0.05)

    def test_a_limit_of_the_rate(self, cluster: Cluster) -> None:
        cluster.store.put(given("plain"))
        answers = [status(429, "TooManyRequests", "slow down")]
        cluster.store.before = lambda _request: answers.pop() if answers else None
        cluster.server.headers = {"Retry-After": "20"}
        assert cluster()["action"] == "merge"
        answers[:] = [status(429, "TooManyRequests", "slow down")] * 9
        failed = cluster(state="absent")
        assert (failed["error_class"], failed["retryable"]) == ("rate_limited", True)

    @pytest.mark.parametrize("answer", ["hangs", "page", 503, "dropped"])
    def test_a_write_without_an_answer(self, answer: t.Any, cluster: Cluster) -> None:
        """It may have been processed, so it is not repeated: the next run finds out."""
        cluster.store.put(given("plain"))

        def respond(_request: Request) -> tuple[int, t.Any] | None:
            if answer == "hangs":
                time.sleep(1.5)
            page = "<!DOCTYPE html><title>Sign in</title>"
            return {"page": (200, page), 503: (503, page), "dropped": (0, "")}.get(answer)

        cluster.store.before = respond
        started = time.monotonic()
        failed = cluster()
        assert time.monotonic() - started < 1.2
        assert failed["msg"].startswith("cannot patch secrets/zot-pull-secret in namespace openclaw: ")
        assert "\n" not in failed["msg"]

    def test_conflicts_without_end(self, cluster: Cluster) -> None:
        cluster.store.put(given("plain"))
        cluster.store.before = lambda _request: status(409, "Conflict", "the object has been modified")
        failed = cluster()
        assert "the object has been modified" in failed["msg"]
        assert failed["retryable"] is True
