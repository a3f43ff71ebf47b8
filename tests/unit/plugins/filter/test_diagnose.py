# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters of zot_diagnose one after the other, as the role calls them, on captured pods and events."""

from __future__ import annotations

import base64
import copy
import json
import re
import shlex
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.filter import diagnose_report as report
from ansible_collections.killinit.zot.plugins.filter.diagnose_failures import FilterModule as Failures
from ansible_collections.killinit.zot.plugins.filter.diagnose_lines import FilterModule as Lines
from ansible_collections.killinit.zot.plugins.filter.diagnose_nearest import FilterModule as Nearest
from ansible_collections.killinit.zot.plugins.filter.diagnose_probes import FilterModule as Probes
from ansible_collections.killinit.zot.plugins.filter.diagnose_questions import FilterModule as Questions
from ansible_collections.killinit.zot.plugins.filter.diagnose_report import FilterModule as Report

PULLS = json.loads((Path(__file__).parents[2] / "captured_pulls.json").read_text(encoding="utf-8"))
NOW = 1795489470.0  # 2026-11-24T03:04:30Z
REGISTRY = "127.0.0.1:5000"
DIGEST = f"sha256:{'1' * 64}"
DOCUMENTED = set(re.findall(r"V\((\w+)\)", report.RETURN))
TOO_MANY = "unexpected status from HEAD request to https://REG/v2/a/manifests/1: 429 Too Many Requests"

_FILTERS: dict[str, t.Callable[..., t.Any]] = {}
for _module in (Failures, Lines, Nearest, Probes, Questions, Report):
    _FILTERS |= _module().filters()


def call(name: str, *arguments: t.Any, **options: t.Any) -> t.Any:
    """A filter, as a template calls it."""
    return _FILTERS[f"diagnose_{name}"](*arguments, **options)


def secret(name: str, entries: t.Any, kind: str = "kubernetes.io/dockerconfigjson") -> tuple[str, dict[str, t.Any]]:
    """A name, and what zot_cluster_info found by it."""
    text = json.dumps({"auths": entries}).encode()
    data = {".dockerconfigjson": base64.b64encode(text).decode()}
    return name, {"resources": [{"metadata": {"name": name}, "type": kind, "data": data}]}


def entry(username: str = "reader", password: str = "s3cret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


SECRETS = [
    secret("zot-pull-secret", {REGISTRY: entry()}),
    secret("wrong", {REGISTRY: entry(password="wr0ng")}),
    secret("otherhost", {"other.example:5000": entry()}),
    secret("opaque", {REGISTRY: entry()}, kind="Opaque"),
    secret("notbase64", {REGISTRY: {"auth": "%%%"}}),
    ("nowhere", {"resources": []}),
]
NODE = {
    "metadata": {"name": "127.0.0.1"},
    "status": {"nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}},
}


def view(*apps: str, scene: str = "early", wait: float = 60, **changes: t.Any) -> dict[str, t.Any]:
    """What there is in the cluster, with the failures of some Deployments; *change* may alter each failure."""
    found = call("failures", PULLS[scene]["pods"], PULLS[scene]["events"], NOW, wait)
    chosen = [each for each in found if not apps or each["subject"].partition("/")[2] in apps]
    for each in chosen:
        each.update(changes.pop("change", {}) if len(chosen) == 1 else {})
    return {
        "namespace": "openclaw",
        "registry": REGISTRY,
        "secret": "zot-pull-secret",
        "failures": chosen,
        "secrets": dict(SECRETS),
        "service_accounts": [{"metadata": {"name": "default"}}],
        "nodes": [NODE],
        **changes,
    }


def image(reference: str, *, platforms: t.Sequence[str] = ("linux/amd64",), **more: t.Any) -> dict[str, t.Any]:
    """A result of zot_image_info, as far as it is read."""
    known = {"exists": True, "digest": DIGEST, "manifests": [], "created": None, "size": 2_000_000}
    return {"reference": f"{REGISTRY}/{reference}", "platforms": list(platforms), **known, **more}


def absent(reference: str) -> dict[str, t.Any]:
    return image(reference, platforms=(), exists=False, digest=None)


def answer(repository: str, *images: dict[str, t.Any], tags: t.Sequence[str] | None = ("1", "2")) -> dict[str, t.Any]:
    """A result for the operator."""
    listed = {"repository": repository, "exists": tags is not None, "tags": list(tags or ())}
    return {"item": {"repository": repository}, "images": list(images), "repositories": [listed]}


def as_pod(result: dict[str, t.Any], name: str = "zot-pull-secret") -> dict[str, t.Any]:
    """The same for a pod's account."""
    return {**result, "item": {**result["item"], "secret": name}}


def refused(error_class: str, name: str = "zot-pull-secret", repository: str = "openclaw/openclaw") -> dict[str, t.Any]:
    return {"item": {"repository": repository, "secret": name}, "error_class": error_class, "msg": "it says no"}


def causes(scene: dict[str, t.Any], **answers: t.Any) -> list[dict[str, t.Any]]:
    """The causes of the only finding, with what holds for each cause."""
    findings = call("report", scene, answers)
    assert len(findings) == 1, findings
    found = list(findings[0]["causes"])
    for each in found:
        assert each["cause"] in DOCUMENTED
        assert each["message"]
        assert each["remedy"].endswith(":") == bool(each["commands"])
    assert all(line.isprintable() for line in call("lines", findings))
    return found


REPAIR = """ansible localhost --module-name=ansible.builtin.include_role --args=name=killinit.zot.zot_pull_secret\
 --extra-vars='zot_pull_secret_state=present zot_pull_secret_fail=false\
 zot_registry=127.0.0.1:5000 zot_namespace=openclaw zot_pull_secret_name=NAME'"""


def steps(found: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """The commands of all causes in their order, in brief: "repair SECRET", or the verb of kubectl and its object."""
    brief = []
    for command in (command for each in found for command in each["commands"]):
        program, *arguments = shlex.split(command)
        if program == "ansible":
            name = command.rpartition("=")[2].rstrip("'")
            assert command == REPAIR.replace("NAME", name)
            brief.append(f"repair {name}")
        else:
            assert [program, arguments[0]] == ["kubectl", "--namespace=openclaw"]
            brief.append(" ".join(arguments[1:3]))
    return brief


def names(found: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    return [each["cause"] for each in found]


THERE = answer("openclaw/openclaw", image("openclaw/openclaw:1"))


@pytest.mark.parametrize(
    ("app", "expected", "named", "typed"),
    [
        ("malformed", "reference_malformed", [f"{REGISTRY}/OpenClaw/openclaw:1"], ["set image"]),
        ("nohost", "host_unknown", ["nosuch.invalid"], ["set image"]),
        ("refused", "connection_refused", ["127.0.0.1:1"], ["set image"]),
        ("plain", "plain_http", ["plain.test:5000"], ["set image"]),
        ("untrusted", "certificate_not_trusted", ["untrusted.test:5000"], ["set image"]),
        ("nosecret", "secret_not_named", ["default"], ["patch serviceaccount", "delete pod"]),
        ("secretmissing", "secret_missing", ["nowhere", "openclaw"], ["repair nowhere", "delete pod"]),
        ("opaque", "secret_type", ["opaque", "Opaque"], ["repair opaque", "delete pod"]),
        ("notbase64", "secret_unreadable", ["notbase64", REGISTRY, "base64"], ["repair notbase64", "delete pod"]),
        (
            "otherhost",
            "secret_without_entry",
            ["otherhost", f"{REGISTRY}/openclaw/openclaw", "other.example:5000"],
            ["repair otherhost", "delete pod"],
        ),
        ("wrong", "credentials_refused", ["wrong", REGISTRY, "401"], ["repair wrong", "delete pod"]),
    ],
)
def test_what_the_cluster_alone_shows(app: str, expected: str, named: list[str], typed: list[str]) -> None:
    """The registry could not be asked at all."""
    (cause,) = causes(view(app))
    assert (cause["cause"], steps([cause])) == (expected, typed)
    assert [text for text in named if text not in cause["message"]] == []
    assert cause["evidence"]
    for name in re.findall(r" delete pod (.*)", "\n".join(cause["commands"])):
        assert name in {each["pod"] for each in view(app)["failures"]}


def test_a_reference_that_lower_case_does_not_mend() -> None:
    (cause,) = causes(view("malformed", change={"image": f"{REGISTRY}/openclaw/openclaw:"}))
    assert (cause["cause"], cause["commands"]) == ("reference_malformed", [])


def test_an_image_of_docker_hub() -> None:
    """It is not asked, and kubelet's word counts."""
    scene = view("repomissing", change={"image": "nginx:none"})
    assert call("questions", scene) == []
    assert call("nearest", scene, {}) == []
    (cause,) = causes(scene)
    assert (cause["cause"], steps([cause])) == ("tag_missing", ["delete pod"])
    assert "docker.io" in cause["message"]


def test_never() -> None:
    asked = [answer("openclaw/openclaw", image("openclaw/openclaw:2"))]
    probed = [as_pod(asked[0])]
    (cause,) = causes(view("never"), asked=asked, probed=probed)
    assert cause["cause"] == "pull_policy_never"
    patch = "'spec: {template: {spec: {containers: [{name: app, imagePullPolicy: Always}]}}}'"
    assert cause["commands"] == [f"kubectl --namespace=openclaw patch deployment/never --patch {patch}"]


class TestAbsence:
    def test_a_tag(self) -> None:
        """The newest of those that are like it; what is not for the node is no remedy."""
        tags = ["30", "3-arm64", "31"]
        asked = [answer("openclaw/openclaw", absent("openclaw/openclaw:3"), tags=tags)]
        scene = view("tagmissing")
        nearest = call("nearest", scene, {"asked": asked})
        assert sorted(nearest) == sorted(f"{REGISTRY}/openclaw/openclaw:{tag}" for tag in tags)
        index = image("openclaw/openclaw:31", manifests=[{"digest": DIGEST}])
        looked = [
            image("openclaw/openclaw:30", created="2026-11-01T00:00:00Z"),
            image("openclaw/openclaw:3-arm64", created="2026-11-03T00:00:00Z", platforms=["linux/arm64"]),
            index,
        ]
        further = call("nearest", scene, {"asked": asked, "looked": looked})
        assert further == [f"{REGISTRY}/openclaw/openclaw@{DIGEST}"]
        looked.append(image(f"openclaw/openclaw@{DIGEST}", created="2026-11-02T00:00:00Z"))
        (cause,) = causes(scene, asked=asked, looked=looked)
        assert cause["cause"] == "tag_missing"
        assert cause["message"].endswith(": 3-arm64, 31, 30")
        assert cause["commands"] == [
            f"kubectl --namespace=openclaw set image deployment/tagmissing app={REGISTRY}/openclaw/openclaw:31"
        ]

    def test_no_tag_at_all(self) -> None:
        asked = [answer("openclaw/openclaw", absent("openclaw/openclaw:3"), tags=[])]
        (cause,) = causes(view("tagmissing"), asked=asked)
        assert cause["cause"] == "tag_missing"
        pods = sorted(each["pod"] for each in view("tagmissing")["failures"])
        assert cause["commands"] == [f"kubectl --namespace=openclaw delete pod {' '.join(pods)}"]

    def test_a_repository(self) -> None:
        """What is typed is an image that is there, and no other program."""
        known = {
            "asked": [answer("openclaw/opencalw", absent("openclaw/opencalw:1"), tags=None)],
            "catalog": ["workspace", "openclaw/openclaw", "openclaw/openclaws"],
        }
        names_ = ["openclaw/openclaw", "openclaw/openclaws", "workspace"]
        assert call("nearest", view("repomissing"), known) == [f"{REGISTRY}/{name}:1" for name in names_]
        looked = [absent("openclaw/openclaw:1"), image("openclaw/openclaws:1"), image("workspace:1")]
        (cause,) = causes(view("repomissing"), looked=looked, **known)
        assert cause["cause"] == "repository_missing"
        assert cause["message"].endswith(": openclaw/openclaw, openclaw/openclaws, workspace")
        assert cause["commands"][0].endswith(f" app={REGISTRY}/openclaw/openclaws:1")
        assert steps([cause]) == ["set image"]
        assert steps(causes(view("repomissing"), looked=looked[::2], **known)) == ["delete pod"]

    def test_a_repository_named_like_the_registry(self) -> None:
        """Only the repository is replaced."""
        told = answer("zot", {**absent(""), "reference": "zot.test/zot:1"}, tags=None)
        known = {"asked": [told], "catalog": ["zoo"]}
        scene = view("repomissing", registry="zot.test", change={"image": "zot.test/zot:1"})
        (there,) = call("nearest", scene, known)
        (cause,) = causes(scene, looked=[{**image(""), "reference": there}], **known)
        assert cause["cause"] == "repository_missing"
        assert cause["commands"] == ["kubectl --namespace=openclaw set image deployment/repomissing app=zot.test/zoo:1"]

    def test_a_repository_of_which_no_catalog_is_known(self) -> None:
        asked = [answer("openclaw/opencalw", absent("openclaw/opencalw:1"), tags=None)]
        (cause,) = causes(view("repomissing"), asked=asked)
        assert (cause["cause"], steps([cause])) == ("repository_missing", ["delete pod"])

    @pytest.mark.parametrize(("app", "tag"), [("digestgone", "2"), ("tagdigestgone", "1")])
    def test_a_digest(self, app: str, tag: str) -> None:
        gone = absent(f"openclaw/openclaw@sha256:{'0' * 64}")
        looked = [image("openclaw/openclaw:1"), image("openclaw/openclaw:2", digest=None)]
        (cause,) = causes(view(app), asked=[answer("openclaw/openclaw", gone)], looked=looked)
        assert cause["cause"] == "digest_missing"
        assert "sha256:000000000000" in cause["message"]
        assert "1 (sha256:111111111111)" in cause["message"]
        assert cause["commands"] == [
            f"kubectl --namespace=openclaw set image deployment/{app} app={REGISTRY}/openclaw/openclaw:{tag}"
        ]

    def test_of_an_image_volume(self) -> None:
        asked = [answer("openclaw/workspace", absent("openclaw/workspace:gone"), tags=["latest"])]
        (cause,) = causes(view("volume"), asked=asked)
        volume = f"{{name: workspace, image: {{reference: {REGISTRY}/openclaw/workspace:latest}}}}"
        patch = f"'spec: {{template: {{spec: {{volumes: [{volume}]}}}}}}'"
        assert cause["commands"] == [f"kubectl --namespace=openclaw patch deployment/volume --patch {patch}"]

    def test_told_by_kubelet_alone(self) -> None:
        """Repository or tag: it does not say."""
        (cause,) = causes(view("repomissing"))
        assert (cause["cause"], steps([cause])) == ("tag_missing", ["delete pod"])

    def test_the_pods_account_sees_it_where_the_operator_may_not_look(self) -> None:
        probed = [as_pod(answer("openclaw/openclaw", absent("openclaw/openclaw:3")))]
        asked = [{"item": {"repository": "openclaw/openclaw"}, "error_class": "unauthorized", "msg": "no"}]
        found = causes(view("tagmissing"), asked=asked, probed=probed)
        assert (names(found), steps(found)) == (["tag_missing"], ["set image"])


class TestAccess:
    def test_probes(self) -> None:
        """Each account once for each repository; of no secret that kubelet cannot read."""
        probes = call("probes", view())
        told = {(each["secret"], each["repository"], each["password"]) for each in probes}
        assert told == {
            ("zot-pull-secret", "openclaw/openclaw", "s3cret"),
            ("zot-pull-secret", "openclaw/opencalw", "s3cret"),
            ("zot-pull-secret", "openclaw/workspace", "s3cret"),
            ("wrong", "openclaw/openclaw", "wr0ng"),
            # For the pods whose secrets have no account, kubelet has none.
            ("", "openclaw/openclaw", ""),
        }
        assert len(probes) == len(told)

    def test_questions(self) -> None:
        """Of the registry alone, and what is malformed is no question."""
        found = {each["repository"]: each["images"] for each in call("questions", view())}
        assert list(found) == ["openclaw/openclaw", "openclaw/opencalw", "openclaw/workspace"] or set(found) == {
            "openclaw/openclaw",
            "openclaw/opencalw",
            "openclaw/workspace",
        }
        assert all(text.startswith(f"{REGISTRY}/") for images in found.values() for text in images)

    def test_refused(self) -> None:
        (cause,) = causes(view("wrong"), asked=[THERE], probed=[refused("unauthorized", "wrong")])
        assert (cause["cause"], steps([cause])) == ("credentials_refused", ["repair wrong", "delete pod"])
        assert cause["commands"][1].startswith("kubectl --namespace=openclaw delete pod wrong-")

    def test_denied(self) -> None:
        """The account is good, and may not read: it is to be let, or to be another one."""
        (cause,) = causes(view("wrong"), asked=[THERE], probed=[refused("denied", "wrong")])
        assert (cause["cause"], steps([cause])) == ("read_denied", ["repair wrong", "delete pod"])

    def test_refused_and_absent(self) -> None:
        """The operator sees what the pod's account would meet next."""
        asked = [answer("openclaw/openclaw", absent("openclaw/openclaw:1"), tags=["2"])]
        found = causes(view("wrong"), asked=asked, probed=[refused("unauthorized", "wrong")])
        assert names(found) == ["credentials_refused", "tag_missing"]
        assert steps(found) == ["repair wrong", "set image"]

    def test_no_secret_and_none_to_name(self) -> None:
        scene = view("nosecret", secrets={"zot-pull-secret": {"resources": []}})
        found = causes(scene, asked=[THERE])
        assert names(found) == ["secret_missing", "secret_not_named"]
        assert steps(found) == ["repair zot-pull-secret", "patch serviceaccount", "delete pod"]
        assert found[1]["commands"][0] == (
            "kubectl --namespace=openclaw patch serviceaccount default"
            " --patch 'imagePullSecrets: [{name: zot-pull-secret}]'"
        )

    def test_the_service_account_was_told_too_late(self) -> None:
        accounts = [{"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "zot-pull-secret"}]}]
        scene = view("nosecret", service_accounts=accounts)
        (cause,) = causes(scene, asked=[THERE], probed=[as_pod(THERE)])
        assert (cause["cause"], steps([cause])) == ("secret_not_named", ["delete pod"])

    @pytest.mark.parametrize(
        ("error_class", "expected", "typed"),
        [
            ("unauthorized", ["credentials_refused", "secret_not_named"], ["repair zot-pull-secret"]),
            ("denied", ["read_denied", "secret_not_named"], ["repair zot-pull-secret"]),
            ("unavailable", ["secret_not_named"], []),
        ],
    )
    def test_no_secret_and_the_one_to_name_is_no_good(
        self, error_class: str, expected: list[str], typed: list[str]
    ) -> None:
        found = causes(view("nosecret"), asked=[THERE], probed=[refused(error_class)])
        assert names(found) == expected
        assert steps(found) == [*typed, "patch serviceaccount", "delete pod"]

    def test_an_incomplete_entry(self) -> None:
        scene = view("wrong", secrets=dict([secret("wrong", {REGISTRY: {"username": "reader"}})]))
        (cause,) = causes(scene, asked=[THERE])
        assert (cause["cause"], steps([cause])) == ("secret_without_entry", ["repair wrong", "delete pod"])

    def test_of_several_secrets_only_the_one_that_should_be_for_it(self) -> None:
        scene = view("otherhost", change={"secrets": ["opaque", "zot-pull-secret"]})
        scene["secrets"] = dict([SECRETS[3], secret("zot-pull-secret", {"x.example": entry()})])
        found = causes(scene, asked=[THERE])
        assert names(found) == ["secret_without_entry"]
        assert steps(found) == ["repair zot-pull-secret", "delete pod"]

    def test_what_is_missing_and_what_has_no_entry(self) -> None:
        """Both, since either may be the one that was meant."""
        scene = view("secretmissing", change={"secrets": ["nowhere", "zot-pull-secret", "otherhost"]})
        scene["secrets"] = dict([SECRETS[5], secret("zot-pull-secret", {"x.example": entry()}), SECRETS[2]])
        found = causes(scene, asked=[THERE])
        assert names(found) == ["secret_missing", "secret_without_entry"]
        assert steps(found) == ["repair nowhere", "repair zot-pull-secret", "delete pod"]

    def test_one_that_kubelet_cannot_read_spoils_the_others(self) -> None:
        """Kubelet gives all of them up, though one would do."""
        scene = view("notbase64", change={"secrets": ["zot-pull-secret", "notbase64"]})
        assert {each["secret"] for each in call("probes", scene)} == {""}
        probed = [as_pod(THERE), refused("unauthorized", "")]
        found = causes(scene, asked=[THERE], probed=probed)
        assert (names(found), steps(found)) == (["secret_unreadable"], ["repair notbase64", "delete pod"])

    def test_a_name_that_no_secret_can_have(self) -> None:
        """It is in no command: Kubernetes takes any text there."""
        name = "x zot_namespace=kube-system"
        (cause,) = causes(view("secretmissing", change={"secrets": [name]}), asked=[THERE])
        assert cause["cause"] == "secret_missing"
        assert f"'{name}'" in cause["message"]
        patch = "'spec: {template: {spec: {imagePullSecrets: [{name: zot-pull-secret}]}}}'"
        assert cause["commands"] == [f"kubectl --namespace=openclaw patch deployment/secretmissing --patch {patch}"]

    def test_the_service_account_names_another_one(self) -> None:
        """The next pod gets that one, so it is the one that is asked."""
        accounts = [{"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "wrong"}]}]
        scene = view("nosecret", service_accounts=accounts)
        assert {each["secret"] for each in call("probes", scene)} == {"wrong", ""}
        found = causes(scene, asked=[THERE], probed=[refused("unauthorized", "wrong"), refused("unauthorized", "")])
        assert names(found) == ["credentials_refused", "secret_not_named"]
        assert steps(found) == ["repair wrong", "delete pod"]
        assert "wrong" in found[1]["message"]

    @pytest.mark.parametrize("app", ["nosecret", "otherhost"])
    def test_a_registry_that_wants_no_account(self, app: str) -> None:
        """Then no secret is missed."""
        scene = view(app, change={"said": "dial tcp: i/o timeout"})
        nobody = as_pod(THERE, "")
        found = causes(scene, asked=[THERE], probed=[nobody])
        assert (names(found), steps(found)) == (["timed_out"], ["delete pod"])
        found = causes(scene, asked=[THERE], probed=[refused("unauthorized", "")])
        missing, mend = {
            "nosecret": ("secret_not_named", "patch serviceaccount"),
            "otherhost": ("secret_without_entry", "repair otherhost"),
        }[app]
        assert (names(found), steps(found)) == (["timed_out", missing], [mend, "delete pod"])

    @pytest.mark.parametrize(
        ("app", "expected"),
        [
            ("wrong", "credentials_refused"),
            ("secretmissing", "secret_missing"),
            ("otherhost", "secret_without_entry"),
            ("nosecret", "secret_not_named"),
        ],
    )
    def test_another_registry_never_gets_our_account(self, app: str, expected: str) -> None:
        """Neither from here nor by a command that puts it into a secret."""
        scene = view(app, registry="zot.example")
        assert call("probes", scene) == []
        (cause,) = causes(scene)
        assert (cause["cause"], steps([cause])) == (expected, ["delete pod"])
        assert f"account of {REGISTRY}" in cause["remedy"]
        assert "ZOT_USERNAME" not in cause["remedy"]

    def test_another_registry_lets_the_account_not_read(self) -> None:
        scene = view("wrong", registry="zot.example", change={"said": "403 Forbidden"})
        (cause,) = causes(scene)
        assert (cause["cause"], steps([cause])) == ("read_denied", ["delete pod"])
        assert "ZOT_USERNAME" not in cause["remedy"]

    def test_a_registry_of_which_nobody_knows_whether_it_wants_one(self) -> None:
        scene = view("nosecret", change={"said": "", "state": "waiting"})
        found = causes(scene, asked=[refused("unavailable")], probed=[refused("unavailable", "")])
        assert (names(found), steps(found)) == (["pulling"], [])

    def test_it_lets_everybody_in_but_not_with_a_wrong_password(self) -> None:
        """Kubelet asks as nobody only where it finds no account at all."""
        probed = [as_pod(THERE, ""), refused("unauthorized", "wrong")]
        found = causes(view("wrong"), asked=[THERE], probed=probed)
        assert (names(found), steps(found)) == (["credentials_refused"], ["repair wrong", "delete pod"])

    def test_a_secret_that_may_not_be_read(self) -> None:
        scene = view("wrong", secrets={"wrong": {"msg": "forbidden"}})
        (cause,) = causes(scene, asked=[THERE])
        assert (cause["cause"], cause["commands"]) == ("unknown", [])
        assert "wrong" in cause["message"]

    def test_another_registry_may_be_open_to_everybody(self) -> None:
        """No word of the secret, as long as it asks for none."""
        found = causes(view("untrusted"))
        assert (names(found), steps(found)) == (["certificate_not_trusted"], ["set image"])

    def test_the_registry_does_not_answer_here(self) -> None:
        """Then kubelet's word counts."""
        found = causes(view("wrong"), asked=[refused("unavailable")], probed=[refused("unavailable", "wrong")])
        assert (names(found), steps(found)) == (["credentials_refused"], ["repair wrong", "delete pod"])


class TestPlatform:
    INDEX = image("openclaw/workspace:latest", platforms=["linux/arm64"], manifests=[{"digest": DIGEST}])

    def test_of_an_index(self) -> None:
        (cause,) = causes(view("platform"), asked=[answer("openclaw/workspace", self.INDEX)])
        assert (cause["cause"], steps([cause])) == ("platform_missing", ["delete pod"])
        assert "linux/amd64" in cause["message"]
        assert "linux/arm64" in cause["message"]

    def test_another_node_could_run_it(self) -> None:
        other = copy.deepcopy(NODE)
        other["metadata"]["name"] = "other"
        other["status"]["nodeInfo"]["architecture"] = "arm64"
        (cause,) = causes(view("platform", nodes=[NODE, other]), asked=[answer("openclaw/workspace", self.INDEX)])
        patch = "'spec: {template: {spec: {nodeSelector: {kubernetes.io/arch: arm64}}}}'"
        assert cause["commands"] == [f"kubectl --namespace=openclaw patch deployment/platform --patch {patch}"]

    @pytest.mark.parametrize("nodes", [None, [NODE]])
    def test_told_by_kubelet_alone(self, nodes: t.Any) -> None:
        found = causes(view("platform", nodes=nodes))
        assert (names(found), steps(found)) == (["platform_missing"], ["delete pod"])

    def test_it_fits_now(self) -> None:
        whole = {**self.INDEX, "platforms": ["linux/arm64", "linux/amd64"]}
        found = causes(view("platform"), asked=[answer("openclaw/workspace", whole)])
        assert (names(found), steps(found)) == (["works_now"], ["delete pod"])

    def test_of_a_program_that_ends_at_once(self) -> None:
        foreign = image("openclaw/openclaw:arm64", platforms=["linux/arm64/v8"])
        (cause,) = causes(view("foreign"), asked=[answer("openclaw/openclaw", foreign)])
        assert (cause["cause"], cause["commands"]) == ("architecture_wrong", [])
        assert "linux/arm64/v8" in cause["message"]
        assert "linux/amd64" in cause["message"]

    def test_a_program_that_says_so_itself(self) -> None:
        scene = view("foreign", change={"said": "it ended with exit code 1: exec /app: exec format error"})
        found = causes(scene)
        assert (names(found), steps(found)) == (["architecture_wrong"], [])

    @pytest.mark.parametrize("nodes", [None, [NODE]])
    def test_a_program_that_ends_for_reasons_of_its_own(self, nodes: t.Any) -> None:
        """That is no failed pull."""
        asked = [answer("openclaw/openclaw", image("openclaw/openclaw:arm64"))]
        assert call("report", view("foreign", nodes=nodes), {"asked": asked}) == []


class TestNothingWrong:
    def test_it_works_now(self) -> None:
        (cause,) = causes(view("wrong"), asked=[THERE], probed=[as_pod(THERE, "wrong")])
        assert (cause["cause"], steps([cause])) == ("works_now", ["delete pod"])
        assert "10 s" in cause["remedy"]

    def test_a_pod_that_nobody_would_make_again(self) -> None:
        scene = view("wrong", change={"subject": "pod/alone", "next_try": None})
        (cause,) = causes(scene, asked=[THERE], probed=[as_pod(THERE, "wrong")])
        assert (cause["cause"], cause["commands"]) == ("works_now", [])
        assert "5 minutes" in cause["remedy"]

    def test_a_first_pull_goes_on(self) -> None:
        scene = view("slow", wait=10, registry="slow.test:5000")
        there = {**image("openclaw/openclaw:1"), "reference": "slow.test:5000/openclaw/openclaw:1"}
        scene["secrets"] = dict([secret("zot-pull-secret", {"slow.test:5000": entry()})])
        asked = [answer("openclaw/openclaw", there)]
        (cause,) = causes(scene, asked=asked, probed=[as_pod(asked[0])])
        assert (cause["cause"], cause["commands"]) == ("pulling", [])
        assert "2.0 MB" in cause["evidence"]

    def test_nobody_says_why(self) -> None:
        scene = view("slow", wait=10, change={"state": "failed"})
        (cause,) = causes(scene)
        assert (cause["cause"], cause["commands"], cause["evidence"]) == ("unknown", [], "")
        scene["failures"][0]["said"] = "something unheard of"
        (cause,) = causes(scene)
        assert (cause["cause"], cause["commands"], cause["evidence"]) == ("unknown", [], "something unheard of")

    def test_a_first_pull_from_a_registry_that_is_not_asked(self) -> None:
        (cause,) = causes(view("slow", wait=10))
        assert (cause["cause"], cause["commands"]) == ("pulling", [])


class TestNetwork:
    def test_a_quota(self) -> None:
        """Kubelet knows only the number, which is that of a rate limit, too."""
        scene = view("wrong", change={"said": TOO_MANY})
        found = causes(scene, asked=[THERE], probed=[refused("rate_limited", "wrong")])
        assert (names(found), steps(found)) == (["rate_limited"], [])
        found = causes(scene, asked=[THERE], probed=[refused("quota_exceeded", "wrong")])
        assert (names(found), steps(found)) == (["quota_exceeded"], ["delete pod"])

    def test_it_answers_from_here(self) -> None:
        scene = view("refused", registry="127.0.0.1:1")
        scene["secrets"] = dict([secret("zot-pull-secret", {"127.0.0.1:1": entry()})])
        there = {**image("openclaw/openclaw:1"), "reference": "127.0.0.1:1/openclaw/openclaw:1"}
        asked = [answer("openclaw/openclaw", there)]
        (cause,) = causes(scene, asked=asked, probed=[as_pod(asked[0])])
        # It may have been down for a while.
        assert (cause["cause"], steps([cause])) == ("connection_refused", ["delete pod"])

    @pytest.mark.parametrize("app", ["refused", "nohost", "plain", "untrusted"])
    def test_another_registry_may_be_meant(self, app: str) -> None:
        (cause,) = causes(view(app))
        assert REGISTRY in cause["remedy"]
        assert cause["commands"] == [
            f"kubectl --namespace=openclaw set image deployment/{app} app={REGISTRY}/openclaw/openclaw:1"
        ]

    @pytest.mark.parametrize(
        ("said", "expected", "typed"),
        [
            (PULLS["elsewhere"][4]["said"], "disk_full", ["delete pod"]),
            ("429 Too Many Requests", "rate_limited", []),
            ("toomanyrequests: too many requests limit:3", "quota_exceeded", ["delete pod"]),
            ("503 Service Unavailable", "registry_failing", ["delete pod"]),
            ("i/o timeout", "timed_out", ["delete pod"]),
        ],
        ids=["disk", "rate", "quota", "failing", "time"],
    )
    def test_what_no_secret_can_mend(self, said: str, expected: str, typed: list[str]) -> None:
        scene = view("wrong", change={"said": said})
        found = causes(scene, asked=[THERE], probed=[as_pod(THERE, "wrong")])
        assert (names(found), steps(found)) == ([expected], typed)


class TestFindings:
    def test_alike_pods_are_one(self) -> None:
        (found,) = call("report", view("tagmissing"), {})
        assert (found["pods"], len(found["pod_names"]), found["nodes"]) == (3, 3, ["127.0.0.1"])
        assert (found["subject"], found["uses"]) == ("deployment/tagmissing", ["container app"])

    def test_also_if_kubelet_has_other_words_for_some(self) -> None:
        """As when it pulls only so many at a time."""
        scene = view("tagmissing")
        scene["failures"][0]["said"] = "pull QPS exceeded"
        asked = [answer("openclaw/openclaw", absent("openclaw/openclaw:3"))]
        probed = [as_pod(asked[0])]
        (found,) = call("report", scene, {"asked": asked, "probed": probed})
        assert found["pods"] == 3
        assert found["causes"][0]["evidence"].endswith(":3: not found")

    def test_many_pods_are_restarted_together(self) -> None:
        scene = view("wrong")
        scene["failures"] = [{**scene["failures"][0], "pod": f"wrong-{number}"} for number in range(50)]
        (found,) = call("report", scene, {"probed": [refused("unauthorized", "wrong")]})
        assert found["pods"] == 50
        assert found["causes"][0]["commands"][1] == "kubectl --namespace=openclaw rollout restart deployment/wrong"

    def test_what_passes_by_itself_comes_last(self) -> None:
        scene = view("wrong", "repomissing", "tagmissing")
        findings = call("report", scene, {"asked": [THERE], "probed": [as_pod(THERE, "wrong")]})
        order = [each["subject"].partition("/")[2] for each in findings]
        assert order[0] == "tagmissing"
        assert order[-1] == "wrong"

    def test_nothing_secret_is_in_it(self) -> None:
        probed = [refused("unauthorized", "wrong")]
        text = json.dumps(call("report", view(), {"probed": probed}))
        for hidden in ("s3cret", "wr0ng", entry()["auth"], entry(password="wr0ng")["auth"]):
            assert hidden not in text


@pytest.mark.parametrize("kind", ["job", "pod", "replicaset"])
def test_what_cannot_be_changed_gets_no_command(kind: str) -> None:
    """A Job's template is fixed, and so are the volumes of a pod."""
    scene = view("volume", change={"subject": f"{kind}/x"})
    asked = [answer("openclaw/workspace", absent("openclaw/workspace:gone"), tags=["latest"])]
    assert not [each for each in causes(scene, asked=asked)[0]["commands"] if "delete pod" not in each]
    never = view("never", change={"subject": f"{kind}/x"})
    there = answer("openclaw/openclaw", image("openclaw/openclaw:2"))
    assert causes(never, asked=[there], probed=[as_pod(there)])[0]["commands"] == []


def test_the_nodes_of_a_job_cannot_be_chosen() -> None:
    """Nor those of a pod that is there."""
    other = copy.deepcopy(NODE)
    other["status"]["nodeInfo"]["architecture"] = "arm64"
    other["metadata"]["name"] = "other"
    scene = view("platform", nodes=[NODE, other], change={"subject": "job/x"})
    (cause,) = causes(scene, asked=[answer("openclaw/workspace", TestPlatform.INDEX)])
    assert (cause["cause"], steps([cause])) == ("platform_missing", ["delete pod"])


def test_an_init_container_and_a_pod_of_its_own() -> None:
    scene = view("tagmissing")
    scene["failures"] = [{**scene["failures"][0], "use": "init container", "name": "first", "subject": "pod/alone"}]
    asked = [answer("openclaw/openclaw", absent("openclaw/openclaw:3"), tags=["2"])]
    assert causes(scene, asked=asked)[0]["commands"] == [
        f"kubectl --namespace=openclaw set image pod/alone first={REGISTRY}/openclaw/openclaw:2"
    ]


class TestOneAfterTheOther:
    """Who types the commands in their order never needs one twice, and none names a pod that is gone by then."""

    def test_the_pods_come_last(self) -> None:
        scene = view("nosecret", secrets={"zot-pull-secret": {"resources": []}})
        repair, name = causes(scene, asked=[THERE])
        assert steps([repair]) == ["repair zot-pull-secret"]
        assert steps([name]) == ["patch serviceaccount", "delete pod"]
        assert "ZOT_USERNAME and ZOT_PASSWORD" in repair["remedy"]

    def test_another_image_is_in_new_pods(self) -> None:
        asked = [answer("openclaw/openclaw", absent("openclaw/openclaw:1"), tags=["2"])]
        found = causes(view("wrong"), asked=asked, probed=[refused("unauthorized", "wrong")])
        assert steps(found) == ["repair wrong", "set image"]

    def test_a_stateful_set_waits_for_its_broken_pod(self) -> None:
        """It is to be deleted, and the next one has the same name."""
        asked = [answer("openclaw/openclaw", absent("openclaw/openclaw:3"), tags=["2"])]
        scene = view("tagmissing")
        scene["failures"] = [{**scene["failures"][0], "subject": "statefulset/x", "pod": f"x-{n}"} for n in range(9)]
        (cause,) = causes(scene, asked=asked)
        assert steps([cause]) == ["set image", "delete pod"]
        assert cause["commands"][1].endswith(" x-6 x-7 x-8")

    def test_pods_whose_names_nobody_knows_yet(self) -> None:
        """The first command replaces them, before the last one mends what the new ones need."""
        scene = view("never", change={"secrets": []}, secrets={"zot-pull-secret": {"resources": []}})
        found = causes(scene, asked=[answer("openclaw/openclaw", image("openclaw/openclaw:2"))])
        assert names(found) == ["pull_policy_never", "secret_missing", "secret_not_named"]
        assert steps(found) == [
            "patch deployment/never",
            "repair zot-pull-secret",
            "patch serviceaccount",
            "rollout restart",
        ]
        assert found[-1]["commands"][-1] == "kubectl --namespace=openclaw rollout restart deployment/never"


def test_a_container_that_was_added_to_a_pod_that_runs() -> None:
    """No command changes it, and none ends the pod for it."""
    scene = view("wrong", change={"use": "ephemeral container", "name": "debugger"})
    asked = [answer("openclaw/openclaw", absent("openclaw/openclaw:1"), tags=["2"])]
    found = causes(scene, asked=asked, probed=[refused("unauthorized", "wrong")])
    assert names(found) == ["credentials_refused", "tag_missing"]
    assert steps(found) == ["repair wrong"]
    (never,) = causes(view("never", change={"use": "ephemeral container", "name": "debugger"}), probed=[as_pod(THERE)])
    assert never["commands"] == []


def test_both_documents_list_the_same_causes() -> None:
    readme = (Path(report.__file__).parents[2] / "roles/zot_diagnose/README.md").read_text(encoding="utf-8")
    table = readme.partition("| cause | what shows it |")[2].partition("\n\n")[0]
    first = "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", first)) == DOCUMENTED


def test_lines() -> None:
    """Prose fits a terminal, a command is one line."""
    findings = call("report", view(), {"catalog": ["openclaw/openclaw"]})
    lines = call("lines", findings)
    assert f"{REGISTRY}/openclaw/openclaw:3" in lines
    assert "  container app of deployment/tagmissing, 3 pods on 127.0.0.1" in lines
    commands = {command for each in findings for cause in each["causes"] for command in cause["commands"]}
    assert commands <= {line.strip() for line in lines}
    assert all(len(line) <= 100 or line.strip() in commands or " " not in line.strip() for line in lines)
    assert not any('"' in command for command in commands)
    brief = call("lines", findings, brief=True)
    assert len(brief) == len(findings)
    assert any(line.startswith(f"{REGISTRY}/openclaw/openclaw:3 of deployment/tagmissing: ") for line in brief)


@pytest.mark.parametrize("brief", [False, True])
def test_a_terminal_obeys_nothing(brief: bool) -> None:
    """A pod may name any text as its image."""
    (finding,) = call("report", view("malformed", change={"image": "a\x1b[2J\u202eb"}), {})
    lines = call("lines", [finding], brief=brief)
    assert lines[0].startswith("a\\x1b[2J\\u202eb")
    assert all(line.isprintable() for line in lines)
