"""A cluster as its API server tells it, and what can be done to it there: ``ClusterClient`` with lightkube.

What rights that takes, and for what, ``docs/rbac.yaml`` has.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import DryRunError
from ferryman.kubernetes import reading
from ferryman.kubernetes.cluster import ClusterRefusedError, ClusterUnreadableError, EvictionRefusedError
from ferryman.kubernetes.connection import (
    BUSY,
    CONFLICT,
    FORBIDDEN,
    NOT_FOUND,
    UNAUTHORIZED,
    UNAVAILABLE,
    Answer,
    Connection,
)
from ferryman.kubernetes.owners import Owners
from ferryman.kubernetes.resources import as_it_is, plural_of, resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lightkube import Client

    from ferryman.inventory.schema import ClusterEntry
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Budget, ClusterService, Manifest, Namespace, Pod, Workload

T = TypeVar("T")

CALICO = (
    ("Tier", "tiers", False),
    ("NetworkPolicy", "networkpolicies", True),
    ("GlobalNetworkPolicy", "globalnetworkpolicies", False),
    ("StagedNetworkPolicy", "stagednetworkpolicies", True),
    ("StagedGlobalNetworkPolicy", "stagedglobalnetworkpolicies", False),
    ("StagedKubernetesNetworkPolicy", "stagedkubernetesnetworkpolicies", True),
    ("NetworkSet", "networksets", True),
    ("GlobalNetworkSet", "globalnetworksets", False),
)
"""Calico's kinds that decide who may talk to whom: kind, plural, and whether it is in a namespace."""
ADMIN = (
    ("AdminNetworkPolicy", "adminnetworkpolicies", False),
    ("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", False),
)
"""The kinds of network-policy-api with which administrators decide over all namespaces, in the same form."""
_FELIX = ("FelixConfiguration", "felixconfigurations", False)
_CALICO_GROUPS = ("projectcalico.org/v3", "crd.projectcalico.org/v1")
"""Where Calico's kinds may be, the better first: what its own API server serves, and how it keeps them."""
_ADMIN_GROUPS = ("policy.networking.k8s.io/v1alpha1",)
_EXTENSIONS = (*_CALICO_GROUPS, *_ADMIN_GROUPS)
"""What not every cluster has."""
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_TWO_BUDGETS = "more than one PodDisruptionBudget"


def cluster_client(entry: ClusterEntry, dry_run: bool) -> ClusterClient:  # one of two
    """A client for a cluster; nothing is asked yet, and in a dry run it cannot write."""
    return ApiClient(Connection(entry), dry_run=dry_run)


class _NotServedError(Exception):
    """The API server does not have a kind, or what serves it is out of order."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(str(answer))


class ApiClient:
    """An API server's client."""

    def __init__(self, connection: Connection, *, dry_run: bool) -> None:
        self._connection = connection
        self._dry_run = dry_run
        self._owners = Owners(self._list, self._get)

    def nodes(self) -> tuple[Node, ...]:
        """All nodes."""
        return self._list(resource("core_v1.Node"), reading.node)

    def pods(self, *, node: str | None = None, namespace: str | None = None) -> tuple[Pod, ...]:
        """The pods that have not ended."""
        from lightkube.operators import not_in  # noqa: PLC0415  # for those with an API server alone

        fields: dict[str, Any] = {"status.phase": not_in(["Succeeded", "Failed"])}
        if node is not None:
            fields["spec.nodeName"] = node
        found = self._list(
            resource("core_v1.Pod"), self._owners.with_manager, namespace=namespace or "*", fields=fields
        )
        return self._owners.resolved(found, namespace)

    def pod(self, namespace: str, name: str) -> Pod | None:
        """The pod of this name, whatever its phase."""
        found = self._get(resource("core_v1.Pod"), self._owners.with_manager, name, namespace)
        return None if found is None else self._owners.resolved([found])[0]

    def services(self) -> tuple[ClusterService, ...]:
        """All Services that take traffic from outside; endpoints are asked for only where there is one."""
        found = self._list(
            resource("core_v1.Service"),
            lambda each: each if reading.takes_outside_traffic(each) else None,
            namespace="*",
        )
        services = [each for each in found if each is not None]
        if not services:
            return ()
        slices = self._list(resource("discovery_v1.EndpointSlice"), reading.endpoint_slice, namespace="*")
        endpoints = reading.endpoints_of(slices)
        return tuple(reading.service(each, endpoints) for each in services)

    def workloads(self) -> tuple[Workload, ...]:
        """All Deployments, StatefulSets and DaemonSets."""
        lists = (
            self._list(resource(f"apps_v1.{kind}"), reading.workload, namespace="*") for kind in WORKLOADS
        )
        return tuple(each for found in lists for each in found)

    def workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        """One of them as it is now."""
        return self._get(resource(f"apps_v1.{_known(kind)}"), reading.workload, name, namespace)

    def budgets(self) -> tuple[Budget, ...]:
        """All disruption budgets."""
        return self._list(resource("policy_v1.PodDisruptionBudget"), reading.budget, namespace="*")

    def namespaces(self) -> tuple[Namespace, ...]:
        """All namespaces."""
        return self._list(resource("core_v1.Namespace"), reading.namespace)

    def policies(self) -> tuple[Manifest, ...]:
        """All policies, Kubernetes', its administrators' and Calico's."""
        own = self._manifests("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", True)
        others = [(_ADMIN_GROUPS, kind) for kind in ADMIN] + [(_CALICO_GROUPS, kind) for kind in CALICO]
        return (*own, *(each for groups, kind in others for each in self._of_extension(groups, *kind)))

    def felix_configurations(self) -> tuple[Manifest, ...]:
        """Calico's FelixConfigurations."""
        return self._of_extension(_CALICO_GROUPS, *_FELIX)

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a ConfigMap."""
        return self._get(resource("core_v1.ConfigMap"), lambda found: dict(found.data or {}), name, namespace)

    def evict(self, pod: Pod) -> None:
        """Evict this very pod."""
        what = f"evict the pod {pod.full_name}"
        self._need_writing(what)

        def evict(client: Client) -> None:
            from lightkube.models.meta_v1 import DeleteOptions, ObjectMeta, Preconditions  # noqa: PLC0415

            options = DeleteOptions(preconditions=Preconditions(uid=pod.uid))
            eviction = resource("core_v1.PodEviction")(
                metadata=ObjectMeta(name=pod.name, namespace=pod.namespace), deleteOptions=options
            )
            client.create(eviction, pod.name, namespace=pod.namespace)

        try:
            self._connection.ask(evict)
        except Answer as answer:
            if answer.code == NOT_FOUND or (answer.code == CONFLICT and self._is_gone(pod)):
                return
            raise self._eviction_error(what, answer) from None
        except ClusterUnreadableError as error:
            raise self._unknown(what, str(error)) from None

    def restart(self, workload: Workload, stamp: str) -> None:
        """Have a workload replace its pods; refused where it has changed since it was read."""
        what = f"restart the {workload.kind} {workload.namespace}/{workload.name}"
        self._need_writing(what)
        patch = {
            "metadata": {"resourceVersion": workload.resource_version},
            "spec": {"template": {"metadata": {"annotations": {reading.RESTARTED_AT: stamp}}}},
        }
        patched = resource(f"apps_v1.{_known(workload.kind)}")
        try:
            self._connection.ask(
                lambda client: client.patch(patched, workload.name, patch, namespace=workload.namespace)
            )
        except Answer as answer:
            raise self._write_error(what, answer) from None
        except ClusterUnreadableError as error:
            raise self._unknown(what, str(error)) from None

    def _is_gone(self, pod: Pod) -> bool:
        """Whether another pod has its name by now, or none."""
        now = self.pod(pod.namespace, pod.name)
        return now is None or now.uid != pod.uid

    def _eviction_error(self, what: str, answer: Answer) -> ClusterRefusedError | ClusterUnreadableError:
        if answer.code == BUSY and "budget" in answer.words:
            return EvictionRefusedError(f"{self._name}: could not {what} now, nothing was done: {answer}")
        if _TWO_BUDGETS in answer.words:
            return EvictionRefusedError(
                f"{self._name}: could not {what}, and never can, nothing was done: {answer}; delete one of"
                " the budgets, or delete the pod by hand",
                for_good=True,
            )
        return self._write_error(what, answer)

    def _write_error(self, what: str, answer: Answer) -> ClusterRefusedError | ClusterUnreadableError:
        """A status of the 400s says that nothing was done; another one does not."""
        if 400 <= answer.code < 500:  # noqa: PLR2004  # as HTTP has it
            return ClusterRefusedError(
                f"{self._name}: could not {what}, nothing was done: {answer}{_next_step(answer)}"
            )
        return self._unknown(what, str(answer))

    def _unknown(self, what: str, words: str) -> ClusterUnreadableError:
        return ClusterUnreadableError(
            f"{self._name}: it is unknown whether it did {what}: {words}; look with kubectl before it is done"
            " again"
        )

    def _need_writing(self, what: str) -> None:
        if self._dry_run:
            raise DryRunError(f"{self._name}: a dry run tried to {what}; nothing was done")

    @property
    def _name(self) -> str:
        return f"cluster {self._connection.name}"

    def _of_extension(
        self, groups: tuple[str, ...], kind: str, plural: str, is_namespaced: bool
    ) -> tuple[Manifest, ...]:
        """Objects of a kind that not every cluster has; none where it does not.

        Calico's own API server may be out of order while the kinds that it is made of can be read.
        """
        unavailable: Answer | None = None
        for version in groups:
            try:
                return self._manifests(version, kind, plural, is_namespaced)
            except _NotServedError as error:
                unavailable = unavailable or (error.answer if error.answer.code == UNAVAILABLE else None)
        if unavailable is not None:
            raise self._unread(f"list {plural} of {groups[0]}", str(unavailable))
        return ()

    def _manifests(self, version: str, kind: str, plural: str, is_namespaced: bool) -> tuple[Manifest, ...]:
        made = partial(reading.manifest, api_version=version, kind=kind)
        listed = as_it_is(version, kind, plural, is_namespaced)
        try:
            return tuple(self._connection.list(listed, made, namespace="*" if is_namespaced else None))
        except Answer as answer:
            if answer.code in (NOT_FOUND, UNAVAILABLE) and version in _EXTENSIONS:
                raise _NotServedError(answer) from None
            raise self._unread(f"list {plural} of {version}", answer) from None
        except ClusterUnreadableError as error:
            raise self._unread(f"list {plural} of {version}", error) from None

    def _list(
        self,
        kind: type[Any],
        made: Callable[[Any], T],
        *,
        namespace: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> tuple[T, ...]:
        """All objects of a kind, as values."""
        try:
            found = self._connection.list(
                kind, made, namespace=namespace, fields=dict(fields) if fields else None
            )
        except (Answer, ClusterUnreadableError) as error:
            raise self._unread(f"list {plural_of(kind)}", error) from None
        return tuple(found)

    def _get(self, kind: type[Any], made: Callable[[Any], T], name: str, namespace: str) -> T | None:
        """One object as a value; None where there is none."""

        def get(client: Client) -> T:
            found = client.get(kind, name, namespace=namespace)
            if reading.named(found.metadata) != (namespace, name):
                raise ClusterUnreadableError("it answered with another object")
            return made(found)

        try:
            return self._connection.ask(get)
        except Answer as answer:
            if answer.code == NOT_FOUND:
                return None
            error: Exception = answer
        except ClusterUnreadableError as unreadable:
            error = unreadable
        raise self._unread(f"read {plural_of(kind)} {namespace}/{name}", error)

    def _unread(self, what: str, error: Exception | str) -> ClusterUnreadableError:
        hint = _next_step(error) if isinstance(error, Answer) else ""
        return ClusterUnreadableError(f"{self._name}: could not {what}: {error}{hint}")


def _known(kind: str) -> str:
    if kind not in WORKLOADS:
        raise ClusterRefusedError(
            f"{kind} is no kind of workload that ferryman knows: {', '.join(WORKLOADS)}"
        )
    return kind


def _next_step(answer: Answer) -> str:
    if answer.code == UNAUTHORIZED:
        return "; renew the login that the kubeconfig has, and see that kubectl get nodes works with it"
    if answer.code == FORBIDDEN:
        return "; docs/rbac.yaml has the rights that are needed"
    if answer.code == CONFLICT:
        return "; it has changed meanwhile: read it again, and decide anew"
    return ""
