# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts a registry that goes on running, and stops it: `python tests/environment start` and `... stop`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Started as a program, only this directory is on the path, and not the one that holds the package.
sys.path.insert(0, str(HERE.parent))

from environment import registry as registries  # noqa: E402

DEFAULT_DIRECTORY = HERE.parent.parent / ".cache" / "environment"


def start(directory: Path) -> None:
    running = registries.load(directory)
    if running is not None and registries.is_running(running):
        print(f"A registry ({running.kind}) is already running at {running.host}.", file=sys.stderr)
    else:
        registries.clear_away(directory)  # of one that ended by itself, or of a start that was broken off
        running = registries.start(directory)
        print(f"A registry ({running.kind}) is running at {running.host}.", file=sys.stderr)
    for name, value in {
        "ZOT_REGISTRY": running.host,
        "ZOT_USERNAME": running.writer.username,
        "ZOT_PASSWORD": running.writer.password,
        "ZOT_CA_PATH": str(running.ca),
    }.items():
        print(f"export {name}={shlex.quote(value)}")


def stop(directory: Path) -> None:
    if registries.clear_away(directory):
        print("The registry is stopped.", file=sys.stderr)
    else:
        print("No registry is running.", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/environment", description=__doc__)
    parser.add_argument("command", choices=("start", "stop"))
    parser.add_argument("--directory", type=Path, default=DEFAULT_DIRECTORY, help="default: %(default)s")
    arguments = parser.parse_args()
    # The registry has a directory of its own in there, because stopping it removes that.
    directory = arguments.directory.absolute() / "registry"
    try:
        if arguments.command == "start":
            start(directory)
        else:
            stop(directory)
    except registries.RegistryError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
