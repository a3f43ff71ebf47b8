# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explores the orders in which two publishers send their requests to one registry.

Each publisher is the real code, with the registry in memory in place of the tools. A publisher is a function of the
answers that it got: what it does next is stored for each list of answers, and found by running the code with these
answers. So the explorer visits each state of registry and publishers once, not once for each order that leads there.
"""

from __future__ import annotations

import json
import subprocess
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.killinit.zot.plugins.module_utils._registry import http_client
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError
from ansible_collections.killinit.zot.tests.unit.conftest import HOST, captured_text, split_command, target_of
from ansible_collections.killinit.zot.tests.unit.web_registry import DENIED, WebRegistry
from ansible_collections.killinit.zot.tests.unit.web_server import Reply, Request

Result = t.Mapping[str, t.Any]
# The first word of what stands for a command if the code sends an HTTP request itself.
HTTP = "http"


class Answer(t.NamedTuple):
    """What a tool printed, and what it wrote to its digestfile; or the status, body and digest of an HTTP response."""

    rc: int
    stdout: bytes
    stderr: bytes
    reported: str | None = None


class State(t.NamedTuple):
    """The registry: the digest of each tag, C(REPOSITORY:TAG), and the manifests that it has not deleted."""

    tags: frozenset[tuple[str, str]] = frozenset()
    manifests: frozenset[tuple[str, str]] = frozenset()

    @property
    def published(self) -> dict[str, str]:
        """The tags that people use: all but the upload tags."""
        return {tag: digest for tag, digest in self.tags if ":upload-" not in tag}


@dataclass
class _Point:
    """What a publisher does after some answers: its next command, or its result if it has ended."""

    answers: tuple[Answer, ...] = ()
    command: t.Sequence[str] | None = None
    result: Result | None = None
    next: dict[Answer, _Point] = field(default_factory=dict)


class Publisher:
    """One publisher: *publish* runs the code."""

    def __init__(self, explorer: Explorer, publish: t.Callable[[], Result]) -> None:
        self._explorer, self._publish = explorer, publish
        self.start = _Point()

    def after(self, point: _Point, answer: Answer, state: State) -> _Point:
        """The point after one more answer, which left the registry in *state*."""
        if answer not in point.next:
            point.next[answer] = _Point((*point.answers, answer))
            self.run(point.next[answer], state)
        return point.next[answer]

    def alone(self, state: State) -> tuple[Result, State]:
        """The result of the publisher without another one, and the state after it."""
        point = _Point()
        after = self.run(point, state)
        while point.result is None:
            point = next(iter(point.next.values()))
        return point.result, after

    def run(self, point: _Point, state: State) -> State:
        """Find the next request of a publisher at a point, and its result if the other publisher sends no more."""
        pending = list(point.answers)
        current = point
        at_end = state

        def answer(command: t.Sequence[str], _environment: t.Any = None, _largest: int = 0) -> Answer:
            nonlocal current, at_end
            if pending:
                return pending.pop(0)
            current.command = list(command)
            found, at_end = self._explorer.execute(command, at_end)
            # Not setdefault: pylint of ansible-core 2.19 would infer the call by itself without end.
            if found not in current.next:
                current.next[found] = _Point((*current.answers, found))
            current = current.next[found]
            return found

        self._explorer.answer = answer
        try:
            current_result: Result = {"failed": False, **self._publish()}
        except ZotError as error:
            current_result = {"failed": True, **error.for_ansible()}
        current.result = current_result
        return at_end


class Explorer:
    """Both publishers, and the registry in memory."""

    def __init__(self, fake: t.Any, digestfile: Path) -> None:
        """*fake* answers the commands, and writes *digestfile*."""
        self._fake, self._digestfile = fake, digestfile
        self._all: dict[str, bytes] = {}
        self._cache: dict[tuple[int, State], tuple[Answer, State]] = {}
        self._ids: dict[tuple[str, ...], int] = {}
        self._states: dict[State, State] = {}
        self._broken: dict[State, dict[str, list[str]]] = {}
        # Whether the account may create tags, but not update them.
        self.immutable = False
        self.answer: t.Callable[..., Answer]
        self.states = 0

    def tool(self, command: t.Sequence[str], _environment: t.Any, _largest: int) -> subprocess.CompletedProcess[bytes]:
        """In place of a process."""
        if "blob" in command:  # the registry keeps a configuration longer than its image
            return subprocess.CompletedProcess(command, 0, self._fake.blobs[command[-1].partition("@")[2]])
        found = self.answer([self._stable(word) for word in command])
        if found.reported is not None:
            (path,) = (each.partition("=")[2] for each in command if each.startswith("--digestfile="))
            Path(path).write_text(found.reported, encoding="utf-8")
        return subprocess.CompletedProcess(command, found.rc, found.stdout, found.stderr)

    def send(self, request: http_client.HttpRequest, _authorization: str) -> http_client.Answer:
        """In place of HttpClient.send()."""
        path, (_type, body) = request.path, request.content or ("", b"")
        if "/blobs/" in path:
            found = Answer(200, self._fake.blobs[path.rpartition("/")[2]], b"")
        else:
            found = self.answer([HTTP, request.method, path, body.decode()])
        headers = {"Docker-Content-Digest": found.reported} if found.reported else {}
        return http_client.Answer(found.rc, headers, found.stdout, f"http://{HOST}{path}")

    def _respond(self, method: str, path: str, body: str, tags: t.Container[str]) -> Answer:
        """The response to an HTTP request. Zot refuses an index without its members (common.go, ValidateManifest)."""
        repository, tag = path[len("/v2/") :].split("/manifests/") if "/manifests/" in path else ("", "")
        members = [each["digest"] for each in json.loads(body or "{}").get("manifests", ())]
        if method == "PUT" and self.immutable and f"{repository}:{tag}" in tags:
            reply = DENIED
        elif not set(members) <= self._fake.manifests.get(repository, {}).keys():
            reply = Reply(b'{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}', 400)
        else:
            reply = WebRegistry(self._fake).respond(Request(method, path, None, 0, body.encode()))
        assert isinstance(reply.body, bytes)
        return Answer(reply.status, reply.body, b"", reply.headers.get("Docker-Content-Digest"))

    def _stable(self, word: str) -> str:
        """An argument without the paths of temporary files, which differ between two runs of the code."""
        if word.startswith("docker-archive:"):
            return f"docker-archive:{Path(word.partition(':')[2]).resolve()}"
        if word.startswith("--digestfile="):
            return f"--digestfile={self._digestfile}"
        return "--tmpdir=" if word.startswith("--tmpdir=") else word

    def execute(self, command: t.Sequence[str], state: State) -> tuple[Answer, State]:
        """The answer to a command, and the state after it. It depends on nothing else."""
        key = (self._ids.setdefault(tuple(command), len(self._ids)), state)
        if key not in self._cache:
            found, after = self._execute(command, state)
            # Equal states are one object, so that they are compared by their identity.
            if after not in self._states:
                self._states[after] = after
            self._cache[key] = found, self._states[after]
        return self._cache[key]

    def _execute(self, command: t.Sequence[str], state: State) -> tuple[Answer, State]:
        fake = self._fake
        fake.tags, fake.manifests = {}, {}
        for tag, digest in state.tags:
            repository, _colon, name = tag.rpartition(":")
            fake.tags.setdefault(repository, {})[name] = digest
        for repository, digest in state.manifests:
            fake.manifests.setdefault(repository, {})[digest] = self._all[digest]
        fake.commands.clear()
        if command[0] == HTTP:
            method, path, body = command[1:]
            assert method != "DELETE", "publishing removes nothing"
            return self._respond(method, path, body, dict(state.tags)), self.state()
        verb, arguments = split_command(command)
        target = target_of(verb, arguments).rpartition("://")[2].partition("/")[2]
        if self.immutable and verb in ("copy", "append", "tag") and target in dict(state.tags):
            tool = "skopeo 1.9.3" if verb == "copy" else "crane 0.22.1"
            return Answer(1, b"", captured_text("immutable-tag", tool=tool).encode()), state
        assert verb != "delete", "publishing removes nothing"
        done = fake.run(command, {}, 0)
        text = None
        if f"--digestfile={self._digestfile}" in command and done.returncode == 0:
            text = self._digestfile.read_text(encoding="utf-8")
        return Answer(done.returncode, done.stdout or b"", done.stderr or b"", text), self.state()

    def state(self) -> State:
        """The state of the registry in memory."""
        for manifests in self._fake.manifests.values():
            self._all.update(manifests)
        return State(
            frozenset(
                (f"{name}:{tag}", digest) for name, tags in self._fake.tags.items() for tag, digest in tags.items()
            ),
            frozenset((name, digest) for name, manifests in self._fake.manifests.items() for digest in manifests),
        )

    def members(self, digest: str) -> list[str]:
        """What an index lists."""
        return [entry["digest"] for entry in json.loads(self._all[digest]).get("manifests", ())]

    def broken(self, state: State) -> dict[str, list[str]]:
        """The published tags that list something which the registry has deleted."""
        if state not in self._broken:
            lost = {
                tag: [each for each in self.members(digest) if (tag.rpartition(":")[0], each) not in state.manifests]
                for tag, digest in state.published.items()
            }
            self._broken[state] = {tag: members for tag, members in lost.items() if members}
        return self._broken[state]

    def explore(
        self, first: Publisher, second: Publisher, start: State, switches: int
    ) -> t.Iterator[tuple[State, Result | None, Result | None]]:
        """Each state that up to so many *switches* between the publishers lead to, and the results if they ended."""
        publishers = (first, second)
        for each in publishers:
            each.run(each.start, start)
        stack = [(start, (first.start, second.start), turn, switches) for turn in (0, 1)]
        best: dict[tuple[int, int, int, int], int] = {}
        while stack:
            state, points, turn, left = stack.pop()
            key = (id(state), id(points[0]), id(points[1]), turn)
            if best.get(key, -1) >= left:
                continue
            best[key] = left
            self.states += 1
            yield state, points[0].result, points[1].result
            point = points[turn]
            if point.result is None:
                assert point.command is not None
                answer, after = self.execute(point.command, state)
                moved = publishers[turn].after(point, answer, after)
                pair = (moved, points[1]) if turn == 0 else (points[0], moved)
                stack.append((after, pair, turn, left))
                if left or moved.result is not None:
                    stack.append((after, pair, 1 - turn, left - (moved.result is None)))
