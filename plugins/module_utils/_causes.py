# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say why an image cannot be pulled, and what to do: hold what kubelet says against what registry and secrets say.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._commands import Commands
from ansible_collections.killinit.zot.plugins.module_utils._evidence import Answers, Failure, Object, View, near, parsed
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure import word
from ansible_collections.killinit.zot.plugins.module_utils._pull_secret import FIELDS, PullSecret, secret_names
from ansible_collections.killinit.zot.plugins.module_utils._reference import InvalidReferenceError, Reference

_ASKED = "the registry's answer to the same question, asked from here"
_REPAIR = (
    "Let the role zot_pull_secret put it right, with an account that may read in ZOT_USERNAME and ZOT_PASSWORD. Kubelet"
    " pulls again by itself within 5 minutes, and at once in a new pod:"
)
_PUBLISH = "Publish it (killinit.zot.publish)"
# By kubelet's word: the cause, in words, and what to do about it.
_NODE_CAUSES: t.Mapping[str, tuple[str, str, str]] = {
    "host": (
        "host_unknown",
        "the node cannot resolve the name {host}",
        "Correct the registry's name in the image, or the name service of the node.",
    ),
    "refused": (
        "connection_refused",
        "nothing accepts the node's connections to {host}",
        "See that the registry runs, that its port stands in the image, and that no firewall is between.",
    ),
    "timeout": (
        "timed_out",
        "{host} does not answer the node in time",
        "See that the registry runs, and that no firewall or proxy is between it and the node.",
    ),
    "plain_http": (
        "plain_http",
        "{host} does not speak TLS, which the node expects",
        "Give the registry TLS, or let the nodes' container runtime use plain HTTP for it (containerd: hosts.toml).",
    ),
    "tls": (
        "certificate_not_trusted",
        "the node does not trust the certificate of {host}, or it is for another name",
        (
            "Give the nodes' container runtime the registry's CA (containerd: ca in certs.d/{host}/hosts.toml), or give"
            " the registry a certificate for this name."
        ),
    ),
    "rate": (
        "rate_limited",
        "{host} limits the rate of requests",
        "Wait, kubelet tries again; or start fewer pods at once, or raise the registry's limit.",
    ),
    "quota": (
        "quota_exceeded",
        "a quota of {host} is used up",
        "Free space in the registry, or raise its quota.",
    ),
    "broken": (
        "registry_failing",
        "{host} answers with an error of its own",
        "Look at the registry's log.",
    ),
    "disk": (
        "disk_full",
        "the disk of the node is full",
        "Free space on it (crictl rmi --prune removes images that nothing uses), or let the pod run elsewhere.",
    ),
}


# Those for which a wrong registry in the image may be to blame.
_MISNAMED = ("host_unknown", "connection_refused", "timed_out", "plain_http", "certificate_not_trusted")


@dataclass(frozen=True)
class Cause:
    """One thing to be mended: what it is, in a sentence; what to do; what to type; what shows it."""

    cause: str
    message: str
    remedy: str
    commands: t.Sequence[str] = ()
    evidence: str = ""


def judge(view: View, answers: Answers, failures: t.Sequence[Failure]) -> list[Cause]:
    """The causes for one image in pods that are alike, in the order in which they are to be mended."""
    return _Judge(view, answers, failures).causes()


class _Judge:
    def __init__(self, view: View, answers: Answers, failures: t.Sequence[Failure]) -> None:
        self._view, self._answers, self._failures = view, answers, failures
        self._failure = failures[0]
        self._image, self._said = str(self._failure["image"]), str(self._failure["said"])
        self._word = word(self._said, self._image)
        self._commands = Commands(view.namespace, failures)
        self._reference = parsed(self._failure)
        self._results: list[Object] = []
        self._there: Object | None = None
        if self._reference and view.ours(self._failure):
            self._results = answers.of_pod(self._reference, view.names(self._failure))
            self._there = answers.image(self._reference, self._results)

    def causes(self) -> list[Cause]:
        reference = self._reference
        if self._failure["state"] == "crashed":
            return list(self._architecture())
        if self._word == "malformed":
            return [self._malformed()]
        causes = list(self._node())
        if reference:
            causes += [*self._access(reference), *self._content(reference)]
        return causes or [self._nothing_wrong()]

    def _malformed(self) -> Cause:
        message = f"{self._image!r} is no image reference"
        remedy = "Write it as registry/repository:tag, in lower case but for the tag"
        name, colon, tag = self._image.rpartition(":")
        try:
            commands = self._commands.set_image(str(Reference.parse(f"{name.lower()}{colon}{tag}")))
        except InvalidReferenceError:
            commands = []
        return Cause("reference_malformed", message, f"{remedy}{':' if commands else '.'}", commands, self._said)

    def _node(self) -> t.Iterator[Cause]:
        """What keeps the node from asking, or from keeping the answer."""
        if self._word == "never":
            message = "the node does not have it, and its pull policy is Never"
            commands = self._commands.always_pull()
            remedy = f"Bring it to the node, or set the pull policy Always{':' if commands else '.'}"
            yield Cause("pull_policy_never", message, remedy, commands, self._said)
        if self._word not in _NODE_CAUSES:
            return
        host = self._reference.registry if self._reference else "the registry"
        cause, message, remedy = (text.replace("{host}", host) for text in _NODE_CAUSES[self._word])
        commands = []
        if cause in _MISNAMED and host != self._view.registry and self._reference:
            remedy = f"{remedy} If {self._view.registry} is meant:"
            commands = self._commands.set_image(str(replace(self._reference, registry=self._view.registry)))
        elif cause in _MISNAMED and self._there is not None:
            message = f"{message}, though it answers from here"
        yield Cause(cause, message, remedy, commands, self._said)

    def _access(self, reference: Reference) -> t.Iterator[Cause]:
        """Whether the pod's accounts may read it."""
        ours = reference.registry == self._view.registry
        # Who was told that it is not there had been let in; and another registry may be open to everybody.
        if self._word in ("absent", "platform", "disk") or not (ours or self._word in ("unauthorized", "denied")):
            return
        entries = self._view.entries(self._failure)
        told = {str(each.get("error_class")) for each in self._results} & {"denied", "unauthorized"}
        if self._failure["secrets"]:
            told = told or {self._word}
        account = (
            f"the account of the entry {', '.join(f'{entry.key} of the secret {name}' for name, entry in entries)}"
        )
        if any("images" in each for each in self._results):
            pass
        elif not entries:
            yield from self._secrets(reference)
        elif "denied" in told:
            message = f"the registry knows {account}, but does not let it read {reference.repository} (403)"
            remedy = "Let the account read there (in Zot: accessControl), or put another one into the secret."
            yield Cause("read_denied", message, remedy, (), self._said or _ASKED)
        elif "unauthorized" in told:
            message = f"the registry does not accept {account} (401)"
            commands = [*self._commands.repair_secret(reference.registry, entries[0][0]), *self._commands.again()]
            yield Cause("credentials_refused", message, _REPAIR, commands, self._said or _ASKED)
        if not self._failure["secrets"]:
            yield self._unnamed()

    def _secrets(self, reference: Reference) -> t.Iterator[Cause]:
        """Why kubelet finds no account."""
        names, view = self._view.names(self._failure), self._view
        problems = {name: cause for name in names for cause in [self._problem(reference, name)] if cause}
        missing = [cause for cause in problems.values() if cause.cause == "secret_missing"]
        # Not every secret is for this registry: of the others only the one that should be.
        meant = problems.get(view.secret) or next(iter(problems.values()), None)
        yield from missing or ([meant] if meant else [])

    def _unnamed(self) -> Cause:
        account, secret = self._failure["service_account"], self._view.secret
        again = self._commands.again()
        if secret in secret_names((self._view.accounts or {}).get(account, {})):
            message = f"the pod was made before its service account {account} named {secret}"
            remedy, commands = "Make the pod anew", again
        else:
            message = f"neither the pod nor its service account {account} names a pull secret"
            remedy = f"Let serviceaccount/{account} name {secret}, and make the pod anew"
            commands = [*self._commands.name_secret(account, secret), *again]
        return Cause("secret_not_named", message, f"{remedy}{':' if commands else '.'}", commands, self._said)

    def _problem(self, reference: Reference, name: str) -> Cause | None:
        """What is wrong with one secret."""
        found = self._view.secrets.get(name)
        if found is None:
            message = f"the registry wants an account, and the secret {name} could not be read from here"
            remedy = "Grant the right to get it (the README of the role lists the least that it needs), and look again."
            return Cause("unknown", message, remedy, (), self._said)
        commands = [*self._commands.repair_secret(reference.registry, name), *self._commands.again()]
        if not found:
            message = f"there is no secret {name} in namespace {self._view.namespace}"
            return Cause("secret_missing", message, _REPAIR, commands, self._said)
        secret = PullSecret.read(found[0])
        keys = ", ".join(entry.key or "a key that kubelet ignores" for entry in secret.entries) or "nothing"
        if secret.type not in FIELDS:
            cause, message = (
                "secret_type",
                f"the secret {name} is of type {secret.type}, at which kubelet does not look",
            )
        elif secret.problems:
            cause, message = "secret_unreadable", f"kubelet cannot read the secret {name}: {secret.problems[0]}"
        elif secret.for_image(reference.name):
            cause, message = (
                "secret_without_entry",
                f"the entry {keys} of the secret {name} lacks user name or password",
            )
        else:
            cause, message = (
                "secret_without_entry",
                f"the secret {name} has no entry for {reference.name}, but for {keys}",
            )
        return Cause(cause, message, _REPAIR, commands, self._said)

    def _content(self, reference: Reference) -> t.Iterator[Cause]:
        """Whether it is there, and for the node."""
        there = self._there
        if there is None and self._word == "absent":
            message = f"{reference.registry} says that it has no {self._image}: repository, tag or digest is wrong"
            yield Cause("tag_missing", message, f"{_PUBLISH}, or correct the image.", (), self._said)
        elif there is not None and not there["exists"]:
            yield self._absent(reference)
        elif there is None or self._node_platform() is None:
            if self._word == "platform":
                yield self._mismatch("platform_missing", "the index has no image for the node's platform")
        elif there["manifests"] and not self._fits(there):
            listed = ", ".join(there["platforms"])
            message = f"the index has no image for {self._node_platform()}, but for {listed}"
            yield self._mismatch("platform_missing", message)

    def _absent(self, reference: Reference) -> Cause:
        tags = self._answers.tags(reference, self._results)
        if tags is None:
            names = near(reference.repository, self._answers.catalog)
            others = [self._image.replace(reference.repository, name, 1) for name in names]
            cause, message = "repository_missing", f"there is no repository {reference.repository}"
        else:
            found = self._answers.near(reference, self._results)
            looked = {each: self._answers.looked.get(str(each)) for each in found}
            names = [str(each.tag) for each in found]
            others = [str(each) for each in found if self._fits(looked[each])]
            cause, message = "tag_missing", f"{reference.repository} has no tag {reference.tag}"
            if reference.digest:
                digests = [(looked[each] or {}).get("digest") or "" for each in found]
                names = [f"{name} ({digest[:19]})" if digest else name for name, digest in zip(names, digests)]
                cause, message = "digest_missing", f"{reference.repository} no longer holds {reference.digest[:19]}"
        if names:
            message += f"; nearest to it: {', '.join(names)}"
        else:
            message += ", and nothing like it"
        commands = self._commands.set_image(others[0]) if others else []
        remedy = f"{_PUBLISH}, or take what is there:" if commands else f"{_PUBLISH}."
        return Cause(cause, message, remedy, commands, self._said or _ASKED)

    def _architecture(self) -> t.Iterator[Cause]:
        """Whether a container ends at once because its image is for another architecture."""
        there = self._there
        if "exec format error" in self._said:
            yield self._mismatch("architecture_wrong", "its program is for another architecture than the node")
        elif there is not None and there["exists"] and not self._fits(there):
            platforms = ", ".join(there["platforms"])
            message = f"it is for {platforms} and the node for {self._node_platform()}: it is pulled, and cannot run"
            yield self._mismatch("architecture_wrong", message)

    def _node_platform(self) -> str | None:
        return (self._view.platforms or {}).get(self._failure["node"] or "")

    def _fits(self, image: Object | None) -> bool:
        """Whether it is for the node, as far as both are known."""
        node = self._node_platform()
        return (
            image is None
            or node is None
            or any(f"{platform}/".startswith(f"{node}/") for platform in image["platforms"])
        )

    def _mismatch(self, cause: str, message: str) -> Cause:
        nodes = set((self._view.platforms or {}).values())
        fitting = [each for each in (self._there["platforms"] if self._there else ()) if each in nodes]
        commands = self._commands.only_on(fitting[0].partition("/")[2]) if fitting else []
        remedy = "Publish it for every architecture of the nodes, joined in an index (killinit.zot.publish)"
        other = ", or let it run where it can:" if commands else "."
        return Cause(cause, message, f"{remedy}{other}", commands, self._said)

    def _nothing_wrong(self) -> Cause:
        read = any("images" in each for each in self._results)
        if self._there is None or not (
            read or self._word in ("absent", "platform") or self._failure["state"] == "waiting"
        ):
            message = "the reason is not one that is known here" if self._said else "nobody says why"
            return Cause("unknown", message, "Look at its events: kubectl describe pod.", (), self._said)
        if self._failure["state"] == "waiting":
            message = "the registry has it, and kubelet has not finished its first pull yet"
            remedy = "Wait; if it takes too long, look at the node's connection to the registry, and at its disk."
            return Cause("pulling", message, remedy, (), f"{self._there['size'] / 1e6:.1f} MB are to be pulled")
        tries = [each["next_try"] for each in self._failures if each["next_try"] is not None]
        when = f"in about {max(tries)} s" if tries else "within 5 minutes"
        commands = self._commands.again()
        remedy = f"Wait, kubelet tries again {when}{'; or make the pod anew:' if commands else '.'}"
        message = "the pull works now, and only waits for kubelet's next try"
        return Cause("works_now", message, remedy, commands, self._said)
