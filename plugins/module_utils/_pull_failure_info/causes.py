# Copyright (c) 2026, killinit.zot contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the causes of a failed pull: compare the messages of kubelet with the registry and the pull secrets.

Private to killinit.zot: it may change at any time.
"""

from __future__ import annotations

import difflib
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.killinit.zot.plugins.module_utils._cluster.objects import is_name
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_events import PullFailure, kubelet_error
from ansible_collections.killinit.zot.plugins.module_utils._cluster.pull_secrets import FIELDS, REPLACEABLE
from ansible_collections.killinit.zot.plugins.module_utils._oci.image import Image
from ansible_collections.killinit.zot.plugins.module_utils._oci.reference import InvalidReferenceError, Reference
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.evidence import (
    FailingPods,
    RegistryAnswers,
    RepositoryAnswer,
    failed_image,
)
from ansible_collections.killinit.zot.plugins.module_utils._pull_failure_info.remedies import (
    MISNAMED,
    Commands,
    node_cause,
)

_FROM_REGISTRY = "the registry's answer to the host that runs this module"
_FROM_CLUSTER = "the pod, its service account and its pull secrets"
_REPAIR = (
    "Write zot_pull_secret_username and zot_pull_secret_password of a user who may read the repository into the file"
    " pull-secret.yml, and repair the pull secret"
)
_ALLOW = "Allow the user to read the repository (in Zot: accessControl)"
_PUBLISH = "Publish the image (killinit.zot.publish)"

# Temporary causes, which need no change.
PASSING = ("rate_limited", "pulling", "works_now")
# Causes whose remedy already describes what happens to the pods.
_COMPLETE = ("reference_malformed", "pull_policy_never", "architecture_wrong", "unknown", *PASSING)
# The errors of a registry that does not accept the credentials.
_REFUSED = {"unauthorized", "denied"}


@dataclass(frozen=True)
class Cause:
    """One cause, with a sentence about it, the remedy, its commands, and the evidence."""

    cause: str
    message: str
    remedy: str
    commands: t.Sequence[str] = ()
    evidence: str = ""


def find_causes(failing: FailingPods, answers: RegistryAnswers, failures: t.Sequence[PullFailure]) -> list[Cause]:
    """The causes for one image in pods that are alike, in the order in which they have to be fixed."""
    return _Diagnosis(failing, answers, failures).causes()


class _Diagnosis:
    def __init__(self, failing: FailingPods, answers: RegistryAnswers, failures: t.Sequence[PullFailure]) -> None:
        self._failing, self._registry, self._failures = failing, answers, failures
        self._failure = failures[0]
        self._message = self._failure.message
        self._error = kubelet_error(self._message, self._failure.image)
        self._commands = Commands(failing.namespace, failures, failing.connection)
        # The image with the name that kubelet uses, and with that of the registry's answers.
        self._reference = failed_image(self._failure)
        self._known = failing.in_registry(self._failure) or self._reference
        # The answers of the registry to the credentials of the pod, and to a request without credentials.
        self._as_pod: list[RepositoryAnswer] = []
        self._anonymous: list[RepositoryAnswer] = []
        self._is_ours = failing.in_registry(self._failure) is not None
        if self._reference and self._is_ours:
            self._as_pod = answers.of_pod(self._reference, failing.pull_secrets(self._failure))
            self._anonymous = answers.of_pod(self._reference, [""])
        self._answers = [*self._as_pod, *self._anonymous]
        self._image = answers.image(self._known, self._answers) if self._known else None
        # kubelet sees only the status 429, which also means a quota in Zot.
        if self._error == "rate" and "quota_exceeded" in _errors(self._answers):
            self._error = "quota"

    def causes(self) -> list[Cause]:
        reference = self._reference
        if self._failure.state == "crashed":
            causes = list(self._architecture())
        elif self._error == "malformed":
            causes = [self._malformed()]
        else:
            causes = list(self._node())
            if reference:
                causes += [*self._access(reference), *self._content(reference)]
            causes = causes or [self._no_cause()]
        causes = self._with_new_pods(causes)
        if causes and self._commands.invalid:
            names = ", ".join(repr(name) for name in self._commands.invalid)
            text = f"No command is shown for {names}: Kubernetes does not allow such a name"
            causes[-1] = replace(causes[-1], remedy=f"{causes[-1].remedy}. {text}")
        return [replace(each, remedy=f"{each.remedy}{':' if each.commands else '.'}") for each in causes]

    def _with_new_pods(self, causes: list[Cause]) -> list[Cause]:
        """Add when kubelet pulls again after the last cause is fixed, unless a command already recreates the pods."""
        if not causes or causes[-1].cause in _COMPLETE or self._commands.recreates_pods(causes[-1].commands):
            return causes
        *earlier, last = causes
        changed = any(self._commands.recreates_pods(each.commands) for each in earlier)
        commands = self._commands.recreate_pods(changed=changed)
        if any(each.cause == "secret_not_named" for each in causes):
            then = ". Then recreate the pod"
        else:
            then = f". kubelet pulls again within 5 minutes{', in a new pod at once' if commands else ''}"
        return [*earlier, replace(last, remedy=f"{last.remedy}{then}", commands=[*last.commands, *commands])]

    def _malformed(self) -> Cause:
        image = self._failure.image
        message = f"{image!r} is not a valid image reference"
        remedy = "Write the image as registry/repository:tag, the repository in lower case"
        address = re.sub("^https?://", "", image, flags=re.IGNORECASE)
        if address != image:
            remedy = f"{remedy}, without {image.removesuffix(address)}"
        name, colon, tag = address.rpartition(":")
        try:
            commands = self._commands.set_image(Reference.parse(f"{name.lower()}{colon}{tag}"))
        except InvalidReferenceError:
            commands = []
        return Cause("reference_malformed", message, remedy, commands, self._message)

    def _node(self) -> t.Iterator[Cause]:
        """Causes on the node: it cannot reach the registry, or cannot store the image."""
        if self._error == "never":
            message = "the node does not have the image, and the pull policy is Never"
            remedy = "Set the pull policy to Always, or load the image on the node"
            yield Cause("pull_policy_never", message, remedy, self._commands.always_pull(), self._message)
        found = node_cause(self._error, self._reference.registry if self._reference else "the registry")
        if found is None:
            return
        cause, message, remedy = found
        commands: list[str] = []
        if cause in MISNAMED and not self._is_ours and self._reference:
            commands = self._commands.set_image(replace(self._reference, registry=self._failing.registry))
            remedy = f"{remedy}. If the image is in {self._failing.registry}" if commands else remedy
        elif cause in MISNAMED and self._image is not None:
            message = f"{message}; the registry answers the host that runs this module"
        yield Cause(cause, message, remedy, commands, self._message)

    def _access(self, reference: Reference) -> t.Iterator[Cause]:
        """Causes in the credentials: none of those of the pod may read the image."""
        # The answer "not found" means that the request was authorised. Another registry may allow anonymous pulls.
        if self._error in ("absent", "platform", "disk") or not (self._is_ours or self._error in _REFUSED):
            return
        named, entries = self._failure.secrets, self._failing.entries(self._failure)
        if not (named and entries) and _may_read(self._anonymous):
            return
        required = not self._anonymous or {self._error, *_errors(self._anonymous)} & _REFUSED
        if not (named or required):
            return
        errors = _errors(self._as_pod) & _REFUSED or ({self._error} if named else set())
        if not entries:
            yield from self._secrets(reference)
        elif not _may_read(self._as_pod) and errors & _REFUSED:
            keys = ", ".join(f"{entry.key} of the secret {name}" for name, entry in entries)
            repair, commands = self._repair(reference, entries[0][0])
            cause, message, remedy = self._failing.refusal(entries, repair)
            if "denied" in errors:
                cause, remedy = "read_denied", f"{_ALLOW}. Or {repair[0].lower()}{repair[1:]}"
                message = f"the user in the entry {keys} may not read {reference.repository} (403)"
            yield Cause(cause, message, remedy, commands, self._message or _FROM_REGISTRY)
        if not named:
            yield self._not_named(reference)

    def _secrets(self, reference: Reference) -> t.Iterator[Cause]:
        """The causes why kubelet finds no credentials."""
        names = self._failing.pull_secrets(self._failure)
        found = [(name, cause) for name in names for cause in [self._secret_problem(reference, name)] if cause]
        # A pod may also have pull secrets for other registries. Only two kinds of secrets are certain causes: secrets
        # that kubelet cannot use at all, and the secret that should be for this registry.
        certain = [
            cause
            for name, cause in found
            if (self._is_ours and name == self._failing.pull_secret)
            or cause.cause in ("secret_missing", "secret_unreadable")
        ]
        yield from certain or [cause for _name, cause in found[:1]]

    def _repair(self, reference: Reference, name: str) -> tuple[str, list[str]]:
        """The remedy and the commands to repair a pull secret. There are no commands for another registry."""
        if self._is_ours:
            return _REPAIR, self._commands.repair_secret(self._failing.registry, name, reference.registry)
        return f"Put credentials for {reference.registry} that may read the repository into the secret {name}", []

    def _not_named(self, reference: Reference) -> Cause:
        account, names = self._failure.service_account, self._failing.of_service_account(self._failure)
        evidence = self._message or _FROM_CLUSTER
        if names:
            message = f"the pod is older than the pull secret {', '.join(names)} in its service account {account}"
            remedy = "Only new pods get the pull secrets of their service account"
            return Cause("secret_not_named", message, remedy, (), evidence)
        message = f"neither the pod nor its service account {account} names a pull secret"
        secret, commands = f"a pull secret with credentials for {reference.registry}", []
        if self._is_ours:
            secret = f"the pull secret {self._failing.pull_secret}"
            commands = self._commands.name_secret(account, self._failing.pull_secret)
        return Cause("secret_not_named", message, f"Add {secret} to the service account {account}", commands, evidence)

    def _secret_problem(self, reference: Reference, name: str) -> Cause | None:
        """The cause why kubelet cannot use a pull secret for the image; None if it can."""
        usual, evidence = self._failing.pull_secret, self._message or _FROM_CLUSTER
        if not is_name(name):
            message = f"the pod names the pull secret {name!r}, but Kubernetes does not allow such a name"
            remedy = f"Name the pull secret {usual} in {self._failure.resource}"
            return Cause("secret_missing", message, remedy, self._commands.pull_with(usual), evidence)
        if name in self._failing.unreadable_secrets:
            message = f"the registry requires credentials, and the user of the kubeconfig may not get the secret {name}"
            remedy = "Grant the permission (see the README of the role zot_diagnose), and run the diagnosis again"
            return Cause("unknown", message, remedy, (), self._message)
        remedy, commands = self._repair(reference, name)
        secret = self._failing.secrets.get(name)
        if secret is None:
            message = f"the secret {name} does not exist in namespace {self._failing.namespace}"
            return Cause("secret_missing", message, remedy, commands, evidence)
        fitting = secret.for_image(reference.name)
        keys = ", ".join(entry.key or "a key that kubelet ignores" for entry in secret.entries)
        if secret.type not in FIELDS:
            cause, message = "secret_type", f"kubelet ignores the secret {name}, because its type is {secret.type}"
            if secret.type not in REPLACEABLE:
                remedy = f"Name a pull secret with credentials for {reference.registry} in {self._failure.resource}"
                has_other = self._is_ours and name != usual
                commands = self._commands.pull_with(usual) if has_other else []
        elif secret.problems:
            cause = "secret_unreadable"
            message = f"kubelet cannot read the secret {name}: {'; '.join(secret.problems)}"
            # A repair needs credentials for the registry of the image, and removes entries that kubelet cannot read.
            others = [key for key in secret.unreadable_keys if key.partition("/")[0] != reference.registry]
            if others:
                remedy, commands = f"Correct or remove the entry {', '.join(others)} of the secret {name}", []
        elif any(entry.is_complete for entry in fitting):
            return None
        elif fitting:
            cause = "secret_without_entry"
            message = f"the entry {keys} of the secret {name} has no user name or no password"
        else:
            cause = "secret_without_entry"
            available = f"its entries are for {keys}" if keys else "it has no entries"
            message = f"the secret {name} has no entry for {reference.name}; {available}"
        return Cause(cause, message, remedy, commands, evidence)

    def _content(self, reference: Reference) -> t.Iterator[Cause]:
        """Causes in the registry: the image does not exist, or lacks the platform of the node."""
        image, node = self._image, self._node_platform()
        if image is None and self._error == "absent":
            message = f"{reference.registry} does not have this image: repository, tag or digest is wrong"
            yield Cause("tag_missing", message, f"{_PUBLISH}, or correct the image", (), self._message)
        elif image is not None and image.manifest is None:
            yield self._missing(reference)
        elif image is None or node is None:
            if self._error == "platform":
                yield self._mismatch("platform_missing", "the index has no image for the platform of the node")
        elif image.manifest and image.manifest.is_index and not self._fits(image):
            message = f"the index has no image for {node}; it has {', '.join(image.platforms) or 'no platform'}"
            yield self._mismatch("platform_missing", message)

    def _missing(self, named: Reference) -> Cause:
        reference = self._known or named
        if self._registry.tags(reference, self._answers) is None:
            found = self._registry.nearest_repositories(reference, self._answers)
            names = [each.repository for each in found]
            # Suggest only what was probably meant: any other repository has another program, a tag another release.
            alike = difflib.get_close_matches(reference.repository, names)
            usable = [each for each in found if each.repository in alike]
            cause, message = "repository_missing", f"the repository {reference.repository} does not exist"
        else:
            others = self._registry.nearest_tags(reference, self._answers)
            names = [str(each.tag) for each in others]
            usable = [each for each in others if each.tag in difflib.get_close_matches(str(reference.tag), names)]
            cause, message = "tag_missing", f"{reference.repository} has no tag {reference.tag}"
            if reference.digest:
                names = [
                    f"{each.tag} ({image.digest[:19]})" if image and image.digest else str(each.tag)
                    for each in others
                    for image in [self._registry.candidates.get(each)]
                ]
                usable = [each for each in others if each.tag == reference.tag]
                cause, message = "digest_missing", f"{reference.repository} no longer has {reference.digest[:19]}"
        message += f"; the nearest are: {', '.join(names)}" if names else "; there is nothing similar"
        fitting = [each for each in usable if self._fits(self._registry.candidates.get(each))]
        commands = self._commands.set_image(replace(fitting[0], registry=named.registry)) if fitting else []
        remedy = f"{_PUBLISH}, or use an image that exists" if commands else _PUBLISH
        return Cause(cause, message, remedy, commands, self._message or _FROM_REGISTRY)

    def _architecture(self) -> t.Iterator[Cause]:
        """The cause of a container that ends because its image is for another architecture."""
        image = self._image
        if "exec format error" in self._message:
            message = "the program in the image is for another architecture than the node"
            yield self._mismatch("architecture_wrong", message)
        elif image is not None and image.manifest and not self._fits(image):
            platforms = ", ".join(image.platforms)
            message = f"the image is for {platforms}, the node is {self._node_platform()}: it is pulled but cannot run"
            yield self._mismatch("architecture_wrong", message)

    def _node_platform(self) -> str | None:
        return (self._failing.platforms or {}).get(self._failure.node)

    def _fits(self, image: Image | None) -> bool:
        """Whether the image exists, and has the platform of the node. Any platform will do if that is not known."""
        node = self._node_platform()
        if image is None or image.manifest is None:
            return False
        return node is None or any(f"{platform}/".startswith(f"{node}/") for platform in image.platforms)

    def _mismatch(self, cause: str, message: str) -> Cause:
        nodes = set((self._failing.platforms or {}).values())
        fitting = [each for each in (self._image.platforms if self._image else ()) if each in nodes]
        commands = self._commands.only_on(fitting[0].partition("/")[2]) if fitting else []
        remedy = "Publish the image for every architecture of the nodes, as an index (killinit.zot.publish)"
        other = ", or run the pod only on nodes that can run it" if commands else ""
        return Cause(cause, message, f"{remedy}{other}", commands, self._message)

    def _no_cause(self) -> Cause:
        image = self._image
        if self._failure.state == "waiting":
            message = "kubelet has not finished its first pull yet"
            remedy = "Wait. If the pull takes too long, check the node's connection to the registry, and its disk"
            if image is None:
                return Cause("pulling", message, remedy)
            size = f"the image has {image.size / 1e6:.1f} MB" if image.size else ""
            return Cause("pulling", f"the image exists, and {message}", remedy, (), size)
        if image is None or not (_may_read(self._answers) or self._error in ("absent", "platform")):
            message = "the error is not known to this module" if self._message else "kubelet gives no reason"
            commands = self._commands.describe_pod()
            return Cause("unknown", message, "Check the events of the pod", commands, self._message)
        tries = [each.next_try for each in self._failures if each.next_try is not None]
        when = f"in about {max(tries)} s" if tries else "within 5 minutes"
        commands = self._commands.recreate_pods()
        remedy = f"Wait: kubelet pulls again {when}{'. Or recreate the pod' if commands else ''}"
        message = "the image can be pulled now; kubelet waits before its next try"
        return Cause("works_now", message, remedy, commands, self._message)


def _may_read(answers: t.Iterable[RepositoryAnswer]) -> bool:
    return any(not each.error for each in answers)


def _errors(answers: t.Iterable[RepositoryAnswer]) -> set[str]:
    return {each.error.error_class for each in answers if each.error}
