"""The kinds of an API server as lightkube has them, loaded when they are first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def resource(kind: str) -> Any:  # noqa: ANN401  # one of many classes
    """A kind of Kubernetes' own, such as ``core_v1.Pod``."""
    module, name = kind.split(".")
    return getattr(import_module(f"lightkube.resources.{module}"), name)


@cache
def as_it_is(version: str, kind: str, plural: str, is_namespaced: bool) -> Any:  # noqa: ANN401  # a class that is made
    """A kind whose objects are plain data; it is not registered, for Kubernetes' own are there typed."""
    from lightkube import generic_resource  # noqa: PLC0415  # for those with an API server alone

    group, _, number = version.rpartition("/")
    base = (
        generic_resource.GenericNamespacedResource
        if is_namespaced
        else generic_resource.GenericGlobalResource
    )
    info = generic_resource.create_api_info(group, number, kind, plural)
    return type(kind, (base,), {"_api_info": info})


def plural_of(kind: type[Any]) -> str:
    """What a kind's objects are called, such as ``pods``."""
    from lightkube.core.resource import api_info  # noqa: PLC0415  # as above

    return str(api_info(kind).plural)
