# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of the report about a registry and its clusters. Each repository is reduced when it is added.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.killinit.zot.plugins.module_utils._oci.text import now_text, printable, size_text
from ansible_collections.killinit.zot.plugins.plugin_utils._exposure import where_it_runs
from ansible_collections.killinit.zot.plugins.plugin_utils._job_report import write_file
from ansible_collections.killinit.zot.plugins.plugin_utils._report import (
    Dict,
    Page,
    Repository,
    Uses,
    page_of,
    repository_of,
    seconds,
    shown,
    uses_of,
)
from ansible_collections.killinit.zot.plugins.plugin_utils._report_markdown import markdown

FORMATS = (".html", ".md", ".json")


class Report:
    """What was read, and the files to write.

    Only a JSON file needs all images: they wait in the temporary file *images*.
    """

    def __init__(self, paths: t.Sequence[str], clusters: t.Sequence[Dict], newest: int, images: t.IO[str]) -> None:
        self.paths = paths
        self.clusters = clusters
        self._vulnerabilities: t.Sequence[Dict] = ()
        self._counts: Dict = {}
        self._newest = newest
        self._problems: list[str] = []
        self._repositories: list[Repository] = []
        self._registry: str | None = None
        self._uses: Uses | None = None
        self._all = images

    def add_result(self, result: Dict) -> int:
        """Add what zot_image_info returned: its repositories, or why it failed. Return the number of their tags."""
        self._registry = result.get("registry") or self._registry
        if "repositories" not in result:
            self._problems.append(result.get("msg") or "The module that reads the registry returned nothing.")
            return 0
        return sum(self._add(each) for each in result["repositories"])

    def _add(self, found: Dict) -> int:
        if not found["exists"]:
            self._problems.append(f"{found['repository']} is not a repository of the registry")
            return 0
        if self._uses is None:
            self._uses = uses_of(self.clusters, found["registry"])
        if any(path.endswith(".json") for path in self.paths):
            self._all.write(f"{',' if self._repositories else ''}\n    {json.dumps(found)}")
        self._repositories.append(repository_of(found, self._uses, self._newest))
        return len(found["images"])

    def add_scan(self, result: Dict) -> None:
        """Add what zot_vulnerability_info returned."""
        if "images" in result:
            self._vulnerabilities, self._counts = result["images"], result["summary"]
        else:
            self._problems.append(result["msg"])

    def write(self, cve: str | None, *, dry_run: bool) -> dict[str, t.Any]:
        """Write the files. Return the summary for the next job."""
        problems = [*self._problems, *self._of_clusters("problems")]
        content = {
            "registry": self._registry,
            "created": now_text(),
            "ok": not problems,
            "problems": problems,
            "clusters": self.clusters,
            "vulnerabilities": self._vulnerabilities,
            "vulnerability_counts": self._counts,
        }
        content["cve"] = where_it_runs(report=content, cve=cve) if cve else None
        if not dry_run:
            page = page_of(content, self._repositories)
            for path in self.paths:
                if path.endswith(".json"):
                    _replace(path, self._json(content))
                else:
                    _replace(path, [html(page) if path.endswith(".html") else markdown(page)])
        return {
            **{name: content[name] for name in ("ok", "problems", "registry", "vulnerability_counts", "cve")},
            "repositories": [each.name for each in self._repositories],
            "stale": self._of_clusters("stale"),
            "at_risk": self._of_clusters("at_risk"),
            "files": list(self.paths),
        }

    def _of_clusters(self, name: str) -> list[str]:
        return [f"{cluster['name']}: {text}" for cluster in self.clusters for text in cluster[name]]

    def _json(self, content: Dict) -> t.Iterator[str]:
        """The parts of the JSON document. Each repository is one line."""
        yield json.dumps(content, indent=2)[: -len("\n}")] + ',\n  "repositories": ['
        self._all.seek(0)
        yield from self._all
        yield f"{chr(10) if self._repositories else ''}  ]\n}}\n"


def _replace(path: str, parts: t.Iterable[str]) -> None:
    problem = write_file(path, parts)
    if problem:
        raise AnsibleActionFail(problem)


TEMPLATES = Path(__file__).resolve().parents[2] / "playbooks" / "templates"


def html(page: Page) -> str:
    """The text of the page.

    Tags, labels and messages come from a registry or a cluster, and may be hostile. Therefore every value that the
    template prints is escaped, and the filter C(safe) does not exist.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_printed,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    del environment.filters["safe"]
    environment.filters.update(age=page.age, csp_hash=_csp_hash, seconds=seconds, size=size_text)
    return environment.get_template("report.html.j2").render(vars(page))


def _csp_hash(script: str) -> str:
    """The hash of an inline script for a content security policy, so that a browser runs no other script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _printed(value: object) -> object:
    """The text of a value, which Jinja then escapes, unless a part of the template has created it."""
    return value if isinstance(value, Markup) else printable(shown(value))
