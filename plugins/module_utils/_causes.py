# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say why an image cannot be pulled, and what to do: hold what kubelet says against what registry and secrets say.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.commands import Commands
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import word
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import FIELDS, PullSecret
from ansible_collections.killinit.zot.plugins.module_utils._evidence import Answers, Failure, Object, View, parsed
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference

_ASKED = "the registry's answer to the same question, asked from here"
_HELD = "what the cluster holds, read from here"
_REPAIR = "Let the role zot_pull_secret put it right, with an account that may read in ZOT_USERNAME and ZOT_PASSWORD"
_PUBLISH = "Publish it (killinit.zot.publish)"
# By kubelet's word: the cause, in words, and what to do about it.
_NODE_CAUSES: t.Mapping[str, tuple[str, str, str]] = {
    "host": (
        "host_unknown",
        "the node cannot resolve the name {host}",
        "Correct the registry's name in the image, or the name service of the node",
    ),
    "refused": (
        "connection_refused",
        "nothing accepts the node's connections to {host}",
        "See that the registry runs, that its port stands in the image, and that no firewall is between",
    ),
    "timeout": (
        "timed_out",
        "{host} does not answer the node in time",
        "See that the registry runs, and that no firewall or proxy is between it and the node",
    ),
    "plain_http": (
        "plain_http",
        "{host} does not speak TLS, which the node expects",
        "Give the registry TLS, or let the nodes' container runtime use plain HTTP for it (containerd: hosts.toml)",
    ),
    "tls": (
        "certificate_not_trusted",
        "the node does not trust the certificate of {host}, or it is for another name",
        (
            "Give the nodes' container runtime the registry's CA (containerd: ca in certs.d/{host}/hosts.toml), or give"
            " the registry a certificate for this name"
        ),
    ),
    "rate": (
        "rate_limited",
        "{host} limits the rate of requests",
        "Wait, kubelet tries again; or start fewer pods at once, or raise the registry's limit",
    ),
    "quota": (
        "quota_exceeded",
        "a quota of {host} is used up",
        "Free space in the registry, or raise its quota",
    ),
    "broken": (
        "registry_failing",
        "{host} answers with an error of its own",
        "Look at the registry's log",
    ),
    "disk": (
        "disk_full",
        "the disk of the node is full",
        "Free space on it (crictl rmi --prune removes images that nothing uses), or let the pod run elsewhere",
    ),
}


# Those for which a wrong registry in the image may be to blame.
_MISNAMED = ("host_unknown", "connection_refused", "timed_out", "plain_http", "certificate_not_trusted")
_NOT_LET_IN = {"unauthorized", "denied"}
# Those of which the remedy says all that is to be done for the pods.
_COMPLETE = (
    "reference_malformed",
    "pull_policy_never",
    "architecture_wrong",
    "rate_limited",
    "pulling",
    "works_now",
    "unknown",
)


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
        # What the registry told the pod's accounts, and whoever has none.
        self._results: list[Object] = []
        self._nobody: list[Object] = []
        if self._reference and view.ours(self._failure):
            self._results = answers.of_pod(self._reference, view.names(self._failure))
            self._nobody = answers.of_pod(self._reference, [""])
        self._told = [*self._results, *self._nobody]
        self._there = answers.image(self._reference, self._told) if self._reference else None
        # Kubelet hears only the number 429.
        if self._word == "rate" and "quota_exceeded" in _errors(self._told):
            self._word = "quota"

    def causes(self) -> list[Cause]:
        reference = self._reference
        if self._failure["state"] == "crashed":
            causes = list(self._architecture())
        elif self._word == "malformed":
            causes = [self._malformed()]
        else:
            causes = list(self._node())
            if reference:
                causes += [*self._access(reference), *self._content(reference)]
            causes = causes or [self._nothing_wrong()]
        return [
            replace(each, remedy=f"{each.remedy}{':' if each.commands else '.'}") for each in self._to_the_end(causes)
        ]

    def _to_the_end(self, causes: list[Cause]) -> list[Cause]:
        """With what becomes of the pods once all is mended, where no command has made new ones by then."""
        if not causes or causes[-1].cause in _COMPLETE or self._commands.make_pods(causes[-1].commands):
            return causes
        *earlier, last = causes
        commands = self._commands.again(changed=any(self._commands.make_pods(each.commands) for each in earlier))
        if any(each.cause == "secret_not_named" for each in causes):
            then = "; make the pod anew"
        else:
            then = f". Kubelet pulls again by itself within 5 minutes{', and at once in a new pod' if commands else ''}"
        return [*earlier, replace(last, remedy=f"{last.remedy}{then}", commands=[*last.commands, *commands])]

    def _malformed(self) -> Cause:
        message = f"{self._image!r} is no image reference"
        remedy = "Write it as registry/repository:tag, in lower case but for the tag"
        name, colon, tag = self._image.rpartition(":")
        try:
            commands = self._commands.set_image(str(Reference.parse(f"{name.lower()}{colon}{tag}")))
        except InvalidReferenceError:
            commands = []
        return Cause("reference_malformed", message, remedy, commands, self._said)

    def _node(self) -> t.Iterator[Cause]:
        """What keeps the node from asking, or from keeping the answer."""
        if self._word == "never":
            message = "the node does not have it, and its pull policy is Never"
            remedy = "Bring it to the node, or set the pull policy Always"
            yield Cause("pull_policy_never", message, remedy, self._commands.always_pull(), self._said)
        if self._word not in _NODE_CAUSES:
            return
        host = self._reference.registry if self._reference else "the registry"
        cause, message, remedy = (text.replace("{host}", host) for text in _NODE_CAUSES[self._word])
        commands: list[str] = []
        if cause in _MISNAMED and host != self._view.registry and self._reference:
            commands = self._commands.set_image(str(replace(self._reference, registry=self._view.registry)))
            remedy = f"{remedy}. If {self._view.registry} is meant" if commands else remedy
        elif cause in _MISNAMED and self._there is not None:
            message = f"{message}, though it answers from here"
        yield Cause(cause, message, remedy, commands, self._said)

    def _access(self, reference: Reference) -> t.Iterator[Cause]:
        """Whether the pod's accounts may read it."""
        ours = reference.registry == self._view.registry
        # Who was told that it is not there had been let in; and another registry may be open to everybody.
        if self._word in ("absent", "platform", "disk") or not (ours or self._word in _NOT_LET_IN):
            return
        named, entries = self._failure["secrets"], self._view.entries(self._failure)
        if not (named and entries) and _let_in(self._nobody):
            return
        wanted = not self._nobody or {self._word, *_errors(self._nobody)} & _NOT_LET_IN
        if not (named or wanted):
            return
        told = _errors(self._results) & _NOT_LET_IN or ({self._word} if named else set())
        account = (
            f"the account of the entry {', '.join(f'{entry.key} of the secret {name}' for name, entry in entries)}"
        )
        if not entries:
            yield from self._secrets(reference)
        elif not _let_in(self._results) and told & _NOT_LET_IN:
            remedy, commands = self._repair(reference, entries[0][0])
            cause, message = "credentials_refused", f"the registry does not accept {account} (401)"
            if "denied" in told:
                cause = "read_denied"
                message = f"the registry knows {account}, but does not let it read {reference.repository} (403)"
                remedy = f"Let the account read there (in Zot: accessControl). Or {remedy[0].lower()}{remedy[1:]}"
            yield Cause(cause, message, remedy, commands, self._said or _ASKED)
        if not named:
            yield self._unnamed(reference)

    def _secrets(self, reference: Reference) -> t.Iterator[Cause]:
        """Why kubelet finds no account."""
        names, ours = self._view.names(self._failure), reference.registry == self._view.registry
        found = [(name, cause) for name in names for cause in [self._problem(reference, name)] if cause]
        # Not every secret is for this registry: those count without which kubelet has less than the pod names, and the
        # one that should be for it.
        certain = [
            cause
            for name, cause in found
            if (ours and name == self._view.secret) or cause.cause in ("secret_missing", "secret_unreadable")
        ]
        yield from certain or [cause for _name, cause in found[:1]]

    def _repair(self, reference: Reference, name: str) -> tuple[str, list[str]]:
        """What puts a secret right, and the command for it; the account of the one registry is not for another."""
        if reference.registry == self._view.registry:
            return _REPAIR, self._commands.repair_secret(reference.registry, name)
        return f"Put an account of {reference.registry} that may read there into the secret {name}", []

    def _unnamed(self, reference: Reference) -> Cause:
        account, names = self._failure["service_account"], self._view.of_account(self._failure)
        if names:
            message = f"the pod was made before its service account {account} named {', '.join(names)}"
            return Cause("secret_not_named", message, "Only a new pod gets it", (), self._said or _HELD)
        message = f"neither the pod nor its service account {account} names a pull secret"
        secret, commands = f"a pull secret with an account of {reference.registry}", []
        if reference.registry == self._view.registry:
            secret = self._view.secret
            commands = self._commands.name_secret(account, secret)
        remedy = f"Let serviceaccount/{account} name {secret}"
        return Cause("secret_not_named", message, remedy, commands, self._said or _HELD)

    def _problem(self, reference: Reference, name: str) -> Cause | None:
        """What is wrong with one secret."""
        if name not in self._view.secrets:
            message = f"the pod names the pull secret {name!r}, and none can be called so"
            remedy = f"Let {self._failure['subject']} name {self._view.secret}"
            return Cause(
                "secret_missing", message, remedy, self._commands.pull_with(self._view.secret), self._said or _HELD
            )
        found = self._view.secrets[name]
        if found is None:
            message = f"the registry wants an account, and the secret {name} could not be read from here"
            remedy = "Grant the right to get it (the README of the role lists the least that it needs), and look again"
            return Cause("unknown", message, remedy, (), self._said)
        remedy, commands = self._repair(reference, name)
        if not found:
            message = f"there is no secret {name} in namespace {self._view.namespace}"
            return Cause("secret_missing", message, remedy, commands, self._said or _HELD)
        secret = PullSecret.read(found[0])
        fitting = secret.for_image(reference.name)
        keys = ", ".join(entry.key or "a key that kubelet ignores" for entry in secret.entries) or "nothing"
        if secret.type not in FIELDS:
            cause, message = (
                "secret_type",
                f"the secret {name} is of type {secret.type}, at which kubelet does not look",
            )
        elif secret.problems:
            cause, message = "secret_unreadable", f"kubelet cannot read the secret {name}: {secret.problems[0]}"
        elif any(entry.is_complete for entry in fitting):
            return None
        elif fitting:
            cause, message = (
                "secret_without_entry",
                f"the entry {keys} of the secret {name} lacks user name or password",
            )
        else:
            cause, message = (
                "secret_without_entry",
                f"the secret {name} has no entry for {reference.name}, but for {keys}",
            )
        return Cause(cause, message, remedy, commands, self._said or _HELD)

    def _content(self, reference: Reference) -> t.Iterator[Cause]:
        """Whether it is there, and for the node."""
        there = self._there
        if there is None and self._word == "absent":
            message = f"{reference.registry} says that it has no {self._image}: repository, tag or digest is wrong"
            yield Cause("tag_missing", message, f"{_PUBLISH}, or correct the image", (), self._said)
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
        looked = self._answers.looked
        tags = self._answers.tags(reference, self._told)
        if tags is None:
            found = self._answers.elsewhere(reference, self._told)
            names = [each.repository for each in found]
            # Another one that is not almost so named holds another program.
            alike = difflib.get_close_matches(reference.repository, names)
            others = [each for each in found if each.repository in alike and looked.get(str(each), {}).get("exists")]
            cause, message = "repository_missing", f"there is no repository {reference.repository}"
        else:
            others = self._answers.near(reference, self._told)
            names = [str(each.tag) for each in others]
            cause, message = "tag_missing", f"{reference.repository} has no tag {reference.tag}"
            if reference.digest:
                digests = [looked.get(str(each), {}).get("digest") or "" for each in others]
                names = [f"{name} ({digest[:19]})" if digest else name for name, digest in zip(names, digests)]
                cause, message = "digest_missing", f"{reference.repository} no longer holds {reference.digest[:19]}"
        message += f"; nearest to it: {', '.join(names)}" if names else ", and nothing like it"
        fitting = [str(each) for each in others if self._fits(looked.get(str(each)))]
        commands = self._commands.set_image(fitting[0]) if fitting else []
        remedy = f"{_PUBLISH}, or take what is there" if commands else _PUBLISH
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
        other = ", or let it run where it can" if commands else ""
        return Cause(cause, message, f"{remedy}{other}", commands, self._said)

    def _nothing_wrong(self) -> Cause:
        if self._failure["state"] == "waiting":
            message = "kubelet has not finished its first pull yet"
            remedy = "Wait; if it takes too long, look at the node's connection to the registry, and at its disk"
            if self._there is None:
                return Cause("pulling", message, remedy)
            size = f"{self._there['size'] / 1e6:.1f} MB are to be pulled"
            return Cause("pulling", f"the registry has it, and {message}", remedy, (), size)
        if self._there is None or not (_let_in(self._told) or self._word in ("absent", "platform")):
            message = "the reason is not one that is known here" if self._said else "nobody says why"
            return Cause("unknown", message, "Look at its events: kubectl describe pod", (), self._said)
        tries = [each["next_try"] for each in self._failures if each["next_try"] is not None]
        when = f"in about {max(tries)} s" if tries else "within 5 minutes"
        commands = self._commands.again()
        remedy = f"Wait, kubelet tries again {when}{'; or make the pod anew' if commands else ''}"
        message = "the pull works now, and only waits for kubelet's next try"
        return Cause("works_now", message, remedy, commands, self._said)


def _let_in(results: t.Iterable[Object]) -> bool:
    return any("images" in each for each in results)


def _errors(results: t.Iterable[Object]) -> set[str]:
    return {str(each.get("error_class")) for each in results}
