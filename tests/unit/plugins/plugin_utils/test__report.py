# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages of the playbook report, above all with hostile text in every field."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import typing as t
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
report_file = pytest.importorskip("ansible_collections.killinit.zot.plugins.plugin_utils._report")
markdown_file = pytest.importorskip("ansible_collections.killinit.zot.plugins.plugin_utils._report_markdown")
files = pytest.importorskip("ansible_collections.killinit.zot.plugins.plugin_utils._report_files")

Dict = dict[str, t.Any]
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>'",
    "</title></style></script><b>",
    "a | b `c` **d** [e](https://evil.example) ![f](x) <i> &lt; ~~g~~ $h$",
    "\\| \\`",
    "line\n\n# heading\n| cell |",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[2J\u202e",
)


def render(given: Dict, kind: str, newest: int = 10) -> str:
    """The page of a report."""
    uses = report_file.uses_of(given["clusters"], given["registry"])
    found = [report_file.repository_of(each, uses, newest) for each in given["repositories"]]
    page = report_file.page_of(given, found)
    text: str = files.html(page) if kind == "html" else markdown_file.markdown(page)
    return text


def manifest(digest: str, size: int = 10) -> Dict:
    return {"platform": f"linux/{digest}", "digest": digest, "config_digest": f"{digest}-config", "size": size}


def image(tag: str, digest: str, *members: Dict, **more: t.Any) -> Dict:
    """One of the images of a repository, as zot_image_info returns it."""
    manifests = list(members) or [manifest(digest)]
    return {
        "tag": tag,
        "digest": digest,
        "media_type": "",
        "platforms": [each["platform"] for each in manifests],
        "size": sum(each["size"] for each in manifests),
        "pushed_at": None,
        "last_pulled_at": None,
        "signed": None,
        "manifests": manifests,
        **more,
    }


def repository(*images: Dict, name: str = "demo/app", source: str = "search") -> Dict:
    return {"repository": name, "exists": True, "source": source, "tags": [], "images": list(images)}


def used(digest: str | None, *users: tuple[str, str, str], **more: t.Any) -> Dict:
    """One of the images that zot_cluster_image_info returns."""
    return {
        "reference": "oci.example/demo/app:latest",
        "digest": digest,
        "tags": [],
        "risk": None,
        "reason": None,
        "used_by": [dict(zip(("namespace", "name", "use"), user)) for user in users],
        **more,
    }


def cluster(*images: Dict, **more: t.Any) -> Dict:
    return {
        "name": "eu",
        "cluster": "https://10.0.0.1",
        "namespaces": [],
        "problems": [],
        "images": list(images),
        "at_risk": [],
        "stale": [],
        "workloads": {},
        **more,
    }


def report(*repositories: Dict, clusters: t.Sequence[Dict] = (), **more: t.Any) -> Dict:
    return {
        "registry": "oci.example",
        "created": "2026-11-25T12:00:00Z",
        "ok": True,
        "problems": [],
        "repositories": list(repositories),
        "clusters": list(clusters),
        **more,
    }


def scanned(digest: str, *findings: Dict, **more: t.Any) -> Dict:
    """One of the images that zot_vulnerability_info returns."""
    return {
        "reference": f"oci.example/demo/app:latest@{digest}",
        "digest": digest,
        "status": "found" if findings else "none",
        "reason": None,
        "summary": {"critical": len(findings), "high": 0, "medium": 0, "low": 0, "unknown": 0, "fixable": 0},
        "vulnerabilities": list(findings),
        "ignored": [],
        **more,
    }


def filled(text: str) -> Dict:
    """A report whose fields all hold *text*: also those that can only hold a name, if the registry is hostile."""
    user = (f"{text}1", f"{text}2", f"{text}3")
    member = {"platform": f"{text}4", "digest": f"{text}5", "config_digest": f"{text}6", "size": 1}
    times = {"pushed_at": f"{text}7", "last_pulled_at": f"{text}8"}
    images = [
        image(f"{text}9", f"{text}10", member, signed=True, **times),
        image(f"{text}11", f"{text}5", signed=False, **times),
        image(f"{text}12", f"{text}13", **times),
    ]
    lost = {"reference": f"{text}27/{text}26", "tags": [f"{text}15"], "risk": "missing", "reason": f"{text}16"}
    record = {"revision": f"{text}44", "time": f"{text}45", "rollback": False, "holds": True}
    workload = {"name": f"{text}2", "status": f"{text}17", "reason": f"{text}18", "problem": text, "record": record}
    one = cluster(
        used(f"{text}10", user, **lost),
        used(f"{text}19", (f"{text}1", f"{text}20", "history"), **lost),
        name=f"{text}21",
        cluster=f"{text}22",
        problems=[f"{text}23"],
        workloads={f"{text}1": [workload]},
    )
    empty = cluster(name=f"{text}24", namespaces=[f"{text}25"])
    finding = {
        "id": f"{text}30",
        "severity": f"{text}31",
        "title": f"{text}32",
        "package": f"{text}33",
        "installed": f"{text}34",
        "fixed": f"{text}35",
        "reference": f"{text}36",
        "platforms": [],
        "exception": None,
    }
    scan = scanned(f"{text}10", finding, reference=f"{text}27/{text}26", reason=f"{text}38")
    row = {"workload": f"{text}39", "image": f"{text}40", "digest": f"{text}41", "reason": f"{text}42"}
    cve = {"id": f"{text}43", "used_by": [{**finding, **row}], "not_known": [row]}
    return report(
        repository(*images, name=f"{text}26", source="registry"),
        clusters=[one, empty],
        registry=f"{text}27",
        created=f"{text}28",
        problems=[f"{text}29"],
        vulnerabilities=[scan],
        cve=cve,
    )


class Page(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.values: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: t.Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _value in attrs)))
        self.values += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_html(text: str) -> None:
    """It makes no element and no attribute, and a reader sees it."""
    harmless, page = Page(render(filled("x"), "html")), Page(render(filled(text), "html"))
    assert page.elements == harmless.elements
    printable = files.printable(text)
    texts = page.text + "".join(value for _name, value in page.values)
    numbers = set(re.findall(r"x(\d+)", harmless.text + "".join(value for _name, value in harmless.values)))
    # Times that are none, and the digests of members, are not shown.
    assert numbers >= {str(number) for number in range(1, 44)} - {"3", "5", "6", "7", "8", "14", "36", "37"}
    assert [number for number in sorted(numbers) if f"{printable}{number}" not in texts] == []
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page.text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_markdown(text: str) -> None:
    """Parsed, the page has the same elements, and a reader sees the text."""
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])

    def parsed(page: str) -> tuple[list[str], str]:
        tokens = [each for token in parser.parse(page) for each in (token, *(token.children or ()))]
        return (
            [
                f"{token.type} {token.content if token.type == 'html_inline' else ''}"
                for token in tokens
                if not token.children
            ],
            "".join(token.content for token in tokens if token.type == "text"),
        )

    def elements(kinds: t.Sequence[str]) -> list[str]:
        # An escaped character is a token of its own, and text is split there.
        return [kind.strip() for kind in kinds if kind.split()[0] not in ("text", "text_special")]

    (harmless, _text), (hostile, texts) = (
        parsed(render(filled("x"), "md")),
        parsed(render(filled(text), "md")),
    )
    assert elements(hostile) == elements(harmless)
    assert files.printable(text).strip() in texts


def test_the_template_cannot_leave_out_the_escape() -> None:
    text = (files.TEMPLATES / "report.html.j2").read_text(encoding="utf-8")
    assert not re.search(r"\bsafe\b|autoescape|Markup", text)


def test_the_page_loads_nothing_and_runs_its_own_script_alone() -> None:
    page = render(filled("x"), "html")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [value for name, value in Page(page).values if name == "content" and "default-src" in value]
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    addresses = [value for name, value in Page(page).values if name in ("href", "src", "srcset", "action")]
    assert addresses
    assert all(re.fullmatch(r"#repository-\d+", address) for address in addresses)
    assert "url(" not in page
    assert "@import" not in page


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_has_all_images(count: int, tmp_path: Path) -> None:
    """Those that a page does not show, too, whatever text they have."""
    given = filled(HOSTILE[0])
    paths = [str(tmp_path / "report.json"), str(tmp_path / "report.html")]
    with (tmp_path / "images").open("w+") as spool:
        written = files.Report(paths, given["clusters"], 1, spool)
        found = [
            {**given["repositories"][0], "repository": f"app-{number}", "registry": "r"} for number in range(count)
        ]
        assert written.add_result({"registry": "r", "repositories": found}) == 3 * count
        summary = written.write(None, dry_run=False)
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["repositories"] == found
    assert document["clusters"] == given["clusters"]
    assert summary["problems"] == document["problems"] == [f"{HOSTILE[0]}21: {HOSTILE[0]}23"]
    assert (document["ok"], summary["repositories"]) == (False, [each["repository"] for each in found])


@pytest.mark.parametrize("kind", ["html", "md"])
def test_a_page_shows_the_newest_images_and_those_in_use(kind: str) -> None:
    """One line has the number and the size of the others: a manifest that a shown image has, too, counts there."""
    images = [
        image(f"r{number}", f"d{number}", manifest(f"d{number}", 10), pushed_at=f"2026-11-{number:02}T00:00:00Z")
        for number in range(1, 21)
    ]
    for number in (0, 19):
        images[number]["manifests"].append(manifest("shared", 1000))
    running = used("d3", ("shop", "deployment/app", "running"))
    page = render(report(repository(*images), clusters=[cluster(running)]), kind, newest=2)
    names = {f"r{number}" for number in range(1, 21) if re.search(rf"\br{number}\b", page)}
    assert names == {"r20", "r19", "r3"}
    assert "17 images more, which no cluster uses: 170 B." in page


def test_an_image_is_used_in_the_repository_that_the_workload_names() -> None:
    """Two repositories have an image with the same digest; a cluster knows the registry by another name."""
    user = ("shop", "deployment/app", "running")
    in_use = [used("a", user, reference=f"{host}/demo/app:latest") for host in ("oci.example", "zot.svc:5000")]
    scan = scanned("a", finding("CVE-1"), reference="oci.example/demo/other@a")
    for one in in_use:
        given = report(
            repository(image("r1", "a")), repository(image("r1", "a"), name="demo/other"), clusters=[cluster(one)]
        )
        uses = report_file.uses_of(given["clusters"], "oci.example")
        found = [report_file.repository_of(each, uses, 10) for each in given["repositories"]]
        assert [each.used for each in found] == [1, 0]
        exposures = report_file.exposures_of(given["clusters"], [scan, scanned("a")], "oci.example")
        assert [(each.reference, each.users) for each in exposures] == [
            ("demo/app:latest", ["eu: shop/deployment/app"])
        ]


@pytest.mark.parametrize("kind", ["html", "md"])
def test_a_registry_without_images(kind: str) -> None:
    text = render(report(repository(name="demo/empty")), kind)
    assert "demo/empty" in text
    assert "not complete" not in text
    assert "oci.example" in render(report(), kind)


def only(*images: Dict, clusters: t.Sequence[Dict] = ()) -> t.Any:
    return report_file.repository_of(repository(*images), report_file.uses_of(clusters, "oci.example"), 10)


def test_an_index_and_its_tags_are_one_image() -> None:
    members = [manifest("amd64", 30), manifest("arm64", 12)]
    found = only(
        image("r1", "index", *members, signed=True),
        image("latest", "index", *members, last_pulled_at="2026-11-25T11:00:00Z"),
        *(image(f"r1-{each['digest']}", each["digest"], each) for each in members),
        image("alone", "alone"),
    )
    alone, index = found.images
    assert (index.tags, index.member_tags, index.size) == (["latest", "r1"], ["r1-amd64", "r1-arm64"], 42)
    assert (index.last_pulled_at, index.signed) == ("2026-11-25T11:00:00Z", True)
    assert (alone.tags, alone.size, found.size, found.tags, found.signed) == (["alone"], 10, 52, 5, 1)


def test_an_index_of_an_index() -> None:
    """The image in the inner one is shown by itself, and is not lost."""
    found = only(image("outer", "outer", manifest("inner")), image("inner", "inner", manifest("a")), image("a", "a"))
    assert [row.tags for row in found.images] == [["a"], ["outer"]]


def test_a_manifest_of_two_indexes_counts_once() -> None:
    shared = manifest("shared", 100)
    found = only(image("r1", "one", shared, manifest("a", 1)), image("r2", "two", shared, manifest("b", 2)))
    assert found.size == 103
    assert [row.size for row in found.images] == [101, 102]


@pytest.mark.parametrize("digest", ["index", "amd64", "amd64-config"])
def test_who_uses_an_image(digest: str) -> None:
    """A runtime reports the digest of the index, of a member, or of a configuration."""
    risky = used(digest, ("shop", "deployment/app", "running"), ("shop", "deployment/app", "template"), risk="untagged")
    found = only(image("r1", "index", manifest("amd64", 7)), image("r2", "other"), clusters=[cluster(risky)])
    users = {row.tags[0]: (row.used_by, row.risk) for row in found.images}
    assert users == {"r1": (["eu: shop/deployment/app"], "untagged"), "r2": ([], None)}
    assert (found.used, found.used_size) == (1, 7)


def test_an_image_without_a_digest_is_used_by_nothing() -> None:
    lost = used(None, ("shop", "deployment/app", "template"), risk="missing")
    chart = {**manifest("chart"), "config_digest": None}
    assert only(image("chart", "chart", chart), clusters=[cluster(lost)]).used == 0


def test_the_newest_image_is_first() -> None:
    """An unknown age is last."""
    found = only(
        image("unknown", "a"),
        image("old", "b", pushed_at="2026-11-01T00:00:00Z"),
        image("new", "c", pushed_at="2026-11-25T00:00:00.123456789Z"),
    )
    assert [row.tags for row in found.images] == [["new"], ["old"], ["unknown"]]
    assert found.pushed_at == "2026-11-25T00:00:00.123456789Z"


def test_the_workloads_of_a_cluster() -> None:
    """With the verdict where there is one; what only a history names is apart."""
    record = {"revision": "3f2c1ab", "time": "2026-11-25T12:00:00Z", "rollback": False, "holds": True}
    stale = {"name": "deployment/app", "status": "stale", "reason": "old", "problem": "x", "record": record}
    current = {"name": "deployment/web", "status": "current", "reason": "container web: current", "problem": None}
    current["record"] = {**record, "holds": False}
    found = report_file._cluster(
        cluster(
            used("a", ("shop", "deployment/app", "running"), ("shop", "job/once", "template"), risk="shared_tag"),
            used("b", ("shop", "deployment/app", "template"), ("shop", "deployment/web", "history")),
            used("c", ("shop", "deployment/app", "history")),
            workloads={"shop": [stale, current]},
        ),
        "oci.example",
    )
    assert [(each.name, each.status, each.reason, each.since) for each in found.workloads] == [
        ("deployment/app", "stale", "old", "release 3f2c1ab at 2026-11-25T12:00:00Z"),
        ("deployment/web", "current", "", ""),
        ("job/once", "", "", ""),
    ]
    images = [[(image["digest"], image["uses"]) for image in each.images] for each in found.workloads]
    assert images == [[("a", ["running"]), ("b", ["template"])], [], [("a", ["template"])]]
    assert [each["digest"] for each in found.kept] == ["c"]
    assert [each["reference"] for each in found.at_risk] == ["demo/app:latest"]
    assert found.stale == 1


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("2026-11-25T11:59:31Z", "now"),
        ("2026-11-25T11:59:00Z", "1 minute"),
        ("2026-11-25T09:59:00.141399171Z", "2 hours"),
        ("2026-10-20T12:00:00Z", "1 month"),
        ("2024-10-20T12:00:00Z", "2 years"),
        ("2027-01-01T00:00:00Z", "now"),
        ("2026-13-45T00:00:00Z", report_file.UNKNOWN),
        ("٢٠٢٦-11-25T00:00:00Z", report_file.UNKNOWN),
        ("", report_file.UNKNOWN),
        (None, report_file.UNKNOWN),
    ],
)
def test_age(text: str | None, age: str) -> None:
    assert report_file._age(text, report_file.seconds("2026-11-25T12:00:00Z")) == age


@pytest.mark.parametrize(("part", "text"), [(0, "░" * 20), (1, "█" + "░" * 19), (50, "█" * 10 + "░" * 10)])
def test_bar(part: int, text: str) -> None:
    assert report_file.bar_text(part, 100) == text


def test_what_only_the_search_extension_knows() -> None:
    """The page says why it is missing."""
    for kind in ("html", "md"):
        text = render(report(repository(image("r1", "a"), source="registry")), kind)
        assert "has no search extension for demo/app" in text


def finding(name: str, **more: t.Any) -> Dict:
    return {
        "id": name,
        "severity": "critical",
        "title": "a title",
        "package": "musl",
        "installed": "1.0",
        "fixed": None,
        "reference": None,
        "platforms": [],
        "exception": None,
        **more,
    }


def test_what_is_known_about_the_images_in_use() -> None:
    """The worst image is first, then one that is not known. What only a history uses is not shown."""
    images = [
        used("clean", ("shop", "deployment/clean", "running")),
        used("bad", ("shop", "deployment/bad", "running"), ("shop", "deployment/bad", "template")),
        used("odd", ("shop", "job/odd", "template")),
        used("old", ("shop", "deployment/bad", "history")),
    ]
    scans = [
        scanned("clean"),
        scanned("bad", finding("CVE-1")),
        scanned("odd", status="unknown", reason="no database"),
        scanned("old", finding("CVE-2")),
    ]
    given = report(clusters=[cluster(*images)], vulnerabilities=scans)
    page = report_file.page_of(given, [])
    assert [(each.digest, each.text, each.users) for each in page.exposures] == [
        ("bad", "1 critical", ["eu: shop/deployment/bad"]),
        ("odd", "not known: no database", ["eu: shop/job/odd"]),
        ("clean", "none found", ["eu: shop/deployment/clean"]),
    ]
    for kind in ("html", "md"):
        text = render(given, kind)
        assert "none found" in text
        assert "CVE-2" not in text
    # Nothing but elements of HTML hides the other findings.
    assert "<details>\n<summary>1 finding</summary>" in render(given, "html")


def test_counts_and_badges_have_words() -> None:
    """An empty value is printed as a dash, so an ending that is empty must not be a value."""
    one = repository(image("r1", "a", manifest("b"), manifest("c")), image("r1-b", "b"))
    counts = {"critical": 0, "high": 0, "medium": 0, "low": 1, "unknown": 0, "fixable": 0}
    low = scanned("a", finding("CVE-1", severity="low"), summary=counts)
    given = report(one, clusters=[cluster(used("a", ("shop", "job/a", "running")))], vulnerabilities=[low])
    text = render(given, "html")
    assert "1 image, 1 in use, " in text
    assert "+ 1 architecture tag</span>" in text
    assert '<span class="badge low">1 low</span>' in text


def test_a_registry_without_a_scanner() -> None:
    """One sentence says why nothing is known, and no table looks like a result."""
    unknown = scanned("a", status="unknown", reason="the scanner is switched off")
    given = report(clusters=[cluster(used("a", ("shop", "job/a", "running")))], vulnerabilities=[unknown])
    for kind in ("html", "md"):
        text = render(given, kind)
        assert "It is not known which vulnerabilities the images have: the scanner is switched off" in text
        assert "none found" not in text


def test_where_a_vulnerability_runs() -> None:
    where = pytest.importorskip("ansible_collections.killinit.zot.plugins.plugin_utils._exposure").where_it_runs
    scans = [scanned("a", finding("CVE-1"), finding("CVE-2")), scanned("b", reason="no database", status="unknown")]
    images = [used("a", ("shop", "deployment/app", "running")), used("b", ("shop", "job/b", "running"))]
    clusters = [cluster(*images), cluster(images[0], name="us")]
    found = where(report=report(clusters=clusters, vulnerabilities=scans), cve=" cve-1 ")
    assert (found["id"], [(each["workload"], each["package"]) for each in found["used_by"]]) == (
        "CVE-1",
        [("eu: shop/deployment/app", "musl"), ("us: shop/deployment/app", "musl")],
    )
    assert [(each["workload"], each["reason"]) for each in found["not_known"]] == [("eu: shop/job/b", "no database")]
    absent = where(report=report(clusters=clusters, vulnerabilities=scans), cve="CVE-9")
    for kind in ("html", "md"):
        text = render(report(clusters=clusters, vulnerabilities=scans, cve=absent), kind)
        assert "found it in no image" in text
        assert "It is not known for these workloads" in text
