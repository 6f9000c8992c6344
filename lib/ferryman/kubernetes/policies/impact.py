"""What a change of policies closes that is open before it: who loses what, and the rules that decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.kubernetes.policies.universe import (
    Party,
    Sent,
    compared,
    node_parties,
    outside_parties,
    pod_parties,
    traffics,
)
from ferryman.kubernetes.policies.values import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Pod
    from ferryman.kubernetes.policies.manifests import World
    from ferryman.kubernetes.policies.policy_set import Decision, PolicySet
    from ferryman.kubernetes.policies.values import Direction, Entity, Maybe, Rule, Traffic

DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")
_SHOWN = 4
_FEW = 3
_MANY = 8


@dataclass(frozen=True, slots=True)
class Walkthrough:
    """A packet that stands for what is lost, and the rules that it meets before and after."""

    other: str
    sent: str
    before: Decision
    after: Decision

    def __str__(self) -> str:
        before, after = (
            f"{each.answer.value}: {'; '.join(each.steps)}" for each in (self.before, self.after)
        )
        return f"before: {before}; after: {after}"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a class of pods loses in one direction; or may lose, where it is not known."""

    subject: Party
    direction: Direction
    others: tuple[str, ...]
    """With whom; empty: with all with whom it was open."""
    sent: tuple[str, ...]
    rest: tuple[str, ...]
    """All other classes of traffic: they stay open, or were not before."""
    known: bool
    """False: that it is lost is possible, and cannot be told."""
    walkthrough: Walkthrough

    @property
    def what(self) -> str:
        """The traffic in words."""
        if not self.rest:
            return "everything"
        if all(map(_is_icmp, self.rest)) and not any(map(_is_icmp, self.sent)):
            return "everything but ICMP"
        if len(self.rest) <= _FEW < len(self.sent):
            return f"everything but {', '.join(self.rest)}"
        return _some(self.sent, _MANY)

    @property
    def whom(self) -> str:
        """With whom, in words."""
        if not self.others:
            return "everybody"
        return _some(self.others, _SHOWN)

    def __str__(self) -> str:
        verb = "loses" if self.known else "may lose"
        side = "from" if self.direction == "ingress" else "to"
        return f"{self.subject.name} {verb} {self.what} {side} {self.whom} ({self.direction})"


def _some(names: Sequence[str], count: int) -> str:
    """Names, at most so many of them."""
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} more" if more > 0 else "")


def _is_icmp(name: str) -> bool:
    return "ICMP" in name


@dataclass
class _Pairs:
    """What is lost with whom, of one class of pods in one direction."""

    lost: dict[str, dict[str, bool]] = field(default_factory=dict)
    """By the other's name: what is sent, and whether it is known."""
    kept: set[str] = field(default_factory=set)
    """What stays open with somebody."""
    walkthroughs: dict[tuple[str, str], Walkthrough] = field(default_factory=dict)


class Comparison:
    """Two worlds, and everybody that their policies can tell apart."""

    def __init__(self, before: World, after: World, pods: Sequence[Pod], nodes: Iterable[Node]) -> None:
        worlds = (compared(before), compared(after))
        self.policies: tuple[PolicySet, PolicySet] = (worlds[0][0], worlds[1][0])
        self.pods = pod_parties(pods, worlds)
        families = {family for party in self.pods for family in party.families}
        self.others = [
            *self.pods,
            *node_parties(nodes, self.policies),
            *outside_parties(self.policies, families),
        ]
        self._views = (
            _View(self.policies[0], 0, self.others),
            _View(self.policies[1], 1, self.others),
        )
        self._sent = {family: traffics(self.policies, self.pods, family) for family in families}
        self._chosen_from_differs = self.policies[0].sets != self.policies[1].sets or any(
            party.peers[0] != party.peers[1] for party in self.pods
        )
        """Whether network sets or namespaces are others, so that the same policies mean others."""

    def losses(self) -> list[Loss]:
        """Everything that is open before and not after, or of which that cannot be told."""
        return [
            loss
            for subject in self.pods
            for direction in DIRECTIONS
            if self._is_touched(subject, direction)
            for loss in self._of(subject, direction)
        ]

    def _is_touched(self, subject: Party, direction: Direction) -> bool:
        """Whether anything that is about the pods of a class is different after the change."""
        old, new = (
            [
                (str(policy), policy.tier, policy.order, policy.text, applies)
                for about in policies.about(peer, direction)
                for policy, applies in about
            ]
            for policies, peer in zip(self.policies, subject.peers, strict=True)
        )
        first, second = ([tier for tier, _ in policies.tiers] for policies in self.policies)
        return old != new or (bool(old) and (first != second or self._chosen_from_differs))

    def _of(self, subject: Party, direction: Direction) -> Iterator[Loss]:
        """What a class of pods loses, judged once for all whom the policies about it do not tell apart."""
        pairs = _Pairs()
        for family in sorted(subject.families):
            alike: dict[object, list[Party]] = {}
            views = (view.all_of(subject, direction, family) for view in self._views)
            for other, *seen in zip(self.others, *views, strict=True):
                # Nothing keeps a pod from itself.
                if family in other.families and not (other is subject and len(subject.pods) == 1):
                    alike.setdefault(tuple(seen), []).append(other)
            for others in alike.values():
                for sent in self._sent[family]:
                    self._judge(subject, direction, others, sent, pairs)
        pairs.lost = {each.name: pairs.lost[each.name] for each in self.others if each.name in pairs.lost}
        names = [sent.name for family in sorted(subject.families) for sent in self._sent[family]]
        yield from _gathered(subject, direction, pairs, dict.fromkeys(names))

    def _judge(
        self, subject: Party, direction: Direction, others: Sequence[Party], sent: Sent, pairs: _Pairs
    ) -> None:
        before, after = (view.side(subject, direction, others[0], sent.traffic) for view in self._views)
        if before.answer is Answer.DENY:
            return
        if after.answer is Answer.ALLOW:
            pairs.kept.add(sent.name)
            return
        opposite: Direction = "egress" if direction == "ingress" else "ingress"
        known = before.answer is Answer.ALLOW and after.answer is Answer.DENY
        for other in others:
            if self._views[0].side(other, opposite, subject, sent.traffic).answer is not Answer.DENY:
                lost = pairs.lost.setdefault(other.name, {})
                lost[sent.name] = lost.get(sent.name, False) or known
                key = (other.name, sent.name)
                pairs.walkthroughs.setdefault(key, Walkthrough(other.name, sent.name, before, after))


class _View:
    """One of the compared worlds: what its policies say, each question asked once.

    Classes are known by their identity: two of them may be called the same.
    """

    def __init__(self, policies: PolicySet, world: int, others: Sequence[Party]) -> None:
        self._policies, self._world, self._others = policies, world, others
        self._places = {id(other): place for place, other in enumerate(others)}
        self._is_relative = any(
            policy.kind.endswith("AdminNetworkPolicy") for _, several in policies.tiers for policy in several
        )
        """Whether whom a rule means may depend on the pods that it is about."""
        self._entities: dict[tuple[int, Direction], tuple[list[Entity], bool]] = {}
        self._matched: dict[tuple[int, int, int], list[Maybe]] = {}
        self._seen: dict[tuple[int, Direction, int], list[object]] = {}
        self._equal: dict[object, object] = {}
        self._decisions: dict[object, Decision] = {}

    def side(self, subject: Party, direction: Direction, other: Party, traffic: Traffic) -> Decision:
        """What the policies about the subject say of traffic with the other."""
        view = self.all_of(subject, direction, traffic.family)[self._places[id(other)]]
        key = (id(subject), direction, view, traffic)
        if key not in self._decisions:
            subject_peer, other_peer = subject.peers[self._world], other.peers[self._world]
            self._decisions[key] = self._policies.side(subject_peer, direction, other_peer, traffic)
        return self._decisions[key]

    def all_of(self, subject: Party, direction: Direction, family: int) -> list[object]:
        """All others as the policies about the subject see them: those that are equal so are one to them."""
        key = (id(subject), direction, family)
        if key not in self._seen:
            entities, by_port = self._named(subject, direction)
            columns: list[Sequence[object]] = [self._matches(each, subject, family) for each in entities]
            if by_port:
                columns.append([frozenset(each.peers[self._world].ports.items()) for each in self._others])
            views: Iterable[object] = zip(*columns, strict=True) if columns else [()] * len(self._others)
            self._seen[key] = [self._equal.setdefault(view, view) for view in views]
        return self._seen[key]

    def _matches(self, entity: Entity, subject: Party, family: int) -> list[Maybe]:
        """Whether each of the others is meant by one side of a rule."""
        key = (id(entity), id(subject) if self._is_relative else 0, family)
        if key not in self._matched:
            peer, sets = subject.peers[self._world], self._policies.sets
            self._matched[key] = [
                entity.match(other.peers[self._world], peer, sets, family) for other in self._others
            ]
        return self._matched[key]

    def _named(self, subject: Party, direction: Direction) -> tuple[list[Entity], bool]:
        """The other sides that rules about the subject name, and whether they name the other's ports."""
        key = (id(subject), direction)
        if key not in self._entities:
            rules = self._rules(subject, direction)
            sides = (rule.sources if direction == "ingress" else rule.destinations for rule in rules)
            entities = {id(entity): entity for side in sides for entity in side}
            named = any(port.name for rule in rules for port in (*(rule.ports or ()), *rule.not_ports))
            self._entities[key] = list(entities.values()), named and direction == "egress"
        return self._entities[key]

    def _rules(self, subject: Party, direction: Direction) -> list[Rule]:
        peer = subject.peers[self._world]
        if peer.kind != "pod":
            return []
        policies = self._policies.isolating(peer, direction)
        return [rule for policy in policies for rule in policy.rules(direction) or ()]


def _gathered(subject: Party, direction: Direction, pairs: _Pairs, names: Iterable[str]) -> Iterator[Loss]:
    """Losses, those with the same traffic together; ``names`` are of all classes of traffic."""
    alike: dict[tuple[tuple[str, ...], bool], list[str]] = {}
    for other, lost in pairs.lost.items():
        for known in (True, False):
            sent = tuple(name for name, is_known in lost.items() if is_known is known)
            if sent:
                alike.setdefault((sent, known), []).append(other)
    for (sent, known), others in alike.items():
        yield Loss(
            subject,
            direction,
            () if _is_everybody(sent, others, pairs) else tuple(others),
            sent,
            tuple(name for name in names if name not in sent),
            known,
            pairs.walkthroughs[others[0], sent[0]],
        )


def _is_everybody(sent: Sequence[str], others: Sequence[str], pairs: _Pairs) -> bool:
    """Whether nobody else has any of it open, before or after."""
    losers = {other for other, lost in pairs.lost.items() if any(name in lost for name in sent)}
    return not pairs.kept & set(sent) and losers == set(others)
