# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event filter: what Zot 2.1.20 sends is captured, and everything that is not the push of a tag is dropped."""

from __future__ import annotations

import copy
import json
import logging
import re
import runpy
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[3]
EDA = ROOT / "extensions" / "eda"
# As ansible-rulebook loads a filter.
MAIN = runpy.run_path(str(EDA / "plugins" / "event_filter" / "pushed_tag.py"))["main"]
RULEBOOKS = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(EDA.glob("rulebooks/*.yml"))
}
CAPTURED = json.loads((ROOT / "tests/unit/captured_events.json").read_text(encoding="utf-8"))
SCAN = next(each for each in CAPTURED if each["meta"]["headers"]["Ce-Type"].endswith(".scanned"))
PUSH = next(each for each in CAPTURED if each["payload"] and each["payload"].get("reference") == "latest")
EXPRESSION = "{{ lookup('ansible.builtin.pipe', 'touch /tmp/owned') }}"
FIELDS = ("name", "reference", "digest")

Dict = dict[str, t.Any]


def event(**fields: t.Any) -> Dict:
    """The push of a tag as Zot reports it, with other *fields*."""
    found: Dict = copy.deepcopy(PUSH)
    found["payload"].update(fields)
    return found


def test_only_the_pushed_tags_of_a_publish_pass() -> None:
    """Captured: a new repository, the tags of two architectures, the revision and latest, and a tag that is removed."""
    assert [each["meta"]["headers"]["Ce-Type"].rpartition(".")[2] for each in CAPTURED] == [
        "created",
        *["updated"] * 4,
        "deleted",
        "scanned",
    ]
    passed = [result for result in map(MAIN, copy.deepcopy(CAPTURED)) if result]
    assert sorted(each["payload"]["reference"] for each in passed) == [
        "3f2c1ab",
        "3f2c1ab-amd64",
        "3f2c1ab-arm64",
        "latest",
    ]
    assert {each["payload"]["name"] for each in passed} == {"openclaw/openclaw"}


def test_every_other_field_is_dropped() -> None:
    """Wherever it is, under whatever name; and the header of the type may be missing, or in lower case."""
    hostile = event(**{EXPRESSION: EXPRESSION, "meta": {"hosts": EXPRESSION}, "payload": {"name": EXPRESSION}})
    hostile["payload"]["actor"] = {"name": EXPRESSION}
    hostile["meta"]["headers"][EXPRESSION] = EXPRESSION
    hostile["meta"]["hosts"] = EXPRESSION
    hostile[EXPRESSION] = EXPRESSION
    expected = {"payload": {name: PUSH["payload"][name] for name in FIELDS}}
    assert MAIN(hostile) == expected
    kind = hostile["meta"]["headers"].pop("Ce-Type")
    assert MAIN(hostile) == expected
    assert MAIN({**hostile, "meta": {"headers": {"ce-type": kind}}}) == expected
    assert [MAIN({**hostile, "meta": meta}) for meta in (None, [], {"headers": None}, {"headers": [1]})] == [
        expected
    ] * 4


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value",
    [
        EXPRESSION,
        f"latest{EXPRESSION}",
        "{% for x in y %}",
        "; rm -rf /",
        "$(id)",
        "",
        " ",
        "a\n",
        "a\nb",
        "-a",
        "../../etc",
        "ä",
        "a" * 1_000_000,
        None,
        7,
        True,
        ["latest"],
        {"latest": EXPRESSION},
    ],
)
def test_what_is_not_its_grammar_is_refused(name: str, value: t.Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what and why, in one short line."""
    assert MAIN(event(**{name: value})) == []
    (record,) = caplog.records
    text = record.getMessage()
    assert (record.levelno, record.name) == (logging.WARNING, "killinit.zot.pushed_tag")
    assert text.startswith(f"Refused an event: {name} ")
    assert len(text) < 300
    assert text.isprintable()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("evil.example.com/openclaw/openclaw", "begins with the name of a registry"),
        ("localhost/openclaw", "begins with the name of a registry"),
        ("evil.example.com:5000/openclaw", "is not a repository"),
        ("https://evil.example.com/openclaw", "is not a repository"),
        ("openclaw:latest", "is not a repository"),
        ("OpenClaw", "is not a repository"),
        (f"a/{'b' * 255}", "is not a repository"),
    ],
)
def test_another_registry_is_refused(name: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    assert MAIN(event(name=name)) == []
    assert caplog.messages[0].endswith(f" {reason}")


@pytest.mark.parametrize("name", ["app", "a.b", "a/b.c", "team_1/app--x/y__z", "localhost", "1/2"])
def test_repositories_pass(name: str) -> None:
    assert MAIN(event(name=name))["payload"]["name"] == name


@pytest.mark.parametrize(
    "reference",
    [
        PUSH["payload"]["digest"],
        *(f"sha256-{'a' * 64}{suffix}" for suffix in (".sig", ".att", "")),
        "upload-0123456789ab-3f2c1ab-amd64",
    ],
)
def test_manifests_without_a_tag_of_a_release_are_ignored(reference: str, caplog: pytest.LogCaptureFixture) -> None:
    assert MAIN(event(reference=reference)) == []
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["zotregistry.image.deleted", "zotregistry.image.scanned", EXPRESSION, 7])
def test_other_types_are_ignored(kind: t.Any, caplog: pytest.LogCaptureFixture) -> None:
    hostile = event()
    hostile["meta"]["headers"]["Ce-Type"] = kind
    assert MAIN(hostile) == []
    assert caplog.records == []


COUNTS = {name: SCAN["payload"]["summary"][name] for name in SCAN["payload"]["summary"] if name.endswith("Count")}


def scan(**fields: t.Any) -> Dict:
    """A scan as Zot reports it, with other *fields*."""
    return {**SCAN, "payload": {**SCAN["payload"], **fields}}


def test_a_scan() -> None:
    """It passes only where scans are wanted, and there nothing else passes, also without the header of the type."""
    expected = {"payload": {**{name: SCAN["payload"][name] for name in FIELDS}, "summary": COUNTS}}
    for sent in (scan(), {"payload": SCAN["payload"]}):
        assert MAIN(sent, scanned=True) == expected
        assert MAIN(sent) == []
    assert [MAIN(each, scanned=True) for each in CAPTURED[:-1]] == [[]] * 6
    # The members of an index are scanned by digest.
    digest = SCAN["payload"]["digest"]
    assert MAIN(scan(reference=digest), scanned=True)["payload"]["reference"] == digest


@pytest.mark.parametrize(
    "summary",
    [
        None,
        [],
        "text",
        {},
        {**COUNTS, "highCount": "{{ 1 }}"},
        {**COUNTS, "lowCount": True},
        {**COUNTS, "lowCount": -1},
    ],
)
def test_a_scan_without_numbers_is_refused(summary: t.Any, caplog: pytest.LogCaptureFixture) -> None:
    assert MAIN(scan(summary=summary), scanned=True) == []
    assert "does not count vulnerabilities" in caplog.messages[0]


@pytest.mark.parametrize("field", FIELDS)
def test_a_scan_with_an_expression_is_refused(field: str) -> None:
    assert MAIN(scan(**{field: EXPRESSION}), scanned=True) == []
    extra = scan(**{EXPRESSION: EXPRESSION, "summary": {**SCAN["payload"]["summary"], EXPRESSION: EXPRESSION}})
    assert EXPRESSION not in json.dumps(MAIN(extra, scanned=True))


@pytest.mark.parametrize("body", [None, [], "text", 7, [{"name": "a"}]])
def test_what_is_not_an_object_is_refused(body: t.Any, caplog: pytest.LogCaptureFixture) -> None:
    assert MAIN({"payload": body}) == MAIN({}) == []
    assert caplog.messages[0].startswith("Refused an event: the body ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from([EXPRESSION, "latest", "a/b"]),
    lambda each: (
        st.lists(each, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from([*FIELDS, "payload", "meta", "headers"]), each, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["payload", "meta", "x"]), JSON, max_size=3))
def test_nothing_else_comes_out(hostile: Dict) -> None:
    result = MAIN(hostile)
    if result:
        (payload,) = result.values()
        assert payload.keys() == set(FIELDS)
        assert all(re.fullmatch(r"[A-Za-z0-9_.:/-]+", text) for text in payload.values())


def test_rulebooks_match_the_same_grammar() -> None:
    """The rulebooks differ in the action alone."""
    rulesets = [RULEBOOKS[name][0] for name in ("restart_on_push.yml", "restart_on_push_job.yml")]
    assert RULEBOOKS.keys() == {"restart_on_push.yml", "restart_on_push_job.yml", "verify_on_scan.yml"}
    actions = [ruleset["rules"][0].pop("action") for ruleset in rulesets]
    assert [list(action) for action in actions] == [["run_playbook"], ["run_job_template"]]
    assert rulesets[0] == rulesets[1]
    (source,) = rulesets[0]["sources"]
    assert (source["name"], source["filters"]) == ("zot", [{"killinit.zot.pushed_tag": None}])
    assert source["eda.builtin.webhook"]["token"] == "{{ zot_event_token }}"
    condition = rulesets[0]["rules"][0]["condition"]
    patterns = dict(re.findall(r'event\.payload\.(\w+) is regex\("(.*?)"\)', condition))
    assert tuple(patterns) == FIELDS
    for text in patterns.values():
        assert (text[:2], text[-2:]) == (r"\A", r"\z")
