# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module from main() down, on captured pods and events and with a registry in memory."""

from __future__ import annotations

import json
import re
import shlex
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.splitter import parse_kv

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import PullKey, key_annotation
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info import evidence as registry_file
from ansible_collections.killinit.zot.plugins.module_utils._registry import runner as runner_file
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.modules import zot_pull_failure_info
from ansible_collections.killinit.zot.tests.unit.conftest import replace_tools
from ansible_collections.killinit.zot.tests.unit.fake_cluster import FakeCluster
from ansible_collections.killinit.zot.tests.unit.pull_scene import (
    NOW,
    PULLS,
    REGISTRY,
    Accounts,
    Scene,
    entry,
    node,
    secret,
    service_account,
)
from ansible_collections.killinit.zot.tests.unit.returned_keys import wrong_keys

Result = t.Dict[str, t.Any]  # noqa: UP006 - Python 3.9 evaluates it
Diagnose = t.Callable[..., Result]
DOCUMENTED = set(
    re.findall(
        r"V\((\w+)\)", yaml.safe_load(zot_pull_failure_info.RETURN)["findings"]["contains"]["cause"]["description"][0]
    )
)
TOO_MANY = "unexpected status from HEAD request to https://REG/v2/a/manifests/1: 429 Too Many Requests"
KUBECTL = "kubectl --namespace=openclaw"
APP = f"{REGISTRY}/openclaw/openclaw"
LATST = f"{REGISTRY}/openclaw/workspace:latst"
WRONG = "wr0ng-s3cret"
PULL = "pull-s3cret"


@pytest.fixture
def accounts(fake: t.Any, monkeypatch: pytest.MonkeyPatch, docker_config: t.Any) -> Accounts:
    """A registry with two good images, which refuses the accounts that a test names."""
    found = Accounts(fake)
    replace_tools(monkeypatch, found.run)
    for tag, created in (("1", "2026-11-01T00:00:00Z"), ("2", "2026-11-02T00:00:00Z")):
        fake.put("openclaw/openclaw", tag, docker_config(created=created))
    return found


@pytest.fixture
def diagnose(accounts: Accounts, monkeypatch: pytest.MonkeyPatch, run_module: t.Any) -> Diagnose:
    """Run the module at the time when the pods were captured, or by the clock where *now* is None."""
    assert accounts.requests == set()

    def run(scene: Scene, *, cluster: FakeCluster | None = None, now: float | None = NOW, **options: t.Any) -> Result:
        monkeypatch.setattr(FakeCluster, "now", lambda _self: time.time() if now is None else now)
        monkeypatch.setattr(zot_pull_failure_info, "connect", lambda _module: cluster or scene.cluster())
        arguments: dict[str, t.Any] = {
            "namespace": "openclaw",
            "registry": REGISTRY,
            "registry_username": "ops",
            "registry_password": "operat0r-s3cret",
            **options,
        }
        result: Result = run_module(
            zot_pull_failure_info.main, **dict.fromkeys(("username", "password", "retries")), **arguments
        )
        assert wrong_keys(zot_pull_failure_info.RETURN, result) == []
        printed = json.dumps(result)
        assert not [each for each in (PULL, WRONG, "operat0r", entry()["auth"]) if each in printed]
        assert {each["cause"] for each in result.get("findings", [])} <= DOCUMENTED
        for finding in result.get("findings", []):
            assert finding["remedy"].endswith(":" if finding["commands"] else ".")
        return result

    return run


def causes(result: Result) -> list[dict[str, t.Any]]:
    """The findings, all of which are about one image of one resource."""
    assert len({(each["image"], each["resource"]) for each in result["findings"]}) == 1, result["findings"]
    return list(result["findings"])


def names(result: Result) -> list[str]:
    return [each["cause"] for each in causes(result)]


def typed(result: Result) -> list[str]:
    """Every command, in the order of the findings."""
    return [command for each in result["findings"] for command in each["commands"]]


def verbs(result: Result) -> list[str]:
    """ansible, or the verb of kubectl."""
    return [word[2] if word[0] == "kubectl" else word[0] for word in map(shlex.split, typed(result))]


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ("malformed", "reference_malformed"),
        ("never", "pull_policy_never"),
        ("platform", "platform_missing"),
        # The repository or the tag: kubelet does not say which.
        ("repomissing", "tag_missing"),
        ("nohost", "host_unknown"),
        ("refused", "connection_refused"),
        ("plain", "plain_http"),
        ("untrusted", "certificate_not_trusted"),
        ("nosecret", "secret_not_named"),
        ("secretmissing", "secret_missing"),
        ("opaque", "secret_type"),
        ("notbase64", "secret_unreadable"),
        ("otherhost", "secret_without_entry"),
        ("wrong", "credentials_refused"),
    ],
)
def test_the_registry_does_not_answer(diagnose: Diagnose, accounts: Accounts, app: str, expected: str) -> None:
    """Then kubelet's message and the pull secrets are enough for these causes."""
    accounts.refused["*"] = "connection-refused"
    result = diagnose(Scene.of(app))
    (finding,) = causes(result)
    assert finding["cause"] == expected
    assert finding["evidence"]
    assert not result["ok"]
    repository = re.sub(":[^:]*$", "", finding["image"])
    elsewhere = app in ("malformed", "nohost", "refused", "plain", "untrusted")
    assert [each["resource"] for each in result["unreadable"]] == [repository] * (not elsewhere)


def test_what_a_finding_says(diagnose: Diagnose, fake: t.Any) -> None:
    fake.put("openclaw/openclaw", "31")
    result = diagnose(Scene.of("tagmissing"))
    (finding,) = result["findings"]
    assert finding.pop("message")
    assert finding.pop("remedy")
    assert sorted(finding.pop("pod_names")) == [f"tagmissing-6bf4bd7fc4-{code}" for code in ("84fpg", "r66jg", "xwq4f")]
    assert finding == {
        "cause": "tag_missing",
        "commands": [f"{KUBECTL} set image deployment/tagmissing app={APP}:31"],
        "containers": ["container app"],
        "evidence": f"failed to resolve image: {APP}:3: not found",
        "image": f"{APP}:3",
        "nodes": ["127.0.0.1"],
        "resource": "deployment/tagmissing",
    }
    assert {
        name: result[name] for name in ("ok", "pods", "namespace", "registry", "cluster", "unreadable", "changed")
    } == {
        "ok": False,
        "pods": 3,
        "namespace": "openclaw",
        "registry": REGISTRY,
        "cluster": "https://cluster.example:6443",
        "unreadable": [],
        "changed": False,
    }
    assert len(result["problems"]) == 1


class TestScope:
    def test_nothing_fails(self, diagnose: Diagnose, fake: t.Any) -> None:
        """Two requests to the cluster, none to the registry."""
        cluster = Scene.of("good").cluster()
        result = diagnose(Scene.of(), cluster=cluster)
        assert (result["ok"], result["pods"], result["findings"], result["problems"]) == (True, 1, [], [])
        assert len(result["summary"]) == 1
        assert [request[:2] for request in cluster.requests] == [("list", "pods"), ("list", "events")]
        assert fake.commands == []

    def test_another_namespace_without_a_selector(self, diagnose: Diagnose) -> None:
        """Every pod of the namespace counts, whatever its labels."""
        scene = Scene.of("wrong")
        scene.pod["metadata"].update(namespace="shop", labels={"app": "web", "pod-template-hash": "d9fb78ddd"})
        for each in (*scene.secrets.values(), *scene.service_accounts):
            each["metadata"]["namespace"] = "shop"
        cluster = scene.cluster()
        cluster.objects = [
            {**each, "metadata": {**each["metadata"], "namespace": "shop"}} if each["kind"] == "Event" else each
            for each in cluster.objects
        ]
        result = diagnose(scene, cluster=cluster, namespace="shop")
        assert (result["ok"], result["pods"], result["namespace"]) == (False, 1, "shop")
        assert all(command.startswith("kubectl --namespace=shop ") for command in typed(result))

    def test_a_selector(self, diagnose: Diagnose) -> None:
        result = diagnose(Scene.of(), label_selectors=["app=wrong"])
        assert {each["resource"] for each in result["findings"]} == {"deployment/wrong"}
        assert result["pods"] == 1

    @pytest.mark.parametrize("options", [{"namespace": "openclow"}, {"label_selectors": ["app=web"]}])
    def test_no_pod_is_an_error(self, diagnose: Diagnose, options: dict[str, t.Any]) -> None:
        """It names what was searched; a mistyped name proves nothing."""
        result = diagnose(Scene.of(), **options)
        assert (result["error_class"], result["retryable"]) == ("not_found", False)
        assert f"cannot find pods in namespace {options.get('namespace', 'openclaw')}: " in result["msg"]
        assert "app=web" in result["msg"] or "namespace" in options
        assert not diagnose(Scene.of(), **options, allow_empty=True).get("failed")

    @pytest.mark.parametrize(
        "options",
        [
            {"namespace": "open claw"},
            {"namespace": "../kube-system"},
            {"pull_secret": "-x"},
            {"pull_timeout": -1},
            {"registry": "https://oci.example"},
            {"registry_authfile": "/dev/null"},
        ],
    )
    def test_an_option_that_cannot_be_used(self, diagnose: Diagnose, options: dict[str, t.Any]) -> None:
        """Nothing is read."""
        scene = Scene.of("wrong")
        cluster = scene.cluster()
        result = diagnose(scene, cluster=cluster, **options)
        assert (result["failed"], result["error_class"]) == (True, "invalid_option")
        if "registry_authfile" not in options:
            assert cluster.requests == []

    def test_an_authfile_that_does_not_exist(self, diagnose: Diagnose) -> None:
        """It is an error of the option, not an answer of the registry."""
        account = {"registry_username": None, "registry_password": None, "registry_authfile": "/nonexistent/auth.json"}
        assert diagnose(Scene.of("wrong"), **account)["error_class"] == "invalid_option"

    def test_the_registry_of_the_environment(self, diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
        result = diagnose(Scene.of("good"), registry=None)
        assert all(name in result["msg"] for name in ("registry (option)", "zot_registry", "ZOT_REGISTRY"))
        monkeypatch.setenv("ZOT_REGISTRY", REGISTRY)
        assert diagnose(Scene.of("good"), registry=None)["registry"] == REGISTRY


def test_a_pull_that_does_not_end(diagnose: Diagnose) -> None:
    """Its event is 26 seconds old: not a failure after 60 seconds, one after 20."""
    assert diagnose(Scene.of("slow"), pull_timeout=60)["ok"]
    assert names(diagnose(Scene.of("slow"), pull_timeout=20)) == ["pulling"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
@pytest.mark.parametrize(("age", "expected"), [(30, True), (90, False)])
def test_the_clock_is_read_in_utc(diagnose: Diagnose, age: int, expected: bool, zone: str) -> None:
    """By the clock of the host, a pull of 30 seconds is no failure, and one of 90 seconds is."""
    scene = Scene.of("slow")
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))
    for event in scene.events:
        event.update(lastTimestamp=began, firstTimestamp=began)
    scene.pod["status"]["startTime"] = began
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        assert diagnose(scene, now=None)["ok"] == expected
    time.tzset()


@pytest.mark.parametrize(
    ("image", "remedy", "is_fixed"),
    [
        (f"{REGISTRY}/OpenClaw/openclaw:1", "in lower case", True),
        (f"http://{APP}:1", "without http://", True),
        (f"HTTPS://{APP}:1", "without HTTPS://", True),
        (f"{APP}:", "registry/repository:tag", False),
    ],
)
def test_a_malformed_reference(diagnose: Diagnose, image: str, remedy: str, is_fixed: bool) -> None:
    (finding,) = causes(diagnose(Scene.of("malformed").replace(f"{REGISTRY}/OpenClaw/openclaw:1", image)))
    assert finding["cause"] == "reference_malformed"
    assert remedy in finding["remedy"]
    assert finding["commands"] == [f"{KUBECTL} set image deployment/malformed app={APP}:1"] * is_fixed


def test_an_image_of_docker_hub(diagnose: Diagnose, fake: t.Any) -> None:
    """No request is sent to the registry, and the message of kubelet counts."""
    scene = Scene.of("repomissing").replace(f"{REGISTRY}/openclaw/opencalw:1", "nginx:none")
    (finding,) = causes(diagnose(scene))
    assert (finding["cause"], finding["image"]) == ("tag_missing", "nginx:none")
    assert fake.commands == []


class TestCluster:
    """A command that a person pastes acts on the cluster that was checked."""

    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("K8S_AUTH_KUBECONFIG", "K8S_AUTH_CONTEXT"):
            monkeypatch.delenv(name, raising=False)

    def commands(self, diagnose: Diagnose, accounts: Accounts, **options: t.Any) -> tuple[str, list[str]]:
        """The command that writes credentials, and the words of kubectl before the verb."""
        accounts.refused[WRONG] = "bad-password"
        repair, delete = typed(diagnose(Scene.of("wrong"), **options))
        words = shlex.split(delete)
        return repair, words[: words.index("delete")]

    @pytest.mark.parametrize("by_option", [True, False], ids=["options", "environment"])
    def test_a_kubeconfig_and_a_context(
        self, diagnose: Diagnose, accounts: Accounts, by_option: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = {"kubeconfig": "kc.two", "context": "prod/api:6443"}
        for name, value in () if by_option else given.items():
            monkeypatch.setenv(f"K8S_AUTH_{name.upper()}", value)
        repair, words = self.commands(diagnose, accounts, **given if by_option else {})
        path = tmp_path / "kc.two"
        assert words == ["kubectl", f"--kubeconfig={path}", "--context=prod/api:6443", "--namespace=openclaw"]
        assert f" zot_kubeconfig={path} zot_context=prod/api:6443'" in repair

    def test_names_with_spaces(self, diagnose: Diagnose, accounts: Accounts) -> None:
        """They are quoted for the shell, and in the variables also for Ansible."""
        repair, words = self.commands(diagnose, accounts, context="a b; reboot")
        assert words == ["kubectl", "--context=a b; reboot", "--namespace=openclaw"]
        variables = next(word for word in shlex.split(repair) if word.startswith("--extra-vars="))
        assert parse_kv(variables.partition("=")[2])["zot_context"] == "a b; reboot"

    def test_several_files_and_the_home(
        self, diagnose: Diagnose, accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", "/home/ops")
        _repair, words = self.commands(diagnose, accounts, kubeconfig="~/one:two")
        assert words[1] == f"--kubeconfig=/home/ops/one:{tmp_path / 'two'}"

    def test_the_content_of_a_kubeconfig_is_in_no_command(self, diagnose: Diagnose, accounts: Accounts) -> None:
        repair, words = self.commands(diagnose, accounts, kubeconfig={"users": []})
        assert words == KUBECTL.split()
        assert "kubeconfig" not in repair


class TestAbsence:
    def test_the_newest_tag_that_fits_the_node(self, diagnose: Diagnose, fake: t.Any, docker_config: t.Any) -> None:
        """An index is as old as its images; an image for another platform is not proposed."""
        fake.tags["openclaw/openclaw"].clear()
        fake.put("openclaw/openclaw", "30", docker_config(created="2026-11-01T00:00:00Z"))
        other = docker_config(created="2026-11-03T00:00:00Z", architecture="arm64")
        fake.put("openclaw/openclaw", "3-arm64", other)
        member = fake.put("openclaw/openclaw", None, docker_config(created="2026-11-02T00:00:00Z"))
        fake.put_index("openclaw/openclaw", "31", member)
        result = diagnose(Scene.of("tagmissing"))
        assert names(result) == ["tag_missing"]
        assert re.findall(r"3-arm64|3\d", result["findings"][0]["message"]) == ["3-arm64", "31", "30"]
        assert typed(result) == [f"{KUBECTL} set image deployment/tagmissing app={APP}:31"]

    def test_no_tag_at_all(self, diagnose: Diagnose, fake: t.Any) -> None:
        fake.tags["openclaw/openclaw"].clear()
        result = diagnose(Scene.of("tagmissing"))
        assert (names(result), verbs(result)) == (["tag_missing"], ["delete"])

    def test_signatures_are_no_candidates(self, diagnose: Diagnose, fake: t.Any) -> None:
        fake.tags["openclaw/openclaw"] = {f"sha256-{'1' * 64}.sig": fake.tags["openclaw/openclaw"]["1"]}
        assert verbs(diagnose(Scene.of("tagmissing"))) == ["delete"]

    def test_a_repository(self, diagnose: Diagnose, fake: t.Any) -> None:
        """The proposed image exists, and is not another program."""
        fake.put("workspace", "1")
        fake.put("openclaw/openclaws", "1")
        fake.tags["openclaw/openclaw"].pop("1")
        result = diagnose(Scene.of("repomissing"))
        assert names(result) == ["repository_missing"]
        near = re.findall(r"openclaw/openclaws?\b|workspace", result["findings"][0]["message"])
        assert near == ["openclaw/openclaw", "openclaw/openclaws", "workspace"]
        assert typed(result)[0].endswith(f" app={REGISTRY}/openclaw/openclaws:1")
        fake.tags["openclaw/openclaws"].pop("1")
        assert "set" not in verbs(diagnose(Scene.of("repomissing")))

    def test_a_repository_named_like_the_registry(self, diagnose: Diagnose, fake: t.Any) -> None:
        """Only the repository is replaced."""
        fake.put("zoo", "1")
        scene = Scene.of("repomissing").replace(f"{REGISTRY}/openclaw/opencalw:1", "zot.test/zot:1")
        result = diagnose(scene, registry="zot.test")
        assert typed(result)[-1].endswith(" app=zot.test/zoo:1")

    def test_a_catalog_that_cannot_be_read(self, diagnose: Diagnose, fake: t.Any) -> None:
        fake.fail("catalog", "", "bad-password")
        result = diagnose(Scene.of("repomissing"))
        assert (names(result), verbs(result)) == (["repository_missing"], ["delete"])

    @pytest.mark.parametrize("app", ["digestgone", "tagdigestgone"])
    def test_a_digest(self, diagnose: Diagnose, fake: t.Any, app: str) -> None:
        result = diagnose(Scene.of(app))
        assert names(result) == ["digest_missing"]
        assert f"1 ({fake.tags['openclaw/openclaw']['1'][:19]})" in result["findings"][0]["message"]

    def test_a_digest_is_replaced_only_by_its_own_tag(self, diagnose: Diagnose, fake: t.Any) -> None:
        """Any other tag is another release."""
        fake.put("openclaw/openclaw", "stable")
        for app in ("digestgone", "tagdigestgone"):
            scene = Scene.of(app)
            image = scene.pod["spec"]["containers"][0]["image"]
            tag = re.search(r":([^:@/]+)@", image)
            commands = [each for each in typed(diagnose(scene)) if "set image" in each]
            assert [each.rpartition(":")[2] for each in commands] == ([tag[1]] if tag else [])

    def test_a_tag_is_replaced_only_by_a_similar_one(self, diagnose: Diagnose, fake: t.Any) -> None:
        fake.put("openclaw/openclaw", "stable")
        scene = Scene.of("tagmissing")
        image = scene.pod["spec"]["containers"][0]["image"]
        nope, typo = (f"{image.rpartition(':')[0]}:{tag}" for tag in ("nope", "stabel"))
        result = diagnose(Scene.of("tagmissing").replace(image, nope))
        assert (names(result), verbs(result)) == (["tag_missing"], ["delete"])
        assert "stable" in result["findings"][0]["message"]
        assert typed(diagnose(Scene.of("tagmissing").replace(image, typo)))[0].endswith(":stable")

    def test_an_image_that_names_the_registry_by_an_alias(self, diagnose: Diagnose, fake: t.Any) -> None:
        """The command keeps the name that the nodes know."""
        fake.put("openclaw/openclaw", "stable")
        scene = Scene.of("tagmissing")
        image = scene.pod["spec"]["containers"][0]["image"]
        alias = "zot.zot.svc:5000/openclaw/openclaw:stabel"
        scene.replace(image, alias).secrets["zot-pull-secret"] = secret(
            "zot-pull-secret", {"zot.zot.svc:5000": entry()}
        )
        result = diagnose(scene, registry_aliases=["zot.zot.svc:5000"])
        assert names(result) == ["tag_missing"]
        assert typed(result)[0].endswith(" app=zot.zot.svc:5000/openclaw/openclaw:stable")

    def test_tags_that_cannot_be_listed(self, diagnose: Diagnose, fake: t.Any) -> None:
        """Then it is not known whether the repository exists, and kubelet's message remains."""
        fake.fail("ls", "openclaw/openclaw", "bad-password", times=9)
        result = diagnose(Scene.of("tagmissing"))
        assert names(result) == ["tag_missing"]
        assert [each["resource"] for each in result["unreadable"]] == [APP]

    def test_of_an_image_volume(self, diagnose: Diagnose, fake: t.Any) -> None:
        fake.put("openclaw/workspace", "latest")
        scene = Scene.of("volume")
        result = diagnose(scene.replace(scene.pod["spec"]["volumes"][0]["image"]["reference"], LATST))
        volume = f"{{name: workspace, image: {{reference: {REGISTRY}/openclaw/workspace:latest}}}}"
        patch = f"'spec: {{template: {{spec: {{volumes: [{volume}]}}}}}}'"
        assert typed(result) == [f"{KUBECTL} patch deployment/volume --patch {patch}"]
        assert result["findings"][0]["containers"] == ["image volume workspace"]

    def test_the_pull_secret_can_read_what_the_operator_may_not(self, diagnose: Diagnose, accounts: Accounts) -> None:
        accounts.refused["operat0r-s3cret"] = "bad-password"
        result = diagnose(Scene.of("tagmissing"))
        assert names(result) == ["tag_missing"]
        assert [each["resource"] for each in result["unreadable"]] == [APP]


NO_ANONYMOUS = {"": "no-credentials"}
TIMEOUT = "dial tcp: i/o timeout"


def altered(
    app: str,
    *naming: str,
    message: str | None = None,
    secrets: t.Mapping[str, t.Any] | None = None,
    of_account: t.Sequence[str] = (),
    kind: str = "kubernetes.io/dockerconfigjson",
) -> Scene:
    """A captured Deployment, with other secrets, other names of secrets, or another message of kubelet."""
    found = Scene.of(app)
    if naming:
        found.naming(*naming)
    if message is not None:
        found.message(message)
    found.secrets.update({name: secret(name, entries, kind) for name, entries in (secrets or {}).items()})
    found.service_accounts = [service_account("default", *of_account)]
    return found


OTHER = {"zot-pull-secret": {"x.example": entry()}}
NO_PASSWORD = {"wrong": {REGISTRY: {"username": "reader"}}}
# For a scene and the users that the registry refuses: the causes, and the verbs of the commands.
ACCESS: dict[str, tuple[Scene, dict[str, str], str, str]] = {
    # kubelet pulls without credentials only if it finds none.
    "wrong password": (altered("wrong"), {WRONG: "bad-password"}, "credentials_refused", "ansible delete"),
    "no permission": (altered("wrong"), {WRONG: "reader-pushes"}, "read_denied", "ansible delete"),
    "named too late": (
        altered("nosecret", of_account=["zot-pull-secret"]),
        NO_ANONYMOUS,
        "secret_not_named",
        "delete",
    ),
    "the next pod gets another secret": (
        altered("nosecret", of_account=["wrong"]),
        {**NO_ANONYMOUS, WRONG: "bad-password"},
        "credentials_refused secret_not_named",
        "ansible delete",
    ),
    "wrong password in the secret to name": (
        altered("nosecret"),
        {**NO_ANONYMOUS, PULL: "bad-password"},
        "credentials_refused secret_not_named",
        "ansible patch delete",
    ),
    "no permission for the user of the secret to name": (
        altered("nosecret"),
        {**NO_ANONYMOUS, PULL: "reader-pushes"},
        "read_denied secret_not_named",
        "ansible patch delete",
    ),
    "the secret to name could not be tried": (
        altered("nosecret"),
        {**NO_ANONYMOUS, PULL: "status-503"},
        "secret_not_named",
        "patch delete",
    ),
    "no password": (altered("wrong", secrets=NO_PASSWORD), NO_ANONYMOUS, "secret_without_entry", "ansible delete"),
    "only the secret that should be for the registry": (
        altered("otherhost", "opaque", "zot-pull-secret", secrets=OTHER),
        NO_ANONYMOUS,
        "secret_without_entry",
        "ansible delete",
    ),
    "either secret may be meant": (
        altered("secretmissing", "nowhere", "zot-pull-secret", "otherhost", secrets=OTHER),
        NO_ANONYMOUS,
        "secret_missing secret_without_entry",
        "ansible ansible delete",
    ),
    "anonymous pulls": (altered("nosecret", message=TIMEOUT), {}, "timed_out", "delete"),
    "timeout": (altered("nosecret", message=TIMEOUT), NO_ANONYMOUS, "timed_out secret_not_named", "patch delete"),
    "timeout and no entry": (
        altered("otherhost", message=TIMEOUT),
        NO_ANONYMOUS,
        "timed_out secret_without_entry",
        "ansible delete",
    ),
    "another registry may allow anonymous pulls": (altered("untrusted"), {}, "certificate_not_trusted", "set"),
    # kubelet sees only the status, which is that of a rate limit, too.
    "rate limit": (altered("wrong", message=TOO_MANY), {WRONG: "rate-limit"}, "rate_limited", ""),
    "quota": (altered("wrong", message=TOO_MANY), {WRONG: "quota"}, "quota_exceeded", "delete"),
    "quota in the message": (
        altered("wrong", message="toomanyrequests: too many limit:3"),
        {},
        "quota_exceeded",
        "delete",
    ),
    "full disk": (altered("wrong", message=PULLS["elsewhere"][4]["message"]), {}, "disk_full", "delete"),
    "server error": (altered("wrong", message="503 Service Unavailable"), {}, "registry_failing", "delete"),
    "no reason": (altered("nohost", message=""), {}, "unknown", "describe"),
    "unknown reason": (altered("nohost", message="something unheard of"), {}, "unknown", "describe"),
}


class TestAccess:
    """What the registry answers, and what the pods and their secrets name."""

    @pytest.mark.parametrize("case", ACCESS)
    def test_causes(self, diagnose: Diagnose, accounts: Accounts, case: str) -> None:
        found, refused, expected, commands = ACCESS[case]
        accounts.refused.update(refused)
        result = diagnose(found)
        assert (names(result), verbs(result)) == (expected.split(), commands.split())

    @pytest.mark.parametrize(
        ("expires", "cause", "word"),
        [
            ("2020-01-01T00:00:00Z", "key_expired", "has expired at 2020-01-01"),
            ("2999-01-01T00:00:00Z", "key_revoked", "would expire at 2999-01-01"),
        ],
    )
    def test_an_api_key(self, diagnose: Diagnose, accounts: Accounts, expires: str, cause: str, word: str) -> None:
        """Only of a key that the secret still holds: the registry does not tell it from a wrong password."""
        key = f"zak_{'a' * 32}"
        for held, expected in ((key, cause), (WRONG, "credentials_refused")):
            scene = altered("wrong", secrets={"wrong": {REGISTRY: entry(password=held)}})
            record = key_annotation(None, [REGISTRY], PullKey("e0547e3e", "a label", expires), key)
            scene.secrets["wrong"]["metadata"]["annotations"] = record
            accounts.refused[held] = "bad-password"
            (finding,) = causes(diagnose(scene))
            assert finding["cause"] == expected
            assert (word in finding["message"], "killinit.zot.rotate" in finding["remedy"]) == (held == key,) * 2
            assert key not in json.dumps(finding)

    def test_each_account_asks_once(self, diagnose: Diagnose, accounts: Accounts) -> None:
        """Kubelet has no account for the pods whose secrets have none, or cannot be read."""
        diagnose(Scene.of())
        repositories = {repository for _password, repository in accounts.requests}
        assert accounts.requests - {("operat0r-s3cret", each) for each in ("catalog", *repositories)} == {
            (PULL, "openclaw/openclaw"),
            (PULL, "openclaw/opencalw"),
            (PULL, "openclaw/workspace"),
            (WRONG, "openclaw/openclaw"),
            ("", "openclaw/openclaw"),
        }

    def test_refused_and_absent(self, diagnose: Diagnose, accounts: Accounts, fake: t.Any) -> None:
        """The operator sees what the pod's account would meet next."""
        accounts.refused[WRONG] = "bad-password"
        fake.tags["openclaw/openclaw"].pop("1")
        fake.put("openclaw/openclaw", "11")
        result = diagnose(Scene.of("wrong"))
        assert names(result) == ["credentials_refused", "tag_missing"]
        # Another image is in new pods, so no other command is needed.
        assert verbs(result) == ["ansible", "set"]

    @pytest.mark.parametrize(("app", "name"), [("nosecret", "registry-access"), ("wrong", "wrong")])
    def test_the_commands_name_the_secret(self, diagnose: Diagnose, accounts: Accounts, app: str, name: str) -> None:
        """It is the one that the pod names, else the one that pods should name."""
        accounts.refused.update({**NO_ANONYMOUS, WRONG: "bad-password"})
        result = diagnose(Scene.of(app), pull_secret="registry-access")
        assert f"zot_pull_secret_name={name}" in typed(result)[0]
        assert verbs(result)[1:] == (["delete"] if app == "wrong" else ["patch", "delete"])
        assert app == "wrong" or "{name: registry-access}" in typed(result)[1]

    def test_a_secret_that_something_else_uses(self, diagnose: Diagnose, accounts: Accounts) -> None:
        """A repair would not replace it."""
        accounts.refused.update(NO_ANONYMOUS)
        for options, expected in (
            ({}, ["patch"]),
            ({"pull_secret": "opaque"}, ["delete"]),
            ({"registry": "zot.example"}, ["delete"]),
        ):
            result = diagnose(altered("opaque", secrets={"opaque": {}}, kind="kubernetes.io/tls"), **options)
            (finding,) = causes(result)
            assert finding["cause"] == "secret_type"
            assert f"Name a pull secret with credentials for {REGISTRY} in deployment/opaque" in finding["remedy"]
            assert verbs(result) == expected

    def test_a_secret_that_kubelet_cannot_read_spoils_the_others(self, diagnose: Diagnose, accounts: Accounts) -> None:
        """Kubelet uses none of them, though one would do."""
        accounts.refused.update(NO_ANONYMOUS)
        assert names(diagnose(altered("notbase64", "zot-pull-secret", "notbase64"))) == ["secret_unreadable"]
        assert {password for password, _repository in accounts.requests} == {"", "operat0r-s3cret"}

    @pytest.mark.parametrize("named", ["ghcr", "zot-pull-secret"])
    def test_an_entry_for_another_registry_that_kubelet_cannot_read(
        self, diagnose: Diagnose, accounts: Accounts, named: str
    ) -> None:
        """The credentials of this registry do not correct it, and a repair would remove it."""
        accounts.refused.update(NO_ANONYMOUS)
        entries = {"ghcr.io": {"auth": "ghp_sometoken"}, REGISTRY: entry()}
        result = diagnose(altered("notbase64", "otherhost", named, secrets={named: entries}))
        (finding,) = causes(result)
        assert finding["cause"] == "secret_unreadable"
        assert f"Correct or remove the entry ghcr.io of the secret {named}" in finding["remedy"]
        assert verbs(result) == ["delete"]

    def test_a_name_that_no_secret_can_have(self, diagnose: Diagnose, accounts: Accounts) -> None:
        """Kubernetes accepts any text there. It is neither requested nor in a command."""
        accounts.refused.update(NO_ANONYMOUS)
        cluster = altered("secretmissing", "x zot_namespace=kube-system").cluster()
        result = diagnose(Scene.of(), cluster=cluster)
        assert names(result) == ["secret_missing"]
        patch = "'spec: {template: {spec: {imagePullSecrets: [{name: zot-pull-secret}]}}}'"
        assert typed(result) == [f"{KUBECTL} patch deployment/secretmissing --patch {patch}"]
        assert not [each for each in cluster.requests if each[0] == "get"]

    @pytest.mark.parametrize(
        ("app", "message", "expected"),
        [
            ("wrong", None, "credentials_refused"),
            ("wrong", "403 Forbidden", "read_denied"),
            ("secretmissing", None, "secret_missing"),
            ("otherhost", None, "secret_without_entry"),
            ("nosecret", None, "secret_not_named"),
        ],
    )
    def test_another_registry_never_gets_an_account(
        self, diagnose: Diagnose, accounts: Accounts, app: str, message: str | None, expected: str
    ) -> None:
        """Neither from this host nor by a command that puts the account into a secret."""
        result = diagnose(altered(app, message=message), registry="zot.example")
        assert (names(result), verbs(result)) == ([expected], ["delete"])
        assert accounts.requests == set()

    def test_it_is_not_known_whether_the_registry_needs_an_account(
        self, diagnose: Diagnose, accounts: Accounts
    ) -> None:
        accounts.refused["*"] = "status-503"
        found = altered("nosecret", message="")
        found.pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
        assert names(diagnose(found, now=NOW + 1000)) == ["pulling"]

    def test_no_account_of_this_host_reaches_the_registry(
        self, diagnose: Diagnose, accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A login of the person who runs the module is of no use to a pod."""
        (tmp_path / "config.json").write_text(json.dumps({"auths": {REGISTRY: entry(password="l0gin-of-a-person")}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        accounts.refused.update(NO_ANONYMOUS)
        assert "secret_not_named" in names(diagnose(Scene.of("nosecret")))
        assert "l0gin-of-a-person" not in {password for password, _repository in accounts.requests}


class TestUnreadable:
    @pytest.mark.parametrize(
        ("resource", "app", "expected"),
        [
            ("secrets", "wrong", ["unknown"]),
            ("events", "wrong", ["credentials_refused"]),
            ("nodes", "wrong", ["credentials_refused"]),
            ("serviceaccounts", "nosecret", ["secret_not_named"]),
        ],
    )
    def test_a_missing_right(
        self, diagnose: Diagnose, accounts: Accounts, resource: str, app: str, expected: list[str]
    ) -> None:
        """It is in the result, by verb, resource and namespace, and the rest is found without it."""
        accounts.refused.update({"": "no-credentials", WRONG: "bad-password"})
        scene = Scene.of(app)
        scene.refused = {resource}
        result = diagnose(scene)
        assert names(result) == expected
        (unreadable,) = result["unreadable"]
        assert (unreadable["verb"], unreadable["resource"].partition("/")[0]) == (
            "get" if resource == "secrets" else "list",
            resource,
        )
        assert unreadable["namespace"] == (None if resource == "nodes" else "openclaw")
        assert "forbidden" in unreadable["message"]

    def test_without_events_nothing_is_proved(self, diagnose: Diagnose) -> None:
        """A pull that is in progress, or an image volume of an older kubelet, is in the events alone."""
        scene = Scene.of("wrong")
        for each in scene.pods:
            each["status"]["containerStatuses"] = []
        scene.refused = {"events"}
        result = diagnose(scene)
        assert (result["ok"], result["findings"], len(result["problems"])) == (False, [], 1)
        assert result["problems"][0].startswith("cannot list events in namespace openclaw: ")

    def test_crane_is_missing(self, diagnose: Diagnose) -> None:
        """Kubelet's message and the pull secrets remain."""
        result = diagnose(Scene.of("wrong"), crane_path="/nonexistent/crane")
        assert names(result) == ["credentials_refused"]
        assert [each["resource"] for each in result["unreadable"]] == [APP]

    def test_a_registry_that_hangs_costs_one_time_limit(
        self, diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many accounts and repositories there are to ask about."""
        started = []

        def hang(*_arguments: t.Any, **_more: t.Any) -> bytes:
            started.append(time.monotonic())
            time.sleep(1)
            raise ZotError("unavailable", "crane did not end within 1 seconds")

        replace_tools(monkeypatch, hang)
        result = diagnose(Scene.of(), registry_timeout=1)
        assert len(started) <= registry_file._PARALLEL
        assert {each["resource"] for each in result["unreadable"]} == {
            APP,
            f"{REGISTRY}/openclaw/opencalw",
            f"{REGISTRY}/openclaw/workspace",
        }

    def test_a_probe_is_short_and_is_not_repeated(
        self, diagnose: Diagnose, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits = []
        made = runner_file.Runner.__init__

        def init(self: t.Any, *, timeout: int, retries: int, **more: t.Any) -> None:
            limits.append((timeout, retries))
            made(self, timeout=timeout, retries=retries, **more)

        monkeypatch.setattr(runner_file.Runner, "__init__", init)
        accounts.refused[WRONG] = "status-503"
        diagnose(Scene.of("wrong"), registry_timeout=3600)
        assert {retries for _timeout, retries in limits} == {0}
        assert max(timeout for timeout, _retries in limits) <= 10


class TestPlatform:
    @pytest.fixture
    def index(self, fake: t.Any, docker_config: t.Any) -> None:
        """The image that the captured pod names, for arm64 alone."""
        member = fake.put("openclaw/workspace", None, docker_config(architecture="arm64"))
        fake.put_index("openclaw/workspace", "latest", member)

    @pytest.mark.usefixtures("index")
    def test_of_an_index(self, diagnose: Diagnose) -> None:
        result = diagnose(Scene.of("platform"))
        assert names(result) == ["platform_missing"]
        assert {"linux/amd64", "linux/arm64"} <= set(re.findall(r"linux/\w+", result["findings"][0]["message"]))
        assert "patch" not in verbs(result)

    @pytest.mark.usefixtures("index")
    def test_another_node_could_run_it(self, diagnose: Diagnose) -> None:
        scene = Scene.of("platform")
        scene.nodes = [node(), node("other", "arm64")]
        patch = "'spec: {template: {spec: {nodeSelector: {kubernetes.io/arch: arm64}}}}'"
        assert typed(diagnose(scene)) == [f"{KUBECTL} patch deployment/platform --patch {patch}"]

    def test_it_fits_now(self, diagnose: Diagnose, fake: t.Any, docker_config: t.Any) -> None:
        members = [
            fake.put("openclaw/workspace", None, docker_config(architecture=each)) for each in ("arm64", "amd64")
        ]
        fake.put_index("openclaw/workspace", "latest", *members)
        assert names(diagnose(Scene.of("platform"))) == ["works_now"]

    def test_of_a_program_that_ends_at_once(self, diagnose: Diagnose, fake: t.Any, docker_config: t.Any) -> None:
        fake.put("openclaw/openclaw", "arm64", docker_config(architecture="arm64", variant="v8"))
        result = diagnose(Scene.of("foreign"))
        assert names(result) == ["architecture_wrong"]
        assert "linux/arm64/v8" in result["findings"][0]["message"]

    def test_a_program_that_says_so_itself(self, diagnose: Diagnose, accounts: Accounts) -> None:
        accounts.refused["*"] = "status-503"
        scene = Scene.of("foreign")
        ended = scene.pod["status"]["containerStatuses"][0]["state"]["terminated"]
        ended["message"] = "exec /app: exec format error"
        assert names(diagnose(scene)) == ["architecture_wrong"]

    @pytest.mark.parametrize("refused", [set(), {"nodes"}])
    def test_a_program_that_ends_for_another_reason(self, diagnose: Diagnose, fake: t.Any, refused: set[str]) -> None:
        """That is no failed pull."""
        fake.put("openclaw/openclaw", "arm64")
        scene = Scene.of("foreign")
        scene.refused = refused
        result = diagnose(scene)
        assert (result["ok"], result["findings"], result["problems"]) == (True, [], [])


class TestNothingWrong:
    def test_it_works_now(self, diagnose: Diagnose) -> None:
        result = diagnose(Scene.of("wrong"))
        assert (names(result), verbs(result)) == (["works_now"], ["delete"])
        assert "in about 10 s" in result["findings"][0]["remedy"]

    def test_a_pod_without_a_controller(self, diagnose: Diagnose) -> None:
        """Nobody would create it again."""
        scene = Scene.of("wrong")
        scene.pod["metadata"]["ownerReferences"] = []
        result = diagnose(scene)
        assert (names(result), typed(result)) == (["works_now"], [])
        assert result["findings"][0]["resource"] == f"pod/{scene.pod['metadata']['name']}"

    def test_a_first_pull_in_progress(self, diagnose: Diagnose) -> None:
        scene = Scene.of("slow")
        scene.secrets["zot-pull-secret"] = secret("zot-pull-secret", {"slow.test:5000": entry()})
        (finding,) = causes(diagnose(scene, registry="slow.test:5000", pull_timeout=10))
        assert finding["cause"] == "pulling"
        assert "MB" in finding["evidence"]

    def test_a_first_pull_from_another_registry(self, diagnose: Diagnose, accounts: Accounts) -> None:
        assert names(diagnose(Scene.of("slow"), pull_timeout=10)) == ["pulling"]
        assert accounts.requests == set()


class TestNetwork:
    def test_the_registry_answers_this_host(self, diagnose: Diagnose) -> None:
        """It may have been down for a while: a new pod pulls at once."""
        scene = Scene.of("refused")
        scene.secrets["zot-pull-secret"] = secret("zot-pull-secret", {"127.0.0.1:1": entry()})
        result = diagnose(scene, registry="127.0.0.1:1")
        assert (names(result), verbs(result)) == (["connection_refused"], ["delete"])

    @pytest.mark.parametrize("app", ["refused", "nohost", "plain", "untrusted"])
    def test_another_registry_may_be_meant(self, diagnose: Diagnose, app: str) -> None:
        result = diagnose(Scene.of(app))
        assert typed(result)[0].endswith(f" app={APP}:1")
        assert REGISTRY in result["findings"][0]["remedy"]


class TestFindings:
    def test_pods_are_alike_although_kubelet_has_another_message_for_some(self, diagnose: Diagnose) -> None:
        """As when it pulls only so many at a time."""
        scene = Scene.of("tagmissing")
        uid = scene.pod["metadata"]["uid"]
        scene.waiting.update(reason="ErrImagePull", message="pull QPS exceeded")
        scene.events = [each for each in scene.events if each["involvedObject"]["uid"] != uid]
        (finding,) = diagnose(scene)["findings"]
        assert len(finding["pod_names"]) == 3
        assert finding["evidence"].endswith(":3: not found")

    def test_what_passes_without_a_change_is_last(self, diagnose: Diagnose) -> None:
        result = diagnose(Scene.of("wrong", "repomissing", "tagmissing"))
        order = [each["resource"].partition("/")[2] for each in result["findings"]]
        assert (order[0], order[-1]) == ("tagmissing", "wrong")

    def test_the_summary(self, diagnose: Diagnose, accounts: Accounts) -> None:
        """Prose fits a terminal; a command is one line of its own."""
        accounts.refused.update({"": "no-credentials", WRONG: "bad-password"})
        result = diagnose(Scene.of())
        lines, commands = result["summary"], set(typed(result))
        assert f"{APP}:3" in lines
        assert commands <= {line.strip() for line in lines}
        assert all(len(line) <= 100 or line.strip() in commands or " " not in line.strip() for line in lines)
        assert not any('"' in command for command in commands)
        groups = {(each["image"], each["resource"]) for each in result["findings"]}
        assert len(result["problems"]) == len(groups)


def test_a_stateful_set_waits_for_its_broken_pod(diagnose: Diagnose, fake: t.Any) -> None:
    """The pod is deleted, and the next one has the same name."""
    fake.put("openclaw/openclaw", "31")
    scene = Scene.of("tagmissing").copies(*(f"x-{number}" for number in range(9))).owner("StatefulSet", "x")
    result = diagnose(scene)
    assert verbs(result) == ["set", "delete"]
    assert typed(result)[1].endswith(" x-6 x-7 x-8")


def test_pods_whose_names_are_not_known_yet(diagnose: Diagnose, accounts: Accounts) -> None:
    """The first command replaces them, before the last one fixes what the new ones need."""
    accounts.refused[""] = "no-credentials"
    scene = Scene.of("never").naming()
    scene.secrets.clear()
    result = diagnose(scene)
    assert names(result) == ["pull_policy_never", "secret_missing", "secret_not_named"]
    assert typed(result)[-1] == f"{KUBECTL} rollout restart deployment/never"


def test_an_ephemeral_container(diagnose: Diagnose, accounts: Accounts, fake: t.Any) -> None:
    """No command changes it, and none ends the pod because of it."""
    accounts.refused[WRONG] = "bad-password"
    fake.tags["openclaw/openclaw"].pop("1")
    for app, expected in (("wrong", ["ansible"]), ("never", [])):
        scene = Scene.of(app)
        specification, status = scene.pod["spec"], scene.pod["status"]
        specification["ephemeralContainers"] = [{**specification["containers"][0], "name": "debugger"}]
        specification["containers"] = []
        status["ephemeralContainerStatuses"] = [{**status.pop("containerStatuses")[0], "name": "debugger"}]
        result = diagnose(scene)
        assert result["findings"][0]["containers"] == ["ephemeral container debugger"]
        assert verbs(result) == expected


def test_both_documents_list_the_same_causes() -> None:
    readme = (Path(zot_pull_failure_info.__file__).parents[2] / "roles/zot_diagnose/README.md").read_text("utf-8")
    table = readme.partition("| cause | ")[2].partition("\n\n")[0]
    first = "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", first)) == DOCUMENTED
