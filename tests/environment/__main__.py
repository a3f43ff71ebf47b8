# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts a registry that keeps running, and stops it: `python tests/environment start` and `... stop`.

With `start --cluster` a Kubernetes that pulls from the registry runs beside it, and `stop` ends both.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Started as a program, only this directory is on the path, and not the one that holds the package.
sys.path.insert(0, str(HERE.parent))

from environment import cluster as clusters  # noqa: E402
from environment import cluster_parts  # noqa: E402
from environment import registry as registries  # noqa: E402
from environment.zot_program import ZotProgramError  # noqa: E402

DEFAULT_DIRECTORY = HERE.parent.parent / ".cache" / "environment"


def start(directory: Path, *, cluster: bool) -> None:
    registry = start_registry(directory / "registry")
    variables = {
        "ZOT_REGISTRY": registry.host,
        "ZOT_USERNAME": registry.writer.username,
        "ZOT_PASSWORD": registry.writer.password,
        "ZOT_CA_PATH": str(registry.ca),
    }
    if cluster:
        kubeconfig = str(start_cluster(directory / "cluster", registry).kubeconfig)
        variables |= {"K8S_AUTH_KUBECONFIG": kubeconfig, "KUBECONFIG": kubeconfig}
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def start_registry(directory: Path) -> registries.Registry:
    running = registries.load(directory)
    if running is not None and registries.is_running(running):
        print(f"A registry ({running.kind}) is already running at {running.host}.", file=sys.stderr)
        return running
    registries.clear_away(directory)  # of one that ended by itself, or of a start that was broken off
    running = registries.start(directory)
    print(f"A registry ({running.kind}) is running at {running.host}.", file=sys.stderr)
    return running


def start_cluster(directory: Path, registry: registries.Registry) -> clusters.Cluster:
    running = clusters.load(directory)
    if running is not None and clusters.is_running(running):
        running.trust(registry.host, registry.ca)  # it may be another registry than when the cluster started
        print("A cluster is already running.", file=sys.stderr)
        return running
    cluster_parts.build(lambda text: print(text, file=sys.stderr, flush=True))
    running = clusters.start(registry, directory, detached=True)
    print("A cluster is running.", file=sys.stderr)
    return running


def stop(directory: Path) -> None:
    if clusters.clear_away(directory / "cluster"):
        print("The cluster is stopped.", file=sys.stderr)
    if registries.clear_away(directory / "registry"):
        print("The registry is stopped.", file=sys.stderr)
    else:
        print("No registry is running.", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/environment", description=__doc__)
    parser.add_argument("command", choices=("start", "stop"))
    parser.add_argument("--directory", type=Path, default=DEFAULT_DIRECTORY, help="default: %(default)s")
    parser.add_argument("--cluster", action="store_true", help="start a cluster, too")
    arguments = parser.parse_args()
    # Each has a directory of its own in there, because stopping it removes that.
    directory = arguments.directory.absolute()
    try:
        if arguments.command == "start":
            start(directory, cluster=arguments.cluster)
        else:
            stop(directory)
    except (registries.RegistryError, cluster_parts.ClusterError, ZotProgramError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
