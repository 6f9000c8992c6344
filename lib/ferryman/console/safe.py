"""A console that prints no control character but its own, whatever it is given to print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ferryman.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable


class SafeConsole(Console):
    """Texts of others are printable before they are laid out; what was forgotten is so here at the latest."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of something, with its text printable."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else printable(segment.text)
            yield segment if text == segment.text else Segment(text, segment.style)
