# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP side of the registry in memory, with or without the search extension of Zot."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ansible_collections.killinit.zot.tests.unit.web_server import Reply, Request

CAPTURED = json.loads((Path(__file__).parent / "captured_search.json").read_text(encoding="utf-8"))["answers"]
NAME_UNKNOWN = Reply(b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}', 404)
DENIED = Reply(b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}', 403)
NOT_FOUND = Reply(b"404 page not found\n", 404, {"Content-Type": "text/plain"})


@dataclass
class WebRegistry:
    """Answers for the registry in memory.

    *searched* are the images of the search extension by repository, as Zot describes them; None without the extension.
    *attached* are the descriptors of the referrers API by digest; None without the API. *pushed* and *tagged* are the
    times of tags.
    """

    fake: t.Any
    searched: dict[str, list[t.Any]] | None = None
    attached: dict[str, list[t.Any]] | None = None
    unreadable: set[str] = field(default_factory=set)
    pushed: dict[str, str] = field(default_factory=dict)
    tagged: dict[str, str] = field(default_factory=dict)
    deletable: bool = True
    # Members that the registry has lost, which the search extension still lists.
    lost: set[str] = field(default_factory=set)

    def respond(self, request: Request) -> Reply:
        """The answer to a request."""
        parts = urlsplit(request.path)
        if parts.path == "/v2/_zot/ext/search":
            return self._search(parse_qs(parts.query)["query"][0])
        repository, _slash, rest = parts.path[len("/v2/") :].rpartition("/")
        repository, _slash, what = repository.rpartition("/")
        if what == "tags":
            rest = ""
        if repository in self.unreadable:
            return DENIED
        if repository not in self.fake.manifests:
            return NAME_UNKNOWN
        if what == "tags":
            tags = sorted(self.fake.tags.get(repository, {}))
            return Reply(json.dumps({"name": repository, "tags": tags}).encode())
        if what == "referrers":
            if self.attached is None:
                return NOT_FOUND
            return Reply(json.dumps({"manifests": self.attached.get(rest, [])}).encode())
        if what == "blobs":
            known = rest in b"".join(self.fake.manifests[repository].values()).decode()
            return Reply(self.fake.blobs[rest]) if known and rest in self.fake.blobs else NOT_FOUND
        if request.method == "PUT":
            self.fake.put_manifest(repository, rest, json.loads(request.body))
            return Reply(b"", 201)
        digest = rest if rest.startswith("sha256:") else self.fake.tags.get(repository, {}).get(rest)
        if digest not in self.fake.manifests[repository] or digest in self.lost:
            return NOT_FOUND
        if request.method == "DELETE":
            assert not rest.startswith("sha256:"), "the registry would remove all tags of the digest"
            del self.fake.tags[repository][rest]
            return Reply(b"", 202)
        return Reply(self.fake.manifests[repository][digest], 200, {"Docker-Content-Digest": digest})

    def describe(self, repository: str, *tags: str) -> list[dict[str, t.Any]]:
        """What the search extension of Zot says of these tags."""
        return [self._described(repository, tag) for tag in tags or self.fake.tags[repository]]

    def _described(self, repository: str, tag: str) -> dict[str, t.Any]:
        digest = self.fake.tags[repository][tag]
        document = json.loads(self.fake.manifests[repository][digest])
        digests = [each["digest"] for each in document["manifests"]] if "manifests" in document else [digest]
        members = [self._member(repository, each) for each in digests]
        return {
            "Tag": tag,
            "Digest": digest,
            "MediaType": document["mediaType"],
            "Size": str(sum(int(each["Size"]) for each in members)),
            "PushTimestamp": self.pushed.get(tag, "2026-11-25T17:23:05.323101051Z"),
            "TaggedTimestamp": self.tagged.get(tag, "2026-11-25T17:23:05.323101051Z"),
            "IsDeletable": self.deletable,
            "LastPullTimestamp": "1970-01-01T00:00:00Z",
            "IsSigned": False,
            "Manifests": members,
        }

    def _member(self, repository: str, digest: str) -> dict[str, t.Any]:
        raw = self.fake.manifests[repository][digest]
        document = json.loads(raw)
        config = json.loads(self.fake.blobs[document["config"]["digest"]])
        size = len(raw) + sum(each["size"] for each in (document["config"], *document["layers"]))
        architecture = "/".join(filter(None, (config["architecture"], config.get("variant"))))
        return {
            "Digest": digest,
            "ConfigDigest": document["config"]["digest"],
            "Size": str(size),
            "Platform": {"Os": config["os"], "Arch": architecture},
        }

    def _search(self, query: str) -> Reply:
        if self.searched is None:
            return NOT_FOUND
        repository = query.partition('repo:"')[2].partition('"')[0]
        if repository not in self.searched and repository not in self.unreadable:
            return Reply(json.dumps(CAPTURED["absent"]["body"]).encode())
        # The extension has no images for what the account may not read, and no error.
        images = None if repository in self.unreadable else self.searched[repository]
        return Reply(json.dumps({"data": {"ExpandedRepoInfo": {"Images": images}}}).encode())
