# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts and stops a real registry on loopback, for the tests and for the demo.

The registry is Zot if ZOT_BINARY names it or if it is on PATH. Otherwise, or if ZOT_BINARY is `none`, it is the
stand-in: CNCF Distribution (it is Debian's docker-registry) behind nginx, which adds TLS, accounts and Zot's rules:
stand-in.nginx.conf, stand-in.lua.

Both have the same three accounts: the writer may do everything, except that in the repositories `immutable/**` it
cannot move a tag or delete one, and in `lasting/**` it cannot delete one; the reader may only read; the janitor may
read and delete. All files are in one directory, which stop() removes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import requests
import trustme

from environment.zot_program import find_zot

HERE = Path(__file__).resolve().parent
NGINX_MODULES = Path("/usr/lib/nginx/modules")
START_SECONDS = 30
SWEEP_SECONDS = 90
STOP_SECONDS = 10
PORT_ATTEMPTS = 5

# The requests of this file use repositories below this one; requests() omits them.
OWN_PATH = "/v2/environment-own/"

STATE_FILE = "state.json"
PROCESSES_FILE = "processes.json"
ACCOUNTS = ("writer", "reader", "janitor")
ZOT_LOG = "zot.log"
NGINX_LOG = "requests.log"

# The processes that this Python started, so that an ended process is reaped and leaves no zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}
# How much of a log was read, and the requests in it.
_read: dict[Path, tuple[int, list[Request]]] = {}


class RegistryError(Exception):
    """The registry cannot be started, or does not behave as expected."""


class _PortTaken(RegistryError):
    """Another process took the port after it was found free and before the registry listened on it."""


@dataclass(frozen=True)
class Account:
    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The username and the password, as an auth file and the header Authorization have them."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Request:
    """One request that the registry has answered; the path is without its query."""

    method: str
    path: str
    status: int


@dataclass(frozen=True)
class Registry:
    kind: str  # "zot" or "stand-in"
    host: str  # "127.0.0.1:PORT"
    ca: Path  # exists also if tls is false, but is not used
    directory: Path
    writer: Account
    reader: Account
    janitor: Account
    tls: bool = True

    def session(self, account: Account | None = None) -> requests.Session:
        """Plain requests, with an account or without one."""
        session = requests.Session()
        session.auth = account and (account.username, account.password)
        session.verify, session.trust_env = str(self.ca), False  # loopback is not for a proxy
        return session

    def auths(self, account: Account) -> dict[str, dict[str, dict[str, str]]]:
        """An auth file with an account for the registry."""
        return {"auths": {self.host: {"auth": account.basic}}}

    def forget(self, repository: str, digest: str) -> None:
        """Remove a manifest and its tags, as Zot does by itself once the last of them has moved."""
        status = _ask(self, f"/v2/{repository}/manifests/{digest}", self.writer, method="DELETE")
        if status != 202:
            raise RegistryError(f"{repository}@{digest} is still there: {status}")

    def requests(self) -> list[Request]:
        """Every request that the registry has answered since it started, read from the registry's own log.

        A log line may be written a moment after the client has its answer. So this method sends a request, and waits
        until the log contains it: requests that were answered before the call are then in the list.
        Requests refused for their rate are not in it, because Zot does not log them.
        """
        marker = _own_path()
        _ask(self, marker)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            requests = _read_requests(self)
            if any(request.path == marker for request in requests):
                return [request for request in requests if not request.path.startswith(OWN_PATH)]
            time.sleep(0.02)
        raise RegistryError(f"{self.kind} did not log {marker}\n{_logs(self.directory)}")


@dataclass(frozen=True)
class Settings:
    """How a registry differs from the usual one.

    rate: how many requests a second the registry answers for one path; the others get a 429. quota: how many
    repositories it takes; a manifest for one more gets a 429. gc_delay: the age in seconds from which Zot's garbage
    collection removes what nothing holds; see sweep(). events: the configuration of Zot's extension of that name.
    scanner: the repository of the database of Zot's scanner in the registry itself. api_keys: whether users may have
    API keys. The stand-in has no events, no scanner and no API keys.
    """

    rate: int | None = None
    quota: int | None = None
    tls: bool = True
    gc_delay: int | None = None
    events: dict[str, Any] | None = None
    scanner: str | None = None
    api_keys: bool = True


def start(directory: Path | None = None, **settings: Any) -> Registry:
    """Starts a registry and returns when it answers. directory: for all files; it must be new or empty."""
    attempts = PORT_ATTEMPTS
    while True:
        made = _prepare(directory)
        try:
            return _launch(made, Settings(**settings))
        except BaseException as error:
            clear_away(made)
            attempts -= 1
            if not isinstance(error, _PortTaken) or attempts == 0:
                raise


def stop(registry: Registry) -> None:
    """Ends the registry, also one that another Python started, and removes its directory."""
    clear_away(registry.directory)


def clear_away(directory: Path) -> bool:
    """Ends and removes whatever start() left in this directory, also half of it; false if that is nothing."""
    if not (directory / PROCESSES_FILE).exists():
        return False
    _end_all(directory)
    shutil.rmtree(directory)
    return True


def crash(registry: Registry) -> None:
    """Kills what keeps the images, with SIGKILL; of the stand-in it is Distribution, and nginx answers 502."""
    process = _processes(registry.directory)[0]
    os.kill(process.pid, signal.SIGKILL)
    _end(process)


def revive(registry: Registry) -> None:
    """Starts again what crash() killed, with what it had stored, and returns when it answers."""
    crashed, *others = _processes(registry.directory)
    _spawn(registry.directory, crashed.command, crashed.log)
    _remember(registry.directory, [_processes(registry.directory)[-1], *others])
    _wait_until_it_answers(registry)


def sweep(registry: Registry, *repositories: str, gc_delay: int) -> bool:
    """Waits until Zot's garbage collection has swept the repositories, with what they hold now older than gc_delay.

    False for the stand-in, which has none.
    """
    if registry.kind != "zot":
        return False
    time.sleep(gc_delay + 1)
    log = registry.directory / ZOT_LOG
    offset = log.stat().st_size
    deadline = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < deadline:
        with log.open(encoding="utf-8") as lines:
            lines.seek(offset)
            text = lines.read()
        for repository in repositories:
            if f'failed to run GC for {registry.directory}/storage/{repository}"' in text:
                raise RegistryError(f"the garbage collection of {repository} failed\n{_logs(registry.directory)}")
        if all(_is_swept(text, f"{registry.directory}/storage/{repository}") for repository in repositories):
            return True
        time.sleep(0.2)
    raise RegistryError(f"no garbage collection of {' and '.join(repositories)} in {SWEEP_SECONDS} s")


def _is_swept(log: str, path: str) -> bool:
    begun = log.find(f'executing gc of orphaned blobs for {path}"')
    return begun >= 0 and f'gc successfully completed for {path}"' in log[begun:]


@contextlib.contextmanager
def running(directory: Path | None = None, **settings: Any) -> Iterator[Registry]:
    """A registry for the time of a `with` block."""
    registry = start(directory, **settings)
    try:
        yield registry
    finally:
        stop(registry)


def load(directory: Path) -> Registry | None:
    """The registry that start() left in this directory, or None. It may have ended since: see is_running()."""
    try:
        state = json.loads((directory / STATE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    accounts = {name: Account(**state[name]) for name in ACCOUNTS}
    return Registry(**{**state, **accounts, "ca": Path(state["ca"]), "directory": directory})


def is_running(registry: Registry) -> bool:
    processes = _processes(registry.directory)
    return bool(processes) and all(_is_alive(process) for process in processes)


# --- starting ---------------------------------------------------------------------------------------------------------


def _prepare(directory: Path | None) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="zot-registry-")) if directory is None else directory.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # stop() removes the directory: what somebody else keeps in it must not go with it.
    if any(directory.iterdir()):
        raise RegistryError(f"{directory} is not empty")
    write_private(directory / PROCESSES_FILE, "[]")
    return directory


def _launch(directory: Path, settings: Settings) -> Registry:
    zot = find_zot()
    registry = Registry(
        kind="zot" if zot else "stand-in",
        host=f"127.0.0.1:{free_port()}",
        ca=directory / "ca.pem",
        directory=directory,
        tls=settings.tls,
        **{name: Account(name, secrets.token_urlsafe(24)) for name in ACCOUNTS},
    )
    _write_certificates(registry)
    _write_htpasswd(registry)
    if zot:
        _launch_zot(registry, zot, settings)
    else:
        _launch_stand_in(registry, settings)
    _wait_until_it_answers(registry)
    write_private(directory / STATE_FILE, json.dumps(asdict(registry), default=str, indent=2))
    return registry


def _find_program(name: str, package: str) -> str:
    # A user's PATH often lacks the directories of the system's servers.
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RegistryError(f"no registry to start: there is no zot, and no {name} (Debian package {package}) either")
    return found


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_private(path: Path, content: str | bytes) -> None:
    """Only the owner may read what is written here: passwords, keys, and the configurations that name them."""
    path.touch(mode=0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _write_certificates(registry: Registry) -> None:
    ca = trustme.CA(organization_name="killinit.zot tests")
    server = ca.issue_cert("127.0.0.1", "localhost")
    write_private(registry.ca, ca.cert_pem.bytes())
    write_private(registry.directory / "server.pem", b"".join(pem.bytes() for pem in server.cert_chain_pems))
    write_private(registry.directory / "server.key", server.private_key_pem.bytes())


def _write_htpasswd(registry: Registry) -> None:
    # The lowest cost: the passwords are random and live for a test run, and every request pays for the check.
    lines = [
        f"{account.username}:{bcrypt.hashpw(account.password.encode(), bcrypt.gensalt(rounds=4)).decode()}\n"
        for account in (registry.writer, registry.reader, registry.janitor)
    ]
    write_private(registry.directory / "htpasswd", "".join(lines))


def _launch_zot(registry: Registry, zot: str, settings: Settings) -> None:
    directory = registry.directory
    address, port = registry.host.split(":")

    def may(account: Account, *actions: str) -> dict[str, list[str]]:
        return {"users": [account.username], "actions": list(actions)}

    reading, cleaning = may(registry.reader, "read"), may(registry.janitor, "read", "delete")
    http: dict[str, Any] = {
        "address": address,
        "port": port,
        "auth": {"htpasswd": {"path": str(directory / "htpasswd")}, "apikey": settings.api_keys},
        "accessControl": {
            "repositories": {
                "**": {"policies": [may(registry.writer, "read", "create", "update", "delete"), reading, cleaning]},
                "immutable/**": {"policies": [may(registry.writer, "read", "create"), reading]},
                "lasting/**": {"policies": [may(registry.writer, "read", "create", "update"), reading]},
                "private/**": {"policies": [may(registry.writer, "read", "create", "update", "delete")]},
            }
        },
    }
    storage: dict[str, Any] = {"rootDirectory": str(directory / "storage")}
    if registry.tls:
        http["tls"] = {"cert": str(directory / "server.pem"), "key": str(directory / "server.key")}
    if settings.rate is not None:
        http["ratelimit"] = {"rate": settings.rate}
    if settings.quota is not None:
        storage["maxRepos"] = settings.quota
    if settings.gc_delay is not None:
        storage |= {"gc": True, "gcDelay": f"{settings.gc_delay}s", "gcInterval": "1s", "gcMaxSchedulerDelay": "1s"}
    search: dict[str, Any] = {"enable": True}
    if settings.scanner:
        search["cve"] = {"updateInterval": "24h", "trivy": {"dbRepository": f"{registry.host}/{settings.scanner}"}}
        # The scanner reads the database with the account that Docker has for the registry.
        (directory / ".docker").mkdir()
        write_private(directory / ".docker" / "config.json", json.dumps(registry.auths(registry.reader)))
    config = {
        "distSpecVersion": "1.1.1",
        "storage": storage,
        "http": http,
        "log": {"level": "info", "output": str(directory / ZOT_LOG)},
        "extensions": {"search": search, **({"events": settings.events} if settings.events else {})},
    }
    write_private(directory / "zot.json", json.dumps(config, indent=2))
    _spawn(directory, [zot, "serve", str(directory / "zot.json")], "zot-output.log")


def _launch_stand_in(registry: Registry, settings: Settings) -> None:
    rate, quota = settings.rate, settings.quota
    directory = registry.directory
    distribution = _find_program("docker-registry", "docker-registry")
    nginx = _find_program("nginx", "nginx")
    if not (NGINX_MODULES / "ngx_http_lua_module.so").exists():
        raise RegistryError(f"nginx has no Lua in {NGINX_MODULES} (Debian package libnginx-mod-http-lua)")

    behind = f"127.0.0.1:{free_port()}"
    write_private(
        directory / "distribution.json",  # it reads YAML, which JSON is
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "info", "accesslog": {"disabled": True}},
                "storage": {
                    "filesystem": {"rootdirectory": str(directory / "storage")},
                    "delete": {"enabled": True},
                },
                # Zot's Location headers are relative, too.
                "http": {"addr": behind, "relativeurls": True},
            },
            indent=2,
        ),
    )

    certificates = f"ssl_certificate {directory}/server.pem;\n    ssl_certificate_key {directory}/server.key;"
    zone = f"limit_req_zone $binary_remote_addr$uri zone=rate:1m rate={rate}r/s;"
    # Zot lets through a whole second's worth at once, and nothing waits.
    limit = "limit_req zone=rate nodelay;" if rate == 1 else f"limit_req zone=rate burst={(rate or 1) - 1} nodelay;"
    values = {
        "@DIRECTORY@": str(directory),
        "@MODULES@": str(NGINX_MODULES),
        "@RULES@": str(HERE / "stand-in.lua"),
        "@LISTEN@": f"{registry.host} ssl" if registry.tls else registry.host,
        "@CERTIFICATES@": certificates if registry.tls else "",
        "@DISTRIBUTION@": behind,
        "@RATE_ZONE@": zone if rate is not None else "",
        "@RATE_LIMIT@": limit if rate is not None else "",
        "@QUOTA@": str(quota) if quota is not None else "nil",
    }
    config = (HERE / "stand-in.nginx.conf").read_text(encoding="utf-8")
    for placeholder, value in values.items():
        config = config.replace(placeholder, value)
    write_private(directory / "nginx.conf", config)

    _spawn(directory, [distribution, "serve", str(directory / "distribution.json")], "distribution.log")
    _spawn(
        directory,
        [nginx, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "nginx-error.log")],
        "nginx-output.log",
    )


def _wait_until_it_answers(registry: Registry) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not is_running(registry):
            logs = _logs(registry.directory)
            failure = _PortTaken if "address already in use" in logs.lower() else RegistryError
            raise failure(f"{registry.kind} ended while it started\n{logs}")
        # A missing repository: only a working registry that knows the accounts of this run answers 404.
        if _ask(registry, _own_path(), registry.reader) == 404:
            return
        time.sleep(0.1)
    raise RegistryError(f"{registry.kind} did not answer within {START_SECONDS} s\n{_logs(registry.directory)}")


def _logs(directory: Path) -> str:
    tails = []
    for log in sorted(directory.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        tails.append("\n".join([f"--- {log.name}", *lines]))
    return "\n".join(tails)


# --- sending requests, and reading the log ---------------------------------------------------------------------------


def _own_path() -> str:
    # A new path each time: Zot limits the rate of each path for itself, so ours are never refused.
    return f"{OWN_PATH}{secrets.token_hex(8)}/tags/list"


def _ask(registry: Registry, path: str, account: Account | None = None, *, method: str = "GET") -> int | None:
    """The status that a request is answered with, or None without an answer."""
    address = f"{'https' if registry.tls else 'http'}://{registry.host}{path}"
    try:
        with registry.session(account) as session:
            return session.request(method, address, timeout=5).status_code
    except requests.RequestException:
        return None


def _read_requests(registry: Registry) -> list[Request]:
    """The requests in the log of the registry; a call reads only what is new in it."""
    is_zot = registry.kind == "zot"
    log = registry.directory / (ZOT_LOG if is_zot else NGINX_LOG)
    offset, found = _read.get(log, (0, []))
    with log.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if not line.endswith(b"\n"):  # it is being written just now
                break
            offset += len(line)
            if is_zot and b'"message":"HTTP API"' not in line:
                continue
            record = json.loads(line)
            path = record["path"].split("?")[0]
            found.append(Request(record["method"], path, int(record["statusCode" if is_zot else "status"])))
    _read[log] = offset, found
    return found


# --- processes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Process:
    """A process id alone may belong to somebody else later on; together with the time of its start it cannot."""

    pid: int
    started: str
    command: list[str]
    log: str


def _spawn(directory: Path, command: list[str], log: str) -> None:
    # Nothing of our environment: these programs take options from variables, too.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(directory),
        # The scanner of Zot reads its database from the registry itself.
        "SSL_CERT_FILE": str(directory / "ca.pem"),
    }
    with (directory / log).open("ab") as output:
        # In a session of its own, so that a Ctrl-C in the tests does not end it before the tests are through.
        child = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    started = _stat(child.pid)[1]
    _remember(directory, [*_processes(directory), _Process(child.pid, started, command, log)])


def _remember(directory: Path, processes: list[_Process]) -> None:
    write_private(directory / PROCESSES_FILE, json.dumps([asdict(process) for process in processes]))


def _processes(directory: Path) -> list[_Process]:
    try:
        records = json.loads((directory / PROCESSES_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [_Process(**record) for record in records]


def _stat(pid: int) -> tuple[str, str]:
    """The state of a process and the time it started, empty if there is none; see proc(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    after_name = stat.rpartition(")")[2].split()
    return after_name[0], after_name[19]


def _is_alive(process: _Process) -> bool:
    child = _children.get(process.pid)
    if child is not None:
        if child.poll() is None:
            return True
        del _children[process.pid]
        return False
    state, started = _stat(process.pid)
    return started == process.started and state not in ("", "Z")


def _end_all(directory: Path) -> None:
    # In reverse order: nginx before the registry behind it.
    for process in reversed(_processes(directory)):
        _end(process)


def _end(process: _Process) -> None:
    for request in (signal.SIGTERM, signal.SIGKILL):
        if _is_alive(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, request)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not _is_alive(process):
                return
            time.sleep(0.02)
    raise RegistryError(f"process {process.pid} does not end")
