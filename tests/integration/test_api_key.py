# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_api_key on real Zot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from integration.secret_leaks import Watched, assert_no_leak, forms, verbose_settings
from integration.support import Module

from environment import faults, zot_program
from environment import registry as registries
from environment.faults import Fault, Proxy
from environment.registry import Account, Registry

Keys = Callable[..., dict[str, Any]]
KEY_PATH = "/zot/auth/apikey"


@pytest.fixture(scope="module")
def proxy(zot: Registry) -> Iterator[Proxy]:
    with faults.between(zot) as running:
        yield running


@pytest.fixture
def label(request: pytest.FixtureRequest) -> str:
    """A label that no other test uses."""
    return f"test {abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def keys(zot: Registry, module: Module, label: str) -> Keys:
    """Run zot_api_key as the reader."""

    def run(**options: Any) -> dict[str, Any]:
        account = {"username": zot.reader.username, "password": zot.reader.password}
        return module("zot_api_key", **{**account, "label": label, **options})

    return run


def ask(zot: Registry, account: Account, method: str = "GET", **more: Any) -> Any:
    with zot.session(account) as session:
        return session.request(method, f"https://{zot.host}{KEY_PATH}", **more)


def listed(zot: Registry, label: str, account: Account | None = None) -> list[dict[str, Any]]:
    """The keys of a label, as Zot lists them."""
    return [key for key in ask(zot, account or zot.reader).json()["apiKeys"] if key["label"] == label]


def make(zot: Registry, label: str, **age: int) -> dict[str, Any]:
    """A key by plain requests, which expires in 30 days or in *age*."""
    expiry = datetime.now(timezone.utc) + timedelta(**(age or {"days": 30}))
    done = ask(zot, zot.reader, "POST", json={"label": label, "expirationDate": f"{expiry:%FT%TZ}"})
    assert done.status_code == 201, done.text
    made: dict[str, Any] = done.json()
    return made


def may_read(zot: Registry, key: str) -> bool:
    with zot.session(Account(zot.reader.username, key)) as session:
        status = session.get(f"https://{zot.host}/v2/").status_code
    assert status in (200, 401)
    return bool(status == 200)


def test_a_key_is_made_once(zot: Registry, keys: Keys, label: str) -> None:
    """Check mode says so first; the second run has no key in its result; the key works, and is revoked."""
    planned = keys(check=True, diff=True)
    assert (planned["changed"], planned["created"], planned["uuid"], planned["api_keys"]) == (True, True, None, [])
    assert "new key expires" in planned["diff"]["after"]
    assert listed(zot, label) == []
    made = keys(diff=True)
    assert made["changed"]
    assert may_read(zot, made["key"])
    assert made["key"] not in json.dumps({**made, "key": ""})
    (found,) = listed(zot, label)
    assert made["uuid"] == found["uuid"]
    assert made["expires_at"] == found["expirationDate"]
    lives = datetime.fromisoformat(made["expires_at"][:-1]) - datetime.fromisoformat(found["createdAt"][:19])
    assert abs(lives - timedelta(days=90)) < timedelta(seconds=5)
    second = keys(check=False)
    assert "key" not in second
    assert (second["changed"], second["created"], second["uuid"]) == (False, False, made["uuid"])
    assert [key["last_used_at"] is None for key in second["api_keys"]] == [False]
    gone = keys(state="absent")
    assert (gone["changed"], gone["api_keys"]) == (True, [])
    assert not may_read(zot, made["key"])
    assert keys(state="absent")["changed"] is False


@pytest.mark.parametrize(
    ("age", "options"),
    [
        ({"days": 5}, {}),  # within renew_before
        ({"days": 30}, {"force": True}),
        ({"days": 30}, {"expires_in": "20d"}),  # lives longer than the rules allow
        ({"days": 30}, {"in_use": "e0547e3e-1b18-4f72-b8a6-d01f2109438a"}),  # nobody has the young key
    ],
)
def test_a_key_gets_a_successor(
    zot: Registry, keys: Keys, label: str, age: dict[str, int], options: dict[str, Any]
) -> None:
    old = make(zot, label, **age)
    made = keys(**options)
    assert made["created"]
    assert {key["uuid"] for key in listed(zot, label)} == {old["uuid"], made["uuid"]}
    assert may_read(zot, old["apiKey"])


def test_a_key_that_never_expires_gets_a_successor(zot: Registry, keys: Keys, label: str) -> None:
    assert ask(zot, zot.reader, "POST", json={"label": label}).status_code == 201
    assert keys()["created"]
    assert keys()["changed"] is False


def test_keep_revokes_the_oldest(zot: Registry, keys: Keys, label: str) -> None:
    """Neither the key that is in use, nor a key with another label."""
    oldest, older, newer = (make(zot, label) for _number in range(3))
    other = make(zot, f"{label} ")
    assert keys(keep=3)["changed"] is False
    options = {"keep": 2, "in_use": oldest["uuid"]}
    planned = keys(check=True, **options)
    done = keys(**options)
    assert done["revoked"] == planned["revoked"]
    assert {key["uuid"] for key in done["revoked"]} == {older["uuid"]}
    assert {key["uuid"] for key in listed(zot, label)} == {oldest["uuid"], newer["uuid"]}
    # Another run may be about to write the newer key.
    assert keys(state="absent", in_use=oldest["uuid"])["changed"] is False
    only = keys(state="absent", in_use=newer["uuid"])
    assert (only["uuid"], [key["uuid"] for key in only["api_keys"]]) == (newer["uuid"], [newer["uuid"]])
    refused = keys(state="absent", in_use=oldest["uuid"])
    assert refused["error_class"] == "not_found"
    assert may_read(zot, newer["apiKey"])
    assert listed(zot, f"{label} ") != []
    assert may_read(zot, other["apiKey"])


def test_an_expired_key_is_cleared_away(zot: Registry, keys: Keys, label: str) -> None:
    short = make(zot, label, seconds=2)
    while may_read(zot, short["apiKey"]):
        pass
    made = keys(keep=5)
    assert made["created"]
    assert [(key["uuid"], key["expired"]) for key in made["revoked"]] == [(short["uuid"], True)]
    assert [key["uuid"] for key in listed(zot, label)] == [made["uuid"]]


@pytest.mark.parametrize("fault", ["lost", "half", "break-answer"])
def test_a_lost_answer_leaves_no_key(zot: Registry, proxy: Proxy, keys: Keys, label: str, fault: str) -> None:
    """The key that nobody knows is revoked before another is made; a key of another run stays."""
    other = make(zot, label, days=5)
    proxy.set(Fault(fault, f"POST {KEY_PATH}", times=1))
    made = keys(registry=proxy.host, ca_path=str(proxy.ca), retries=2)
    assert made["created"]
    assert may_read(zot, made["key"])
    assert {key["uuid"] for key in listed(zot, label)} == {other["uuid"], made["uuid"]}


def test_every_answer_is_lost(zot: Registry, proxy: Proxy, keys: Keys, label: str) -> None:
    proxy.set(Fault("lost", f"POST {KEY_PATH}"))
    done = keys(registry=proxy.host, ca_path=str(proxy.ca), retries=1)
    assert (done["failed"], done["error_class"], done["retryable"]) == (True, "unavailable", True)
    assert listed(zot, label) == []


def test_a_failed_revocation_leaves_no_new_key(zot: Registry, proxy: Proxy, keys: Keys, label: str) -> None:
    """A failed task does not return the key that it made."""
    old = make(zot, label, days=5)
    proxy.set(Fault("status", f"DELETE {KEY_PATH}", status=403, times=1))
    done = keys(registry=proxy.host, ca_path=str(proxy.ca), keep=1)
    assert (done["failed"], done["error_class"]) == (True, "denied")
    assert [key["uuid"] for key in listed(zot, label)] == [old["uuid"]]


def test_a_registry_without_keys(module: Module, label: str) -> None:
    """Zot whose configuration does not allow them, and a web server that is no registry."""
    if not zot_program.find_zot():
        pytest.skip(zot_program.NEEDED)
    with registries.running(api_keys=False) as registry, faults.between(registry) as proxy:
        account = {"username": registry.reader.username, "password": registry.reader.password}
        proxy.set(Fault("status", ".*", status=200, headers={"Content-Type": "text/html"}, body="<html>"))
        for host, authority in ((registry.host, registry.ca), (proxy.host, proxy.ca)):
            done = module("zot_api_key", **account, registry=host, ca_path=str(authority), label=label)
            assert (done["failed"], done["error_class"]) == (True, "not_found")
            assert "http.auth.apikey" in done["hint"]


def test_a_redirect_gets_no_password(proxy: Proxy, keys: Keys) -> None:
    proxy.set(Fault("redirect", f".* {KEY_PATH}"))
    assert keys(registry=proxy.host, ca_path=str(proxy.ca))["failed"]
    assert not [each for each in proxy.recorded_requests() if each.what == "elsewhere" and each.credentials]


@pytest.mark.parametrize(
    ("options", "error_class", "word"),
    [
        ({"expires_in": "5d"}, "invalid_option", "renew_before"),
        ({"expires_in": "0d"}, "invalid_option", "expires_in"),
        ({"expires_in": "soon"}, "invalid_option", "expires_in"),
        ({"keep": 0}, "invalid_option", "keep"),
        ({"label": ""}, "invalid_option", "label"),
        ({"label": 17}, "invalid_option", "label"),
        ({"password": "wrong-0815"}, "unauthorized", "credentials"),
        ({"username": None, "password": None}, "unauthorized", "user"),
    ],
)
def test_what_cannot_be(keys: Keys, options: dict[str, Any], error_class: str, word: str) -> None:
    done = keys(**options)
    assert (done["failed"], done["error_class"]) == (True, error_class)
    assert word in done["msg"]


def test_the_registry_refuses_an_expiry(zot: Registry, proxy: Proxy, keys: Keys, label: str) -> None:
    """As Zot does if its clock has moved: an answer with the status 400 and without a text."""
    refused = ask(zot, zot.reader, "POST", json={"label": label, "expirationDate": "2020-01-01T00:00:00Z"})
    assert (refused.status_code, refused.text) == (400, "")
    proxy.set(Fault("status", f"POST {KEY_PATH}", status=400))
    done = keys(registry=proxy.host, ca_path=str(proxy.ca))
    assert (done["error_class"], "expiry" in done["msg"]) == ("invalid_option", True)


def test_a_key_makes_no_key(zot: Registry, keys: Keys, label: str) -> None:
    """But it may list and revoke, also itself."""
    made = make(zot, label)
    refused = keys(password=made["apiKey"])
    assert (refused["failed"], refused["error_class"]) == (True, "invalid_option")
    assert "must not make keys" in refused["msg"]
    assert keys(password=made["apiKey"], state="absent")["changed"]
    assert not may_read(zot, made["apiKey"])


PLAY = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Make a key
      killinit.zot.zot_api_key:
        label: "{{ label }}"
        keep: 1
      no_log: true
      register: made
    - name: Use the key
      killinit.zot.zot_api_key:
        label: "{{ label }}"
        password: "{{ made.key }}"
        username: "{{ made.account }}"
      no_log: true
      ignore_errors: true
    - name: Revoke the key
      killinit.zot.zot_api_key:
        label: "{{ label }}"
        state: absent
"""


def test_a_key_is_nowhere(
    zot: Registry,
    label: str,
    environment: dict[str, str],
    playbook: Callable[..., CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    """At -vvvv, with logs, callbacks and a diff: every zak_ is that of a key."""
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    environment |= verbose_settings(tmp_path)
    with Watched(Path(environment["HOME"])) as watched:
        run = playbook(play, "-vvvv", "--diff", label=label)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "expires 2" in run.stdout  # the diff of the last task
    account = forms(zot.writer.username, zot.writer.password)
    ours = {play, tmp_path / "variables.json"}
    assert_no_leak(["zak_", *account], watched, run, [tmp_path], ours=ours, given=["ZOT_PASSWORD"], tools=())


@pytest.mark.parametrize("option", [[], ["--check"]])
@pytest.mark.parametrize("setting", ["", "[defaults]\nno_target_syslog = true\n"])
def test_without_no_log_nothing_is_made(
    zot: Registry,
    label: str,
    environment: dict[str, str],
    playbook: Callable[..., CompletedProcess[str]],
    tmp_path: Path,
    option: list[str],
    setting: str,
) -> None:
    """Also not with a setting by which ansible-core hides results from the log of the host only."""
    (tmp_path / "ansible.cfg").write_text(setting)
    play = tmp_path / "play.yml"
    play.write_text(PLAY.replace("      no_log: true\n", "", 1))
    environment["ANSIBLE_CONFIG"] = str(tmp_path / "ansible.cfg")
    run = playbook(play, *option, label=label)
    assert run.returncode == 2, run.stdout
    assert "no_log: true" in run.stdout
    assert listed(zot, label, zot.writer) == []
