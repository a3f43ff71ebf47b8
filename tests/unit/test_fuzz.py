# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every input is read or refused in bounded time; nothing else can happen.

In corpus/TARGET/ lie inputs that once were interesting, one a file. They are read as they are, and changed at random.
What hypothesis finds belongs there, too: it prints it.
"""

from __future__ import annotations

import base64
import json
import signal
import tempfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import (
    PullCredentials,
    PullSecret,
    printable_key,
)
from ansible_collections.killinit.zot.plugins.module_utils._image_info import compile_query
from ansible_collections.killinit.zot.plugins.module_utils._oci.archive_copy import OpenArchive
from ansible_collections.killinit.zot.plugins.module_utils._oci.configuration import image_identity
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import (
    Image,
    Manifest,
    json_object,
)
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference
from ansible_collections.killinit.zot.plugins.module_utils._push.pusher import skopeo_message
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import Credentials
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import ZotError, classify
from ansible_collections.killinit.zot.plugins.module_utils._registry.registry import crane_lines
from ansible_collections.killinit.zot.plugins.module_utils._registry.session import crane_message
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 10


def archive(data: bytes) -> None:
    """An archive, read, expanded and identified."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "archive")
        path.write_bytes(data)
        opened = OpenArchive(str(path))
        for found in opened.read_each(None):
            if found.manifest:
                opened.converted_size(found)
                opened.extract(found, f"{folder}/{found.manifest}")
            else:
                if found.compression and not Path(folder, "plain").exists():
                    opened.expand(f"{folder}/plain")
                opened.check_layers(found, f"{folder}/plain" if found.compression else None)
            image_identity(found.config)


def reference(data: bytes) -> None:
    """A reference: nothing passes that an argument list, an address or a terminal could take for something else."""
    printed = str(Reference.parse(data.decode(errors="replace"), registry="h.example"))
    assert printed.isascii()
    assert printed.isprintable()
    assert not set(printed) & set(" '\"\\$`;&|<>(){}*?~#%=,!^")
    assert not printed.startswith("-")
    assert ".." not in printed


def image(data: bytes) -> None:
    """A manifest and a configuration of a registry; what becomes of them can be printed."""
    manifest = Manifest.parse(data)
    config = json_object(data, "it")
    result = Image(Reference("h.example", "app", "1"), manifest, config).for_ansible()
    json.dumps([result, manifest.by_platform and image_identity(config)], allow_nan=True, ensure_ascii=False).encode()


def _printed(text: str) -> None:
    error = ZotError(classify(text, names=["h.example/app:1"]), text, detail=text).for_ansible()
    assert error["msg"].isprintable()


def skopeo(data: bytes) -> None:
    """What skopeo says when it fails."""
    _printed(skopeo_message(data.decode(errors="replace")))


def crane(data: bytes) -> None:
    """What crane says when it fails, and the tags that it lists."""
    _printed(crane_message(data.decode(errors="replace")))
    assert not any("\n" in tag for tag in crane_lines(data))


def pull_secret(data: bytes) -> None:
    """A pull secret, whose password is never shown."""
    for kind, field in (("kubernetes.io/dockerconfigjson", ".dockerconfigjson"), ("Opaque", ".dockercfg")):
        for text in (base64.b64encode(data).decode(), data.decode(errors="replace")):
            found = PullSecret.read({"type": kind, "data": {field: text}})
            found.for_image("oci.killinit.cc:5000/a/b")
            printed = repr(found) + " ".join(map(printable_key, found.auths)) + str(found.problems)
            assert "hunter2" not in printed
            assert base64.b64encode(b"hunter2").decode().strip("=") not in printed
            update = found.with_entry("h.example")
            content = {".dockerconfigjson": update.data(PullCredentials("a", "b"))}
            auths = PullSecret.read({"type": "kubernetes.io/dockerconfigjson", "data": content}).auths
            assert all(auths[name] == found.auths[name] for name in update.kept)


def authfile(data: bytes) -> None:
    """An auth file, of which no error quotes anything."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "auth.json")
        path.write_bytes(data)
        found = Credentials(folder, Options("h.example", authfile=str(path)))
        assert "hunter2" not in found.prepare("h.example", "a/b")


def query(data: bytes) -> None:
    """A query on a result."""
    compile_query(data.decode(errors="replace"))({"images": [{"digest": None, "platforms": ["a"], "size": 1}]})


TARGETS: dict[str, t.Callable[[bytes], None]] = {
    each.__name__: each for each in (archive, reference, image, skopeo, crane, pull_secret, authfile, query)
}
INPUTS = [(path.parent.name, path) for path in sorted(CORPUS.glob("*/*"))]


class _HangsError(BaseException):
    """No Exception: nothing may take it for a refusal."""


def feed(name: str, data: bytes) -> None:
    """Give it to the target. Only what the values and the modules refuse with may come out of it."""

    def end(*_arguments: object) -> t.NoReturn:
        raise _HangsError

    refusal: Exception | None = None
    before = signal.signal(signal.SIGPROF, end)
    # Of CPU: the time of the clock also passes while other processes run.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        TARGETS[name](data)
    except (ZotError, ValueError) as error:
        refusal = error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert refusal is None or type(refusal).__module__.startswith("ansible_collections."), repr(refusal)
    if name in ("pull_secret", "authfile"):
        assert "hunter2" not in str(refusal)


def test_every_target_has_a_corpus() -> None:
    assert {name for name, _path in INPUTS} == TARGETS.keys()


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{name}-{path.name}" for name, path in INPUTS])
def test_kept_input(name: str, path: Path) -> None:
    feed(name, path.read_bytes())


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=12)), max_size=4)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_input(name: str) -> None:
    """An input of the corpus with bytes replaced, taken out and put in, cut short and repeated."""
    kept = [path.read_bytes() for target, path in INPUTS if target == name]

    @settings(max_examples=3 * settings().max_examples // 2, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(kept), CHANGES, st.floats(0, 1), st.integers(1, 3))
    def run(data: bytes, changes: list[tuple[float, int, bytes]], end: float, times: int) -> None:
        for place, removed, added in changes:
            start = int(place * len(data))
            data = data[:start] + added + data[start + removed :]
        feed(name, data[: round(end * len(data))] * times)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_any_input(name: str) -> None:
    """Bytes and texts that nobody chose."""

    @settings(deadline=None)
    @given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
    @example(b"")
    def run(data: bytes) -> None:
        feed(name, data)

    run()


# A pattern with backtracking would take hours here.
LONG = {
    "one letter": b"a",
    "dashes": b"a-",
    "dots": b"a.",
    "colons": b"a:",
    "slashes": b"a/",
    "spaces": b" ",
    "lines": b"\n",
    "backslashes": b"\\",
    "quotes": b'"',
    "brackets": b"[",
    "stars": b"*a",
    "fatal": b'level=fatal msg="',
    "error": b"Error: ",
    "quota": b"TOOMANYREQUESTS: ",
    "address": b"https://",
    "retry": b"retry-after:  ",
    "helper": b"error getting credentials",
    "objects": b'{"auths":',
    "zeros": b"\0",
}


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("name", TARGETS)
def test_long_input(name: str, text: str) -> None:
    """8 KiB of one text, which is what is kept of the output of a tool."""
    feed(name, (LONG[text] * 8192)[:8192])
