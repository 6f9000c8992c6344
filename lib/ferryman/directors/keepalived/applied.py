"""Whether a change's words stand in keepalived's files: in whichever file the service's blocks are by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.directors.keepalived.text import TextError, parse
from ferryman.directors.keepalived.words import blocks_in, word_for, words_of
from ferryman.ipvs.table import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.directors.keepalived.words import Block, Key, Setting
    from ferryman.directors.target import Target
    from ferryman.model import Service

Texts = dict[str, str]
"""By path: what stands in a file."""
Places = dict["Key", tuple[str, "Block"]]
"""Where each virtual server's block is, and what it says."""


@dataclass(frozen=True, slots=True)
class Words:
    """The texts from before a change, those that it made, and those of now."""

    target: Target
    before: Texts
    made: Texts
    now: Texts
    """Of every file that keepalived reads, and of those from before as far as they are there."""
    service: Service

    @property
    def ours(self) -> list[str]:
        """What the files say as the target does and said otherwise before, a line for each word."""
        lines = [
            line
            for key, (path, block) in self._blocks(self.now).items()
            for line in self._taken_over(path, block, self._blocks(self.before).get(key))
        ]
        as_made = [path for path, text in self.made.items() if self.now.get(path) == text]
        return lines or [
            f"{path}: is as this run wrote it" for path in as_made if self.made[path] != self.before[path]
        ]

    @property
    def gone(self) -> list[str]:
        """What the files do not say any more of what the target made of them."""
        now = self._blocks(self.now)
        return [
            line
            for key, (path, was) in self._blocks(self.before).items()
            for line in self._lost(path, was, now.get(key))
        ]

    @property
    def others(self) -> list[str]:
        """The files that have edits which are not the change's."""
        return [
            f"{path}: has edits of someone else" if path in self.now else f"{path}: is not there any more"
            for path, text in self.before.items()
            if self.now.get(path) not in (text, self.made[path])
        ]

    def _taken_over(self, path: str, block: Block, was: tuple[str, Block] | None) -> Iterator[str]:
        former = words_of(was[1], self.target) if was else {}
        words = {
            what: setting
            for what, setting in words_of(block, self.target).items()
            if setting.word == word_for(self.target) and what in former and former[what].word != setting.word
        }
        yield from _lines(path, block, words)

    def _lost(self, path: str, was: Block, now: tuple[str, Block] | None) -> Iterator[str]:
        if now is None:
            if self.now.get(path) != self.made[path]:
                yield f"{path}: has no {was.named} that can be read any more"
            return
        place, block = now
        former, meant = words_of(was, self.target), word_for(self.target)
        words = {
            what: setting
            for what, setting in words_of(block, self.target).items()
            if what in former and setting.word != meant
        }
        yield from (f"{line}, wanted {meant}" for line in _lines(place, block, words))

    def _blocks(self, texts: Mapping[str, str]) -> Places:
        return blocks_of_service(texts, self.service)


def blocks_of_service(texts: Mapping[str, str], service: Service) -> Places:
    """The service's blocks in these texts; a text that cannot be read has none."""
    own = {key_of(virtual_service) for virtual_service in service.virtual_services}
    found: Places = {}
    for path, text in texts.items():
        try:
            blocks = [block for block in blocks_in(parse(text)) if block.key in own]
        except TextError:
            continue
        found |= {block.key: (path, block) for block in blocks}
    return found


def matching_words(texts: Mapping[str, str], service: Service, target: Target) -> list[str]:
    """What the texts say of the service as the target does, a line for each word."""
    return [
        line
        for path, block in blocks_of_service(texts, service).values()
        for line in _lines(
            path,
            block,
            {
                what: setting
                for what, setting in words_of(block, target).items()
                if setting.word == word_for(target)
            },
        )
    ]


def _lines(path: str, block: Block, words: Mapping[str, Setting]) -> Iterator[str]:
    """One for each line of the file: a word that holds for many realservers is told once."""
    first = {setting.line: what for what, setting in reversed(list(words.items()))}
    for what in sorted(first.values(), key=list(words).index):
        yield f"{path}: line {words[what].line}: {block.named}: {what}: it says {words[what].word}"
