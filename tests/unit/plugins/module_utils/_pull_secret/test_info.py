# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict on a pull secret, from main() down: a cluster and a registry in memory."""

from __future__ import annotations

import base64
import copy
import functools
import json
import time
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("ansible_collections.kubernetes.core", reason="the collection kubernetes.core is not installed")

from ansible_collections.killinit.zot.plugins.module_utils._pull_secret import state
from ansible_collections.killinit.zot.plugins.module_utils._registry import runner as runner_file
from ansible_collections.killinit.zot.plugins.modules import zot_pull_secret_info
from ansible_collections.killinit.zot.tests.unit import pull_scene
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.pull_scene import service_account
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys

REGISTRY = "oci.killinit.cc"
REPOSITORY = f"{REGISTRY}/openclaw/openclaw"
SECRET = "secret zot-pull-secret in namespace openclaw"
CAPTURED = json.loads((Path(__file__).parents[3] / "captured_cluster.json").read_text(encoding="utf-8"))
PASSWORD = "password-of-the-pods"
NEW = {"repair_username": "puller", "repair_password": "new-password"}
Result = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


secret = functools.partial(pull_scene.secret, "zot-pull-secret")


def entry(username: str = "puller", password: str = PASSWORD) -> dict[str, str]:
    return pull_scene.entry(username, password)


def workload(
    name: str = "openclaw", image: str = f"{REPOSITORY}:latest", kind: str = "Deployment", **specification: t.Any
) -> dict[str, t.Any]:
    template = {"spec": {"containers": [{"name": "app", "image": image}], **specification}}
    spec = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    return {"kind": kind, "metadata": {"name": name, "namespace": "openclaw"}, "spec": spec}


NAMED = {"imagePullSecrets": [{"name": "zot-pull-secret"}]}
GOOD = secret({REGISTRY: entry()})


class Scene:
    """Runs the module on *objects*; *users* are the accounts of the registry, with what happens to any other."""

    def __init__(self, run: t.Any, fake: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._run = run
        self._answer = fake.run
        self._patch = monkeypatch
        self.fake = fake
        self.users = {"puller": PASSWORD}
        self.refusals: dict[str, str] = {}
        self.tried: list[tuple[str, str]] = []
        self.cluster = FakeCluster()
        fake.run = self._checked
        fake.put("openclaw/openclaw", "latest")

    def __call__(
        self, *objects: t.Mapping[str, t.Any] | None, refused: t.Collection[str] = (), **options: t.Any
    ) -> Result:
        self.cluster = FakeCluster(*[each for each in objects if each], refused=refused)
        self._patch.setattr(zot_pull_secret_info, "connect", lambda _module: self.cluster)
        shared = {"registry": REGISTRY, "username": None, "password": None, "retries": None, "namespace": "openclaw"}
        result: Result = self._run(zot_pull_secret_info.main, **{**shared, **options})
        assert wrong_keys(zot_pull_secret_info.RETURN, result) == []
        output = json.dumps(result)
        for hidden in (PASSWORD, "new-password", encoded(f"puller:{PASSWORD}"), encoded("puller:new-password")):
            assert hidden not in output
        return result

    def _checked(self, command: t.Sequence[str], environment: t.Mapping[str, str], largest: int) -> t.Any:
        """The registry, with accounts."""
        auths = json.loads(Path(environment["DOCKER_CONFIG"], "config.json").read_text())["auths"]
        username, _colon, password = base64.b64decode(auths[REGISTRY]["auth"]).decode().partition(":")
        self.tried.append((username, command[-1]))
        scenario = self.refusals.get(username) or ("" if self.users.get(username) == password else "bad-password")
        if scenario:
            self.fake.fail("digest", command[-1], scenario)
        return self._answer(command, environment, largest)


@pytest.fixture
def scene(run_module: t.Any, fake: t.Any, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(run_module, fake, monkeypatch)


def checks(result: Result) -> dict[str, Result]:
    """The last check of each name."""
    return {check["check"]: check for check in result["checks"]}


def assert_verdict(result: Result, check: str, verdict: str, *facts: str) -> None:
    found = checks(result)[check]
    assert found["verdict"] == verdict, found
    for fact in facts:
        assert fact in found["reason"]
    assert result["ok"] is all(each["verdict"] == "ok" for each in result["checks"])
    assert bool(result["problems"]) is not result["ok"]


def test_everything_is_ok(scene: Scene) -> None:
    result = scene(GOOD, workload(**NAMED), service_account())
    assert [check["check"] for check in result["checks"]] == [
        "exists",
        "type",
        "json",
        "entry",
        "auth",
        "read",
        "named",
    ]
    assert {check["verdict"] for check in result["checks"]} == {"ok"}
    assert {check["remedy"] for check in result["checks"]} == {""}
    assert {name: value for name, value in result.items() if name != "checks"} == {
        "changed": False,
        "ok": True,
        "problems": [],
        "unreadable": [],
        "namespace": "openclaw",
        "name": "zot-pull-secret",
        "registry": REGISTRY,
        "cluster": "https://cluster.example:6443",
        "account": "puller",
        "key": None,
        "key_label": None,
        "usable": True,
        "repair": {"action": "none", "changes": [], "service_accounts": []},
    }


def test_captured_workloads(scene: Scene) -> None:
    """A Deployment with an init container and an image volume, a StatefulSet and a DaemonSet."""
    objects = copy.deepcopy(CAPTURED["fresh"]["workloads"])
    for repository in ("openclaw/tool", "openclaw/workspace"):
        scene.fake.put(repository, "latest")
    result = scene(GOOD, service_account("default", "zot-pull-secret"), *objects)
    assert result["ok"]
    repositories = [each["resource"] for each in result["checks"] if each["check"] == "read"]
    assert repositories == [f"{REGISTRY}/openclaw/{name}" for name in ("openclaw", "tool", "workspace")]
    named = [each["resource"] for each in result["checks"] if each["check"] == "named"]
    assert named == ["deployment/openclaw", "statefulset/stateful", "daemonset/daemon"]


def test_a_cron_job_is_a_workload(scene: Scene) -> None:
    result = scene(GOOD, service_account(), workload("nightly", kind="CronJob"))
    assert checks(result)["named"]["resource"] == "cronjob/nightly"
    assert_verdict(result, "named", "failed", "cronjob/nightly", "service account default")
    assert result["repair"]["service_accounts"] == ["default"]


@pytest.mark.parametrize(
    ("objects", "check", "verdict", "facts"),
    [
        pytest.param([None], "exists", "failed", [SECRET, "does not exist"], id="missing"),
        pytest.param([None], "read", "unknown", [SECRET], id="not probed"),
        pytest.param([secret({}, kind="Opaque")], "type", "failed", [SECRET, "Opaque"], id="Opaque"),
        pytest.param([secret("x")], "json", "failed", [SECRET, "not JSON"], id="not JSON"),
        pytest.param([secret({"a.b": entry()})], "entry", "failed", [SECRET, REPOSITORY, "a.b"], id="another host"),
        pytest.param([secret({})], "entry", "failed", [SECRET, REPOSITORY], id="no entry"),
        pytest.param([secret({})], "auth", "unknown", [SECRET], id="no entry to check"),
        pytest.param([secret({REGISTRY: {}})], "auth", "failed", [SECRET, "no user name"], id="empty entry"),
        pytest.param([secret({REGISTRY: {}})], "read", "unknown", [SECRET], id="no account"),
        pytest.param(
            [secret({REGISTRY: {**entry(), "username": "you"}})], "auth", "failed", [SECRET, REGISTRY], id="auth"
        ),
    ],
)
def test_faults_of_the_secret(
    objects: list[Result | None], check: str, verdict: str, facts: list[str], scene: Scene
) -> None:
    result = scene(*objects, workload(**NAMED), service_account())
    assert_verdict(result, check, verdict, *facts)
    assert ("zot_pull_secret_repair=true" in checks(result)[check]["remedy"]) is (verdict == "failed")
    assert result["repair"]["action"] != "none"
    assert "zot_username" not in json.dumps(result)


OTHER = {"imagePullSecrets": [{"name": "x"}]}


@pytest.mark.parametrize(
    ("pod", "accounts", "verdict", "fact"),
    [
        ({}, [service_account()], "failed", "neither deployment/openclaw nor its service account default"),
        ({}, [service_account("default", "zot-pull-secret")], "ok", "the service account default"),
        ({}, [], "failed", "service account default does not exist"),
        # The secrets of a pod replace those of its service account.
        ({**OTHER, "serviceAccountName": "own"}, [service_account("own", "zot-pull-secret")], "failed", "ignored"),
        (OTHER, [service_account()], "failed", "names the pull secrets x"),
    ],
)
def test_who_names_the_secret(pod: Result, accounts: list[Result], verdict: str, fact: str, scene: Scene) -> None:
    result = scene(GOOD, workload(**pod), *accounts)
    assert_verdict(result, "named", verdict, fact)
    assert bool(checks(result)["named"]["remedy"]) is (verdict == "failed")


class TestOtherSecrets:
    """The other pull secrets that a pod names: kubelet uses none of them if it cannot read one."""

    PASTED: t.ClassVar = {"ghcr.io": {"auth": "ghp_sometoken"}}
    BOTH: t.ClassVar = {"imagePullSecrets": [{"name": "zot-pull-secret"}, {"name": "ghcr"}]}

    other = staticmethod(functools.partial(pull_scene.secret, "ghcr"))

    def gets(self, scene: Scene) -> list[str]:
        return [subject for verb, subject, _namespace in scene.cluster.requests if verb == "get"]

    @pytest.mark.parametrize("of_pod", [True, False], ids=["pod", "service account"])
    def test_one_that_kubelet_cannot_read(self, of_pod: bool, scene: Scene) -> None:
        pods = [workload(name, **self.BOTH if of_pod else {}) for name in ("a", "b")]
        result = scene(GOOD, self.other(self.PASTED), *pods, service_account("default", "zot-pull-secret", "ghcr"))
        assert_verdict(result, "named", "failed", "deployment/b", "but also ghcr", "not base64", "ignores all")
        assert "ghcr" in checks(result)["named"]["remedy"]
        assert "zot_pull_secret_repair" not in checks(result)["named"]["remedy"]
        assert "ghp_sometoken" not in json.dumps(result)
        assert result["repair"]["action"] == "none"
        assert self.gets(scene) == ["secrets/zot-pull-secret", "secrets/ghcr"]

    def test_the_service_account_would_get_the_secret_beside_it(self, scene: Scene) -> None:
        """The repair adds the pull secret, but that is not enough."""
        result = scene(
            GOOD, self.other(self.PASTED), workload(), service_account("default", "ghcr"), assume_repaired=True
        )
        assert_verdict(result, "named", "failed", "service account default", "ghcr")

    def test_those_that_do_no_harm(self, scene: Scene) -> None:
        """They do not exist, are valid, of a type that kubelet ignores, or cannot be read by the user."""
        valid, opaque = self.other({"ghcr.io": entry()}), self.other("not JSON", kind="Opaque")
        assert scene(GOOD, workload(**self.BOTH))["ok"]
        assert scene(GOOD, workload(**self.BOTH), valid)["ok"]
        assert scene(GOOD, workload(**self.BOTH), opaque)["ok"]
        # The Role in the README grants only the pull secret.
        result = scene(GOOD, self.other(self.PASTED), workload(**self.BOTH), refused=["secrets/ghcr"])
        assert (result["ok"], result["unreadable"]) == (True, [])

    def test_one_of_a_name_that_no_secret_can_have(self, scene: Scene) -> None:
        names = {"imagePullSecrets": [{"name": "zot-pull-secret"}, {"name": "../x"}]}
        assert scene(GOOD, workload(**names))["ok"]
        assert self.gets(scene) == ["secrets/zot-pull-secret"]

    def test_only_those_of_workloads_that_use_the_registry_are_read(self, scene: Scene) -> None:
        pods = [workload(**NAMED), workload("other", "quay.io/x:1", **self.BOTH)]
        assert scene(GOOD, *pods, service_account("unused", "ghcr"), service_account("default", "ghcr"))["ok"]
        assert self.gets(scene) == ["secrets/zot-pull-secret"]


@pytest.mark.parametrize(
    ("refused", "unknown"),
    [
        (["secrets"], {"exists", "type", "json", "entry", "auth", "read"}),
        (["deployments", "statefulsets", "daemonsets", "cronjobs"], {"read", "named"}),
        (["serviceaccounts"], {"named"}),
    ],
    ids=["secret", "workloads", "service accounts"],
)
def test_what_cannot_be_read_is_unknown(refused: list[str], unknown: set[str], scene: Scene) -> None:
    """It is named, with the API's own words in C(unreadable), and is no reason to repair anything."""
    result = scene(GOOD, workload(), service_account("default", "zot-pull-secret"), refused=refused)
    assert {check["check"] for check in result["checks"] if check["verdict"] == "unknown"} == unknown
    assert not result["ok"]
    assert [each["resource"].partition("/")[0] for each in result["unreadable"]] == refused
    for each in result["unreadable"]:
        assert f'User "ops" cannot {each["verb"]}' in each["message"]
        assert len([text for text in result["problems"] if f"{each['verb']} {each['resource']}" in text]) == 1
    assert result["repair"]["action"] == "none"
    assert result["repair"]["service_accounts"] == []


def test_a_user_without_rights_is_one_problem(scene: Scene) -> None:
    """It names all that must be granted, once."""
    kinds = ["deployments", "statefulsets", "daemonsets", "cronjobs"]
    result = scene(GOOD, workload(), service_account(), refused=["secrets", *kinds, "serviceaccounts"])
    assert len(result["unreadable"]) == 6
    (problem,) = result["problems"]
    assert problem.count('User "ops"') == 1
    for right in ("get secrets/zot-pull-secret", *(f"list {kind}" for kind in kinds), "list serviceaccounts"):
        assert right in problem
    assert {check["verdict"] for check in result["checks"]} == {"unknown"}


def test_one_kind_that_cannot_be_read_does_not_hide_the_others(scene: Scene) -> None:
    result = scene(GOOD, workload(**NAMED), refused=["cronjobs"])
    assert [check["verdict"] for check in result["checks"] if check["check"] == "read"] == ["unknown", "ok"]
    assert not result["ok"]


class TestElsewhere:
    """The namespaces that have a secret of the same name."""

    OTHER: t.ClassVar = {**GOOD, "metadata": {"name": "zot-pull-secret", "namespace": "prod"}}

    def test_metadata_are_read_and_only_if_the_secret_is_missing(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whole Secrets of other namespaces never leave the API server."""
        queries = []
        listed = FakeCluster.list

        def spy(cluster: FakeCluster, resource: str, namespace: str | None = None, **query: t.Any) -> t.Any:
            if resource == "secrets":
                queries.append((namespace, query))
            return listed(cluster, resource, namespace, **query)

        monkeypatch.setattr(FakeCluster, "list", spy)
        assert scene(GOOD, self.OTHER, workload(**NAMED))["ok"]
        assert queries == []
        result = scene(self.OTHER, workload(**NAMED))
        assert queries == [(None, {"fields": ["metadata.name=zot-pull-secret"], "metadata_only": True})]
        assert_verdict(result, "exists", "failed", "exists in prod")

    def test_the_right_to_list_them_is_optional(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(FakeCluster, "get", lambda *_arguments: None)
        result = scene(workload(**NAMED), refused=["secrets"])
        assert_verdict(result, "exists", "failed", "could not be searched")
        assert result["unreadable"] == []


class TestRead:
    """What the registry answers to the accounts of the secret."""

    @pytest.mark.parametrize(
        ("scenario", "verdict", "error_class"),
        [
            ("bad-password", "failed", "unauthorized"),
            ("reader-pushes", "failed", "denied"),
            ("connection-refused", "unknown", "unavailable"),
            ("unknown-authority", "unknown", "tls"),
            ("rate-limit", "unknown", "rate_limited"),
        ],
    )
    def test_refusals(self, scenario: str, verdict: str, error_class: str, scene: Scene) -> None:
        scene.refusals["puller"] = scenario
        result = scene(GOOD, workload(**NAMED))
        assert_verdict(result, "read", verdict, REGISTRY, "puller")
        found = checks(result)["read"]
        assert (found["resource"], found["error_class"]) == (REPOSITORY, error_class)
        assert found["remedy"]
        assert (result["repair"]["action"] == "merge") is (verdict == "failed")

    def test_an_image_that_does_not_exist(self, scene: Scene) -> None:
        result = scene(GOOD, workload(image=f"{REPOSITORY}:gone", **NAMED))
        assert_verdict(result, "read", "failed", f"{REPOSITORY}:gone does not exist", "puller")
        assert checks(result)["read"]["error_class"] == "not_found"
        assert result["repair"]["action"] == "none"

    def test_one_account_that_can_read_is_enough(self, scene: Scene) -> None:
        """As kubelet does: the longest key first, and the next after a refusal."""
        scene.users["other"] = "that-of-the-other"
        given = secret({REGISTRY: entry(password="old"), "*.killinit.cc": entry("other", "that-of-the-other")})
        result = scene(given, workload(**NAMED))
        assert_verdict(result, "read", "ok", "other", "*.killinit.cc")
        assert [user for user, _image in scene.tried] == ["puller", "other"]
        assert result["account"] == "puller"

    @pytest.mark.parametrize(
        "bad", [{"username": "other"}, {**entry(), "username": "you"}], ids=["incomplete", "contradictory"]
    )
    @pytest.mark.parametrize("key", ["*.killinit.cc", f"{REGISTRY}/openclaw"])
    def test_a_bad_entry_beside_a_good_one(self, key: str, bad: Result, scene: Scene) -> None:
        """Kubelet tries both, so the pods can pull."""
        given = secret({key: bad, REGISTRY: entry()})
        result = scene(given, workload(**NAMED))
        assert_verdict(result, "auth", "ok", f"the user puller (entry {REGISTRY})")
        assert key not in checks(result)["auth"]["reason"]
        assert (result["ok"], result["repair"]["action"]) == (True, "none")

    def test_a_bad_entry_for_one_of_two_repositories(self, scene: Scene) -> None:
        """The good entry is for another repository."""
        scene.fake.put("demo/app", "1")
        given = secret({f"{REGISTRY}/openclaw": {}, f"{REGISTRY}/demo": entry()})
        result = scene(given, workload(**NAMED), workload("demo", f"{REGISTRY}/demo/app:1", **NAMED))
        assert_verdict(result, "auth", "failed", f"the entry {REGISTRY}/openclaw has no user name")

    def test_an_account_without_the_right_says_more_than_one_that_is_unknown(self, scene: Scene) -> None:
        scene.refusals["reader"] = "reader-pushes"
        entries = {f"{REGISTRY}/openclaw": entry("reader"), REGISTRY: entry("nobody")}
        result = scene(secret(entries), workload(**NAMED))
        assert_verdict(result, "read", "failed", "reader", "nobody")
        assert checks(result)["read"]["error_class"] == "denied"

    def test_every_image_is_probed_once_without_a_pull(self, scene: Scene) -> None:
        scene.fake.put("openclaw/openclaw", "other")
        pods = [workload("a"), workload("b"), workload("c", f"{REPOSITORY}:other"), workload("d", "quay.io/x:1")]
        result = scene(GOOD, service_account("default", "zot-pull-secret"), *pods)
        assert result["ok"]
        assert sorted(scene.tried) == [("puller", f"{REPOSITORY}:latest"), ("puller", f"{REPOSITORY}:other")]
        assert {command[1] for command in scene.fake.commands} == {"digest"}

    def test_the_account_of_the_operator_is_not_used(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZOT_USERNAME", "pusher")
        monkeypatch.setenv("ZOT_PASSWORD", "push-password")
        scene.users["pusher"] = "push-password"
        result = scene(secret({REGISTRY: entry(password="old")}), workload(**NAMED))
        assert_verdict(result, "read", "failed", "puller")
        assert {user for user, _image in scene.tried} == {"puller"}
        assert "pusher" not in json.dumps(result)


class TestHangingRegistry:
    """A registry that hangs is an answer, and ends."""

    @pytest.fixture(autouse=True)
    def _hangs(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.timeouts: list[int] = []

        def hang(runner: t.Any, command: t.Sequence[str], _what: str, *more: t.Any) -> t.Any:
            self.timeouts.append(runner._timeout)
            time.sleep(0.2)  # in place of the time limit
            scene.fake.fail("digest", command[-1], "connection-refused")
            return scene._answer(command, *more)

        monkeypatch.setattr(runner_file.Runner, "_done", hang)
        monkeypatch.setattr(state, "LAST_START", 0.5)

    def test_all_probes_end(self, scene: Scene) -> None:
        """However many images and accounts there are."""
        entries = {f"{REGISTRY}/{'openclaw'[:length]}": entry(f"user-{length}") for length in range(1, 9)}
        pods = [workload(f"app-{number}", f"{REPOSITORY}-{number % 40}:{number}", **NAMED) for number in range(400)]
        result = scene(secret(entries), *pods)
        # 16 at once until the last start, each of which takes 0.2 seconds.
        assert len(self.timeouts) < 100
        assert max(self.timeouts) <= 15
        found = [check for check in result["checks"] if check["check"] == "read"]
        assert len(found) == 40
        assert {(check["verdict"], check["error_class"]) for check in found} == {("unknown", "unavailable")}
        assert result["repair"]["action"] == "none"

    def test_a_shorter_time_limit_counts(self, scene: Scene) -> None:
        scene(GOOD, workload(**NAMED), registry_timeout=3)
        assert self.timeouts == [3]


class TestScope:
    """What the options select."""

    def test_names_in_any_spelling_of_kubectl(self, scene: Scene) -> None:
        others = [workload("other"), workload("third")]
        for names in (["Deployment/openclaw"], ["deploy/openclaw"], "deployment/openclaw", " deployment/openclaw ,"):
            result = scene(GOOD, service_account(), workload(**NAMED), *others, workloads=names)
            assert [each["resource"] for each in result["checks"] if each["check"] == "named"] == [
                "deployment/openclaw"
            ]
            assert result["ok"]
        pods = [workload("a", **NAMED), workload("b", **NAMED), workload("c")]
        assert scene(GOOD, *pods, workloads="deployment/a, Deployment/b")["ok"]

    def test_selectors(self, scene: Scene) -> None:
        labelled = workload("a", **NAMED)
        labelled["metadata"]["labels"] = {"app": "a"}
        assert scene(GOOD, labelled, workload("b"), service_account(), label_selectors=["app=a"])["ok"]

    def test_a_workload_that_does_not_exist(self, scene: Scene) -> None:
        result = scene(GOOD, workload(**NAMED), workloads=["deployment/openclaw", "statefulset/gone"])
        missing = [each for each in result["checks"] if each["verdict"] == "failed"]
        assert [each["resource"] for each in missing] == ["statefulset/gone"]
        assert "namespace openclaw" in missing[0]["reason"]

    @pytest.mark.parametrize(
        ("objects", "options", "facts"),
        [
            ([], {"namespace": "openclwa"}, ["openclwa"]),
            ([workload("a", "quay.io/x:1")], {}, ["openclaw", REGISTRY]),
            ([workload()], {"label_selectors": ["app=none", "tier=web"]}, ["openclaw", "app=none, tier=web"]),
            ([workload()], {"workloads": ["deployment/gone"]}, ["openclaw", "deployment/gone"]),
            ([workload()], {"registry": "oci.example.com"}, ["oci.example.com"]),
        ],
        ids=["namespace", "no image of the registry", "selectors", "workload", "registry"],
    )
    def test_a_scope_in_which_nothing_is_found_is_an_error(
        self, objects: list[Result], options: Result, facts: list[str], scene: Scene
    ) -> None:
        result = scene(GOOD, *objects, service_account(), **options)
        assert result["failed"]
        assert "ok" not in result
        for fact in facts:
            assert fact in result["msg"]

    def test_a_malformed_selector_is_an_error(self, scene: Scene) -> None:
        result = scene(GOOD, workload(), service_account(), label_selectors=["=web"])
        assert result["failed"]
        assert "namespace openclaw: unable to parse requirement" in result["msg"]

    def test_images_before_the_first_workload(self, scene: Scene) -> None:
        result = scene(GOOD, service_account(), images=["openclaw/openclaw:latest"])
        assert_verdict(result, "read", "ok", f"{REPOSITORY}:latest")
        result = scene(GOOD, service_account(), images=f"{REPOSITORY}:latest,{REPOSITORY}:gone")
        assert_verdict(result, "read", "failed", f"{REPOSITORY}:gone")
        assert scene(images=["openclaw/openclaw:latest"])["repair"]["action"] == "create"

    @pytest.mark.parametrize(
        ("options", "fact"),
        [
            ({"workloads": ["openclaw"]}, "deployment/openclaw"),
            ({"workloads": ["pod/openclaw"]}, "pod"),
            ({"workloads": ["deployment/x;reboot"]}, "x;reboot"),
            ({"namespace": "Open_claw"}, "Open_claw"),
            ({"name": "../x"}, "../x"),
            ({"images": ["quay.io/x:1"]}, "quay.io/x:1"),
            ({"images": ["openclaw/openclaw:a:b"]}, "a:b"),
            ({"registry": "https://oci.killinit.cc"}, "https://oci.killinit.cc"),
        ],
    )
    def test_invalid_options_are_refused_before_anything_is_read(
        self, options: Result, fact: str, scene: Scene
    ) -> None:
        result = scene(GOOD, workload(**NAMED), **options)
        assert (result["failed"], result["error_class"]) == (True, "invalid_option")
        assert fact in result["msg"]
        assert scene.cluster.requests == []

    def test_no_registry(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        result = scene(GOOD, workload(**NAMED), registry=None)
        assert result["failed"]
        for name in ("registry (option)", "zot_registry", "ZOT_REGISTRY"):
            assert name in result["msg"]
        monkeypatch.setenv("ZOT_REGISTRY", REGISTRY)
        assert scene(GOOD, workload(**NAMED), registry=None)["registry"] == REGISTRY


OLD = entry(password="old")
OLDER = {"kind": "kubernetes.io/dockercfg", "field": ".dockercfg"}
UPDATED, ADDED = f"{REGISTRY}: credentials updated", f"{REGISTRY}: added"
# For a secret: the action and the changes.
REPAIRS: dict[str, tuple[Result | None, str, list[str]]] = {
    "no secret": (None, "create", [ADDED]),
    "another registry": (secret({"quay.io": OLD, REGISTRY: {}}), "merge", [UPDATED]),
    # Kubelet tries the next entry if the registry refuses one.
    "wrong password": (secret({f"{REGISTRY}/openclaw": OLD}), "merge", [ADDED]),
    "another spelling": (secret({f"https://{REGISTRY}/v2/": OLD}), "merge", [UPDATED]),
    # It may be for other registries, too. The entry that a repair adds is enough.
    "wildcard": (secret({"*.killinit.cc": {"username": "reader"}}), "merge", [ADDED]),
    "unreadable entry": (secret({"x": 1, "quay.io": OLD}), "merge", ["x: removed", ADDED]),
    "Opaque": (secret({"quay.io": OLD}, kind="Opaque"), "replace", [ADDED]),
    "Opaque without JSON": (secret("no JSON", kind="Opaque"), "replace", [ADDED]),
    "dockercfg": (secret({"quay.io": OLD}, **OLDER), "replace", [ADDED]),
    "immutable": (secret({"quay.io": OLD}, immutable=True), "replace", [ADDED]),
}


class TestRepair:
    """What has to be written, and the verdict on what will then exist."""

    def predicted(self, scene: Scene, *objects: Result | None, **options: t.Any) -> tuple[Result, Result]:
        """What is to be repaired, and the verdict afterwards."""
        scene.users["puller"] = NEW["repair_password"]
        before = scene(*objects, **options, **NEW)
        after = scene(*objects, **options, **NEW, assume_repaired=True)
        assert after["repair"] == {"action": "none", "changes": [], "service_accounts": []}
        return before["repair"], after

    @pytest.mark.parametrize("case", REPAIRS)
    def test_of_the_secret(self, case: str, scene: Scene) -> None:
        given, action, changes = REPAIRS[case]
        repair, after = self.predicted(scene, given, workload(**NAMED))
        assert repair["action"] == action
        assert repair["changes"] == [f"entry {each}" for each in changes]
        assert (after["ok"], after["account"]) == (True, "puller")

    def test_a_valid_entry_for_a_part_of_the_registry_is_kept(self, scene: Scene) -> None:
        scene.users["part"] = "of-the-part"
        scene.fake.put("demo/app", "1")
        given = secret({f"{REGISTRY}/demo": entry("part", "of-the-part"), REGISTRY: entry(password="old")})
        pods = [workload(**NAMED), workload("demo", f"{REGISTRY}/demo/app:1", **NAMED)]
        repair, after = self.predicted(scene, given, *pods)
        assert repair["changes"] == [f"entry {REGISTRY}: credentials updated"]
        assert after["ok"]

    @pytest.mark.parametrize("kind", ["kubernetes.io/tls", "helm.sh/release.v1", "kubernetes.io/service-account-token"])
    def test_a_secret_that_something_else_uses(self, kind: str, scene: Scene) -> None:
        """A repair would take it from its user. Workloads that do not name it do not get it, either."""
        given = secret("a certificate", kind=kind, field="tls.crt")
        for pod in (workload(), workload(**NAMED)):
            result = scene(given, pod, service_account(), **NEW)
            assert_verdict(result, "type", "failed", SECRET, kind)
            assert "zot_pull_secret_name" in checks(result)["type"]["remedy"]
            assert not [text for text in result["problems"] if kind in text and "zot_pull_secret_repair" in text]
            assert checks(result)["read"]["verdict"] == "unknown"
            assert (result["repair"]["action"], result["repair"]["service_accounts"]) == ("none", [])

    def test_a_valid_secret_of_the_older_type_is_kept(self, scene: Scene) -> None:
        given = secret({REGISTRY: entry()}, **OLDER)
        result = scene(given, workload(**NAMED))
        assert (result["ok"], result["repair"]["action"]) == (True, "none")

    @pytest.mark.parametrize("immutable", [False, True])
    def test_the_same_account_is_not_written_again(self, immutable: bool, scene: Scene) -> None:
        """It would change nothing, and replacing an immutable secret in every run would never end."""
        auth = encoded(":".join(NEW.values()))
        same = {"username": NEW["repair_username"], "password": NEW["repair_password"], "auth": auth}
        result = scene(secret({REGISTRY: same}, immutable=immutable), workload(**NAMED), **NEW)
        assert_verdict(result, "read", "failed")
        assert result["repair"]["action"] == "none"

    def test_the_service_accounts_of_workloads_without_pull_secrets(self, scene: Scene) -> None:
        accounts = [service_account("default", "other"), service_account("own"), service_account("unused")]
        pods = [workload(), workload("named", serviceAccountName="own", **NAMED)]
        repair, after = self.predicted(scene, secret({REGISTRY: entry(password="new-password")}), *pods, *accounts)
        assert repair["action"] == "none"
        assert repair["service_accounts"] == ["default"]
        assert after["ok"]

    def test_a_service_account_needs_no_account_of_the_registry(self, scene: Scene) -> None:
        result = scene(GOOD, workload(), service_account(), assume_repaired=True)
        assert result["ok"]

    def test_a_prediction_without_the_account_is_an_error(self, scene: Scene) -> None:
        result = scene(workload(**NAMED), assume_repaired=True)
        assert (result["failed"], result["error_class"]) == (True, "invalid_option")

    def test_a_new_account_that_the_registry_refuses(self, scene: Scene) -> None:
        result = scene(workload(**NAMED), **NEW, assume_repaired=True)
        assert_verdict(result, "read", "failed", "puller")

    def test_no_key_shows_a_password(self, scene: Scene) -> None:
        keys = ["https://u:hunter2@bad host", "https://u:hunter2@quay.io/v2/", f"u:hunter2@{REGISTRY}", "u:hunter2/@x"]
        scene.users["puller"] = NEW["repair_password"]
        result = scene(secret({key: entry(password="old") for key in keys}), workload(**NAMED), **NEW)
        assert "hunter2" not in json.dumps(result)
        assert f"entry {REGISTRY}: credentials updated" in result["repair"]["changes"]


class TestAliases:
    """Workloads that name the registry in another way."""

    ALIAS = "zot.zot.svc:5000"
    POD = workload(image="zot.zot.svc:5000/openclaw/openclaw:latest", **NAMED)

    def test_are_checked_with_the_entry_that_kubelet_uses(self, scene: Scene) -> None:
        secrets = secret({REGISTRY: entry(password="another"), self.ALIAS: entry()})
        result = scene(secrets, self.POD, registry_aliases=["Zot.zot.svc:5000"])
        assert (result["ok"], result["account"]) == (True, "puller")
        # The request goes to the registry itself.
        assert scene.tried == [("puller", f"{REPOSITORY}:latest")]
        assert scene(secrets, self.POD)["failed"] is True

    def test_need_an_entry_of_their_own(self, scene: Scene) -> None:
        scene.users["puller"] = NEW["repair_password"]
        options: Result = {"registry_aliases": [self.ALIAS], **NEW}
        result = scene(GOOD, self.POD, **options)
        assert_verdict(result, "entry", "failed", f"no entry for {self.ALIAS}/openclaw/openclaw")
        assert result["repair"]["changes"] == [f"entry {UPDATED}", f"entry {self.ALIAS}: added"]
        after = scene(GOOD, self.POD, **options, assume_repaired=True)
        assert after["ok"], after["problems"]

    def test_another_spelling_is_a_problem_with_a_remedy(self, scene: Scene) -> None:
        """Kubelet distinguishes the names."""
        spelling = f"{REGISTRY.upper()}:443"
        result = scene(GOOD, workload(image=f"{spelling}/openclaw/openclaw:latest", **NAMED))
        assert_verdict(result, "entry", "failed", spelling)
        assert f"Add {spelling} to zot_registry_aliases (variable)" in checks(result)["entry"]["remedy"]


def test_texts_from_the_cluster_cannot_control_a_terminal(scene: Scene) -> None:
    given = secret({f"{REGISTRY}/%1b[2J": entry(), REGISTRY: entry("\x1b[2Jpuller")})
    result = scene(given, workload(**NAMED))
    texts = [result["account"], *result["problems"], *result["repair"]["changes"]]
    texts += [check[name] for check in result["checks"] for name in ("reason", "remedy")]
    assert not [text for text in texts if not text.isprintable()]
