# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sessions of a task: one for each registry and user.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import sys
import tempfile
import typing as t

from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import Reference, registry_name
from ansible_collections.killinit.zot.plugins.module_utils._registry.credentials import (
    Credentials,
    disk_errors,
    task_directory,
)
from ansible_collections.killinit.zot.plugins.module_utils._registry.errors import NO_READ, ZotError
from ansible_collections.killinit.zot.plugins.module_utils._registry.runner import Runner, ended_by_signals, find_tool
from ansible_collections.killinit.zot.plugins.module_utils._registry.settings import Options, settable
from ansible_collections.killinit.zot.plugins.module_utils._registry.tls import Trust, without_plain_http

_CRANE_FALLBACK = r"; (?=(?:GET |Get \")http://)"
# Removed from the environment of the tools.
_OURS = ("ZOT_USERNAME", "ZOT_PASSWORD", "ZOT_AUTHFILE")


def last_line(stderr: str) -> str:
    """The last line that a tool printed."""
    return (stderr.strip().splitlines() or [""])[-1]


def crane_message(stderr: str) -> str:
    """The error that crane printed, without its progress lines.

    After HTTPS failed, crane may try HTTP and print both errors. The second is the relevant one only if the registry
    answered the first request in plain HTTP.
    """
    found = re.search(r"^Error: (.*)", stderr, re.MULTILINE | re.DOTALL)
    https, *http = re.split(_CRANE_FALLBACK, found.group(1).strip() if found else last_line(stderr), maxsplit=1)
    plain_http = http and "server gave HTTP response" in https and "proxyconnect" not in http[0]
    return http[0] if plain_http else https


@contextlib.contextmanager
def open_task(tmpdir: str, fail: t.Callable[[ZotError], None] = lambda _error: None) -> t.Iterator[Task]:
    """A task that can open sessions. At its end, also after a signal, its processes and files are removed.

    *tmpdir* is the temporary directory of the Ansible task. *fail* prints an error when a signal must end the process
    although a thread is blocked. Raises ZotError.
    """
    directories: list[str] = []

    def give_up(error: ZotError) -> None:
        try:
            for each in directories:
                shutil.rmtree(each, ignore_errors=True)
            fail(error)
        finally:
            # os._exit() loses what is still in the buffer.
            sys.stdout.flush()
            os._exit(1)

    # A core dump of this process or of a tool would contain the credentials.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with ended_by_signals(give_up) as first, task_directory(tmpdir) as directory:
        directories.append(directory)
        task = Task(directory)
        first.append(task.end)
        try:
            yield task
        finally:
            task.end()


class Task:
    """Opens a session for each set of credentials that a task uses."""

    def __init__(self, directory: str) -> None:
        """*directory* is private. The caller removes it."""
        self._directory = directory
        self._sessions: list[Session] = []

    def session(self, options: Options) -> Session:
        """Open a session. Raises ZotError for an invalid option."""
        with disk_errors(self._directory):
            directory = tempfile.mkdtemp(dir=self._directory)
        session = Session(options, directory)
        self._sessions.append(session)
        return session

    @property
    def secrets(self) -> set[str]:
        """Every secret that the tools received so far, in plain text and base64."""
        return {secret for session in self._sessions for secret in session.secrets}

    def end(self) -> None:
        """Kill all running processes and refuse to start new tools."""
        for session in self._sessions:
            session.runner.end()


class Session:
    """One registry with the credentials and CA certificates of one user, also for the runs of the tools.

    Every method raises ZotError.
    """

    def __init__(self, options: Options, directory: str) -> None:
        """*directory* is private. The caller removes it."""
        if options.registry:
            registry_name(options.registry)
        self.name = options.registry
        self.timeout = options.timeout
        self.directory = directory
        self.insecure = not options.validate_certs
        self.credentials = Credentials(directory, options)
        # The working directory of the tools: crane treats a reference as a file if a file there has that name.
        empty, certificates = os.path.join(directory, "empty"), os.path.join(directory, "certificates")
        variables = {name: value for name, value in os.environ.items() if name not in _OURS}
        self.trust = Trust(options, variables)
        with disk_errors(directory):
            os.mkdir(empty)
            os.mkdir(certificates)
            variables.update(self.trust.write(certificates))
        # With HTTP/2, crane needs half as long again to copy a large image: https://pkg.go.dev/net/http#hdr-HTTP_2
        variables["GODEBUG"] = ",".join(filter(None, ["http2client=0", variables.get("GODEBUG")]))
        self._variables = {**variables, "DOCKER_CONFIG": directory}
        self.runner = Runner(
            timeout=options.timeout, retries=options.retries, directory=empty, redact=self.credentials.redact
        )
        self._options = options

    @property
    def secrets(self) -> set[str]:
        """Every secret that the tools received so far, in plain text and base64."""
        return self.credentials.secrets

    def crane(self, *arguments: str) -> list[str]:
        """A command of crane. Raises ZotError if crane is not installed."""
        # The modules that use a cluster do not need skopeo. The other modules need both programs.
        others = {} if self._options.names else {"skopeo": self._options.skopeo_path}
        program = find_tool(self._options.crane_path, "crane", others)
        return [program, *(["--insecure"] if self.insecure else []), *arguments]

    @property
    def skopeo(self) -> str:
        """The path of skopeo. Raises ZotError if it is not installed."""
        return find_tool(self._options.skopeo_path, "skopeo", {"crane": self._options.crane_path})

    def explained(self, credentials: str) -> dict[str, str]:
        """The values for the hint of an error: the origin of the *credentials*, and the settings of the certificate."""
        options = {name: settable(name, self._options.name_of(name)) for name in ("ca_path", "validate_certs")}
        return {"credentials": credentials, **options}

    def variables(self, registry: str) -> dict[str, str]:
        """The environment of a tool that uses *registry*."""
        return dict(self._variables) if self.insecure else without_plain_http(self._variables, registry)

    def run_on_files(self, command: t.Sequence[str], what: str, message: t.Callable[[str], str], largest: int) -> None:
        """Run a command that uses no registry. *largest* limits the size of the files that it writes."""
        self.runner.run(command, what=what, environment=self._variables, message=message, largest=largest)

    def run(
        self,
        command: t.Sequence[str],
        reference: Reference,
        what: str,
        *,
        message: t.Callable[[str], str] = crane_message,
        names: t.Sequence[str] = (),
        denied: str | None = None,
    ) -> bytes:
        """Return the standard output of a command. For the arguments see Runner.run()."""
        origin = self.credentials.prepare(reference.registry, reference.repository)
        return self.runner.run(
            command,
            what=what,
            environment=self.variables(reference.registry),
            message=message,
            names=[str(reference), reference.name, *names],
            values=self.explained(origin),
            denied=denied,
        )

    def read(self, command: t.Sequence[str], reference: Reference, *, absent: str | None = None) -> bytes | None:
        """Run a command that reads, with retries. Return None if the object does not exist.

        *absent* is an additional error text that means the same.
        """
        try:
            what = f"cannot read {reference}"
            return self.runner.retry(lambda: self.run(command, reference, what, denied=NO_READ))
        except ZotError as error:
            if error.error_class == "not_found" or (absent and absent in error.stderr):
                return None
            raise
