# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import errno
import json
import os
import stat
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import (
    Credentials,
    private_directory,
    task_directory,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options

HOST = "h.example:5000"


def encoded(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


AUTH = encoded("me", "s3cret")


@pytest.fixture
def directory(tmp_path: Path) -> str:
    path = tmp_path / "private"
    path.mkdir(mode=0o700)
    return str(path)


class Make(t.Protocol):
    def __call__(self, **options: t.Any) -> Credentials: ...


@pytest.fixture
def make(directory: str) -> Make:
    def make(**options: t.Any) -> Credentials:
        return Credentials(directory, Options(**{"registry": HOST, **options}))

    return make


def written(credentials: Credentials) -> dict[str, t.Any]:
    document: dict[str, t.Any] = json.loads(Path(credentials.config).read_text())
    return document


def authfile(path: Path, auths: t.Any = None, **more: t.Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {} if auths is None else auths, **more}))
    return str(path)


def test_nothing_is_written_before_a_tool_needs_it(make: Make) -> None:
    credentials = make(username="me", password="s3cret")
    assert credentials.account(HOST, "demo/app").basic
    assert os.listdir(credentials.directory) == []


def test_username(make: Make) -> None:
    credentials = make(username="me", password="s3cret")
    assert credentials.prepare(HOST, "demo/app") == "user 'me' from zot_username (variable) or username (option)"
    assert written(credentials)["auths"] == {HOST: {"auth": AUTH}}


def test_username_out_of_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOT_USERNAME", "me")
    assert make(username="me", password="s3cret").prepare(HOST, "demo/app") == "user 'me' from ZOT_USERNAME"
    # The environment is not used for the source of a copy.
    source = make(username="me", password="s3cret", names={"username": "source_username"})
    assert (
        source.prepare(HOST, "demo/app")
        == "user 'me' from zot_promote_source_username (variable) or source_username (option)"
    )


def test_another_password_of_the_user_in_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a refused password must not send the reader to the password that was not used."""
    monkeypatch.setenv("ZOT_USERNAME", "me")
    monkeypatch.setenv("ZOT_PASSWORD", "another")
    origin = make(username="me", password="s3cret").prepare(HOST, "demo/app")
    assert origin == "user 'me' from zot_username (variable) or username (option)"


def test_username_is_for_its_registry_only(make: Make) -> None:
    credentials = make(username="me", password="s3cret")
    assert credentials.prepare("other.example", "demo/app") == f"none, since username and password are for {HOST}"
    assert written(credentials)["auths"] == {}


def test_a_password_with_colons_and_umlauts(make: Make) -> None:
    credentials = make(username="me", password="ä:b:c")
    credentials.prepare(HOST, "app")
    assert base64.b64decode(written(credentials)["auths"][HOST]["auth"]).decode() == "me:ä:b:c"


def test_a_username_needs_a_registry(make: Make) -> None:
    with pytest.raises(ZotError, match="no registry is given") as raised:
        make(username="me", password="x", registry=None)
    assert raised.value.error_class == "invalid_option"


@pytest.mark.parametrize(
    ("key", "repository", "expected"),
    [
        pytest.param(HOST, "demo/app", HOST, id="host"),
        pytest.param(f"{HOST}/demo/app", "demo/app", f"{HOST}/demo/app", id="repository"),
        pytest.param(f"{HOST}/demo", "demo/app", f"{HOST}/demo/app", id="namespace"),
        pytest.param(f"https://{HOST}", "demo/app", HOST, id="scheme"),
        pytest.param(f"https://{HOST}/v2/", "demo/app", HOST, id="scheme and version"),
        pytest.param(f"{HOST}/v1", "demo/app", HOST, id="version 1"),
        pytest.param(f"{HOST}/", "demo/app", HOST, id="slash"),
    ],
)
def test_a_key_that_fits(make: Make, tmp_path: Path, key: str, repository: str, expected: str) -> None:
    credentials = make(authfile=authfile(tmp_path / "auth.json", {key: {"auth": AUTH}}))
    assert credentials.prepare(HOST, repository).startswith("the entry ")
    assert written(credentials)["auths"] == {expected: {"auth": AUTH}}


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("h.example", id="without the port"),
        pytest.param(f"x{HOST}", id="a longer host"),
        pytest.param(f"{HOST}/demo/ap", id="half a repository"),
        pytest.param(f"{HOST}/demo/app/sub", id="below"),
        pytest.param("other.example", id="another"),
    ],
)
def test_a_key_that_does_not_fit(make: Make, tmp_path: Path, key: str) -> None:
    path = authfile(tmp_path / "auth.json", {key: {"auth": AUTH}})
    credentials = make(authfile=path)
    assert credentials.prepare(HOST, "demo/app") == f"none: {path} has no entry for {HOST}"
    assert written(credentials)["auths"] == {}


def test_the_longest_key_wins(make: Make, tmp_path: Path) -> None:
    keys = {HOST: "host", f"{HOST}/demo": "namespace", f"{HOST}/demo/app": "repository"}
    path = authfile(tmp_path / "auth.json", {key: {"auth": encoded(name, "x")} for key, name in keys.items()})
    credentials = make(authfile=path)
    assert credentials.prepare(HOST, "demo/app") == f"the entry {HOST}/demo/app of {path}"
    assert credentials.prepare(HOST, "demo/web") == f"the entry {HOST}/demo of {path}"
    assert credentials.prepare(HOST, "other/app") == f"the entry {HOST} of {path}"
    assert written(credentials)["auths"] == {
        HOST: {"auth": encoded("host", "x")},
        f"{HOST}/demo/web": {"auth": encoded("namespace", "x")},
        f"{HOST}/demo/app": {"auth": encoded("repository", "x")},
    }


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({"username": "me", "password": "s3cret"}, {"auth": AUTH}, id="username and password"),
        pytest.param({"identitytoken": "t0ken"}, {"identitytoken": "t0ken"}, id="identity token"),
    ],
)
def test_forms_of_an_entry(make: Make, tmp_path: Path, entry: dict[str, str], expected: dict[str, str]) -> None:
    credentials = make(authfile=authfile(tmp_path / "auth.json", {HOST: entry}))
    credentials.prepare(HOST, "app")
    assert written(credentials)["auths"] == {HOST: expected}


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, [], None, {"email": "x"}], ids=str)
def test_an_entry_without_credentials_is_none(make: Make, tmp_path: Path, entry: t.Any) -> None:
    credentials = make(authfile=authfile(tmp_path / "auth.json", {HOST: entry}))
    assert credentials.prepare(HOST, "app").startswith("none: ")


@pytest.mark.parametrize(
    "entry", [{"auth": 5}, {"password": 5, "username": None}, {"auth": "not base64!"}, {"auth": "ä"}], ids=str
)
def test_an_entry_that_is_damaged_ends_in_no_traceback(make: Make, tmp_path: Path, entry: dict[str, t.Any]) -> None:
    credentials = make(authfile=authfile(tmp_path / "auth.json", {HOST: entry}))
    try:
        assert credentials.prepare(HOST, "app")
    except ZotError as error:
        assert error.error_class == "invalid_option"  # noqa: PT017 - either will do


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"auths": []}', '{"auths": 5}', '{"auths": {"s3cret'],
    ids=["empty", "cut", "list", "auths a list", "auths a number", "cut in a secret"],
)
def test_an_auth_file_that_is_none(make: Make, tmp_path: Path, content: str) -> None:
    path = tmp_path / "auth.json"
    path.write_text(content)
    with pytest.raises(ZotError, match=f"the auth file {path} ") as raised:
        make(authfile=str(path)).prepare(HOST, "app")
    assert raised.value.error_class == "invalid_option"
    assert "s3cret" not in str(raised.value.for_ansible())


def test_an_auth_file_that_is_not_there(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ZotError, match=r"authfile .* cannot be read: No such file"):
        make(authfile=str(tmp_path / "none")).prepare(HOST, "app")


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The files that skopeo and crane read by default, in order."""
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "first.json"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return {
        "REGISTRY_AUTH_FILE": tmp_path / "first.json",
        "XDG_RUNTIME_DIR": tmp_path / "run/containers/auth.json",
        "XDG_CONFIG_HOME": tmp_path / "config/containers/auth.json",
        "DOCKER_CONFIG": tmp_path / "docker/config.json",
    }


@pytest.mark.parametrize("place", ["REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"])
def test_the_usual_places(make: Make, usual: dict[str, Path], place: str) -> None:
    path = authfile(usual[place], {HOST: {"auth": AUTH}})
    assert make().prepare(HOST, "app") == f"the entry {HOST} of {path}"


def test_the_first_of_the_usual_places_wins(make: Make, usual: dict[str, Path]) -> None:
    for path in reversed(list(usual.values())):
        authfile(path, {HOST: {"auth": AUTH}})
    assert make().prepare(HOST, "app") == f"the entry {HOST} of {usual['REGISTRY_AUTH_FILE']}"


def test_a_place_without_the_entry_is_passed_over(make: Make, usual: dict[str, Path]) -> None:
    authfile(usual["XDG_RUNTIME_DIR"], {"other.example": {"auth": AUTH}})
    path = authfile(usual["DOCKER_CONFIG"], {HOST: {"auth": AUTH}})
    assert make().prepare(HOST, "app") == f"the entry {HOST} of {path}"


def test_home_without_any_variable(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    path = authfile(Path.home() / ".docker/config.json", {HOST: {"auth": AUTH}})
    assert make().prepare(HOST, "app") == f"the entry {HOST} of {path}"


def test_no_credentials_anywhere(make: Make) -> None:
    assert make().prepare(HOST, "app") == "none were given"


@pytest.fixture
def helper(tools: Path) -> str:
    program = tools / "docker-credential-x"
    program.write_text('#!/bin/sh\necho \'{"Username":"me","Secret":"s3cret"}\'\n')
    program.chmod(0o755)
    return "x"


@pytest.mark.parametrize(
    "settings", [{"credHelpers": {HOST: "x"}}, {"credsStore": "x"}], ids=["credHelpers", "credsStore"]
)
def test_credential_helper(make: Make, tmp_path: Path, helper: str, settings: dict[str, t.Any]) -> None:
    path = authfile(tmp_path / "config.json", {HOST: {}}, **settings)
    credentials = make(authfile=path)
    assert credentials.prepare(HOST, "app") == f"docker-credential-{helper} of {path}"
    assert written(credentials) == {"auths": {}, "credHelpers": {HOST: helper}}


def test_credential_helper_of_another_registry(make: Make, tmp_path: Path, helper: str) -> None:
    credentials = make(authfile=authfile(tmp_path / "config.json", credHelpers={"other.example": helper}))
    assert credentials.prepare(HOST, "app").startswith("none: ")


def test_credential_helper_that_is_not_there(make: Make, tmp_path: Path, tools: Path) -> None:
    assert not (tools / "docker-credential-nope").exists()
    credentials = make(authfile=authfile(tmp_path / "config.json", credsStore="nope"))
    with pytest.raises(ZotError, match="docker-credential-nope, which is not in PATH") as raised:
        credentials.prepare(HOST, "app")
    assert raised.value.error_class == "tool_missing"


def test_an_authfile_is_read_once(make: Make, tmp_path: Path) -> None:
    path = authfile(tmp_path / "auth.json", {HOST: {"auth": AUTH}})
    credentials = make(authfile=path)
    first = credentials.prepare(HOST, "app")
    os.unlink(path)
    assert credentials.prepare(HOST, "app") == first


def test_the_file_is_for_its_owner_only(make: Make) -> None:
    credentials = make(username="me", password="s3cret")
    credentials.prepare(HOST, "app")
    assert stat.S_IMODE(os.stat(credentials.config).st_mode) == 0o600
    assert os.listdir(credentials.directory) == ["config.json"]


@pytest.mark.parametrize("secret", ["s3cret", AUTH], ids=["password", "auth"])
def test_hide_a_username_and_password(make: Make, secret: str) -> None:
    credentials = make(username="me", password="s3cret")
    credentials.prepare(HOST, "app")
    assert credentials.redact(f"header: {secret}!") == "header: ********!"


@pytest.mark.parametrize("secret", ["s3cret", AUTH, "t0ken"], ids=["password", "auth", "identity token"])
def test_hide_an_entry(make: Make, tmp_path: Path, secret: str) -> None:
    credentials = make(authfile=authfile(tmp_path / "auth.json", {HOST: {"auth": AUTH, "identitytoken": "t0ken"}}))
    credentials.prepare(HOST, "app")
    assert secret not in credentials.redact(f"header: {secret}!")


def test_hide_leaves_the_rest(make: Make) -> None:
    assert make().redact("all of it") == "all of it"


def test_what_a_killed_task_left_is_gone_after_the_next(tmp_path: Path) -> None:
    """And nothing of a task that still runs, or of anybody else, is."""
    killed, running, own = (tmp_path / f"ansible-tmp-{name}" for name in ("killed", "running", "own"))
    for each in (killed, running, own):
        each.mkdir()
    left, other = killed / "zot-left", killed / "other"
    left.mkdir()
    other.mkdir()
    (left / "config.json").write_text("s3cret")
    (tmp_path / "ansible-link").symlink_to(killed)
    with task_directory(str(running)) as theirs:
        with task_directory(str(own)) as path:
            assert Path(path).parent == own
            assert Path(theirs).is_dir()
        assert (left.exists(), other.exists()) == (False, True)
    assert [*own.iterdir(), *running.iterdir()] == []


def test_files_behind_a_link_are_kept(tmp_path: Path) -> None:
    """Anybody can put a link into a directory that all may write to."""
    (tmp_path / "elsewhere" / "zot-mine").mkdir(parents=True)
    own = tmp_path / "tmp" / "ansible-tmp-own"
    own.mkdir(parents=True)
    (own.parent / "ansible-link").symlink_to(tmp_path / "elsewhere")
    with task_directory(str(own)):
        pass
    assert (tmp_path / "elsewhere" / "zot-mine").is_dir()


def test_full_disk(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    credentials = make(username="me", password="s3cret")
    for function in ("mkdtemp", "mkstemp"):
        monkeypatch.setattr(tempfile, function, full)
    with pytest.raises(ZotError, match=f"cannot write into {tmp_path}: No space left on device") as raised:
        private_directory(str(tmp_path)).__enter__()
    assert "remote_tmp" in raised.value.hint
    with pytest.raises(ZotError, match="No space left on device"):
        credentials.prepare(HOST, "demo/app")


def test_private_directory_has_mode_0700(tmp_path: Path) -> None:
    with private_directory(str(tmp_path)) as path:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_private_directory_is_gone_after_an_exception(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), private_directory(str(tmp_path)) as path:  # noqa: PT012
        (Path(path) / "config.json").write_text("s3cret")
        raise error
    assert list(tmp_path.iterdir()) == []
