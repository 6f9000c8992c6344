"""The three forms in which data say what a lab is like: the default one, an inventory, or part by part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field

from ferryman.errors import LabError
from ferryman.inventory.schema import Strict, checked
from ferryman.lab.topology.data import key_of, of_parts
from ferryman.lab.topology.default import DEFAULT
from ferryman.lab.topology.inventory import from_inventory

if TYPE_CHECKING:
    from ferryman.lab.topology.data import Where
    from ferryman.lab.topology.values import Topology


class _Like(Strict):
    like: Literal["lab"] = Field(description="lab")


class _Inventory(Strict):
    inventory: str = Field(min_length=1, description="the path of an inventory's folder")
    site: str = Field(min_length=1, description="the name of a site")
    services: list[str] = Field(default_factory=list, description="a list of services' names")
    realservers: int | None = Field(None, ge=1, description="how many realservers of each service at most")


def from_data(data: object, where: Where | None = None, *, folder: Path | None = None) -> Topology:
    """The topology that these data mean; see ``ferryman.lab.topology.from_data``."""
    where = where or key_of
    if isinstance(data, dict) and "like" in data:
        _checked(_Like, data, where)
        return DEFAULT
    if isinstance(data, dict) and "inventory" in data:
        named = _checked(_Inventory, data, where)
        path = (folder or Path()) / Path(named.inventory).expanduser()
        return from_inventory(path, named.site, named.services, realservers=named.realservers)
    return of_parts(data, where)


M = TypeVar("M", bound=Strict)


def _checked(model: type[M], data: object, where: Where) -> M:
    found, faults = checked(model, data)
    if found is None:
        raise LabError("\n".join(f"{where(path)}: {message}" for path, message in faults))
    return found
