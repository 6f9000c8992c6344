"""Rights as a ClusterRole gives them, and what an API server says to those who have them not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doubles.api_server.kinds import Kind, Manifest


@dataclass(frozen=True)
class Wish:
    """What somebody wants to do."""

    verb: str
    kind: Kind
    namespace: str
    name: str
    subresource: str = ""

    def allowed_by(self, rules: Sequence[Manifest]) -> bool:
        """Whether one of the rules allows it."""
        return any(self._allowed(rule) for rule in rules)

    def _allowed(self, rule: Manifest) -> bool:
        names = rule.get("resourceNames") or ()
        return (
            _has(rule.get("verbs"), self.verb)
            and _has(rule.get("apiGroups"), self.kind.group)
            and _has(rule.get("resources"), self.resource)
            and (not names or self.name in names)
        )

    @property
    def resource(self) -> str:
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    @property
    def forbidden(self) -> str:
        """What an API server answers."""
        subject = f'{self.kind.full} "{self.name}"' if self.name else self.kind.full
        scope = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return (
            f'{subject} is forbidden: User "ferry" cannot {self.verb} resource "{self.resource}" in API group'
            f' "{self.kind.group}" {scope}'
        )


def _has(listed: Sequence[str] | None, word: str) -> bool:
    return "*" in (listed or ()) or word in (listed or ())
