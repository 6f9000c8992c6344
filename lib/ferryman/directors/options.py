"""A driver's own keys of directors.yaml, read with their type and their default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ferryman.errors import ConfigError

if TYPE_CHECKING:
    from ferryman.model import Director, Service

LONGEST_S = 86_400
"""No director is waited for longer than a day."""


@dataclass(frozen=True, slots=True)
class Options:
    """The keys of one director, as one service's driver sees them.

    ``{service}`` in a text stands for the service's name.
    """

    director: Director
    service: Service

    def text(self, key: str, default: str) -> str:
        """A text that is not empty.

        Raises:
            ConfigError: It is something else; the message names the entry of directors.yaml.
        """
        value = self.director.options.get(key, default)
        if not isinstance(value, str) or not value.strip():
            self.wrong(key, value, "a text that is not empty")
        return value.replace("{service}", self.service.name)

    def seconds(self, key: str, default: float) -> float:
        """A number of seconds, a day at most.

        Raises:
            ConfigError: It is something else; the message names the entry of directors.yaml.
        """
        value = self.director.options.get(key, default)
        # Written so that nan, which compares with nothing, is out of it.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_S:
            self.wrong(key, value, f"a number of seconds, 0 to {LONGEST_S}")
        return float(value)

    def switch(self, key: str, *, default: bool) -> bool:
        """The key's value, true or false.

        Raises:
            ConfigError: It is something else; the message names the entry of directors.yaml.
        """
        value = self.director.options.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, value, "true or false")
        return value

    def wrong(self, key: str, value: object, wanted: str) -> NoReturn:
        """Refuse a key's value.

        Raises:
            ConfigError: Always; names the entry of directors.yaml, the key, its value and what is wanted.
        """
        seen = "is missing" if value is None else f"is {value!r}"
        raise ConfigError(f"{self.where}: {key}: {seen}, expected {wanted}")

    @property
    def where(self) -> str:
        """The director's entry of directors.yaml, as messages name it."""
        return f"directors.yaml: {self.service.site}: {self.service.lvs_class}: {self.director.host}"
