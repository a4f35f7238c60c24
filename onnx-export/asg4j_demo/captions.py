# SPDX-License-Identifier: Apache-2.0
"""The demo's vocabulary: which pictures exist and what they are called."""

from __future__ import annotations

import random
from dataclasses import dataclass

SHAPES = ("ball", "cube", "star", "cone", "heart", "ring", "flower")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
BACKGROUNDS = ("grass", "sand", "water", "sky", "night", "wood", "stone", "snow")

PHRASES = {
    "grass": "on grass",
    "sand": "on sand",
    "water": "on water",
    "sky": "in the sky",
    "night": "at night",
    "wood": "on wood",
    "stone": "on stone",
    "snow": "on snow",
}

#: Pairs of colour and background that look too much alike to be told apart.
EXCLUDED = frozenset({
    ("green", "grass"),
    ("yellow", "sand"),
    ("orange", "sand"),
    ("white", "sand"),
    ("blue", "water"),
    ("blue", "sky"),
    ("white", "sky"),
    ("blue", "night"),
    ("purple", "night"),
    ("orange", "wood"),
    ("red", "wood"),
    ("white", "snow"),
})


@dataclass(frozen=True)
class Subject:
    """What a caption promises: one object on a background, or the background alone (shape -1)."""

    shape: int
    colour: int
    background: int

    @property
    def empty(self) -> bool:
        return self.shape < 0

    @property
    def caption(self) -> str:
        background = BACKGROUNDS[self.background]
        if self.empty:
            return background
        colour = COLOURS[self.colour]
        article = "an" if colour[0] in "aeiou" else "a"
        return f"{article} {colour} {SHAPES[self.shape]} {PHRASES[background]}"

    def without_object(self) -> Subject:
        return Subject(-1, 0, self.background)


#: Every caption with an object, in a fixed order.
SUBJECTS = tuple(
    Subject(s, c, b)
    for s in range(len(SHAPES))
    for c in range(len(COLOURS))
    for b in range(len(BACKGROUNDS))
    if (COLOURS[c], BACKGROUNDS[b]) not in EXCLUDED
)

#: The backgrounds alone.
EMPTY_SUBJECTS = tuple(Subject(-1, 0, b) for b in range(len(BACKGROUNDS)))

ALL_SUBJECTS = SUBJECTS + EMPTY_SUBJECTS

_BY_CAPTION = {subject.caption: subject for subject in ALL_SUBJECTS}


def parse_caption(caption: str) -> Subject:
    """The subject of one of our own captions; raises ValueError for any other text."""
    try:
        return _BY_CAPTION[caption]
    except KeyError:
        raise ValueError(f"not a caption of the demo: {caption!r}") from None


def sample_prompts(count: int) -> list[str]:
    """Prompt i is drawn with seed i from all captions with an object; nobody chose any of them."""
    return [random.Random(seed).choice(SUBJECTS).caption for seed in range(count)]
