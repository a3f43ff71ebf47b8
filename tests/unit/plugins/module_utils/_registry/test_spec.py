# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import ArchivePusher
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import ACCOUNT, SETTINGS
from ansible_collections.killinit.zot.plugins.module_utils._registry.spec import Spec, open_session

HOST = "127.0.0.1:5000"
APP = Reference(HOST, "demo/app", "1")

SHARED = Spec({}).for_module()["argument_spec"]


def test_the_options_of_a_module_come_beside_the_shared_ones() -> None:
    found = Spec({"tags": {"type": "list"}}, {"required_one_of": [("a", "b")]}).for_module()
    assert found["argument_spec"].keys() - SHARED.keys() == {"tags"}
    assert found["required_one_of"] == [("a", "b")]


def test_only_the_password_is_secret() -> None:
    assert [name for name, option in SHARED.items() if option.get("no_log")] == ["password"]


@pytest.mark.parametrize("name", sorted({*SETTINGS} - {*ACCOUNT}))
def test_fallback_to_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ZOT_{name.upper()}", "value")
    function, variables = SHARED[name]["fallback"]
    assert function(*variables) == "value"


def test_two_modules_share_no_state() -> None:
    Spec({}).for_module()["argument_spec"]["more"] = {}
    assert "more" not in Spec({}).for_module()["argument_spec"]


class Module:
    """What open_session needs of AnsibleModule."""

    def __init__(self, tmpdir: Path, **params: t.Any) -> None:
        self.tmpdir = str(tmpdir)
        self.no_log_values: set[str] = set()
        self.params = {
            "registry": HOST,
            "username": None,
            "password": None,
            "authfile": None,
            "ca_path": None,
            "validate_certs": True,
            "timeout": 5,
            "retries": 0,
            "skopeo_path": None,
            "crane_path": None,
            "registry_aliases": [],
            **params,
        }


def test_open_session_leaves_nothing(fake: t.Any, tmp_path: Path) -> None:
    with open_session(t.cast("t.Any", Module(tmp_path, username="me", password="s3cret"))) as session:
        Registry(session).digest(APP)
        assert len(list(tmp_path.iterdir())) == 1
    assert fake.commands
    assert list(tmp_path.iterdir()) == []


def test_credentials_are_redacted_in_the_result(fake: t.Any, tmp_path: Path) -> None:
    """A registry may send it back, in a label for instance."""
    for password, hidden in (("s3cret", {"s3cret", "bWU6czNjcmV0"}), ("s3cret99", {"s3cret99", "bWU6czNjcmV0OTk="})):
        module = Module(tmp_path, username="me", password=password)
        with open_session(t.cast("t.Any", module)) as session:
            Registry(session).digest(APP)
        assert fake.commands
        assert module.no_log_values == hidden


def test_insecure_reaches_both_tools(fake: t.Any, tmp_path: Path, write_archive: t.Any) -> None:
    (tmp_path / "t").mkdir()
    path = write_archive(tmp_path / "app.tar")
    with open_session(t.cast("t.Any", Module(tmp_path / "t", validate_certs=False))) as session:
        registry = Registry(session)
        with OpenArchive(str(path)) as opened:
            ArchivePusher(registry, session).push(opened, str(path), opened.read(None, None), APP)
        registry.image(APP)
    assert "--dest-tls-verify=false" in fake.commands[0]
    assert all(command[1] == "--insecure" for command in fake.commands[1:])


@pytest.mark.parametrize("registry", ["https://h.example", "h.example/", "-x", "h example"])
def test_open_session_refuses_a_name(fake: t.Any, tmp_path: Path, registry: str) -> None:
    opened = open_session(t.cast("t.Any", Module(tmp_path, registry=registry)))
    with pytest.raises(ZotError, match="is not a valid registry") as raised:
        opened.__enter__()
    assert raised.value.error_class == "invalid_option"
    assert fake.commands == []
    assert list(tmp_path.iterdir()) == []


def test_a_registry_with_a_password_is_not_printed(fake: t.Any, tmp_path: Path) -> None:
    """Neither in the message nor among the options, which Ansible prints."""
    module = Module(tmp_path, registry="https://me:s3cret99@h.example")
    with pytest.raises(ZotError, match="registry contains credentials: set username and password instead") as raised:
        open_session(t.cast("t.Any", module)).__enter__()
    assert raised.value.error_class == "invalid_option"
    assert "s3cret99" not in str(raised.value)
    assert module.no_log_values == {module.params["registry"]}
    assert fake.commands == []


def test_no_registry_at_all(fake: t.Any, tmp_path: Path) -> None:
    opened = open_session(t.cast("t.Any", Module(tmp_path, registry=None)))
    with opened as session, pytest.raises(ZotError, match="no registry is given"):
        Registry(session).reference("demo/app", "1")
    assert fake.commands == []


def test_no_crane(tools: Path, tmp_path: Path) -> None:
    (tools / "crane").unlink()
    with (
        pytest.raises(ZotError, match="crane is not in PATH"),
        open_session(t.cast("t.Any", Module(tmp_path))) as session,
    ):
        Registry(session).digest(APP)
