# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster's own machine: namespaces for processes and mounts, in which everything of the cluster runs.

cluster.py starts this as a program. It makes the namespaces, and in them a first process, which does what plan.json in
the given directory says. When the first process ends, the kernel ends all others in there, shims and containers
included, and takes their mounts away. It ends with any of the cluster's programs, and at a SIGTERM for this program. A
program that a test kills with SIGKILL is started again, if the plan says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PLAN_FILE = "plan.json"

# Where Kubernetes and containerd write, whatever their options say, and where the other defaults are:
# https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/kuberuntime/legacy.go (/var/log/containers),
# https://github.com/kubernetes/kubelet/blob/v0.37.2/pkg/apis/deviceplugin/v1beta1/constants.go (/var/lib/kubelet),
# https://github.com/containerd/containerd/blob/v2.4.2/core/runtime/v2/shim_unix.go (/run/containerd).
PARENTS = ("/run", "/var/lib", "/var/log")
# In the cluster's directory, because these files are large or useful for debugging.
ON_DISK = {"/var/lib/containerd": "containerd", "/var/lib/kubelet": "kubelet", "/var/log/pods": "pods"}
# What another Kubernetes or containerd of the machine may have there is not visible in this namespace.
HIDDEN = {"/run/containerd", "/run/netns", "/var/log/containers", *ON_DISK}

# kubelet sets these for the whole machine and has no option not to (setupKernelTunables in
# https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/cm/container_manager_linux.go). It gets plain files.
SYSCTLS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)

# From the kernel's headers; Python has them from 3.12 on, and mount(2) not at all.
CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def main(directory: Path) -> int:
    plan = json.loads((directory / PLAN_FILE).read_text(encoding="utf-8"))
    _check(libc.unshare(CLONE_NEWNS | CLONE_NEWPID), "unshare")
    first = os.fork()
    if first == 0:
        _check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
        _make_machine(directory)
        _run(plan, directory)

    def end(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    # Nobody writes to standard input: it ends when the Python at the other end of the pipe does, even by a SIGKILL.
    # A thread could wait for it, but not next to a namespace for processes to come.
    select.select([os.pidfd_open(first), *([sys.stdin] if plan["tied"] else [])], [], [])
    end()
    status = os.waitpid(first, 0)[1]
    return 0 if os.waitstatus_to_exitcode(status) == -signal.SIGKILL else 1


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


# --- mounts -----------------------------------------------------------------------------------------------------------


def _make_machine(directory: Path) -> None:
    _mount("none", "/", flags=MS_REC | MS_PRIVATE)  # later mounts are not visible outside this namespace
    _mount("proc", "/proc", "proc")
    for parent in PARENTS:
        _cover_with_tmpfs(Path(parent))
    for path, name in ON_DISK.items():
        (directory / name).mkdir()
        Path(path).mkdir()
        _mount(str(directory / name), path, flags=MS_BIND)
    for name in SYSCTLS:
        real = Path("/proc/sys") / name
        copy = directory / "sysctl" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(real.read_bytes())
        _mount(str(copy), str(real), flags=MS_BIND)


def _mount(source: str, target: str, kind: str = "none", flags: int = 0, data: str = "") -> None:
    result = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _check(result, f"mount {source} on {target}")


def _cover_with_tmpfs(parent: Path) -> None:
    """Mount a tmpfs with the same directories over the directory: new entries exist only in this mount namespace."""
    links: dict[Path, str] = {}
    directories: dict[Path, int] = {}
    for path in parent.iterdir():
        if path.is_symlink():
            links[path] = os.readlink(path)
        elif path.is_dir() and str(path) not in HIDDEN:
            directories[path] = os.open(path, os.O_PATH)
    _mount("tmpfs", str(parent), "tmpfs", data="mode=755")
    for path, target in links.items():
        path.symlink_to(target)
    for path, descriptor in directories.items():
        path.mkdir()
        with contextlib.suppress(FileNotFoundError):  # removed in the meantime
            _mount(f"/proc/self/fd/{descriptor}", str(path), flags=MS_BIND | MS_REC)
        os.close(descriptor)


# --- programs ---------------------------------------------------------------------------------------------------------


def _run(plan: dict[str, Any], directory: Path) -> None:
    environment = plan["environment"]
    programs: dict[int, str] = {}
    revived = {}
    for step in plan["steps"]:
        if "start" in step:
            pid = _start(step, directory, environment)
            programs[pid] = step["start"]
            if step["revive"]:
                revived[pid] = step
        else:
            _retry_until_success(step["until"], environment, programs)
    while True:
        pid, status = os.wait()  # also reap orphans: no other process in this namespace does
        if pid in revived and os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
            step = revived.pop(pid)
            new = _start(step, directory, environment)
            programs[new], revived[new] = programs.pop(pid), step
        else:
            _exit_if_program_ended(pid, status, programs)


def _start(step: dict[str, Any], directory: Path, environment: dict[str, str]) -> int:
    name = step["start"]
    # A home of its own: kubelet also pulls with $HOME/.docker/config.json, which would hide a bad pull secret.
    home = directory / "home" / name
    home.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            step["command"],
            cwd=home,
            env={**environment, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ).pid


def _retry_until_success(command: list[str], environment: dict[str, str], programs: dict[int, str]) -> None:
    while subprocess.call(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) != 0:
        for pid in programs:
            _exit_if_program_ended(*os.waitpid(pid, os.WNOHANG), programs)
        time.sleep(0.2)


def _exit_if_program_ended(pid: int, status: int, programs: dict[int, str]) -> None:
    """Exit when one of the programs has ended, because the cluster needs all of them."""
    if pid in programs:
        sys.exit(f"{programs[pid]} has ended with exit code {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
