# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The yardsticks of the registry: what is measured beside what, and which ratio is to be reached."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import checks
from benchmarks.archives import GIB, MB, archive, configuration
from benchmarks.measure import Cost, Run, Side, fresh, measure, variables
from environment.registry import Registry

Costs = dict[str, Cost]
COUNTS = (1, 10, 30, 100)
TASKS = 10  # in one playbook, since the playbook itself costs more than a task
SIZES = {"10 MB": (1, 10 * MB), "100 MB": (1, 100 * MB), "1 GiB": (1, GIB), "10 GiB": (10, GIB)}

# Reads the module's own peak when it ends; that of wait4(2) would be the largest of module and tools.
PEAK = """\
import atexit, re, runpy, sys
def note():
    with open("/proc/self/status") as status, open(sys.argv[2], "w") as file:
        file.write(re.search("VmHWM:\\\\s+([0-9]+) kB", status.read())[1])
atexit.register(note)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@dataclass(frozen=True)
class Ratio:
    """One line of the result."""

    yardstick: str
    ratio: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether it is reached."""
        return self.ratio <= self.limit


@dataclass(frozen=True)
class Bench:
    """What the yardsticks share: a registry, a directory that is gone afterwards, archives that are kept."""

    registry: Registry
    directory: Path
    archives: Path
    runs: int

    @contextmanager
    def shared(self) -> Iterator[Registry]:
        """The scene of runs that change nothing."""
        yield self.registry

    def archive(self, name: str, *, layers: int, size: int, sparse: bool = False) -> Path:
        """An archive of that name."""
        return archive(self.archives / f"{name}.tar", layers=layers, size=size, sparse=sparse)

    def playbook(self, name: str, tasks: Sequence[dict[str, Any]]) -> list[str]:
        """The command that runs these tasks on localhost."""
        path = self.directory / f"{name}.yml"
        path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]))
        return ["ansible-playbook", str(path)]

    def script(self, name: str, lines: Sequence[str]) -> list[str]:
        """The command that runs these lines one after the other."""
        path = self.directory / f"{name}.sh"
        path.write_text("\n".join(["set -eu", *lines]))
        return ["sh", str(path)]

    def run(self, command: Sequence[str], *, ours: bool = True, more: Mapping[str, str] | None = None) -> str:
        """Run something that is not measured; return what it prints."""
        environment = variables(self.registry, self.directory, ours=ours) | dict(more or {})
        done = subprocess.run(command, env=environment, cwd=self.directory, capture_output=True, text=True, check=False)
        checks.succeeded(command[0], done.returncode, done.stdout + done.stderr)
        return done.stdout

    def push(self, images: Sequence[dict[str, Any]]) -> None:
        """Put archives in place for the yardsticks that find nothing to do."""
        self.run(self.playbook("set-up", [{"killinit.zot.zot_push": {"images": list(images)}}]))

    def digest(self, reference: str) -> str:
        """What crane says of a reference without the registry's name."""
        return self.run(["crane", "digest", f"{self.registry.host}/{reference}"], ours=False).strip()

    def modules(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> Counter[str]:
        """The modules that a playbook starts, each with the number of its tasks. The playbook runs once for that."""
        kept = self.directory / "started"
        # Ansible makes one directory for each task that starts a module, and leaves the program of the module in it.
        keep = {"ANSIBLE_KEEP_REMOTE_FILES": "true", "ANSIBLE_REMOTE_TMP": str(kept)}
        try:
            self.run(command, more={**(more or {}), **keep})
            return Counter(path.stem.partition("_")[2] for path in kept.rglob("AnsiballZ_*.py"))
        finally:
            shutil.rmtree(kept, ignore_errors=True)

    def payload(self, module: str, arguments: dict[str, Any]) -> Path:
        """The program that Ansible would start for a task, as it left it when it ran the task once."""
        kept = self.directory / "kept"
        before = set(kept.rglob("AnsiballZ_*.py"))
        adhoc = ["ansible", "localhost", f"--module-name={module}", f"--args={json.dumps(arguments)}"]
        self.run(adhoc, more={"ANSIBLE_KEEP_REMOTE_FILES": "true", "ANSIBLE_REMOTE_TMP": str(kept)})
        (path,) = set(kept.rglob("AnsiballZ_*.py")) - before
        return path


def reads(expected: Sequence[str]) -> Callable[[Run], None]:
    def check(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        checks.digests_read(run.side, run.output, expected)

    return check


def writes(bench: Bench, pushed: dict[str, Path]) -> Callable[[Run], None]:
    """The check that a run left these archives under these references, given without the registry's name."""

    def check(run: Run) -> None:
        paths = ["/v2/{}/manifests/{}".format(*reference.rsplit(":", 1)) for reference in pushed]
        checks.manifests_written(run.side, run.requests, paths)
        for reference, path in pushed.items():
            name = f"{run.registry.host}/{reference}"
            environment = variables(run.registry, bench.directory, ours=False)
            crane = subprocess.run(["crane", "config", name], env=environment, capture_output=True, check=True)
            checks.holds_image(run.side, name, json.loads(crane.stdout), configuration(path))

    return check


def shown(digests: str) -> dict[str, Any]:
    return {"ansible.builtin.debug": {"msg": f"{{{{ {digests} }}}}"}}


def first_push(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """First push of 1 GiB, 8 layers, half of it compressible, the module alone and in a playbook, beside skopeo copy"""
    path = bench.archive("first-1g", layers=8, size=GIB // 8)
    push = {"archive": str(path), "repository": "bench/one", "tags": ["latest"]}
    payload = bench.payload("killinit.zot.zot_push", push)
    copy = f"skopeo copy --quiet --format=oci docker-archive:{path} docker://$ZOT_REGISTRY/bench/one:latest"
    check = writes(bench, {"bench/one:latest": path})
    sides = [
        Side("zot_push", [sys.executable, str(payload)], check),
        Side("skopeo", bench.script("first", [copy]), check, ours=False),
        Side("zot_push, in a playbook", bench.playbook("first", [{"killinit.zot.zot_push": push}]), check),
    ]
    costs = measure(sides, bench.runs, fresh, bench.directory)
    ratio = costs["zot_push"].seconds / costs["skopeo"].seconds
    return costs, [Ratio("first push of 1 GiB", ratio, 1.05)]


def first_push_of_many(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """First push of 16 images of 20 MB in one task, beside a script of skopeo copy"""
    archives = {
        f"bench/app-{number}:latest": bench.archive(f"first-20m-{number}", layers=2, size=10 * MB)
        for number in range(16)
    }
    images = [image_of(reference, path) for reference, path in archives.items()]
    copies = [
        f"skopeo copy --quiet --format=oci docker-archive:{path} docker://$ZOT_REGISTRY/{reference}"
        for reference, path in archives.items()
    ]
    check = writes(bench, archives)
    sides = [
        Side("zot_push", bench.playbook("many", [{"killinit.zot.zot_push": {"images": images}}]), check),
        Side("skopeo", bench.script("many", copies), check, ours=False),
        *_floor(bench, "skopeo", copies, check),
    ]
    costs = measure(sides, bench.runs, fresh, bench.directory)
    ratio = costs["zot_push"].seconds / costs["skopeo"].seconds
    return costs, [Ratio("first push of 16 images of 20 MB", ratio, 1.15)]


def converted_push(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """First push of an OCI archive of 512 MiB, the module alone, beside skopeo copy for the same two steps"""
    docker = bench.archive("first-512m", layers=4, size=GIB // 8)
    path = docker.with_name("first-512m-oci.tar")
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        bench.run(["skopeo", "copy", "--quiet", f"docker-archive:{docker}", f"oci-archive:{unfinished}"], ours=False)
        unfinished.rename(path)
    push = {"archive": str(path), "repository": "bench/one", "tags": ["latest"]}
    payload = bench.payload("killinit.zot.zot_push", push)
    steps = [
        f"skopeo --tmpdir=. copy --quiet oci-archive:{path} docker-archive:converted.tar",
        "skopeo copy --quiet --format=oci docker-archive:converted.tar docker://$ZOT_REGISTRY/bench/one:latest",
        "rm converted.tar",
    ]
    check = writes(bench, {"bench/one:latest": docker})
    sides = [
        Side("zot_push", [sys.executable, str(payload)], check),
        Side("skopeo", bench.script("converted", steps), check, ours=False),
    ]
    costs = measure(sides, bench.runs, fresh, bench.directory)
    ratio = costs["zot_push"].seconds / costs["skopeo"].seconds
    return costs, [Ratio("first push of an OCI archive of 512 MiB", ratio, 1.3)]


def sizes(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """Nothing to do, the module alone, from 10 MB to 10 GiB; with its memory and its requests"""
    sides, peaks = [], {}
    for size, (layers, each) in SIZES.items():
        name = size.replace(" ", "-").lower()
        path = bench.archive(f"again-{name}", layers=layers, size=each, sparse=each * layers >= GIB)
        arguments = {"archive": str(path), "repository": f"bench/{name}", "tags": ["latest"]}
        payload = bench.payload("killinit.zot.zot_push", arguments)
        check = reads([bench.digest(f"bench/{name}:latest")])
        sides.append(Side(size, [sys.executable, str(payload)], check))
        peaks[size] = [sys.executable, "-c", PEAK, str(payload), f"{name}.peak"]
    costs = measure(sides, bench.runs, bench.shared, bench.directory)
    smallest = costs["10 MB"]
    results = [
        Ratio(f"nothing to do, {size} beside 10 MB", cost.seconds / smallest.seconds, 1.1)
        for size, cost in costs.items()
        if size != "10 MB"
    ]
    memory = {}
    for size in ("10 MB", "10 GiB"):
        bench.run(peaks[size])
        memory[size] = int((bench.directory / peaks[size][-1]).read_text())
    results.append(Ratio("memory of the module, 10 GiB beside 10 MB", memory["10 GiB"] / memory["10 MB"], 1.05))
    before = len(bench.registry.requests())
    bench.run(sides[0].command)
    requests = [request for request in bench.registry.requests()[before:] if request.path != "/v2/"]
    results.append(Ratio("requests, nothing to do, one archive", len(requests), 3))
    return costs, results


def one_task(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """Nothing to do, one archive, as a task, beside a task that runs crane digest"""
    path = bench.archive("again-10-mb", layers=1, size=10 * MB)
    push = {"archive": str(path), "repository": "bench/10-mb", "tags": ["latest"]}
    bench.push([image_of("bench/10-mb:latest", path)])
    command = "crane digest {{ lookup('ansible.builtin.env', 'ZOT_REGISTRY') }}/bench/10-mb:latest"
    loop = {"loop": f"{{{{ range({TASKS}) | list }}}}", "register": "found"}
    ours = [{"killinit.zot.zot_push": push, **loop}, shown("found.results | map(attribute='image.digest')")]
    bare = [{"ansible.builtin.command": command, **loop}, shown("found.results | map(attribute='stdout')")]
    check = reads([bench.digest("bench/10-mb:latest")])
    sides = [
        Side("zot_push", bench.playbook("task", ours), check),
        Side("command: crane", bench.playbook("bare-task", bare), check, ours=False),
        Side("no task", bench.playbook("no-task", [shown("1")]), lambda _run: None),
    ]
    costs = measure(sides, bench.runs, bench.shared, bench.directory)
    none = costs["no task"].seconds
    ratio = (costs["zot_push"].seconds - none) / (costs["command: crane"].seconds - none)
    return costs, [Ratio("nothing to do, one archive, as a task", ratio, 1.2)]


def publish_again(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """A publish with nothing to do, as a task, beside the tasks zot_push, zot_index and zot_tag for the same tags"""
    path, repository = bench.archive("again-10-mb", layers=1, size=10 * MB), "bench/publish"
    loop = {"loop": f"{{{{ range({TASKS}) | list }}}}"}
    image = {"repository": repository, "archives": {"amd64": str(path)}}
    publish: dict[str, Any] = {"killinit.zot.zot_publish": {"revision": "r1", "images": [image]}}
    push = {"archive": str(path), "repository": repository, "tags": ["r1-amd64"]}
    index = {"repository": repository, "manifests": ["r1-amd64"], "tags": ["r1"]}
    tag = {"repository": repository, "source": "r1", "tags": ["latest"]}
    modules = {"zot_push": push, "zot_index": index, "zot_tag": tag}
    three = [{f"killinit.zot.{name}": options, **loop} for name, options in modules.items()]
    bench.run(bench.playbook("set-up", [publish]))
    digest = bench.digest(f"{repository}:latest")

    def check(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)

    # The last tag is the shared one.
    show = shown("found.results | map(attribute='tags') | map('last') | map(attribute='digest')")
    ours = [{**publish, **loop, "register": "found"}, show]
    sides = [
        Side("zot_publish", bench.playbook("publish", ours), reads([digest])),
        Side("three modules", bench.playbook("three-modules", three), check),
        Side("no task", bench.playbook("no-task", [shown("1")]), lambda _run: None),
    ]
    costs = measure(sides, bench.runs, bench.shared, bench.directory)
    none = costs["no task"].seconds
    ratio = (costs["zot_publish"].seconds - none) / (costs["three modules"].seconds - none)
    return costs, [Ratio("a publish with nothing to do, beside three modules", ratio, 0.8)]


def many_archives(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """Nothing to do, 100 archives in one task, beside a script of crane digest"""
    ours, script, lines = _again(bench, 100)
    costs = measure(
        [ours, script, *_floor(bench, "crane", lines, script.check)], bench.runs, bench.shared, bench.directory
    )
    ratio = costs["100 archives"].seconds / costs["100 crane"].seconds
    return costs, [Ratio("nothing to do, 100 archives in one task", ratio, 0.45)]


def numbers(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """How that grows with the number of archives; no yardstick, for the plot"""
    sides = [side for count in COUNTS for side in _again(bench, count)[:2]]
    return measure(sides, bench.runs, bench.shared, bench.directory), []


def _again(bench: Bench, count: int) -> tuple[Side, Side, list[str]]:
    """So many archives that are there already, in one task and in a script; and the lines of the script."""
    images = _hundred(bench, ["latest"])[:count]
    references = [f"{image['repository']}:latest" for image in images]
    bench.push(images)
    ours = [{"killinit.zot.zot_push": {"images": images}, "register": "found"}]
    ours.append(shown("found.images | map(attribute='digest')"))
    check = reads([bench.digest(reference) for reference in references])
    lines = [f"crane digest $ZOT_REGISTRY/{reference}" for reference in references]
    return (
        Side(f"{count} archives", bench.playbook(f"archives-{count}", ours), check),
        Side(f"{count} crane", bench.script(f"archives-{count}", lines), check, ours=False),
        lines,
    )


def _floor(bench: Bench, tool: str, lines: Sequence[str], check: Callable[[Run], None]) -> list[Side]:
    """What no task that runs the tool for each can undercut: all runs, four at once, and a module that does nothing.

    The runs read the bundle of the system and the registry's certificate, as those of the modules do: nothing twice.
    """
    path = bench.directory / "lines"
    path.write_text("".join(f"exec {line}\n" for line in lines))
    once = {"SSL_CERT_DIR": str(bench.directory / "certificates")}
    at_once = f"xargs --arg-file={path} --delimiter='\\n' --max-procs=4 --max-args=1 sh -c"
    return [
        Side(f"{tool}, 4 at once", bench.script("at-once", [at_once]), check, ours=False, variables=once),
        Side("ping", bench.playbook("ping", [{"ansible.builtin.ping": {}}]), lambda _run: None),
    ]


def many_references(bench: Bench) -> tuple[Costs, list[Ratio]]:
    """200 references in one zot_image_info, beside a script of crane manifest"""
    images = _hundred(bench, ["latest", "stable"])
    bench.push(images)
    references = [f"{image['repository']}:{tag}" for image in images for tag in image["tags"]]
    digests = [bench.digest(reference) for reference in references]
    (bench.directory / "manifests").mkdir()
    ours = [
        {
            "killinit.zot.zot_image_info": {
                "images": ["{{ lookup('ansible.builtin.env', 'ZOT_REGISTRY') }}/" + each for each in references]
            },
            "register": "found",
        },
        shown("found.images | map(attribute='digest')"),
    ]
    bare = [
        f"crane manifest $ZOT_REGISTRY/{reference} >manifests/{number}" for number, reference in enumerate(references)
    ]

    def check_files(run: Run) -> None:
        checks.nothing_written(run.side, run.requests)
        files = sorted((run.directory / "manifests").iterdir(), key=lambda path: int(path.name))
        read = [f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
        checks.digests_read(run.side, "\n".join(read), digests)
        for file in files:
            file.unlink()

    sides = [
        Side("zot_image_info", bench.playbook("info", ours), reads(digests)),
        Side("crane", bench.script("info", bare), check_files, ours=False),
        *_floor(bench, "crane", bare, check_files),
    ]
    costs = measure(sides, bench.runs, bench.shared, bench.directory)
    ratio = costs["zot_image_info"].seconds / costs["crane"].seconds
    return costs, [Ratio("200 references in one zot_image_info", ratio, 0.4)]


def _hundred(bench: Bench, tags: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "archive": str(bench.archive(f"small-{number}", layers=2, size=MB // 10)),
            "repository": f"bench/small-{number}",
            "tags": tags,
        }
        for number in range(100)
    ]


def image_of(reference: str, path: Path) -> dict[str, Any]:
    repository, tag = reference.rsplit(":", 1)
    return {"archive": str(path), "repository": repository, "tags": [tag]}
