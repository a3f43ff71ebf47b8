# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import typing as t

import pytest

from ansible_collections.killinit.zot.plugins.filter.pull_secret_checks import pull_secret_checks
from ansible_collections.killinit.zot.plugins.filter.pull_secret_lines import pull_secret_lines
from ansible_collections.killinit.zot.plugins.filter.pull_secret_plan import pull_secret_plan
from ansible_collections.killinit.zot.plugins.filter.pull_secret_probes import pull_secret_probes

REGISTRY = "oci.killinit.cc"
REPOSITORY = f"{REGISTRY}/openclaw/openclaw"
CONFIG = "kubernetes.io/dockerconfigjson"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def entry(username: str = "ci", password: str = "pass") -> dict[str, str]:
    return {"auth": encoded(f"{username}:{password}")}


def secret(entries: t.Any, *, kind: str = CONFIG, field: str = ".dockerconfigjson", **more: t.Any) -> dict[str, t.Any]:
    document = entries if field == ".dockercfg" else {"auths": entries}
    text = entries if isinstance(entries, str) else json.dumps(document)
    metadata = {"name": "zot-pull-secret", "namespace": "openclaw", **more.pop("metadata", {})}
    return {"type": kind, "metadata": metadata, "data": {field: encoded(text)}, **more}


def workload(name: str = "openclaw", image: str = f"{REPOSITORY}:latest", **specification: t.Any) -> dict[str, t.Any]:
    pod = {"containers": [{"name": "app", "image": image}], **specification}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"spec": pod}}}


NAMED = {"imagePullSecrets": [{"name": "zot-pull-secret"}]}
DEFAULT = {"metadata": {"name": "default"}}


def view(**changes: t.Any) -> dict[str, t.Any]:
    return {
        "name": "zot-pull-secret",
        "namespace": "openclaw",
        "only": [],
        "refused": [],
        "secret": [secret({REGISTRY: entry()})],
        "elsewhere": None,
        "workloads": [workload(**NAMED)],
        "service_accounts": [DEFAULT],
        **changes,
    }


def probed(given: dict[str, t.Any], **result: t.Any) -> list[dict[str, t.Any]]:
    """What zot_image_info would return for each probe."""
    there = [{"reference": f"{REPOSITORY}:latest", "exists": True}]
    return [{"item": item, **(result or {"images": there})} for item in pull_secret_probes(given, REGISTRY)]


def checks(given: dict[str, t.Any], **result: t.Any) -> dict[str, dict[str, t.Any]]:
    found = pull_secret_checks(given, REGISTRY, probed(given, **result))
    assert "pass" not in json.dumps(found).replace("password", "")
    return {check["check"]: check for check in found}


def plan(given: dict[str, t.Any], *account: str | None, **result: t.Any) -> dict[str, t.Any]:
    judged = pull_secret_checks(given, REGISTRY, probed(given, **result))
    return pull_secret_plan(given, REGISTRY, judged, *account)


def entries(planned: dict[str, t.Any], field: str = ".dockerconfigjson") -> dict[str, t.Any]:
    document = json.loads(base64.b64decode(planned["secret"]["data"][field]))
    return document["auths"] if field == ".dockerconfigjson" else document


def test_all_is_well() -> None:
    found = checks(view())
    assert {check["verdict"] for check in found.values()} == {"ok"}
    assert list(found) == ["exists", "type", "json", "entry", "auth", "read", "named"]
    assert plan(view(), "ci", "pass")["lines"] == []


ABSENT = {"exists": "failed", **dict.fromkeys(("type", "json", "entry", "auth", "read"), "unknown")}
NO_ENTRY = {"entry": "failed", "auth": "unknown", "read": "unknown"}
BAD_AUTH = {"auth": "failed", "read": "unknown"}
NO_WORKLOADS = {"read": "unknown", "named": "unknown"}


@pytest.mark.parametrize(
    ("changes", "check", "message", "verdicts"),
    [
        pytest.param({"secret": []}, "exists", "other namespaces could not be looked at", ABSENT, id="missing"),
        pytest.param({"secret": [], "elsewhere": []}, "exists", "no secret/zot-pull-secret", ABSENT, id="nowhere"),
        pytest.param({"secret": [], "elsewhere": ["prod"]}, "exists", "the one in prod", ABSENT, id="elsewhere"),
        pytest.param(
            {"secret": None}, "exists", "could not be read", {**ABSENT, "exists": "unknown"}, id="not readable"
        ),
        pytest.param(
            {"secret": [secret({}, kind="Opaque")]}, "type", "Opaque", {"type": "failed", **NO_ENTRY}, id="Opaque"
        ),
        pytest.param({"secret": [secret("x")]}, "json", "is not JSON", {"json": "failed", **NO_ENTRY}, id="not JSON"),
        pytest.param({"secret": [secret({"a.b": entry()})]}, "entry", "it has a.b", NO_ENTRY, id="another host"),
        pytest.param({"secret": [secret({})]}, "entry", "it has none", NO_ENTRY, id="no entry"),
        pytest.param({"secret": [secret({REGISTRY: {}})]}, "auth", "lacks the user name", BAD_AUTH, id="empty entry"),
        pytest.param(
            {"secret": [secret({REGISTRY: {**entry(), "username": "you"}})]},
            "auth",
            "kubelet takes",
            {"auth": "failed"},
            id="auth",
        ),
        pytest.param({"workloads": None}, "read", "could not be read", NO_WORKLOADS, id="workloads not readable"),
        pytest.param({"workloads": []}, "read", "no workload", {}, id="no workload"),
        pytest.param({"refused": ["x may not list"]}, "access", "x may not list", {"access": "failed"}, id="no right"),
        pytest.param(
            {"only": ["deployment/x"]}, "named", "no deployment/x", {"named": "failed"}, id="no such workload"
        ),
        pytest.param(
            {"workloads": [workload()]}, "named", "nor its service account default", {"named": "failed"}, id="not named"
        ),
        pytest.param(
            {"workloads": [workload(imagePullSecrets=[{"name": "x"}])]},
            "named",
            "it names x and not",
            {"named": "failed"},
            id="others",
        ),
        pytest.param(
            {"workloads": [workload()], "service_accounts": None},
            "named",
            "could not be read",
            {"named": "unknown"},
            id="accounts",
        ),
        pytest.param(
            {"workloads": [workload()], "service_accounts": []},
            "named",
            "no service account default",
            {"named": "failed"},
            id="none",
        ),
        pytest.param(
            {"workloads": [workload()], "service_accounts": [{**DEFAULT, **NAMED}]},
            "named",
            "its service account default",
            {},
            id="by it",
        ),
    ],
)
def test_verdicts(changes: dict[str, t.Any], check: str, message: str, verdicts: dict[str, str]) -> None:
    """All that is not ok, and what one of the checks names."""
    found = checks(view(**changes))
    assert {name: each["verdict"] for name, each in found.items() if each["verdict"] != "ok"} == verdicts
    assert message in found[check]["message"]
    for each in found.values():
        assert bool(each["remedy"]) is (each["verdict"] == "failed"), each


@pytest.mark.parametrize(
    ("result", "verdict", "message"),
    [
        pytest.param({"error_class": "unauthorized", "msg": "m"}, "failed", "(401)", id="401"),
        pytest.param({"error_class": "denied", "msg": "m"}, "failed", "(403)", id="403"),
        pytest.param(
            {"error_class": "unavailable", "msg": "down. Wait.", "hint": "Wait."}, "unknown", "down", id="down"
        ),
        pytest.param({"msg": "MODULE FAILURE pass"}, "unknown", "ended unexpectedly", id="broken"),
        pytest.param({"images": [{"reference": "r", "exists": False}]}, "failed", "r is not there", id="absent"),
    ],
)
def test_what_the_account_can_read(result: dict[str, t.Any], verdict: str, message: str) -> None:
    every = checks(view(), **result)
    assert {name for name, each in every.items() if each["verdict"] != "ok"} == {"read"}
    found = every["read"]
    assert (found["verdict"], message in found["message"]) == (verdict, True), found
    assert found["remedy"]
    expected = result.get("error_class") or ("not_found" if "images" in result else "tool_failed")
    assert (found["error_class"], found["entries"]) == (expected, [REGISTRY])


def test_one_account_that_can_read_is_enough() -> None:
    given = view(secret=[secret({REGISTRY: entry(), "*.killinit.cc": entry("other")})])
    first, second = probed(given)
    first = {"item": first["item"], "error_class": "unauthorized", "msg": "m"}
    found = {check["check"]: check for check in pull_secret_checks(given, REGISTRY, [first, second])}["read"]
    assert (found["verdict"], found["entries"]) == ("ok", ["*.killinit.cc"])


class TestPlan:
    def test_creates_what_is_missing(self) -> None:
        planned = plan(view(secret=[]), "ci", "pass")
        assert entries(planned) == {REGISTRY: {"username": "ci", "password": "pass", **entry()}}
        assert {name: value for name, value in planned["secret"].items() if name != "data"} == {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "zot-pull-secret", "namespace": "openclaw"},
            "type": CONFIG,
        }
        assert (planned["recreate"], planned["problem"], planned["service_accounts"]) == (False, "", [])
        assert planned["lines"] == ["secret/zot-pull-secret: is created", f"entry {REGISTRY}: comes"]
        assert checks(planned["view"])["exists"]["verdict"] == "ok"

    def test_keeps_the_entries_for_others(self) -> None:
        given = view(secret=[secret({"quay.io": entry("q"), REGISTRY: {}})])
        planned = plan(given, "ci", "pass")
        assert entries(planned)["quay.io"] == entry("q")
        assert "type" not in planned["secret"]
        assert planned["lines"] == ["secret/zot-pull-secret: changes", f"entry {REGISTRY}: gets another account"]

    def test_a_wrong_password_is_replaced_with_the_entry_that_holds_it(self) -> None:
        given = view(secret=[secret({f"{REGISTRY}/openclaw": entry("old")})])
        planned = plan(given, "ci", "pass", error_class="unauthorized", msg="m")
        assert list(entries(planned)) == [REGISTRY]
        assert f"entry {REGISTRY}/openclaw: goes" in planned["lines"]

    def test_a_wrong_type_is_created_again(self) -> None:
        metadata = {"labels": {"a": "b"}, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x"}}
        planned = plan(view(secret=[secret({"quay.io": entry()}, kind="Opaque", metadata=metadata)]), "ci", "pass")
        assert (planned["recreate"], planned["secret"]["type"]) == (True, CONFIG)
        assert "immutable" not in planned["secret"]
        assert planned["secret"]["metadata"]["labels"] == {"a": "b"}
        assert planned["secret"]["metadata"]["annotations"] == {}
        assert sorted(entries(planned)) == [REGISTRY, "quay.io"]
        assert "since it is of type Opaque" in planned["lines"][0]

    def test_an_immutable_one_is_created_again(self) -> None:
        planned = plan(view(secret=[secret({}, immutable=True)]), "ci", "pass")
        assert (planned["recreate"], planned["secret"]["immutable"]) == (True, True)
        assert "since it is immutable" in planned["lines"][0]

    def test_the_older_type_stays(self) -> None:
        given = view(secret=[secret({}, kind="kubernetes.io/dockercfg", field=".dockercfg")])
        assert list(entries(plan(given, "ci", "pass"), ".dockercfg")) == [REGISTRY]

    def test_what_cannot_be_read_goes(self) -> None:
        planned = plan(view(secret=[secret({"x": 1, "quay.io": entry()})]), "ci", "pass")
        assert sorted(entries(planned)) == [REGISTRY, "quay.io"]

    def test_the_same_account_again_is_no_cure(self) -> None:
        same = {"username": "ci", "password": "pass", **entry()}
        given = view(secret=[secret({REGISTRY: same})])
        assert plan(given, "ci", "pass", error_class="unauthorized", msg="m")["secret"] == {}

    def test_the_account_of_an_auth_file(self) -> None:
        authfile = json.dumps({"auths": {REGISTRY: entry("robot")}})
        assert entries(plan(view(secret=[]), None, None, authfile))[REGISTRY]["username"] == "robot"

    @pytest.mark.parametrize(("authfile", "said"), [(None, "give zot_username"), ("{}", "has no account for")])
    def test_without_an_account(self, authfile: str | None, said: str) -> None:
        planned = plan(view(secret=[]), None, None, authfile)
        assert said in planned["problem"]
        assert planned["secret"] == {}

    def test_the_service_account_gets_it(self) -> None:
        account = {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "other"}]}
        planned = plan(
            view(workloads=[workload()], service_accounts=[account, {"metadata": {"name": "x"}}]), "ci", "pass"
        )
        assert planned["service_accounts"] == [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": "openclaw"},
                "imagePullSecrets": [{"name": "other"}, {"name": "zot-pull-secret"}],
            }
        ]
        assert planned["view"]["service_accounts"] == [planned["service_accounts"][0], {"metadata": {"name": "x"}}]
        assert planned["lines"] == ["serviceaccount/default: imagePullSecrets gets zot-pull-secret"]
        assert checks(planned["view"])["named"]["verdict"] == "ok"

    def test_no_line_shows_a_secret(self) -> None:
        planned = plan(view(secret=[secret({"https://u:hunter2@bad host": entry()})]), "ci", "pass")
        assert "hunter2" not in json.dumps(planned["lines"])


def test_probes_name_the_images_of_each_repository_once() -> None:
    pods = [
        workload("a", **NAMED),
        workload("b", **NAMED),
        workload("c", f"{REPOSITORY}:other"),
        workload("d", "quay.io/x"),
    ]
    (probe,) = pull_secret_probes(view(workloads=pods), REGISTRY)
    assert probe["images"] == [f"{REPOSITORY}:latest", f"{REPOSITORY}:other"]
    assert (probe["repository"], probe["entry"], probe["username"]) == (REPOSITORY, REGISTRY, "ci")


def test_lines() -> None:
    found = [
        {"check": "type", "subject": "s", "verdict": "ok", "message": "fine", "remedy": ""},
        {"check": "read", "subject": "r", "verdict": "failed", "message": "bad", "remedy": "Mend it."},
    ]
    assert pull_secret_lines(found) == ["read: r: bad. Mend it."]
    assert pull_secret_lines(found, all=True) == ["ok      type: s: fine", "failed  read: r: bad"]
