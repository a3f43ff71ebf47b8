# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two registries in memory that speak HTTP, and a crane that copies between them."""

from __future__ import annotations

import json
import re
import subprocess
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ansible_collections.killinit.zot.tests.unit.conftest import MANIFEST_TYPE, FakeRegistry, captured_text
from ansible_collections.killinit.zot.tests.unit.web_registry import NOT_FOUND, WebRegistry
from ansible_collections.killinit.zot.tests.unit.web_server import Reply, Request, WebServer

NOTARY = "application/vnd.cncf.notary.signature"
SPDX = "application/spdx+json"
IN_TOTO = "application/vnd.in-toto+json"
_QUESTION = re.compile(r'(q\d+):(Image|ExpandedRepoInfo)\((?:image|repo):"([^"]+)"\)')


@dataclass
class End(WebRegistry):
    """One of the registries. What is attached is read from the manifests. *search* is whether it has the extension."""

    search: bool = True
    stale: dict[str, str] = field(default_factory=dict)  # what the extension says of a tag instead of the truth
    server: WebServer | None = None
    crane: Crane | None = None

    @property
    def host(self) -> str:
        assert self.server
        return self.server.host

    @property
    def requests(self) -> list[str]:
        """The requests so far, as method and path."""
        assert self.server
        return [f"{each.method} {urlsplit(each.path).path.partition('/v2/')[2]}" for each in self.server.requests]

    def respond(self, request: Request) -> Reply:
        parts = urlsplit(request.path)
        if parts.path == "/v2/_zot/ext/search":
            return self._answers(parse_qs(parts.query)["query"][0]) if self.search else NOT_FOUND
        repository, _slash, digest = parts.path[len("/v2/") :].partition("/referrers/")
        if digest and repository in self.fake.manifests and self.attached is not None:
            return Reply(json.dumps({"manifests": self.attached_to(repository, digest)}).encode())
        if request.method == "PUT" and self.crane:
            repository, _slash, tag = parts.path[len("/v2/") :].partition("/manifests/")
            if any(tag.endswith(end) for end in self.crane.fails):
                return Reply(b'{"errors":[{"code":"DENIED","message":"requested access is denied"}]}', 403)
            self.crane.done.append(f"tag {repository}:{tag}")
        return super().respond(request)

    def attached_to(self, repository: str, subject: str) -> list[dict[str, t.Any]]:
        """The descriptors of the referrers API."""
        found = []
        for digest, raw in self.fake.manifests[repository].items():
            document = json.loads(raw)
            if document.get("subject", {}).get("digest") == subject:
                descriptor = {"mediaType": MANIFEST_TYPE, "digest": digest, "size": len(raw)}
                found.append({**descriptor, "artifactType": document["artifactType"]})
        return found

    def attach(self, repository: str, subject: str, artifact_type: str, text: str = "") -> str:
        """Attach something to a manifest; return its digest."""
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": f"sha256:{'e' * 64}", "size": 2}
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": artifact_type,
            "config": empty,
            "layers": [empty],
            "subject": {"mediaType": MANIFEST_TYPE, "digest": subject, "size": 1},
            "annotations": {"text": text},
        }
        return str(self.fake.put_manifest(repository, None, document))

    def _answers(self, query: str) -> Reply:
        data: dict[str, t.Any] = {}
        for name, what, text in _QUESTION.findall(query):
            repository, _colon, tag = text.partition(":")
            digest = self.stale.get(text) or self.fake.tags.get(repository, {}).get(tag)
            if repository not in self.fake.manifests or (tag and not digest):
                return Reply(b'{"errors": [{"message": "can\'t find image"}], "data": null}')
            if what == "Image":
                data[name] = self._described_with_referrers(repository, str(digest))
            else:
                tags = [each for each in self.fake.tags.get(repository, {}) if not each.endswith(".sig")]
                data[name] = {"Images": [{"Tag": each} for each in tags]}
        return Reply(json.dumps({"data": data}).encode())

    def _described_with_referrers(self, repository: str, digest: str) -> dict[str, t.Any]:
        document = json.loads(self.fake.manifests[repository][digest])
        members = [each["digest"] for each in document.get("manifests", [{"digest": digest}])]
        return {
            **self._summary(repository, digest),
            "Manifests": [
                {**self._summary(repository, each), "Platform": self._member(repository, each)["Platform"]}
                for each in members
            ],
        }

    def _summary(self, repository: str, digest: str) -> dict[str, t.Any]:
        """Zot lists signatures by their tool alone, not among the referrers."""
        attached = self.attached_to(repository, digest)
        others = [each for each in attached if each["artifactType"] != NOTARY]
        by_tag = f"{digest.replace(':', '-')}.sig" in self.fake.tags.get(repository, {})
        return {
            "Digest": digest,
            "SignatureInfo": [{"Tool": "notation"}] * (len(attached) - len(others) + by_tag),
            "Referrers": [
                {
                    "MediaType": each["mediaType"],
                    "ArtifactType": each["artifactType"],
                    "Size": each["size"],
                    "Digest": each["digest"],
                    "Annotations": [],
                }
                for each in others
            ],
        }


@dataclass
class Crane:
    """In place of the tools: reads and tags in one registry, and copies between both.

    *done* are the writes, in short, also those that the registry gets over HTTP. *accounts* are the entries of the auth
    file of each copy. *fails* are the ends of destinations whose write fails, with the scenario of captured.json.
    *meanwhile* is called after each copy. *verified* are the commands of cosign.
    """

    ends: t.Sequence[End]
    done: list[str] = field(default_factory=list)
    accounts: list[dict[str, t.Any]] = field(default_factory=list)
    fails: dict[str, str] = field(default_factory=dict)
    meanwhile: t.Callable[[], t.Any] = lambda: None
    verified: list[list[str]] = field(default_factory=list)
    layouts: dict[str, tuple[str, End]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for end in self.ends:
            end.crane = self

    def run(
        self, command: t.Sequence[str], environment: t.Mapping[str, str], largest: int
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.CompletedProcess(command, 0, b"", b"")
        if command[0].endswith("/cosign"):
            self.verified.append(list(command))
            return done
        arguments = [each for each in command[1:] if each != "--insecure"]
        if arguments[0] in ("copy", "pull", "push", "tag"):
            scenario = next((text for end, text in self.fails.items() if arguments[-1].endswith(end)), None)
            if scenario:
                stderr = captured_text(scenario, tool="crane 0.22.1")
                return subprocess.CompletedProcess(command, 1, b"", stderr.encode())
        if arguments[0] not in ("copy", "pull", "push"):
            host = next(each.partition("/")[0] for each in arguments if "/" in each)
            end = next(each for each in self.ends if each.host == host)
            if arguments[0] == "tag":
                self.done.append(f"tag {arguments[1].partition('/')[2].partition('@')[0]}:{arguments[2]}")
            return end.fake.run(command, environment, largest)  # type: ignore[no-any-return]
        source, target = arguments[-2:]
        if arguments[0] == "copy":
            config = Path(environment["DOCKER_CONFIG"], "config.json")
            self.accounts.append(json.loads(config.read_text(encoding="utf-8"))["auths"])
        if arguments[0] == "pull":
            self.layouts[target] = (source, self._end(source))
            return done
        origin, end = self.layouts[source] if arguments[0] == "push" else (source, self._end(source))
        self._copy(end, origin, self._end(target), target)
        self.done.append(f"copy {target.partition('/')[2]}")
        self.meanwhile()
        return done

    def _end(self, reference: str) -> End:
        return next(end for end in self.ends if reference.startswith(f"{end.host}/"))

    def _copy(self, source: End, origin: str, destination: End, target: str) -> None:
        (old, digest), (new, expected) = (each.partition("/")[2].split("@") for each in (origin, target))
        assert digest == expected
        fakes: list[FakeRegistry] = [source.fake, destination.fake]
        pending = [digest]
        while pending:
            each = pending.pop()
            raw = fakes[0].manifests[old][each]
            fakes[1].manifests.setdefault(new, {})[each] = raw
            pending += [member["digest"] for member in json.loads(raw).get("manifests", ())]
        fakes[1].blobs.update(fakes[0].blobs)
