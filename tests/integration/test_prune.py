# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zot_prune, its role and the playbook prune, on a real registry and clusters in memory."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from integration.blocks import ROOT, blocks
from integration.support import Module, ReadsOnly, recap
from reliability.support import archive, tags_in
from unit.api_server import holding, kubeconfig, running
from unit.fake_cluster import FakeCluster
from unit.plugins.modules.test_zot_cluster_image_info import CASES, NAMESPACE, cronjob, workload

from environment import awx_jobs
from environment import registry as registries
from environment.images import Images
from environment.registry import Account, Registry

OLD, MIDDLE, NEW = "cafe123", "3f2c1ab", "fff0000"
ARCHITECTURES = ("amd64", "arm64")
SHARED = "test/prune"
GC_DELAY = 2  # seconds
PYTHON = "{{ ansible_playbook_python }}"
Playbook = Callable[..., CompletedProcess[str]]


@pytest.fixture
def published(repository: str, module: Module, tmp_path: Path) -> str:
    """A repository with three revisions of two architectures; the first is stable, the second latest."""
    return publish(repository, module, tmp_path)


@pytest.fixture
def unchanged(module: Module, registry: Registry, tmp_path: Path) -> str:
    """The same, for all tests that change nothing."""
    return SHARED if tags_in(registry, SHARED) else publish(SHARED, module, tmp_path)


def publish(repository: str, module: Module, folder: Path) -> str:
    for revision, shared in ((OLD, ["stable"]), (MIDDLE, ["latest"]), (NEW, [])):
        tags = {name: f"{revision}-{name}" for name in ARCHITECTURES}
        archives = {name: str(archive(folder / f"{tags[name]}.tar", architecture=name)) for name in tags}
        pushes = [{"archive": archives[name], "repository": repository, "tags": [tags[name]]} for name in tags]
        assert not module("zot_push", images=pushes)["failed"]
        index = {"repository": repository, "manifests": list(tags.values()), "tags": [revision, *shared]}
        assert not module("zot_index", **index)["failed"]
    return repository


def tags_of(revision: str) -> list[str]:
    return [revision, *(f"{revision}-{name}" for name in ARCHITECTURES)]


def deleted(result: dict[str, Any]) -> list[str]:
    assert not result["failed"], result
    return [each["tag"] for each in result["deleted"]]


@pytest.mark.usefixtures("zot")
def test_prune_and_undo(published: str, module: Module, registry: Registry, reads_only: ReadsOnly) -> None:
    """Check mode is exact; a second run changes nothing; zot_tag takes the tags back."""
    assert module("zot_tag", repository=published, tags=["stable"], state="absent")["changed"]
    before = tags_in(registry, published)
    options: dict[str, Any] = {"repositories": [published], "keep_last": 2, "keep_newer_than": "1h", "diff": True}
    with reads_only():
        assert deleted(module("zot_prune", **options)) == []
    options["keep_newer_than"] = None
    with reads_only():
        planned = module("zot_prune", check=True, **options)
    done = module("zot_prune", **options)
    for found in (planned, done):
        for each in (*found["deleted"], *found["kept"]):
            assert 0 <= each.pop("age") < 600
        found.pop("invocation", None)  # ansible-core 2.21 does not return it
    assert planned == done
    assert sorted(deleted(done)) == sorted(tags_of(OLD))
    assert done["freeable"] > 2000
    after = tags_in(registry, published)
    assert set(before) - set(after) == set(tags_of(OLD))
    with reads_only():
        assert module("zot_prune", **options)["changed"] is False
    assert not module("zot_tag", images=done["undo"])["failed"]
    assert tags_in(registry, published) == before


@pytest.mark.usefixtures("zot")
def test_only_what_was_listed(published: str, module: Module, registry: Registry, tmp_path: Path) -> None:
    """What is new, has moved or is used since the list was made is kept."""
    options: dict[str, Any] = {"repositories": [published], "keep_last": 1}
    listed = module("zot_prune", check=True, **options)["deleted"]
    assert sorted(each["tag"] for each in listed) == sorted([*tags_of(OLD), *tags_of(MIDDLE)])
    moved = {"repository": published, "source": f"{NEW}-amd64", "tags": [f"{MIDDLE}-amd64"]}
    assert not module("zot_tag", **moved)["failed"]
    new = str(archive(tmp_path / "new.tar", architecture="riscv64"))
    assert not module("zot_push", archive=new, repository=published, tags=["eeee000"])["failed"]
    options["only"] = listed
    with_use = module("zot_prune", check=True, in_use=[f"{registry.host}/{published}:{OLD}"], **options)
    assert deleted(with_use) == []
    done = module("zot_prune", **options)
    assert sorted(deleted(done)) == sorted(tags_of(OLD))
    reasons = {each["tag"]: each["reason"] for each in done["kept"]}
    assert {reasons[tag] for tag in (*tags_of(MIDDLE), *tags_of(NEW))} == {"not_listed"}
    assert deleted(module("zot_prune", **{**options, "only": []})) == []
    assert sorted(deleted(module("zot_prune", check=True, **{**options, "only": None}))) == sorted(
        [*tags_of(MIDDLE), *tags_of(NEW)]
    )
    wrong = [{**listed[0], "reference": f"{registry.host}/{published}-other:{OLD}"}, {**listed[0], "digest": None}, {}]
    for each in wrong:
        refused = module("zot_prune", **{**options, "only": [each]})
        assert (refused["failed"], refused["error_class"]) == (True, "invalid_option"), refused
        assert "only[0]" in refused["msg"]


@pytest.mark.usefixtures("zot")
@pytest.mark.parametrize("case", CASES)
def test_a_kind_of_use(case: str, unchanged: str, module: Module, registry: Registry, tmp_path: Path) -> None:
    """A revision that one object uses is kept, and is removed once the object is deleted."""
    place = Place(unchanged, registry)
    document, (_reference, digest, _owner, _use) = CASES[case](place)  # type: ignore[arg-type]
    account = {"registry_username": registry.reader.username, "registry_password": registry.reader.password}
    account |= {"registry_ca_path": str(registry.ca)}
    none = dict.fromkeys(("username", "password", "ca_path", "retries"))

    def in_use(*objects: dict[str, Any]) -> list[str]:
        with running(holding(FakeCluster(NAMESPACE, *objects))) as server:
            path = tmp_path / "kubeconfig"
            path.write_text(json.dumps(kubeconfig(server.address)))
            found = module("zot_cluster_image_info", kubeconfig=str(path), **none, **account)
        assert not found["failed"], found
        return [*found["digests"], *(image["reference"] for image in found["images"])]

    other = workload("Deployment", f"{place.app}:{NEW}", "other")
    options = {"repositories": [unchanged], "keep_last": 1, "check": True}
    kept = module("zot_prune", in_use=in_use(document, other), **options)
    used = OLD if digest in place.digests_of(OLD) else MIDDLE
    assert digest in place.digests_of(used)
    reasons = {each["tag"]: each["reason"] for each in kept["kept"]}
    assert [reasons.get(tag) for tag in tags_of(used)] == ["in_use"] * 3
    # The objects with an annotation also name latest, which is the other revision.
    other_removed = not case.startswith("an annotation")
    assert sorted(deleted(kept)) == sorted(tags_of(MIDDLE if used == OLD else OLD) if other_removed else [])
    assert len(deleted(module("zot_prune", in_use=in_use(other), **options))) == 6


class Place:
    """The names and digests that the cases ask for; the tags of the first revisions are those of their scene."""

    def __init__(self, repository: str, registry: Registry) -> None:
        self.app = f"{registry.host}/{repository}"
        self._registry, self._repository = registry, repository
        self._tags = tags_in(registry, repository)

    def digest(self, tag: str) -> str:
        return self._tags[tag]

    def config(self, tag: str) -> str:
        status, body = ask(self._registry, self._registry.reader, "GET", f"{self._repository}/manifests/{tag}")
        assert status == 200
        digest: str = json.loads(body)["config"]["digest"]
        return digest

    def digests_of(self, revision: str) -> set[str]:
        configs = {self.config(tag) for tag in tags_of(revision)[1:]}
        return {self._tags[tag] for tag in tags_of(revision)} | configs


def ask(registry: Registry, account: Account, method: str, path: str) -> tuple[int, str]:
    request = urllib.request.Request(f"https://{registry.host}/v2/{path}", method=method)
    login = b64encode(f"{account.username}:{account.password}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    context = ssl.create_default_context(cafile=str(registry.ca))
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_answers_to_a_delete(published: str, registry: Registry) -> None:
    """What the module relies on, and what it never does."""
    place = Place(published, registry)
    path = f"{published}/manifests"
    cases = [
        (registry.reader, f"{path}/{OLD}", 403, "DENIED"),
        (registry.janitor, f"{path}/{OLD}", 202, ""),
        (registry.janitor, f"{path}/{OLD}", 404, "MANIFEST_UNKNOWN"),
        (registry.janitor, f"{published}/none/manifests/{OLD}", 400, "NAME_UNKNOWN"),
    ]
    if registry.kind == "zot":
        cases.append((registry.janitor, f"{path}/{place.digest(f'{NEW}-amd64')}", 405, "DENIED"))
    for account, target, status, code in cases:
        found, body = ask(registry, account, "DELETE", target)
        assert (found, code in body) == (status, True), target
    # The digest stays until the garbage collection.
    assert ask(registry, registry.reader, "HEAD", f"{path}/{place.digest('stable')}")[0] == 200


@pytest.mark.usefixtures("zot")
def test_least_rights(published: str, module: Module, registry: Registry, reads_only: ReadsOnly) -> None:
    """The account of the guide, which may read and delete; one that may not delete learns it from check mode."""
    options: dict[str, Any] = {"repositories": [published], "keep_last": 1, "untag_members": True}
    reader, janitor = (
        {"username": each.username, "password": each.password} for each in (registry.reader, registry.janitor)
    )
    for check in (True, False):
        with reads_only():
            denied = module("zot_prune", check=check, **options, **reader)
        assert (denied["error_class"], denied["deleted"]) == ("denied", [])
        assert {each["reason"] for each in denied["kept"]} >= {"denied", "shared_tag"}
    assert len(deleted(module("zot_prune", **options, **janitor))) == 8
    assert set(tags_in(registry, published)) == {NEW, "stable", "latest"}


def test_without_the_search_extension(published: str, module: Module, registry: Registry) -> None:
    """Only the stand-in lacks it: no age is known, and only members go."""
    if registry.kind == "zot":
        pytest.skip("needs the stand-in: set ZOT_BINARY to none")
    found = module("zot_prune", repositories=[published], keep_last=1)
    assert (found["changed"], "unknown_age" in str(found["kept"])) == (False, True)
    assert len(deleted(module("zot_prune", repositories=[published], untag_members=True))) == 6


def test_members_through_garbage_collection(module: Module, tmp_path: Path) -> None:
    """The index keeps them, and a publish of the same revision writes nothing."""
    with registries.running(gc_delay=GC_DELAY) as registry:

        def run(name: str, **options: Any) -> dict[str, Any]:
            writer = {"username": registry.writer.username, "password": registry.writer.password}
            return module(name, registry=registry.host, ca_path=str(registry.ca), **writer, **options)

        publish("demo/app", run, tmp_path)
        before = tags_in(registry, "demo/app")
        assert len(deleted(run("zot_prune", repositories=["demo/app"], untag_members=True))) == 6
        registries.sweep(registry, "demo/app", gc_delay=GC_DELAY)
        references = [f"demo/app@{before[f'{NEW}-{name}']}" for name in ARCHITECTURES]
        assert all(image["exists"] for image in run("zot_image_info", images=references)["images"])
        assert tags_in(registry, "demo/app") == {tag: before[tag] for tag in (OLD, MIDDLE, NEW, "stable", "latest")}


@pytest.mark.parametrize(("kind", "overwrite"), [("archives", True), ("archive", False)])
def test_a_publish_after_members_went(
    kind: str,
    overwrite: bool,
    repository: str,
    module: Module,
    registry: Registry,
    images: Images,
    reads_only: ReadsOnly,
) -> None:
    """It pushes nothing and changes nothing, also of one archive with both architectures."""
    own: dict[str, Any] = {"archives": {name: str(images[f"buildah-{name}"]) for name in ARCHITECTURES}}
    if kind == "archive":
        own = {"archive": str(Path(__file__).parent / "builders" / "buildkit-mp-oci.tar")}
    revision = {"revision": NEW, "images": [{"repository": repository, **own}], "overwrite": overwrite}
    assert not module("zot_publish", **revision)["failed"]
    before = tags_in(registry, repository)
    gone = deleted(module("zot_prune", repositories=[repository], untag_members=True))
    # An upload tag stays for a day, in which a publish may need it.
    kept = {tag: digest for tag, digest in before.items() if tag in (NEW, "latest") or tag.startswith("upload-")}
    assert set(gone) == set(before) - set(kept)
    assert len(gone) >= 2
    with reads_only():
        again = module("zot_publish", **revision)
    assert (again["failed"], again["changed"]) == (False, False), again
    assert tags_in(registry, repository) == kept


@pytest.fixture
def clusters(environment: dict[str, str], registry: Registry, tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """Starts API servers with objects, and writes an inventory of them; returns the options of ansible-playbook."""
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    environment["ZOT_USERNAME"], environment["ZOT_PASSWORD"] = registry.janitor.username, registry.janitor.password
    with ExitStack() as stack:

        def start(**objects: Any) -> list[str]:
            hosts: dict[str, Any] = {}
            for name, document in objects.items():
                server = stack.enter_context(running(holding(FakeCluster(NAMESPACE, document))))
                hosts[name] = {"zot_kubeconfig": str(server.kubeconfig(tmp_path / f"{name}.kubeconfig"))}
            group = {"hosts": hosts, "vars": {"ansible_connection": "local", "ansible_python_interpreter": PYTHON}}
            path = tmp_path / "inventory.json"
            path.write_text(json.dumps({"all": {"children": {"clusters": group}}}))
            return [f"--inventory={path}"]

        yield start


@pytest.mark.usefixtures("zot")
def test_every_cluster_must_report(
    published: str, registry: Registry, playbook: Playbook, clusters: Callable[..., list[str]], reads_only: ReadsOnly
) -> None:
    """One cluster uses the first revision, the other one the second."""
    app = f"{registry.host}/{published}"
    inventory = clusters(eu=workload("Deployment", f"{app}:{OLD}"), us=cronjob(f"{app}:{MIDDLE}-arm64"))
    prune = {"zot_clusters": "clusters", "zot_prune_repositories": [published], "zot_prune_keep_last": 1}
    host = inventory[0].partition("=")[2]

    def run(*options: str, **more: Any) -> CompletedProcess[str]:
        return playbook("killinit.zot.prune", *inventory, *options, **{**prune, **more})

    # With both clusters nothing is removed; each run that lacks one of them removes nothing and fails.
    with reads_only():
        done = run()
        assert (done.returncode, report(done)["ok"], report(done)["deleted"]) == (0, True, []), done.stdout
        assert len(report(done)["clusters"]) == 2
        assert re.search(rf"{published} +{OLD} +\d+[sm] +[\d.]+ KiB +keep +in use", done.stdout)
        limited = run("--limit=eu,localhost")
        assert limited.returncode != 0
        assert "us did not report what the cluster uses, so nothing is removed" in limited.stdout
        assert run("--limit=eu").returncode != 0
        assert run(zot_clusters="eu,use").returncode != 0
        text = Path(host).read_text()
        Path(host).write_text(text.replace("us.kubeconfig", "eu.kubeconfig"))
        twice = run()
        assert twice.returncode != 0
        assert "eu and us of zot_clusters are the same cluster" in twice.stdout
        Path(host).write_text(text.replace('"zot_kubeconfig"', '"ansible_connection": "ssh", "zot_kubeconfig"', 1))
        assert run().returncode != 0
        Path(host).write_text(text)
        (Path(host).parent / "us.kubeconfig").write_text(json.dumps(kubeconfig("http://127.0.0.1:9")))
        assert run().returncode != 0
    # Without the cluster that uses it, the second revision is removed.
    planned = run("--check", "--diff", zot_clusters="eu")
    assert (planned.returncode, recap(planned)["changed"]) == (0, 1)
    assert re.search(rf"{published} +{MIDDLE} +\d+[sm] +[\d.]+ KiB +remove +no rule keeps it", planned.stdout)
    assert "Remove 3 of 11 tags. The garbage collection frees at most" in planned.stdout
    done = run(zot_clusters="eu")
    assert sorted(each["tag"] for each in report(done)["deleted"]) == sorted(tags_of(MIDDLE))
    assert [each["tag"] for each in report(planned)["deleted"]] == [each["tag"] for each in report(done)["deleted"]]
    assert set(tags_in(registry, published)) == {*tags_of(OLD), *tags_of(NEW), "stable", "latest"}


@pytest.mark.usefixtures("zot")
def test_the_playbook_twice_and_then_the_role(
    published: str, registry: Registry, playbook: Playbook, clusters: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Each run reads its own clusters. The one before has another cluster, or none."""
    app = f"{registry.host}/{published}"
    inventory = clusters(eu=workload("Deployment", f"{app}:{OLD}"), us=workload("Deployment", f"{app}:{MIDDLE}"))
    rules = {"zot_prune_repositories": published, "zot_prune_keep_last": 1}
    imported = {"ansible.builtin.import_playbook": "killinit.zot.prune"}
    role = {"role": "killinit.zot.zot_prune", "vars": {**rules, "zot_kubeconfig": str(tmp_path / "us.kubeconfig")}}
    plays = [
        {**imported, "vars": {**rules, "zot_clusters": "eu"}},
        {**imported, "vars": {**rules, "zot_prune_without_clusters": True}},
        {"hosts": "localhost", "gather_facts": False, "roles": [role]},
    ]
    path = tmp_path / "twice.yml"
    path.write_text(yaml.safe_dump(plays))
    done = playbook(path, *inventory, "--check")
    assert done.returncode == 0, done.stdout
    assert re.findall(r"Remove (\d+) of 11 tags", done.stdout) == ["3", "6", "3"]
    assert re.search(rf"{published} +{MIDDLE} .* in use", done.stdout)


@pytest.mark.usefixtures("zot")
def test_empty_answers(
    published: str,
    registry: Registry,
    playbook: Playbook,
    clusters: Callable[..., list[str]],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """AWX passes None for an empty answer, and texts for everything else."""
    app = f"{registry.host}/{published}"
    inventory = clusters(eu=workload("Deployment", f"{app}:{OLD}"))
    names = ("keep", "keep_newer_than", "revisions", "max_deletes", "parallel")
    empty: dict[str, Any] = {f"zot_prune_{name}": None for name in names}
    given = {"zot_clusters": "eu", "zot_prune_repositories": f"{published},", "zot_prune_keep_last": "1"}
    done = playbook("killinit.zot.prune", *inventory, "--check", **{**empty, **given})
    assert done.returncode == 0, done.stdout
    assert sorted(each["tag"] for each in report(done)["deleted"]) == sorted(tags_of(MIDDLE))
    many = playbook("killinit.zot.prune", *inventory, **{**empty, **given, "zot_prune_max_deletes": "2"})
    assert (many.returncode, report(many)["ok"], report(many)["deleted"]) == (2, False, [])
    assert "more tags than zot_prune_max_deletes" in many.stdout
    # The cluster of localhost, which no inventory names.
    environment["K8S_AUTH_KUBECONFIG"] = str(tmp_path / "eu.kubeconfig")
    alone = playbook("killinit.zot.prune", "--check", **{**given, "zot_clusters": "localhost"})
    assert (alone.returncode, len(report(alone)["clusters"])) == (0, 1), alone.stdout
    del given["zot_clusters"]
    alone = playbook("killinit.zot.prune", "--check", **given)
    assert (alone.returncode, len(report(alone)["clusters"])) == (0, 1), alone.stdout
    none = {**given, "zot_prune_without_clusters": "true", "zot_prune_keep_last": "", "zot_prune_keep_newer_than": "1d"}
    done = playbook("killinit.zot.prune", "--check", **none)
    assert (done.returncode, report(done)["deleted"], report(done)["clusters"]) == (0, [], [])


@pytest.mark.usefixtures("zot")
def test_the_job_after_an_approval_in_awx(
    published: str, module: Module, registry: Registry, playbook: Playbook, environment: dict[str, str], tmp_path: Path
) -> None:
    """It gets the report of the job that listed the tags, removes no others, and reports what it removed itself."""
    documents = holding(FakeCluster(NAMESPACE, workload("Deployment", f"{registry.host}/{published}:{NEW}")))
    environment |= {"ZOT_USERNAME": registry.janitor.username, "ZOT_PASSWORD": registry.janitor.password}
    environment["ANSIBLE_SHOW_CUSTOM_STATS"] = "true"
    templates = awx_jobs.job_templates([{"repository": published, "archive": "none"}])

    def job(name: str, *options: str, **artifacts: Any) -> CompletedProcess[str]:
        file = tmp_path / "extravars"
        answers = {"zot_prune_keep_last": "1", "zot_prune_keep_newer_than": ""}
        file.write_text(awx_jobs.variables_of(templates[name], answers, artifacts))
        return playbook(awx_jobs.ROOT / "playbooks/prune.yml", "--extra-vars", f"@{file}", *options)

    with running(documents) as server:
        environment["K8S_AUTH_KUBECONFIG"] = str(server.kubeconfig(tmp_path / "kubeconfig"))
        alone = job("Zot automation | Prune what was listed")
        assert alone.returncode == 2
        assert "the workflow" in alone.stdout, alone.stdout
        listed = job("prune", "--check")
        assert listed.returncode == 0, listed.stdout
        assert sorted(each["tag"] for each in report(listed)["deleted"]) == sorted([*tags_of(OLD), *tags_of(MIDDLE)])
        moved = {"repository": published, "source": f"{NEW}-amd64", "tags": [f"{MIDDLE}-amd64"]}
        assert not module("zot_tag", **moved)["failed"]
        removed = job("Zot automation | Prune what was listed", zot_prune_report=report(listed))
    assert removed.returncode == 0, removed.stdout
    assert sorted(each["tag"] for each in report(removed)["deleted"]) == sorted(tags_of(OLD))
    assert set(tags_in(registry, published)) == {*tags_of(MIDDLE), *tags_of(NEW), "stable", "latest"}


def report(run: CompletedProcess[str]) -> dict[str, Any]:
    found = re.search(r"RUN: (\{.*\})", run.stdout)
    assert found, run.stdout + run.stderr
    passed_on: dict[str, Any] = json.loads(found[1])["zot_prune_report"]
    return passed_on


@pytest.fixture
def example_repositories(module: Module, tmp_path: Path) -> Iterator[list[str]]:
    """The repositories of the examples. The tests of other examples need them without these tags."""
    names = ["openclaw/openclaw", "openclaw/workspace"]
    for name in names:
        publish(name, module, tmp_path)
    yield names
    for found in module("zot_image_info", repositories=names)["repositories"]:
        assert not module("zot_tag", repository=found["repository"], tags=found["tags"], state="absent")["failed"]


@pytest.mark.usefixtures("zot")
def test_examples(
    example_repositories: list[str],
    playbook: Playbook,
    clusters: Callable[..., list[str]],
    registry: Registry,
    tmp_path: Path,
) -> None:
    """Those of the module, the role and the guide, in a cluster that uses the oldest revision."""
    app = f"{registry.host}/{example_repositories[0]}"
    inventory = clusters(eu=workload("Deployment", f"{app}:{OLD}"))
    server = yaml.safe_load(Path(inventory[0].partition("=")[2]).read_text())["all"]["children"]["clusters"]
    documented = [*blocks("roles/zot_prune/README.md"), *blocks("docs/docsite/rst/guide_prune.rst")]
    plays = [
        play
        for each in documented
        if each.language == "yaml" and isinstance(each.content, list)
        for play in each.content
    ]
    found = re.search(r'^EXAMPLES = r"""\n(.*?)"""', zot_prune_source(), re.MULTILINE | re.DOTALL)
    assert found
    plays.append({"hosts": "localhost", "gather_facts": False, "tasks": yaml.safe_load(found[1])})
    assert len(plays) == 4
    for play in plays:
        play["environment"] = {"K8S_AUTH_KUBECONFIG": server["hosts"]["eu"]["zot_kubeconfig"]}
    path = tmp_path / "examples.yml"
    path.write_text(yaml.safe_dump(plays).replace("oci.killinit.cc", registry.host))
    # Tags are taken back, which the janitor may not do.
    writer = {"zot_username": registry.writer.username, "zot_password": registry.writer.password}
    account = {"username": registry.writer.username, "password": registry.writer.password}
    for play in plays:
        play["module_defaults"] = {"group/killinit.zot.registry": account}
    path.write_text(yaml.safe_dump(plays).replace("oci.killinit.cc", registry.host))
    done = playbook(path, **writer)
    assert done.returncode == 0, done.stdout + done.stderr
    variables = next(each.content for each in documented if each.file == "prune.yml")
    planned = playbook("killinit.zot.prune", *inventory, "--check", **variables)
    assert planned.returncode == 0, planned.stdout
    assert report(planned)["ok"]


def zot_prune_source() -> str:
    return (ROOT / "plugins/modules/zot_prune.py").read_text(encoding="utf-8")
