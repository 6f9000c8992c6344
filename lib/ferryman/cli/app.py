"""What the global options say, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ferryman import configfile
from ferryman.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ferryman.cli.discovery import CookbookGroup
    from ferryman.config import Config
    from ferryman.cookbook.command import CookbookCommand, RunOptions


@dataclass
class App:
    """The command line's own state, one for each invocation."""

    named_config: Path | None = None
    json: bool = False
    verbose: bool = False
    picture: Path | None = None
    configured: bool = False
    runs: Callable[[App, CookbookCommand, Mapping[str, Any], RunOptions], None] | None = None
    """What runs a cookbook."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> App:
        """The state that the global options of the command line ask for."""
        return cls(
            named_config=given.get("config"),
            json=given.get("output") == "json",
            verbose=bool(given.get("verbose")),
            picture=given.get("picture"),
            configured=True,
        )

    @cached_property
    def cookbooks(self) -> CookbookGroup:
        """The cookbooks there are; none where they cannot be looked for, as ``--help`` must work."""
        from ferryman.cli.discovery import CookbookGroup  # noqa: PLC0415  # only where one is looked for

        try:
            return self.find_cookbooks()
        except ConfigError:
            return CookbookGroup({}, {})

    def find_cookbooks(self) -> CookbookGroup:
        """The cookbooks there are.

        Raises:
            ConfigError: There is no configuration, a folder of it may not be looked into, or somebody else
                may have written one of them.
        """
        from ferryman.cli import discovery  # noqa: PLC0415  # the same

        return discovery.read(configfile.cookbook_folders(configfile.find(self.named_config)))

    @cached_property
    def config(self) -> Config:
        """The configuration, checked.

        Raises:
            ConfigError: There is none, or it cannot be used.
        """
        from ferryman import config  # noqa: PLC0415  # pydantic is not for --help to wait for
        from ferryman.cli.printed_log import make_printable  # noqa: PLC0415  # the same

        make_printable()
        return config.load(configfile.find(self.named_config))

    @property
    def inventory_folder(self) -> Path:
        """Where the inventory is, whatever else the configuration says.

        Raises:
            ConfigError: There is no configuration, or it does not say so.
        """
        return configfile.inventory_folder(configfile.find(self.named_config))

    def perform(self, cookbook: CookbookCommand, arguments: Mapping[str, Any], options: RunOptions) -> None:
        """Run a cookbook; leaves with the run's exit code."""
        assert self.runs is not None, "the command line sets it"
        self.runs(self, cookbook, arguments, options)
