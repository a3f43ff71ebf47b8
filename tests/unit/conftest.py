# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the unit tests share: archives, an in-memory registry in place of the tools, and a module run to its result."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from hypothesis import HealthCheck, settings

from ansible_collections.killinit.zot.plugins.module_utils._oci.archive import blob
from ansible_collections.killinit.zot.plugins.module_utils._registry import registry as registry_file
from ansible_collections.killinit.zot.plugins.module_utils._registry import runner as runner_file
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import Registry
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session, open_task
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options
from ansible_collections.killinit.zot.tests.unit.module_arguments import module_arguments

# A slow machine is no failure.
settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For ./dev quick. All examples run in the sessions units and versions.
settings.register_profile("quick", settings.get_profile("unit"), max_examples=20)
settings.load_profile("unit")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> t.Generator[None, object, object]:
    """Measure no coverage of a test that is marked `no_cover`.

    In a process of xdist, pytest-cov starts two measurements and pauses only one, see the two calls of start() in
    https://github.com/pytest-dev/pytest-cov/blob/v7.1.0/src/pytest_cov/plugin.py
    """
    if not item.get_closest_marker("no_cover"):
        return (yield)
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(trace)


HOST = "127.0.0.1:5000"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CAPTURED = json.loads((Path(__file__).parent / "captured.json").read_text(encoding="utf-8"))


def captured_text(scenario: str, *, tool: str, command: str = "") -> str:
    """What *tool* (a name and version) printed in a scenario of captured.json."""
    texts = [
        output["stderr"]
        for output in CAPTURED["outputs"]
        if output["scenario"] == scenario and tool in output["tools"] and output["command"].startswith(command)
    ]
    assert texts, f"captured.json has no {scenario} of {tool}"
    return texts[0]


def captured_outputs(tool: str) -> list[t.Any]:
    """What a tool printed, as arguments of a test."""
    found = [each for each in CAPTURED["outputs"] if each["tools"][0].startswith(tool)]
    return [pytest.param(each, id=f"{each['scenario']}-{each['tools'][0]}-{n}") for n, each in enumerate(found)]


def _digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _json(value: t.Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def docker_config(**changes: t.Any) -> dict[str, t.Any]:
    """A configuration as docker save writes it; keys with a value of None are left out."""
    config: dict[str, t.Any] = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-11-23T10:00:00.5Z",
        "config": {
            "Hostname": "builder",
            "Env": ["DEMO=one"],
            "Entrypoint": ["/program"],
            "Labels": {"org.example.first": "one", "org.example.second": "two"},
            "Healthcheck": {"Test": ["CMD", "true"]},
        },
        "docker_version": "25.0.0",
        "history": [{"created": "2026-11-23T10:00:00Z", "created_by": "COPY program /"}],
        "rootfs": {"type": "layers", "diff_ids": [_digest(b"layer one")]},
        **changes,
    }
    return {name: value for name, value in config.items() if value is not None}


def write_archive(path: Path, *configs: dict[str, t.Any], tags: t.Sequence[t.Sequence[str]] = ()) -> Path:
    """A docker archive of one image for each configuration; a name that ends with .gz is compressed."""
    buffer = io.BytesIO()
    manifest = []
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, config in enumerate(configs or (docker_config(),)):
            raw = _json(config)
            name = f"{_digest(raw)[7:]}.json"
            _add(tar, name, raw)
            _add(tar, f"layer-{number}/layer.tar", b"layer one")
            names = list(tags[number]) if number < len(tags) else [f"localhost/demo:{number}"]
            manifest.append({"Config": name, "RepoTags": names, "Layers": [f"layer-{number}/layer.tar"]})
        _add(tar, "manifest.json", _json(manifest))
    data = buffer.getvalue()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_oci(
    path: Path, *images: t.Sequence[dict[str, t.Any]], docker: t.Sequence[dict[str, t.Any]] = (), layer: bytes = b"one"
) -> Path:
    """An OCI archive of images, each with a configuration for each platform; without a suffix an OCI layout.

    An image with one configuration has no index of its own. *docker* are the configurations in manifest.json.
    """
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def add(media_type: str, content: bytes) -> dict[str, t.Any]:
        files[blob(_digest(content))] = content
        return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}

    def image(config: dict[str, t.Any]) -> dict[str, t.Any]:
        layers = [add("application/vnd.oci.image.layer.v1.tar", layer)]
        own = add("application/vnd.oci.image.config.v1+json", _json(config))
        entry = add(MANIFEST_TYPE, _json({"schemaVersion": 2, "config": own, "layers": layers}))
        return {
            **entry,
            "platform": {name: config[name] for name in ("os", "architecture", "variant") if name in config},
        }

    entries = []
    for number, configs in enumerate(images):
        members = [image(config) for config in configs]
        entry = members[0] if len(members) == 1 else add(INDEX_TYPE, _json({"schemaVersion": 2, "manifests": members}))
        entries.append({**entry, "annotations": {"org.opencontainers.image.ref.name": f"localhost/demo:{number}"}})
    files["index.json"] = _json({"schemaVersion": 2, "manifests": entries})
    if docker:
        listed = [{"Config": blob(_digest(_json(config))), "Layers": [blob(_digest(layer))]} for config in docker]
        files["manifest.json"] = _json(listed)
    if not path.suffix:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, content in files.items():
            _add(tar, name, content)
    return path


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@dataclass
class Fault:
    """A wrong answer: for *times* commands of *verb* whose last argument ends with *target*."""

    verb: str
    target: str
    stderr: str
    times: int = 1
    applied: bool = False  # the registry applies the write, and only its answer is lost
    drops: bool = False  # the tag is gone afterwards, as after a 500 of Zot
    rc: int = 1


@dataclass
class FakeRegistry:
    """A registry in memory that understands the commands for crane and skopeo.

    Like Zot it deletes an image when its last tag moves or is removed.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    commands: list[list[str]] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)
    largest: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    salt: str = "skopeo"  # another salt: the same image, but other bytes
    reports: str | None = None  # what skopeo reports as the digest instead of the truth
    newer_crane: bool = True  # writes artifactType into an index

    @property
    def writes(self) -> list[str]:
        """The commands that wrote, in short: verb and target."""
        found = []
        for command in self.commands:
            verb, arguments = split_command(command)
            if verb in ("copy", "append"):
                found.append(f"{verb} {arguments[-1].partition(HOST + '/')[2]}")
            elif verb == "tag":
                found.append(f"tag {arguments[0].partition(HOST + '/')[2]} {arguments[1]}")
            elif verb == "delete":
                found.append(f"delete {arguments[0].partition(HOST + '/')[2]}")
        return found

    def fail_with(self, verb: str, target: str, stderr: str) -> None:
        """Let one command fail with a text."""
        self.faults.append(Fault(verb, target, stderr))

    def fail(self, verb: str, target: str, scenario: str, tool: str = "", **more: t.Any) -> None:
        """Answer a command as captured.json has it."""
        tool = tool or ("skopeo 1.9.3" if verb == "copy" else "crane 0.22.1")
        self.faults.append(Fault(verb, target, captured_text(scenario, tool=tool), **more))

    def put(
        self, repository: str, tag: str | None, config: dict[str, t.Any] | bytes | None = None, salt: str = ""
    ) -> str:
        """Have an image there already; return its digest."""
        config = docker_config() if config is None else config
        raw = config if isinstance(config, bytes) else _json(oci_config(config))
        self.blobs[_digest(raw)] = raw
        salt = salt or self.salt
        layers = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": _digest(salt.encode()), "size": 1000}
        ]
        entry = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _digest(raw), "size": len(raw)}
        document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": entry, "layers": layers}
        return self.put_manifest(repository, tag, document)

    def put_index(self, repository: str, tag: str | None, *digests: str, more: t.Sequence[t.Any] = ()) -> str:
        """Have an index of manifests there already; *more* are entries that are no images."""
        entries = [self._entry(repository, digest) for digest in digests]
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*entries, *more]}
        return self.put_manifest(repository, tag, document)

    def put_manifest(self, repository: str, tag: str | None, document: dict[str, t.Any]) -> str:
        raw = _json(document)
        self.manifests.setdefault(repository, {})[_digest(raw)] = raw
        if tag is not None:
            self._move(repository, tag, _digest(raw))
        return _digest(raw)

    def _move(self, repository: str, tag: str, digest: str) -> None:
        tags, manifests = self.tags.setdefault(repository, {}), self.manifests[repository]
        before, tags[tag] = tags.get(tag, ""), digest
        if before and before not in tags.values():
            del manifests[before]

    def _entry(self, repository: str, digest: str) -> dict[str, t.Any]:
        raw = self.manifests[repository][digest]
        entry: dict[str, t.Any] = {"mediaType": MANIFEST_TYPE, "size": len(raw), "digest": digest}
        config = json.loads(self.blobs[json.loads(raw)["config"]["digest"]])
        names = ("architecture", "os", "os.version", "variant")
        entry["platform"] = {name: config[name] for name in names if name in config}
        if self.newer_crane:
            entry["artifactType"] = "application/vnd.oci.image.config.v1+json"
        return entry

    def run(
        self, command: t.Sequence[str], environment: t.Mapping[str, str], largest: int
    ) -> subprocess.CompletedProcess[bytes]:
        """In place of a process."""
        self.largest.append(largest)
        self.commands.append(list(command))
        self.environments.append(dict(environment))
        verb, arguments = split_command(command)
        fault = self._fault(verb, arguments)
        try:
            if fault and not fault.applied:
                raise _ToolError(fault.stderr, fault.rc)
            output: bytes = getattr(self, f"_do_{verb}")(*arguments)
            if fault:
                raise _ToolError(fault.stderr, fault.rc)
        except _ToolError as error:
            if fault and fault.drops:
                repository, tag = _split(target_of(verb, arguments))
                self.tags.get(repository, {}).pop(tag, None)
            return subprocess.CompletedProcess(command, error.rc, b"", error.stderr.encode())
        return subprocess.CompletedProcess(command, 0, output)

    def _fault(self, verb: str, arguments: t.Sequence[str]) -> Fault | None:
        for fault in self.faults:
            if fault.verb == verb and fault.times and target_of(verb, arguments).endswith(fault.target):
                fault.times -= 1
                return fault
        return None

    def _resolve(self, reference: str, verb: str) -> tuple[str, str, bytes]:
        repository, name = _split(reference)
        if repository not in self.manifests:
            raise _ToolError(_absent("absent-repository", verb, "demo/none", "1", repository, name))
        digest = name if name.startswith("sha256:") else self.tags.get(repository, {}).get(name, "")
        if digest not in self.manifests[repository]:
            raise _ToolError(_absent("absent-tag", verb, "demo/app", "nope", repository, name))
        return repository, digest, self.manifests[repository][digest]

    def _do_manifest(self, reference: str) -> bytes:
        return self._resolve(reference, "manifest")[2]

    def _do_digest(self, reference: str) -> bytes:
        return self._resolve(reference, "digest")[1].encode() + b"\n"

    def _do_blob(self, reference: str) -> bytes:
        repository, digest = _split(reference)
        raw = self.blobs.get(digest)
        if raw is None or digest not in b"".join(self.manifests.get(repository, {}).values()).decode():
            text = captured_text("absent-blob", tool="crane 0.22.1")
            raise _ToolError(text.replace("demo/app", repository).replace(f"sha256:{'0' * 64}", digest))
        if _digest(raw) != digest:
            raise _ToolError(captured_text("blob-of-another-digest", tool="crane 0.22.1"))
        return raw

    def _do_ls(self, name: str) -> bytes:
        repository = name.partition("/")[2]
        if repository not in self.manifests:
            raise _ToolError(_absent("absent-repository", "ls", "demo/none", "1", repository, ""))
        return "".join(f"{tag}\n" for tag in sorted(self.tags.get(repository, {}))).encode()

    def _do_catalog(self, _registry: str) -> bytes:
        return "".join(f"{name}\n" for name in sorted(self.manifests)).encode()

    def _do_tag(self, reference: str, tag: str) -> bytes:
        repository, digest, _raw = self._resolve(reference, "manifest")
        self._move(repository, tag, digest)
        return b""

    def _do_delete(self, reference: str) -> bytes:
        repository, tag = _split(reference)
        assert not tag.startswith("sha256:"), "the registry would remove all tags of the digest"
        _repository, digest, _raw = self._resolve(reference, "delete")
        del self.tags[repository][tag]
        if digest not in self.tags[repository].values():
            del self.manifests[repository][digest]
        return b""

    def _do_append(self, *arguments: str) -> bytes:
        members = [value for option, value in zip(arguments, arguments[1:]) if option == "--manifest"]
        repository, tag = _split(arguments[-1])
        entries = []
        for member in members:
            _repository, digest, raw = self._resolve(member, "manifest")
            document = json.loads(raw)
            entries += document["manifests"] if "manifests" in document else [self._entry(repository, digest)]
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
        return self.put_manifest(repository, tag, document).encode()

    def _do_copy(self, *arguments: str) -> bytes:
        options = dict(argument.partition("=")[::2] for argument in arguments[:-2])
        source, target = arguments[-2].partition(":")[2], arguments[-1].partition("://")[2]
        path, _colon, index = source.partition(":@")
        with tarfile.open(path) as tar:
            images = json.load(t.cast("t.IO[bytes]", tar.extractfile("manifest.json")))
            assert index or len(images) == 1, "skopeo refuses an archive of several images without an index"
            name = images[int(index or 0)]["Config"]
            config = json.load(t.cast("t.IO[bytes]", tar.extractfile(name)))
        repository, tag = _split(target)
        digest = self.put(repository, tag, config)
        Path(options["--digestfile"]).write_text(digest if self.reports is None else self.reports, encoding="utf-8")
        return b""

    def _do_convert(self, *arguments: str) -> bytes:
        layout, target = (Path(argument.partition(":")[2]) for argument in arguments[-2:])
        (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
        assert entry["digest"] in {_digest(path.read_bytes()) for path in (layout / "blobs/sha256").iterdir()}
        manifest = json.loads((layout / blob(entry["digest"])).read_text())
        names = [layer["digest"][7:] for layer in manifest["layers"]]
        with tarfile.open(target, "w") as tar:
            _add(tar, "config.json", (layout / blob(manifest["config"]["digest"])).read_bytes())
            for name in names:
                _add(tar, name, (layout / "blobs/sha256" / name).read_bytes())
            _add(tar, "manifest.json", _json([{"Config": "config.json", "RepoTags": [], "Layers": names}]))
        return b""


class _ToolError(Exception):
    def __init__(self, stderr: str, rc: int = 1) -> None:
        super().__init__(stderr)
        self.stderr = stderr
        self.rc = rc


def split_command(command: t.Sequence[str]) -> tuple[str, list[str]]:
    """The verb of a command of skopeo or crane, and its other arguments."""
    arguments = [each for each in command[1:] if each != "--insecure"]
    if os.path.basename(command[0]) == "skopeo":
        verb = "copy" if arguments[-1].startswith("docker://") else "convert"
        return verb, arguments[arguments.index("copy") + 1 :]
    if arguments[:2] == ["index", "append"]:
        return "append", arguments[2:]
    return arguments[0], arguments[1:]


def target_of(verb: str, arguments: t.Sequence[str]) -> str:
    """The reference that a command reads or writes."""
    if verb == "tag":
        return f"{arguments[0].rpartition('@')[0] or arguments[0].rpartition(':')[0]}:{arguments[1]}"
    return arguments[-1].partition("://")[2] or arguments[-1]


def _split(reference: str) -> tuple[str, str]:
    name = reference.partition("/")[2]
    repository, _at, digest = name.partition("@")
    return (repository, digest) if digest else t.cast("tuple[str, str]", name.rpartition(":")[::2])


def _absent(scenario: str, verb: str, old: str, old_tag: str, repository: str, tag: str) -> str:
    text = captured_text(scenario, tool="crane 0.22.1", command=f"crane {verb}")
    text = text.replace(f"{old}:{old_tag}", f"{repository}:{tag}").replace(f"manifests/{old_tag}:", f"manifests/{tag}:")
    return text.replace(f"reference:{old_tag}]", f"reference:{tag}]").replace(old, repository)


def oci_config(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The configuration as skopeo writes it to an OCI registry: without Docker's own fields, in another order."""
    container = {
        key: value for key, value in config.get("config", {}).items() if key not in ("Hostname", "Healthcheck")
    }
    kept = {key: value for key, value in config.items() if key not in ("docker_version", "config")}
    return {**dict(reversed(list(kept.items()))), "config": dict(reversed(list(container.items())))}


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each test has its home. pytest would read the names of all of them for each new one."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, homes: Path) -> None:
    """Nothing of the machine's accounts, settings and programs."""
    home = tempfile.mkdtemp(dir=homes)
    for name in list(os.environ):
        if name.startswith(("ZOT_", "XDG_")) or "proxy" in name.lower():
            monkeypatch.delenv(name)
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    # To read the 140 authorities of Debian again for each test would take a third of the time.
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__).parent / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", home)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{home}/run")


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in PATH, and alone in it, with a crane and a skopeo that do nothing."""
    directory = tmp_path_factory.mktemp("bin")
    for name in ("crane", "skopeo"):
        program = directory / name
        program.write_text("#!/bin/false\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))
    return directory


Tool = t.Callable[[t.Sequence[str], t.Mapping[str, str], int], "subprocess.CompletedProcess[bytes]"]


def replace_tools(monkeypatch: pytest.MonkeyPatch, run: Tool) -> None:
    """Call *run* with a command, its environment and the size limit of its files, in place of starting a process."""

    def done(
        _runner: object, command: t.Sequence[str], _what: str, environment: t.Mapping[str, str], largest: int
    ) -> subprocess.CompletedProcess[bytes]:
        return run(command, environment, largest)

    monkeypatch.setattr(runner_file.Runner, "_done", done)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tools: Path) -> FakeRegistry:
    """The registry in memory, in place of every run of a tool. No read is an HTTP request, and no retry waits."""
    assert tools.is_dir()
    fake = FakeRegistry()
    # pylint: disable-next=unnecessary-lambda
    replace_tools(monkeypatch, lambda *arguments: fake.run(*arguments))  # a test can replace fake.run
    monkeypatch.setattr(registry_file, "_FEW", 1_000_000)
    monkeypatch.setattr(runner_file, "_FIRST_WAIT", 0.0)
    return fake


@pytest.fixture
def session(fake: FakeRegistry, tmp_path: Path) -> t.Iterator[Session]:
    """A session with the registry in memory."""
    assert fake.commands == []
    with open_task(str(tmp_path)) as task:
        yield task.session(Options(HOST, username="ci", password="s3cret", timeout=5, retries=2))


@pytest.fixture
def registry(session: Session) -> Registry:
    """The registry in memory."""
    return Registry(session)


RunModule = t.Callable[..., t.Dict[str, t.Any]]  # noqa: UP006 - Python 3.9 evaluates it


@pytest.fixture
def run_module(fake: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> RunModule:
    """Runs main() of a module and returns its result, without the invocation; an option that is None is not given."""
    assert fake.commands == []
    temporary = tmp_path / "remote"
    temporary.mkdir()

    def run(main: t.Callable[[], None], *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {
            "registry": HOST,
            "username": "ci",
            "password": "s3cret",
            "retries": 2,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_tmpdir": str(temporary),
            **options,
        }
        arguments = {name: value for name, value in arguments.items() if value is not None}
        warnings: list[str] = []

        def deprecated(_module: AnsibleModule, msg: str, **_more: t.Any) -> None:
            raise AssertionError(msg)

        with module_arguments(arguments), pytest.MonkeyPatch.context() as patch:
            # Where the code of the controller is loaded, both would be printed.
            patch.setattr(AnsibleModule, "warn", lambda _module, text: warnings.append(text))
            patch.setattr(AnsibleModule, "deprecate", deprecated)
            with pytest.raises(SystemExit) as exit_:
                main()
        output = capsys.readouterr().out
        assert "s3cret" not in output
        assert list(temporary.iterdir()) == []
        result: dict[str, t.Any] = json.loads(output)
        assert result.get("failed", False) is bool(exit_.value.code)
        result.pop("invocation", None)
        return result | ({"warnings": warnings} if warnings else {})

    return run


@pytest.fixture(name="write_archive")
def _write_archive() -> t.Callable[..., Path]:
    return write_archive


@pytest.fixture(name="write_oci")
def _write_oci() -> t.Callable[..., Path]:
    return write_oci


@pytest.fixture(name="docker_config")
def _docker_config() -> t.Callable[..., dict[str, t.Any]]:
    return docker_config
