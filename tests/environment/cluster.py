# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts and stops a real Kubernetes of one node on loopback, whose kubelet pulls from the registry of registry.py.

build() brings its programs (cluster_parts.py), once. start() needs root, because it makes containers; who is not, or
has a cluster already, names that one in ZOT_TEST_KUBECONFIG: it is then used, and nothing is started or stopped.

Everything runs in its own namespaces (cluster_node.py), with all files in one directory, which stop() removes. The rest
of the machine sees of it the processes, ports on loopback, and the cgroups k8s.io/ID of running containers, which
stop() removes, too. Pods must have `hostNetwork: true`: a network of their own would need interfaces on the machine.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from environment import cluster_node, cluster_parts
from environment.cluster_parts import ClusterError, is_built
from environment.registry import Registry, free_port, write_private

EXISTING = "ZOT_TEST_KUBECONFIG"
PREFIX = "zot-cluster-"
NODE = "127.0.0.1"  # kubelet takes the node's address from its name if that is one; it refuses --node-ip on loopback
START_SECONDS = 180
STOP_SECONDS = 30
PORT_ATTEMPTS = 5

API_SERVER = "kube-apiserver"
LOCK_FILE = "lock"  # cluster_node.py holds it for as long as anything of the cluster runs
PID_FILE = "node.pid"
NODE_LOG = "node.log"
KUBECONFIG_FILE = "kubeconfig"
CERTIFICATES = "certs.d"
FLEX_VOLUMES = "/var/lib/kubelet/flex-volumes"  # its default is made in /usr/libexec
SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.native/snapshots"

CGROUPS = Path("/sys/fs/cgroup")

# Those that this Python started, so that an ended one is reaped. The pipe to its standard input ends with this Python.
_children: dict[Path, subprocess.Popen[bytes]] = {}


class _PortTaken(ClusterError):
    """Somebody else took a port between finding it free and listening on it."""


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path  # of an administrator
    kubectl: Path
    node: str
    directory: Path | None  # None: it is the cluster of ZOT_TEST_KUBECONFIG

    def trust(self, host: str, ca: Path | None, server: str | None = None) -> None:
        """Has the node verify the registry that images call `host` by this CA, from the next pull on.

        ca: None leaves only the system's own, so that the registry is one that is not trusted. server: the URL of the
        registry, for a host that is a mere name, which then needs no DNS.
        """
        if self.directory is None:
            raise ClusterError(f"the nodes of the cluster in {EXISTING} are not ours to change")
        _trust(self.directory, host, ca, server or f"https://{host}")

    @contextlib.contextmanager
    def without_room(self) -> Iterator[None]:
        """A node whose disk is full for the time of a `with` block, once there is a layer to be unpacked.

        Only a pod whose sandbox is there already gets as far as to pull.
        """
        if self.directory is None:
            raise ClusterError(f"the nodes of the cluster in {EXISTING} are not ours to change")
        # Without --root, nsenter leaves the root directory of a machine that runs in a chroot.
        inside = ["nsenter", f"--target={_first_process(self.directory)}", "--mount", "--root", "--pid", "--"]
        subprocess.run([*inside, "mount", "--types=tmpfs", "--options=size=64k", "none", SNAPSHOTS], check=True)
        try:
            yield
        finally:
            subprocess.run([*inside, "umount", "--lazy", SNAPSHOTS], check=True)

    def restart_api_server(self) -> None:
        """Kill the API server, which is started again at once and accepts connections some seconds later."""
        if self.directory is None:
            raise ClusterError(f"the API server of the cluster in {EXISTING} is not ours to restart")
        for pid in _children_of(_first_process(self.directory)):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                program = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
                if Path(os.fsdecode(program)).name == API_SERVER:
                    os.kill(pid, signal.SIGKILL)


def start(registry: Registry, directory: Path | None = None, *, detached: bool = False) -> Cluster:
    """Starts a cluster that trusts the registry, and returns when pods can run on it.

    directory: for all files; it must be new or empty, or hold a cluster that has ended. detached: it keeps
    running after this Python has ended, until clear_away() is called for the directory.
    """
    existing = os.environ.get(EXISTING)
    if existing:
        return _existing(Path(existing).absolute())
    if os.geteuid() != 0:
        raise ClusterError(
            "the tests need a Kubernetes cluster, and to start one needs root: run them as root, or name the kubeconfig"
            f" of a cluster that there is in {EXISTING}"
        )
    if not is_built():
        raise ClusterError("the programs of the cluster are not built yet: ./dev environment start --cluster")
    _clear_away_ended_clusters()
    attempts = PORT_ATTEMPTS
    while True:
        made = _prepare(directory)
        try:
            return _launch(made, registry, detached=detached)
        except BaseException as error:
            clear_away(made)
            attempts -= 1
            if not isinstance(error, _PortTaken) or attempts == 0:
                raise


def stop(cluster: Cluster) -> None:
    """Ends the cluster, also one that another Python started, and removes its directory."""
    if cluster.directory is not None:
        clear_away(cluster.directory)


@contextlib.contextmanager
def running(registry: Registry, directory: Path | None = None) -> Iterator[Cluster]:
    """A cluster for the time of a `with` block."""
    cluster = start(registry, directory)
    try:
        yield cluster
    finally:
        stop(cluster)


def load(directory: Path) -> Cluster | None:
    """The cluster that start() left in this directory, or None. It may have ended since: see is_running()."""
    kubeconfig = directory / KUBECONFIG_FILE
    if not (directory / LOCK_FILE).exists() or not kubeconfig.exists():
        return None
    return Cluster(kubeconfig=kubeconfig, kubectl=cluster_parts.KUBECTL, node=NODE, directory=directory)


def is_running(cluster: Cluster) -> bool:
    return cluster.directory is None or _is_alive(cluster.directory)


def clear_away(directory: Path) -> bool:
    """Ends and removes whatever start() left in this directory, also half of it; false if that is nothing."""
    try:
        lock = (directory / LOCK_FILE).open()
    except FileNotFoundError:
        return False
    with lock:
        _end(directory, lock.fileno())
        if (directory / LOCK_FILE).exists():  # else somebody else has cleared it away meanwhile
            _remove_cgroups(directory)
            shutil.rmtree(directory)
    return True


def logs(directory: Path) -> str:
    """The end of each program's log."""
    tails = []
    for log in sorted(directory.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        tails.append("\n".join([f"--- {log.name}", *(line[:400] for line in lines)]))
    return "\n".join(tails)


def _first_process(directory: Path) -> int:
    """The first process in the namespace of a cluster, by its number outside."""
    return _children_of(int((directory / PID_FILE).read_text(encoding="utf-8")))[0]


def _children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


# --- starting ---------------------------------------------------------------------------------------------------------


def _existing(kubeconfig: Path) -> Cluster:
    if not kubeconfig.exists():
        raise ClusterError(f"{EXISTING} is {kubeconfig}, which does not exist")
    kubectl = Path(shutil.which("kubectl") or cluster_parts.KUBECTL)
    command = [str(kubectl), f"--kubeconfig={kubeconfig}", "get", "--raw=/api/v1/nodes?limit=1"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError as error:
        raise ClusterError("there is no kubectl") from error
    if result.returncode != 0:
        raise ClusterError(f"the cluster in {EXISTING} does not answer: {result.stderr.strip()}")
    node = json.loads(result.stdout)["items"][0]["metadata"]["name"]
    return Cluster(kubeconfig=kubeconfig, kubectl=kubectl, node=node, directory=None)


def _prepare(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix=PREFIX))
    directory = directory.absolute()
    if (directory / LOCK_FILE).exists() and not _is_alive(directory):
        clear_away(directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # stop() removes the directory: what somebody else keeps in it must not go with it.
    if any(directory.iterdir()):
        raise ClusterError(f"{directory} is not empty")
    return directory


def _launch(directory: Path, registry: Registry, *, detached: bool) -> Cluster:
    new = directory / "lock.new"
    with new.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(directory / LOCK_FILE)  # only now: a process that finds it unlocked may remove the directory
        api = _Api(directory)
        _write_configurations(directory, registry, api)
        _write_json(directory / cluster_node.PLAN_FILE, _plan(directory, api, detached=detached))
        _start_node(directory, lock.fileno(), detached=detached)
    _wait_until_pods_can_run(directory, api)
    cluster = load(directory)
    assert cluster is not None
    return cluster


class _Api:
    """The address of the API server, and who may ask it."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.server = f"https://127.0.0.1:{self.port}"
        self.ca = trustme.CA(organization_name="killinit.zot tests")
        self.ca_file = directory / "ca.pem"
        # By name of the kubeconfig: token, user, group. Kubernetes itself gives these users their roles.
        self.users = {
            KUBECONFIG_FILE: (secrets.token_hex(32), "admin", "system:masters"),
            "controller-manager.kubeconfig": (secrets.token_hex(32), "system:kube-controller-manager", ""),
            "scheduler.kubeconfig": (secrets.token_hex(32), "system:kube-scheduler", ""),
            "kubelet.kubeconfig": (secrets.token_hex(32), f"system:node:{NODE}", "system:nodes"),
        }

    def get(self, path: str) -> Any:
        """What the API says, or None if there is no such thing or no answer."""
        request = urllib.request.Request(f"{self.server}{path}")
        request.add_header("Authorization", f"Bearer {self.users[KUBECONFIG_FILE][0]}")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # loopback is not for a proxy
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.ca_file))),
        )
        try:
            with opener.open(request, timeout=5) as response:
                return json.load(response)
        except OSError:
            return None


def _start_node(directory: Path, lock: int, *, detached: bool) -> None:
    with (directory / NODE_LOG).open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, str(cluster_node.__file__), str(directory)],
            cwd=directory,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            # A Ctrl-C in the tests does not end it before the tests are through.
            start_new_session=True,
        )
    _children[directory] = child
    (directory / PID_FILE).write_text(str(child.pid), encoding="utf-8")


def _wait_until_pods_can_run(directory: Path, api: _Api) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not _is_alive(directory):
            text = logs(directory)
            failure = _PortTaken if "address already in use" in text else ClusterError
            reason = (directory / NODE_LOG).read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise failure(f"the cluster ended while it started: {reason}\n{text}")
        if _is_ready(api):
            return
        time.sleep(0.2)
    raise ClusterError(f"the cluster was not ready within {START_SECONDS} s\n{logs(directory)}")


def _is_ready(api: _Api) -> bool:
    node = api.get(f"/api/v1/nodes/{NODE}")
    if node is None or node["spec"].get("taints"):  # a new node is tainted until a controller has found it ready
        return False
    conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and all(
        api.get(f"/api/v1/namespaces/default/{path}") is not None
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt")  # every pod mounts both
    )


# --- the configuration of the programs -------------------------------------------------------------------------------


def _plan(directory: Path, api: _Api, *, detached: bool) -> dict[str, Any]:
    """What cluster_node.py does, in this order."""
    programs = cluster_parts.PROGRAMS
    kubectl = [str(cluster_parts.KUBECTL), f"--kubeconfig={directory}/{KUBECONFIG_FILE}", "--cache-dir=/run/kubectl"]
    peer = f"http://127.0.0.1:{free_port()}"
    store = f"http://127.0.0.1:{free_port()}"

    def program(path: Path | str, *arguments: str) -> dict[str, Any]:
        name = Path(path).name
        return {"start": name, "command": [str(path), *arguments], "revive": name == API_SERVER}

    return {
        "tied": not detached,
        # Nothing else of our environment: these programs take options from variables, too. Those of the Go runtime save
        # a fifth of the CPU time: on one core its threads do not look for work, and garbage is collected less often.
        "environment": {"PATH": f"{programs}:{cluster_parts.SYSTEM_PATH}", "GOMAXPROCS": "1", "GOGC": "400"},
        "steps": [
            program(
                cluster_parts.system_program("etcd"),
                "--name=etcd",
                "--data-dir=/run/etcd",  # in memory: it syncs its file system at every write
                f"--listen-client-urls={store}",
                f"--advertise-client-urls={store}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=etcd={peer}",
            ),
            program(programs / "containerd", f"--config={directory}/containerd.toml"),
            program(
                programs / "kube-apiserver",
                f"--etcd-servers={store}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={api.port}",
                "--endpoint-reconciler-type=none",  # its Endpoints would refuse an address on loopback
                f"--tls-cert-file={directory}/server.pem",
                f"--tls-private-key-file={directory}/server.key",
                f"--token-auth-file={directory}/tokens.csv",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                f"--kubelet-client-certificate={directory}/kubelet-client.pem",
                f"--kubelet-client-key={directory}/kubelet-client.key",
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                f"--service-account-key-file={directory}/service-account.key",
                f"--service-account-signing-key-file={directory}/service-account.key",
                "--service-cluster-ip-range=10.0.0.0/24",
            ),
            {
                "until": [
                    *(str(programs / "ctr"), "--namespace=k8s.io"),
                    *("images", "import", str(cluster_parts.PAUSE_ARCHIVE)),
                ]
            },
            {"until": [*kubectl, "get", "--raw=/readyz"]},
            program(
                programs / "kube-controller-manager",
                f"--kubeconfig={directory}/controller-manager.kubeconfig",
                "--use-service-account-credentials",
                f"--service-account-private-key-file={directory}/service-account.key",
                f"--root-ca-file={api.ca_file}",
                "--leader-elect=false",
                "--secure-port=0",
                "--kube-api-qps=200",  # else it waits for itself while it starts
                "--kube-api-burst=400",
                f"--flex-volume-plugin-dir={FLEX_VOLUMES}",
                "--node-monitor-period=1s",  # how soon a node that is ready is taken for ready
            ),
            program(
                programs / "kube-scheduler",
                f"--kubeconfig={directory}/scheduler.kubeconfig",
                "--leader-elect=false",
                "--secure-port=0",
            ),
            program(
                programs / "kubelet",
                f"--config={directory}/kubelet.json",
                f"--kubeconfig={directory}/kubelet.kubeconfig",
                f"--hostname-override={NODE}",
            ),
        ],
    }


def _write_configurations(directory: Path, registry: Registry, api: _Api) -> None:
    write_private(api.ca_file, api.ca.cert_pem.bytes())
    _write_certificate(directory / "server", api.ca.issue_cert("127.0.0.1", "localhost"))
    # kubelet knows the API server by this, and lets it read logs and run commands.
    client = api.ca.issue_cert("localhost", common_name="kube-apiserver", organization_name="system:masters")
    _write_certificate(directory / "kubelet-client", client)
    write_private(directory / "service-account.key", api.ca.issue_cert("localhost").private_key_pem.bytes())
    write_private(
        directory / "tokens.csv",
        "".join(f'{token},{user},{user},"{group}"\n' for token, user, group in api.users.values()),
    )
    for name, (token, user, *_groups) in api.users.items():
        _write_json(directory / name, _kubeconfig(api, user, token))

    _write_json(directory / "kubelet.json", _kubelet(api))
    write_private(directory / "containerd.toml", _containerd(directory))
    (directory / "cni").mkdir()
    # The node is ready only with a network. This one needs no program, and its name says what a pod did wrong.
    network = {"cniVersion": "1.0.0", "name": "none", "plugins": [{"type": "none-use-hostNetwork-true"}]}
    _write_json(directory / "cni" / "none.conflist", network)
    _trust(directory, registry.host, registry.ca, f"{'https' if registry.tls else 'http'}://{registry.host}")


def _kubeconfig(api: _Api, user: str, token: str) -> dict[str, Any]:
    authority = api.ca.cert_pem.bytes()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "zot",
                "cluster": {"server": api.server, "certificate-authority-data": base64.b64encode(authority).decode()},
            }
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "zot", "context": {"cluster": "zot", "user": user}}],
        "current-context": "zot",
    }


def _kubelet(api: _Api) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": free_port(),
        "healthzPort": 0,
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(api.ca_file)}},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        # One slow pull is not to hold up the others.
        "serializeImagePulls": False,
        "resolvConf": "",
        "volumePluginDir": FLEX_VOLUMES,
        # Neither pods nor images are to go for want of room, whatever the machine lacks.
        "evictionHard": {
            **{f"{where}.available": "0%" for where in ("memory", "nodefs", "imagefs")},
            **{f"{where}.inodesFree": "0%" for where in ("nodefs", "imagefs")},
        },
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        # The machine stays as it is: its cgroups, its swap, its firewall, and what it kills first without memory.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
    }


def _containerd(directory: Path) -> str:
    """Strings of TOML are written as those of JSON."""
    return f"""\
version = 3
# The directories of these are no options of the others, and nothing here uses them: /opt/containerd, /run/nri.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[plugins."io.containerd.cri.v1.images"]
# overlayfs cannot lie on an overlay, and that is what the file system of a container is, if this runs in one.
snapshotter = "native"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = {json.dumps(cluster_parts.PAUSE_IMAGE)}

[plugins."io.containerd.cri.v1.images".registry]
config_path = {json.dumps(str(directory / CERTIFICATES))}

[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux"
snapshotter = "native"

[plugins."io.containerd.cri.v1.runtime"]
# It would be left in the kernel.
disable_apparmor = true
enable_cdi = false
# In a container, root may not save a process from being killed without memory more than itself.
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
conf_dir = {json.dumps(str(directory / "cni"))}
use_internal_loopback = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = {json.dumps(cluster_parts.system_program("runc"))}
"""


def _trust(directory: Path, host: str, ca: Path | None, server: str) -> None:
    # containerd reads this at every pull. Without such a file it verifies no certificate on loopback (ConfigureHosts in
    # https://github.com/containerd/containerd/blob/v2.4.2/core/remotes/docker/config/hosts.go).
    home = directory / CERTIFICATES / host
    home.mkdir(parents=True, exist_ok=True)
    settings = {"server": server}
    if ca is not None:
        shutil.copyfile(ca, home / "ca.pem")
        settings["ca"] = "ca.pem"
    write_private(home / "hosts.toml", "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))


def _write_json(path: Path, content: Any) -> None:
    write_private(path, json.dumps(content, indent=2))


def _write_certificate(path: Path, certificate: trustme.LeafCert) -> None:
    write_private(path.with_suffix(".pem"), b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    write_private(path.with_suffix(".key"), certificate.private_key_pem.bytes())


# --- ending -----------------------------------------------------------------------------------------------------------


def _is_alive(directory: Path) -> bool:
    try:
        with (directory / LOCK_FILE).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _clear_away_ended_clusters() -> None:
    """Delete the directories of clusters that ended because their Python process was killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            ours = directory.stat().st_uid == os.geteuid()
            if ours and (directory / LOCK_FILE).exists() and not _is_alive(directory):
                clear_away(directory)


def _end(directory: Path, lock: int) -> None:
    """Returns when nothing of it runs any more, and then holds its lock."""
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ClusterError(f"the cluster in {directory} does not end") from None
        _ask_to_end(directory)
        time.sleep(0.05)
    child = _children.pop(directory, None)
    if child is not None:
        child.communicate()  # closes the pipe, too


def _ask_to_end(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int((directory / PID_FILE).read_text(encoding="utf-8"))
        # The number may be somebody else's by now, if another Python is clearing the directory away and holds the lock.
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if os.fsencode(directory) in command:
            os.kill(pid, signal.SIGTERM)


def _remove_cgroups(directory: Path) -> None:
    """Those of the containers that were running: runc removes them only when a container ends in an orderly way."""
    tasks = directory / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io"
    # One hierarchy in version 2, one for each controller in version 1.
    for parent in [parent for pattern in ("k8s.io", "*/k8s.io") for parent in CGROUPS.glob(pattern)]:
        for task in tasks.glob("*"):
            for cgroup in sorted((parent / task.name).glob("**/"), reverse=True):
                with contextlib.suppress(FileNotFoundError):
                    cgroup.rmdir()
        with contextlib.suppress(OSError):  # another cluster's are in it
            parent.rmdir()
