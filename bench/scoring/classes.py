"""Which of some classes an image shows, and which a prompt asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from erasebench.prompts.spelling import MARKS, canonical, words_of

from ..images.image_set import Encoder, ImageSet
from ..mini.kinds import kinds
from .scores import ImageScores

PRESENT = 0.5  # of the judge's probabilities


@dataclass(frozen=True)
class Classes:
    """The classes of a network.

    Attributes:
        encoder: what sees the images.
        labels: the classes' names.
        read: what the network says of each class, from features (images, width) to (images, labels); more is surer.
        note: what values depend on.
    """

    encoder: Encoder
    labels: tuple[str, ...]
    read: Callable[[np.ndarray], np.ndarray]
    note: str

    @cached_property
    def _by_words(self) -> dict[tuple[str, ...], list[str]]:
        found: dict[tuple[str, ...], list[str]] = {}
        for label in self.labels:
            found.setdefault(words_of(label), []).append(label)
        return found

    def asked(self, text: str) -> str | None:
        """The class that a text names, the longest where it names several; None where it names none.

        Any spelling counts: "Garbage Trucks" for "garbage truck"; of two labels that are spellings of each other, such
        as "book" and "books", the one whose own spelling stands in the text.
        """
        words, plain = words_of(text), f" {' '.join(word.strip(MARKS) for word in canonical(text).split())} "
        spans = sorted(((k - i, i, k) for i in range(len(words)) for k in range(i + 1, len(words) + 1)), reverse=True)
        named = next((found for _, i, k in spans if (found := self._by_words.get(words[i:k]))), [])
        return next((label for label in named if f" {label} " in plain), next(iter(named), None))

    def found(self, images: ImageSet, asked: Sequence[str | None], first: int = 1) -> ImageScores:
        """1 where what an image was asked for is among the `first` classes that it most looks like, else 0.

        Args:
            images: what to look at.
            asked: the class of each image; an image without one is unscored.
            first: how many classes count.
        """

        def among(scores: np.ndarray, index: int) -> bool:
            return bool((scores > scores[index]).sum() < first)

        return self._values(images, asked, among)

    def present(self, images: ImageSet, asked: Sequence[str | None], most_probable: Sequence[str] = ()) -> ImageScores:
        """1 where a class's probability is at least 0.5, else 0; of `most_probable`, which exclude each other, the top.

        Args: as of `found`.
        """
        exclusive = np.array([label in most_probable for label in self.labels])

        def shown(scores: np.ndarray, index: int) -> bool:
            if exclusive[index]:
                return bool(scores[index] >= scores[exclusive].max())
            return bool(scores[index] >= PRESENT)

        return self._values(images, asked, shown)

    def _values(
        self, images: ImageSet, asked: Sequence[str | None], holds: Callable[[np.ndarray, int], bool]
    ) -> ImageScores:
        features = images.features(self.encoder)
        unread, seen = iter(images.unreadable(features)), np.isfinite(features).all(1)
        scores = self.read(np.where(seen[:, None], features, 0))
        place = {label: k for k, label in enumerate(self.labels)}
        values: list[float | None] = []
        details: list[str | None] = []
        for job, label, known, row in zip(images.jobs, asked, seen, scores, strict=True):
            if known and label is not None:
                values.append(float(holds(row, place[label])))
                details.append(None)
                continue
            values.append(None)
            details.append(next(unread) if not known else f"“{job.text}” names none of {len(self.labels)} classes")
        return ImageScores(values, self.note, self.encoder.qualifier, details)


def judges_things(judge: Any) -> Classes:
    """The embedded model's things by its judge; without places, which prompts name as settings, and nudity."""
    names = [name for name in judge.concepts if name != "nudity" and kinds()[name][0] != "place"]
    kept = [judge.concepts.index(name) for name in names]
    note = f"the most probable of {len(names)} things of the {judge.name} {judge.revision[:16]}"
    return Classes(judge, tuple(names), lambda features: judge.concept_probabilities(features)[:, kept], note)


def judges_styles(judge: Any) -> Classes:
    """The embedded model's styles by its judge, "plain" among them."""
    note = f"the most probable of {len(judge.styles)} styles of the {judge.name} {judge.revision[:16]}"
    return Classes(judge, tuple(judge.styles), judge.style_probabilities, note)


def all_of_judge(judge: Any) -> Classes:
    """Everything that the embedded model's judge knows, styles first but "plain"."""

    def read(features: np.ndarray) -> np.ndarray:
        return np.concatenate([judge.style_probabilities(features), judge.concept_probabilities(features)], 1)

    note = f"{judge.name} {judge.revision[:16]}, probability ≥ {PRESENT}, of styles the most probable"
    return Classes(judge, (*judge.styles, *judge.concepts), read, note)


def nearest_text(encoder: Encoder, texts: Sequence[str]) -> Classes:
    """Zero-shot classes: the one of some texts whose CLIP embedding an image's is nearest to."""
    labels = tuple(dict.fromkeys(texts))
    embedded = encoder.text_features(labels)

    def read(features: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(features, axis=1, keepdims=True)
        return (features / np.where(length > 0, length, 1)) @ embedded.T

    return Classes(encoder, labels, read, f"{encoder.name}, zero-shot, the nearest of {len(labels)} texts")


def with_or_without(encoder: Encoder, images: ImageSet, things: Sequence[str]) -> ImageScores:
    """1 where an image is nearer to "an image of THING" than to "an image without THING", else 0; of each its thing."""
    texts = [f"an image {word} {thing}" for thing in dict.fromkeys(things) for word in ("of", "without")]
    embedded = dict(zip(texts, encoder.text_features(texts), strict=True))
    features = images.features(encoder)
    unread, seen = iter(images.unreadable(features)), np.isfinite(features).all(1)
    values = [
        float(row @ embedded[f"an image of {thing}"] > row @ embedded[f"an image without {thing}"]) if known else None
        for row, thing, known in zip(features, things, seen, strict=True)
    ]
    note = f"{encoder.name}, zero-shot: “an image of” against “an image without”"
    return ImageScores(values, note, encoder.qualifier, [None if known else next(unread) for known in seen])
