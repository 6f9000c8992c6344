"""A driver's own keys of directors.yaml, read with their type and their default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ferryman.directors.shell_text import quoted
from ferryman.errors import ArgumentError, ConfigError
from ferryman.hosts.verbs.kinds import PATH, URL

if TYPE_CHECKING:
    from ferryman.hosts.verbs.kinds import Metadata
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
        return self._given(key, default).replace("{service}", self.service.name)

    def command(self, key: str, default: str) -> str:
        """A text for a shell, in which the service's name is quoted.

        Raises:
            ConfigError: It is no text; the message names the entry of directors.yaml.
        """
        text, *parts = self._given(key, default).split("{service}")
        around = text
        try:
            for part in parts:
                text += quoted(self.service.name, "service", around) + part
                around += f"word{part}"
        except ArgumentError as error:
            raise ConfigError(f"{self.where}: {key}: {error}") from error
        return text

    def path(self, key: str, default: str) -> str:
        """An absolute path.

        Raises:
            ConfigError: It is something else; the message names the entry of directors.yaml.
        """
        value = self.text(key, default)
        self._require(PATH, key, value)
        return value

    def url(self, key: str, default: str) -> str:
        """An http or https URL.

        Raises:
            ConfigError: It is something else; the message names the entry of directors.yaml.
        """
        value = self.text(key, default)
        self._require(URL, key, value)
        return value

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

    def _given(self, key: str, default: str) -> str:
        value = self.director.options.get(key, default)
        if not isinstance(value, str) or not value.strip():
            self.wrong(key, value, "a text that is not empty")
        return value

    def _require(self, metadata: Metadata, key: str, value: str) -> None:
        if not metadata["kind"].fits(value):
            self.wrong(key, value, metadata["kind"].what)

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
