# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of each playbook: docs/docsite/rst/playbook_*.rst, from docs/pages.yml and the specs of the roles.

`python tests/environment/playbook_pages.py` writes them; a test compares them.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import yaml
from antsibull_docs_parser.parser import Context, parse
from antsibull_docs_parser.rst import to_rst_plain

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "docsite" / "rst"
# What a playbook accepts, because several playbooks can have one file of variables, but ignores or refuses.
IGNORED = {
    "diagnose": "zot_pull_secret_(?!name$).*",
    "prune": "zot_publish_.*",  # but the host, which guide_playbooks.rst describes
    "rollback": "zot_publish_(?!images$|tags$|keep_previous$).*",
    "rotate": "zot_pull_secret_(repair|expires_within|fail)",
    "verify": "zot_pull_secret_(repair|username|password|force)",
}
LABEL = "ansible_collections.killinit.zot.docsite"
HEADER = "\n".join(["..", *(f"  {line[2:]}" for line in Path(__file__).read_text(encoding="utf-8").splitlines()[:3])])


def pages() -> dict[Path, str]:
    """The text of each page, by its path."""
    found = yaml.safe_load((ROOT / "docs" / "pages.yml").read_text(encoding="utf-8"))
    return {PAGES / f"playbook_{name}.rst": _page(name, page) for name, page in found.items()}


def own_variables() -> dict[str, set[str]]:
    """The variables that docs/pages.yml describes, by playbook."""
    found = yaml.safe_load((ROOT / "docs" / "pages.yml").read_text(encoding="utf-8"))
    return {name: set(page.get("variables", ())) for name, page in found.items()}


def prefixes(playbook: str) -> list[str]:
    """The roles and playbooks whose variables a playbook accepts, its own first."""
    text = _playbook(playbook)
    lists = re.findall(r"__zot_prefixes: \[(.*?)\]", text)
    lists += re.findall(r"query\('killinit\.zot\._variable_problems', ('.*?')\)", text)
    names = dict.fromkeys(name for each in lists for name in re.findall(r"zot_\w+", each))
    return sorted(names, key=lambda name: name != f"zot_{playbook}")


def roles(playbook: str) -> set[str]:
    """The roles that a playbook runs; other roles require nothing of it."""
    return set(re.findall(r"_role:\n +name: killinit\.zot\.(\w+)", _playbook(playbook)))


def role_variables(playbook: str, prefix: str) -> dict[str, Any]:
    """The variables with a prefix that have an effect on a playbook, described for the roles that it runs."""
    ignored = re.compile(IGNORED.get(playbook, ""))
    set_by_playbook = re.findall(r"^ +(zot_\w+):", _playbook(playbook), re.MULTILINE)
    found = {
        name: {**option, "required": False}
        for name, option in _options(prefix).items()
        if name.startswith(f"{prefix}_") and name not in set_by_playbook and not ignored.fullmatch(name)
    }
    for role in sorted(roles(playbook)):
        found |= {name: option for name, option in _options(role).items() if name in found}
    return found


def _playbook(name: str) -> str:
    return (ROOT / "playbooks" / f"{name}.yml").read_text(encoding="utf-8")


def _options(role: str) -> dict[str, Any]:
    path = ROOT / "roles" / role / "meta" / "argument_specs.yml"
    if not path.exists():
        return {}
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"])


def _page(name: str, page: dict[str, Any]) -> str:
    title = {"awx": "AWX"}.get(name, name.capitalize())
    lines = [HEADER, "", f".. _{LABEL}.playbook_{name}:", "", title, "=" * len(title), ""]
    lines += [*_text(page["does"]), "", f"The guide: :ref:`{LABEL}.{page['guide']}`.", "", "Example", "-------", ""]
    if "file" in page:
        content = f"# {page['file']['name']}\n{page['file']['content'].rstrip()}"
        lines += [".. code-block:: yaml", "", textwrap.indent(content, "    "), ""]
    elif " @" in page["example"] or "--inventory" in page["example"]:
        lines += ["The guide shows the files of this command.", ""]
    lines += [".. code-block:: console", "", f"    $ {page['example']}", ""]
    lines += ["What it prints", "--------------", "", *_text(page["prints"]), "", "Variables", "---------", ""]
    rows = [(variable, _text(text)) for variable, text in page.get("variables", {}).items()]
    rows += [
        (variable, _role_text(option))
        for prefix in prefixes(name)
        for variable, option in role_variables(name, prefix).items()
    ]
    if rows:
        lines += [".. list-table::", "   :header-rows: 1", "   :widths: 35 65", "", "   * - Variable", "     - Meaning"]
    for variable, text in rows:
        lines += [f"   * - ``{variable}``", f"     - {text[0]}", *(f"       {line}" for line in text[1:])]
    playbooks = f":ref:`All playbooks <{LABEL}.guide_playbooks>`"
    lines += ["", f"{playbooks} share the variables of the registry, the hosts and the report."]
    return "\n".join([*lines, ""])


def _role_text(option: dict[str, Any]) -> list[str]:
    described = option["description"]
    text = " ".join([described] if isinstance(described, str) else described)
    default = option.get("default")
    missing = default not in (None, [], {}, "") and "default is" not in text.lower()
    required = " It is required." if option.get("required") else ""
    shown = str(default).lower() if isinstance(default, bool) else default
    return _text(f"{text}{required}{f' The default is V({shown}).' if missing else ''}")


def _text(text: str) -> list[str]:
    """The lines of a paragraph."""
    plain = to_rst_plain(parse(text, Context()))
    # A link to an option or a module would need its full name.
    return textwrap.wrap(re.sub(r":literal:`(.*?)`(\\ )?", _literal, plain), 140, break_on_hyphens=False)


def _literal(found: re.Match[str]) -> str:
    """Literal text in the form that the other pages use."""
    text = re.sub(r"\\(.)", r"\1", found[1])
    return f"``{text}``" + (found[2] or "")


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
