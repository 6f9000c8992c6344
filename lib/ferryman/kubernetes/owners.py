"""What makes a pod again when it is gone: the topmost of its controllers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ferryman.kubernetes.reading import controller, named, pod
from ferryman.kubernetes.resources import as_it_is

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lightkube.models.core_v1 import Pod as ApiPod

    from ferryman.kubernetes.objects import Owner, Pod

    Managed = tuple[Pod, str]
    """A pod, and the uid of what manages it; empty where nothing does."""

BETWEEN = {"ReplicaSet": ("apps/v1", "replicasets"), "Job": ("batch/v1", "jobs")}
"""Kinds that manage pods for others: a Deployment, a CronJob, or something of somebody else's."""
FEW = 10
"""Up to as many are asked for one by one."""


class List(Protocol):
    """Lists objects of a kind."""

    def __call__(
        self,
        kind: type[Any],
        made: Callable[[Any], tuple[str, Owner | None]],
        *,
        namespace: str | None = None,
    ) -> tuple[tuple[str, Owner | None], ...]:
        """All of a namespace, each made into a value."""


class Get(Protocol):
    """Reads one object of a kind."""

    def __call__(
        self, kind: type[Any], made: Callable[[Any], tuple[str, Owner | None]], name: str, namespace: str
    ) -> tuple[str, Owner | None] | None:
        """The object as a value; None where there is none."""


class Owners:
    """The topmost controllers of pods. What stands between is asked for once: it does not change hands."""

    def __init__(self, list_all: List, get: Get) -> None:
        self._list = list_all
        self._get = get
        self._above: dict[str, Owner | None] = {}
        """By the uid of what manages pods: what manages that."""

    def with_manager(self, found: ApiPod) -> Managed:
        """A pod as it is listed, and the uid of its own controller."""
        manager = controller(found.metadata)
        return pod(found), "" if manager is None else manager[0]

    def resolved(self, found: Iterable[Managed], namespace: str | None = None) -> tuple[Pod, ...]:
        """The pods with their topmost owners; ``namespace`` is theirs, if they are of one."""
        managed = tuple(found)
        for kind, (version, plural) in BETWEEN.items():
            unknown = {
                uid: (each.namespace, each.owner.name)
                for each, uid in managed
                if each.owner is not None and each.owner.kind == kind and uid not in self._above
            }
            if not unknown:
                continue
            resource = as_it_is(version, kind, plural, True)
            if len(unknown) > FEW:
                self._above.update(self._list(resource, _above, namespace=namespace or "*"))
            else:
                for uid, (space, name) in unknown.items():
                    one = self._get(resource, _above, name, space)
                    if one is not None and one[0] == uid:
                        self._above[uid] = one[1]
        return tuple(self._with_topmost(each, uid) for each, uid in managed)

    def _with_topmost(self, each: Pod, uid: str) -> Pod:
        above = self._above.get(uid)
        return each if above is None else replace(each, owner=above)


def _above(found: Any) -> tuple[str, Owner | None]:  # noqa: ANN401  # a ReplicaSet or a Job, maybe in part
    meta = found.metadata
    named(meta)
    manager = controller(meta)
    return meta.uid or "", None if manager is None else manager[1]
