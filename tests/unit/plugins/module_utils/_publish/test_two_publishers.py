# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two publishers in all orders of their requests: no published tag lists what the registry has deleted.

Each state that is reached is also the end of two publishers that are killed there.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from hypothesis import settings

from ansible_collections.killinit.zot.plugins.module_utils._publish import run as publish_file
from ansible_collections.killinit.zot.plugins.module_utils._registry import registry as registry_file
from ansible_collections.killinit.zot.plugins.module_utils._registry.http_client import HttpClient
from ansible_collections.killinit.zot.plugins.module_utils._registry.scanner import GATE_OPTIONS
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import Session
from ansible_collections.killinit.zot.tests.unit.conftest import replace_tools
from ansible_collections.killinit.zot.tests.unit.two_publishers import Explorer, Publisher, Result, State

pytestmark = pytest.mark.no_cover

EMPTY = State()
ONE, TWO = ("amd64",), ("amd64", "arm64")
# One archive without an index.
SINGLE = None

NewPublisher = t.Callable[..., Publisher]


def switches(quick: int, units: int) -> int:
    """How often the publishers take turns. ./dev quick explores fewer orders than ./dev units."""
    return units if settings().max_examples >= 100 else quick


class InTurn:
    """In place of a thread pool: calls the function itself. To wake a thread takes longer than most calls."""

    def __init__(self, *_arguments: t.Any, **_options: t.Any) -> None:
        pass

    def __enter__(self) -> InTurn:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def map(self, function: t.Callable[..., t.Any], *iterables: t.Iterable[t.Any]) -> list[t.Any]:
        return list(map(function, *iterables))


@pytest.fixture(params=["crane", "HTTP"])
def explorer(request: pytest.FixtureRequest, fake: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explorer:
    """The requests of each publisher come one after the other, so that their order is always the same.

    The reads and the moves of tags are all by crane, as in a small task, or all HTTP requests, as in a large one.
    """
    found = Explorer(fake, tmp_path / "digest")
    if request.param == "HTTP":
        monkeypatch.setattr(registry_file, "_FEW", 0)
        # pylint: disable-next=unnecessary-lambda
        monkeypatch.setattr(HttpClient, "send", lambda _client, *arguments: found.send(*arguments))
    for name in ("ThreadPoolExecutor", "thread_pool"):
        monkeypatch.setattr(publish_file, name, InTurn)
    replace_tools(monkeypatch, found.tool)
    return found


@pytest.fixture
def publisher(
    explorer: Explorer, session: Session, tmp_path: Path, write_archive: t.Any, docker_config: t.Any
) -> NewPublisher:
    """A publisher whose archives have *content*."""

    def publisher(
        content: str,
        architectures: t.Sequence[str] | None = ONE,
        revision: str = "r1",
        repositories: t.Sequence[str] = ("app",),
        **options: t.Any,
    ) -> Publisher:
        def archive(name: str) -> str:
            config = docker_config(architecture=name, author=content)
            return str(write_archive(tmp_path / f"{content}-{name}.tar", config))

        image = (
            {"archive": archive("amd64")}
            if architectures is None
            else {"archives": {each: archive(each) for each in architectures}}
        )
        params = {
            **dict.fromkeys(("tags", "overwrite", "keep_previous", "directory")),
            "revision": revision,
            "images": [{"repository": name, **image} for name in repositories],
            "parallel": 1,
            **{name: option.get("default") for name, option in GATE_OPTIONS.items()},
            **options,
        }
        return Publisher(explorer, lambda: publish_file.run(session, params, [], dry_run=False))

    return publisher


def green(*results: Result | None) -> list[bool]:
    return [result is not None and not result["failed"] for result in results]


def digests(result: Result) -> dict[str, str]:
    """What a publisher says its tags hold."""
    return {f"{tag['repository']}:{tag['tag']}": tag["digest"] for tag in result["tags"]}


@pytest.mark.parametrize(
    ("architectures", "turns"),
    [pytest.param(ONE, (1, 99), id="index"), pytest.param(TWO, (1, 3), id="index of two")],
)
@pytest.mark.parametrize("older", [False, True], ids=["empty", "older"])
def test_other_content_for_one_revision(
    explorer: Explorer,
    publisher: NewPublisher,
    architectures: t.Any,
    turns: tuple[int, int],
    older: bool,
) -> None:
    start = publisher("older", architectures, "r0").alone(EMPTY)[1] if older else EMPTY
    pair = (publisher("a", architectures), publisher("b", architectures))
    ends = 0
    for state, *results in explorer.explore(*pair, start, switches(*turns)):
        assert explorer.broken(state) == {}
        assert green(*results) != [True, True]
        ends += None not in results
    assert ends > 4


@pytest.mark.parametrize("architectures", [SINGLE, ONE], ids=["single", "index"])
def test_an_account_that_may_not_update(explorer: Explorer, publisher: NewPublisher, architectures: t.Any) -> None:
    """Then a tag of the revision is never replaced, and what a green publisher has published stays."""
    explorer.immutable = True
    pair = (publisher("a", architectures, tags=[]), publisher("b", architectures, tags=[]))
    winners = set()
    for state, *results in explorer.explore(*pair, EMPTY, switches(1, 99)):
        assert explorer.broken(state) == {}
        assert green(*results) != [True, True]
        for number, result in enumerate(results):
            if result and not result["failed"]:
                winners.add(number)
                assert digests(result).items() <= state.published.items()
    assert winners == {0, 1}


def test_the_same_archives_twice(explorer: Explorer, publisher: NewPublisher) -> None:
    """A job that is started again while it still runs: nothing fails."""
    for state, *results in explorer.explore(publisher("a"), publisher("a"), EMPTY, switches(1, 99)):
        assert explorer.broken(state) == {}
        for result in results:
            assert not (result and result["failed"])
            if None not in results:
                assert state.published == digests(result or {})


def test_two_revisions_that_share_a_tag(explorer: Explorer, publisher: NewPublisher) -> None:
    """Two repositories. If their shared tags are mixed at the end, at least one publisher has failed."""
    names = ("app", "tool")
    pair = [publisher(each, SINGLE, each, names, keep_previous="") for each in ("r1", "r2")]
    mixed = 0
    for state, *results in explorer.explore(pair[0], pair[1], EMPTY, switches(1, 4)):
        assert explorer.broken(state) == {}
        if None in results:
            continue
        tags = state.published
        owners = {
            next(each for each in ("r1", "r2") if tags[f"{name}:{each}"] == tags[f"{name}:latest"]) for name in names
        }
        if len(owners) == 2:
            mixed += 1
            assert green(*results) != [True, True]
    assert mixed


@pytest.mark.parametrize("keep_previous", ["{tag}-previous", ""])
def test_a_revision_that_may_be_replaced(explorer: Explorer, publisher: NewPublisher, keep_previous: str) -> None:
    options = {"overwrite": True, "keep_previous": keep_previous}
    start = publisher("older").alone(EMPTY)[1]
    for state, *_results in explorer.explore(
        publisher("a", **options), publisher("b", **options), start, switches(1, 3)
    ):
        assert explorer.broken(state) == {}


@pytest.mark.parametrize("architectures", [SINGLE, ONE, TWO], ids=["single", "index", "index of two"])
def test_the_same_command_after_a_kill(explorer: Explorer, publisher: NewPublisher, architectures: t.Any) -> None:
    """From each state that another publisher leads to as well: it ends right, or says that the other one was first."""
    publishers = (publisher("a", architectures), publisher("b", architectures))
    states = {state for state, *_results in explorer.explore(*publishers, EMPTY, switches(0, 2))}
    outcomes = set()
    for state in states:
        result, after = publishers[0].alone(state)
        outcomes.add(result["failed"])
        assert explorer.broken(after) == {}
        if result["failed"]:
            assert (result["error_class"], result["moved"], after) == ("denied", [], state)
            assert "app:r1" in state.published
        else:
            assert digests(result).items() <= after.published.items()
            assert publishers[0].alone(after)[0]["changed"] is False
    assert outcomes == {False, True}
