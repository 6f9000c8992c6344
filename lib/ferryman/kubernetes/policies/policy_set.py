"""All policies of a cluster together: what becomes of traffic, and which rules decided it.

The order is Calico's, which is also right where there are only Kubernetes' own: tiers by their order, in each
its policies by theirs, in each its rules one after the other. Traffic of a pod that a policy of a tier is
about meets the tier's default action (deny) where none of its rules matches. A pod that no policy is about is
open, as its namespace's profile ``kns.NAMESPACE`` says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ferryman.kubernetes.policies import of_admin, of_calico, of_kubernetes
from ferryman.kubernetes.policies.selector import UnreadableSelectorError
from ferryman.kubernetes.policies.shape import UnreadableManifestError
from ferryman.kubernetes.policies.values import Action, Answer, Peer, Policy, Rule, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ferryman.kubernetes.objects import Manifest, Namespace, Pod
    from ferryman.kubernetes.policies.values import Direction, Maybe, NetworkSet, Traffic

DEFAULT_TIER = Tier(of_calico.DEFAULT_TIER, 1_000_000.0)
BUILTIN_TIERS = (of_admin.ADMIN_TIER, DEFAULT_TIER, of_admin.BASELINE_TIER)
NETWORKING = "networking.k8s.io"
CALICO = ("crd.projectcalico.org", "projectcalico.org")
ADMIN = "policy.networking.k8s.io"
STAGED = "Staged"
NAME_LABELS = ("kubernetes.io/metadata.name", "projectcalico.org/name")
"""What a namespace is given with its name as the value."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of traffic on one side of it, and why: each rule that was met, in words."""

    answer: Answer
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlowDecision:
    """What becomes of traffic from one to the other: both sides have to allow it."""

    egress: Decision
    ingress: Decision

    @property
    def answer(self) -> Answer:
        """Allowed where both sides allow it, denied where one denies it."""
        answers = {self.egress.answer, self.ingress.answer}
        if Answer.DENY in answers:
            return Answer.DENY
        return Answer.UNKNOWN if Answer.UNKNOWN in answers else Answer.ALLOW

    @property
    def steps(self) -> tuple[str, ...]:
        """The walkthrough: what was met on the way out, then what was met on the way in."""
        return tuple(f"egress: {step}" for step in self.egress.steps) + tuple(
            f"ingress: {step}" for step in self.ingress.steps
        )


def group_of(manifest: Manifest) -> str:
    """The API group of a manifest, such as ``projectcalico.org``."""
    version = manifest.get("apiVersion")
    return version.rpartition("/")[0] if isinstance(version, str) else ""


def is_policy(manifest: Manifest) -> bool:
    """Whether it is of a kind that is judged: a policy, staged or not, a tier or a network set."""
    kind, group = manifest.get("kind"), group_of(manifest)
    if group == NETWORKING:
        return kind == "NetworkPolicy"
    if group == ADMIN:
        return kind in ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
    return group in CALICO and kind in (
        *("NetworkPolicy", "GlobalNetworkPolicy", "Tier", "NetworkSet", "GlobalNetworkSet"),
        *("StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy"),
    )


@dataclass(frozen=True, eq=False)
class PolicySet:
    """Policies, in the order in which they are met."""

    tiers: tuple[tuple[Tier, tuple[Policy, ...]], ...]
    sets: tuple[NetworkSet, ...] = ()
    remarks: tuple[str, ...] = ()
    """What of them is not judged: a line for each."""
    _about: dict[tuple[Peer, Direction], list[list[tuple[Policy, Maybe]]]] = field(default_factory=dict)

    @classmethod
    def of(cls, manifests: Iterable[Manifest], namespaces: Iterable[Namespace]) -> PolicySet:
        """The policies of manifests; staged ones, which change nothing, are left out.

        One that cannot be read is there all the same, as one of which nothing can be told.
        """
        namespace_labels = {each.name: labels_of(each) for each in namespaces}
        policies: list[Policy] = []
        tiers = {tier.name: tier for tier in BUILTIN_TIERS}
        sets: list[NetworkSet] = []
        remarks: list[str] = []
        for manifest in manifests:
            kind = manifest.get("kind")
            try:
                if not is_policy(manifest) or str(kind).startswith(STAGED):
                    continue
                if kind == "Tier":
                    made = of_calico.tier(manifest)
                    tiers[made.name] = made
                elif kind in ("NetworkSet", "GlobalNetworkSet"):
                    sets.append(of_calico.network_set(manifest, namespace_labels))
                else:
                    policies.append(read_policy(manifest))
            except (UnreadableManifestError, UnreadableSelectorError) as error:
                policies.append(_unreadable(manifest))
                remarks.append(f"{reference(manifest)}: cannot be read: {error}")
        return cls._in_order(policies, tiers, sets, remarks)

    @classmethod
    def _in_order(
        cls,
        policies: Sequence[Policy],
        tiers: Mapping[str, Tier],
        sets: Sequence[NetworkSet],
        remarks: list[str],
    ) -> PolicySet:
        by_tier: dict[str, list[Policy]] = {}
        for each in policies:
            policy = each
            if policy.tier not in tiers:
                remarks.append(f"{policy}: its tier {policy.tier} does not exist")
                policy = _of_unknown_reach(policy)
            by_tier.setdefault(policy.tier, []).append(policy)
        remarks += [f"{policy}: {remark}" for policy in policies for remark in policy.remarks]
        remarks += [
            f"{policy}: {rule.name}: {rule.unjudged}"
            for policy in policies
            for rule in (*(policy.ingress or ()), *(policy.egress or ()))
            if rule.unjudged
        ]
        ordered = sorted(tiers.values(), key=lambda tier: (tier.order, tier.name))
        return cls(
            tuple(
                (tier, tuple(sorted(by_tier.get(tier.name, ()), key=_place)))
                for tier in ordered
                if tier.name in by_tier
            ),
            tuple(sets),
            tuple(remarks),
        )

    def about(self, pod: Peer, direction: Direction) -> list[list[tuple[Policy, Maybe]]]:
        """The policies about a pod, by tier; None beside those of which it cannot be told."""
        key = (pod, direction)
        if key not in self._about:
            self._about[key] = [
                [
                    (policy, applies)
                    for policy in policies
                    if policy.rules(direction) is not None and (applies := policy.selects(pod)) is not False
                ]
                for _, policies in self.tiers
            ]
        return self._about[key]

    def isolating(self, pod: Peer, direction: Direction) -> list[Policy]:
        """The policies that are about a pod in one direction."""
        return [policy for tier in self.about(pod, direction) for policy, _ in tier]

    def flow(self, source: Peer, destination: Peer, traffic: Traffic) -> FlowDecision:
        """What becomes of traffic from a source to a destination."""
        return FlowDecision(
            self.side(source, "egress", destination, traffic),
            self.side(destination, "ingress", source, traffic),
        )

    def side(self, subject: Peer, direction: Direction, other: Peer, traffic: Traffic) -> Decision:
        """What policies about one side of the traffic say; they are about pods alone."""
        if subject.kind != "pod":
            return Decision(Answer.ALLOW, (f"{subject.name}: no pod, no policy of pods is about it",))
        if other.kind == "own node":
            return Decision(Answer.ALLOW, (f"{subject.name}: its own node always reaches it",))
        walk = _Walk(self, subject, direction, other, traffic)
        outcomes = walk.outcomes()
        answer = Answer.UNKNOWN if len(outcomes) > 1 else Answer(outcomes.pop().value)
        return Decision(answer, tuple(walk.steps))


def _place(policy: Policy) -> tuple[float, str, str]:
    return policy.order, policy.name, policy.namespace


@dataclass
class _Walk:
    """The way of traffic through the tiers; where a match cannot be told, both ways are taken."""

    policies: PolicySet
    subject: Peer
    direction: Direction
    other: Peer
    traffic: Traffic
    steps: list[str] = field(default_factory=list)

    def outcomes(self) -> set[Action]:
        """What may become of the traffic: to allow it, to deny it, or either."""
        found: set[Action] = set()
        about = self.policies.about(self.subject, self.direction)
        for (tier, _), policies in zip(self.policies.tiers, about, strict=True):
            if policies and not self._may_go_on(tier, policies, found):
                return found
        found.add(Action.ALLOW)
        profile = f"open by the profile kns.{self.subject.namespace}"
        self.steps.append(
            f"no further tier is about it: {profile}" if self.steps else f"no policy is about it: {profile}"
        )
        return found

    def _may_go_on(self, tier: Tier, about: list[tuple[Policy, Maybe]], found: set[Action]) -> bool:
        """Add what a tier may make of the traffic; whether the next one may meet it."""
        may_pass = False
        for policy, applies in about:
            for rule in policy.rules(self.direction) or ():
                matches = self._match(rule)
                if matches is False:
                    continue
                sure = matches is True and applies is True
                self._note(tier, policy, rule, sure=sure)
                if rule.action is Action.LOG:
                    continue
                if rule.action is Action.PASS:
                    may_pass = True
                else:
                    found.add(rule.action)
                if sure:
                    return may_pass
        if tier.default is Action.PASS:
            self.steps.append(f"tier {tier.name}: no rule decides: its end passes")
            return True
        found.add(Action.DENY)
        names = ", ".join(str(policy) for policy, _ in about)
        self.steps.append(f"tier {tier.name}: {names}: no rule allows it: the end of the tier denies")
        return may_pass or not any(applies for _, applies in about)

    def _match(self, rule: Rule) -> Maybe:
        ends = (self.other, self.subject) if self.direction == "ingress" else (self.subject, self.other)
        return rule.match(*ends, self.subject, self.traffic, self.policies.sets)

    def _note(self, tier: Tier, policy: Policy, rule: Rule, *, sure: bool) -> None:
        word = {
            Action.ALLOW: "allows",
            Action.DENY: "denies",
            Action.PASS: "passes on",
            Action.LOG: "logs",
        }[rule.action]
        doubt = (
            ""
            if sure
            else f" if it matches, which is not known ({rule.unjudged or 'see what is not judged'})"
        )
        self.steps.append(f"tier {tier.name}: {policy}: {rule.name} {word}{doubt}")


def read_policy(manifest: Manifest) -> Policy:
    """A policy of any kind; a staged one as if it were enforced.

    Raises:
        UnreadableManifestError: It is not as its kind has to be.
        UnreadableSelectorError: As above, of a selector.
    """
    group = group_of(manifest)
    if group == NETWORKING:
        return of_kubernetes.network_policy(manifest)
    if group == ADMIN:
        return of_admin.admin_policy(manifest)
    return of_calico.calico_policy(manifest)


def reference(manifest: Manifest) -> str:
    """A manifest as ``KIND NAMESPACE/NAME``; the namespace only where it has one."""
    meta = manifest.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    kind, name, namespace = manifest.get("kind"), meta.get("name"), meta.get("namespace")
    word = f"Calico {kind}" if kind == "NetworkPolicy" and group_of(manifest) in CALICO else str(kind)
    return f"{word} {namespace}/{name}" if namespace else f"{word} {name}"


def _unreadable(manifest: Manifest) -> Policy:
    """A policy of which nothing is known but what it is called."""
    meta = manifest.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    is_global = "Global" in str(manifest.get("kind")) or not isinstance(meta.get("namespace"), str)
    unknown = Policy(
        kind=str(manifest.get("kind")),
        namespace="" if is_global else meta["namespace"],
        name=str(meta.get("name")),
        tier=of_calico.DEFAULT_TIER,
        order=-math.inf,
        selects=lambda pod: None,  # noqa: ARG005  # it may be about any
        ingress=(),
        egress=(),
        text=repr(manifest),
    )
    return _of_unknown_reach(unknown)


def _of_unknown_reach(policy: Policy) -> Policy:
    """The policy as one that may be about any pod of its namespace, and may allow or deny anything."""
    doubt = (
        Rule(Action.ALLOW, "a rule that cannot be read", unjudged="it cannot be read"),
        Rule(Action.DENY, "a rule that cannot be read", unjudged="it cannot be read"),
    )
    namespace = policy.namespace

    def selects(pod: Peer) -> Maybe:
        return False if namespace and pod.namespace != namespace else None

    return replace(
        policy, tier=of_calico.DEFAULT_TIER, order=-math.inf, selects=selects, ingress=doubt, egress=doubt
    )


def labels_of(namespace: Namespace) -> dict[str, str]:
    """A namespace's labels, with those that the API server and Calico add."""
    return {**dict.fromkeys(NAME_LABELS, namespace.name), **namespace.labels}


def peer_of(pod: Pod, namespaces: Mapping[str, Namespace]) -> Peer:
    """A pod as policies see it: one that uses its node's network is its node."""
    namespace = namespaces.get(pod.namespace)
    labels = labels_of(namespace) if namespace else dict.fromkeys(NAME_LABELS, pod.namespace)
    return Peer(
        kind="node" if pod.host_network else "pod",
        name=pod.full_name,
        addresses=pod.addresses,
        namespace=pod.namespace,
        labels=pod.labels,
        namespace_labels=labels,
        calico_labels=of_calico.calico_labels(pod.namespace, pod.labels, labels, pod.service_account),
        service_account=pod.service_account,
        ports=pod.ports,
    )
