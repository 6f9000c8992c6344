"""Races of processes for one service: who is past the lock, counted."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

from lab.etcd.children import Child


def race(state: str, rounds: int) -> Counter[str]:
    """Let two start at once, so many times; what both said, how often."""
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        racers = [stack.enter_context(Child("racer", state, host)) for host in ("one", "two")]
        for _ in range(rounds):
            for racer in racers:
                racer.go()
            words = [racer.word() for racer in racers]
            for racer, word in zip(racers, words, strict=True):
                if word == "inside":
                    racer.go()
                    word = racer.word()  # noqa: PLW2901  # what became of it
                    counts[f"inside, {word}"] += 1
                else:
                    counts[word] += 1
            counts["both inside"] += words.count("inside") > 1
    return counts
