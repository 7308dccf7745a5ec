"""Random numbers by place instead of by order: what record 7 of a day draws depends on nothing but where it stands.

A generator that is drawn from in sequence gives other numbers as soon as somebody asks for a day more, or for the
last hour only. Here a number is a hash (splitmix64's finaliser) of the seed, a name, the day and the index, so that
any window of the demo's life can be made on its own, in one vectorised step, and always comes out the same.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

__all__ = ["Bools", "Floats", "Ints", "Noise", "steady_counts"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

_DAY, _INDEX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
_STEPS = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST, _SPARE = np.uint64(31), np.uint64(11)


def _mixed(words: Words) -> Words:
    for shift, factor in _STEPS:
        words = (words ^ (words >> shift)) * factor
    return words ^ (words >> _LAST)


class Noise:
    """The chances of one demo. `day` is an ordinal, `index` counts within the day; both broadcast."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def uniform(self, name: str, day: Ints, index: Ints | int = 0) -> Floats:
        """Evenly spread over [0, 1)."""
        digest = blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        root = np.array([int.from_bytes(digest, "little")], dtype=np.uint64)
        days = np.atleast_1d(np.asarray(day, dtype=np.int64)).astype(np.uint64)
        places = np.atleast_1d(np.asarray(index, dtype=np.int64)).astype(np.uint64)
        words = _mixed(_mixed(root ^ (days * _DAY)) ^ (places * _INDEX))
        return np.asarray((words >> _SPARE).astype(np.float64) * 2.0**-53, dtype=np.float64)

    def normal(self, name: str, day: Ints, index: Ints | int = 0) -> Floats:
        """Standard normal, kept within 3 either side: a demo wants no freaks (Box and Muller's transform)."""
        radius = np.sqrt(-2.0 * np.log(1.0 - self.uniform(name, day, index)))
        drawn = radius * np.cos(2.0 * np.pi * self.uniform(f"{name}/angle", day, index))
        return np.asarray(np.clip(drawn, -3.0, 3.0), dtype=np.float64)

    def choice(self, name: str, weights: tuple[float, ...], day: Ints, index: Ints | int = 0) -> Ints:
        """Positions in `weights`, each as often as it weighs."""
        bounds = np.cumsum(weights) / sum(weights)
        return np.minimum(np.searchsorted(bounds, self.uniform(name, day, index), side="right"), len(weights) - 1)

    def even(self, name: str, index: Ints, step: float) -> Floats:
        """Over [0, 1) so evenly that any few in a row are a fair sample: a small company's luck evens out soon.

        `step` is an irrational number, another one for each property, lest they go together.
        """
        phase = float(self.uniform(f"{name}/even", np.zeros(1, dtype=np.int64))[0])
        return np.asarray((phase + np.asarray(index) * step) % 1.0, dtype=np.float64)

    def evenly(self, name: str, weights: tuple[float, ...], index: Ints, step: float) -> Ints:
        """Positions in `weights`, as `even` spreads them."""
        bounds = np.cumsum(weights) / sum(weights)
        return np.minimum(np.searchsorted(bounds, self.even(name, index, step), side="right"), len(weights) - 1)

    def wander(self, name: str, day: Ints, days: float) -> Floats:
        """A slow wave between about -1 and 1 that nobody can see through: three sines of about `days` length."""
        phases = self.uniform(f"{name}/wander", np.arange(3)) * 2.0 * np.pi
        turns = np.asarray(day)[:, None] / (days * np.array([1.0, 0.618, 1.7]))
        return np.asarray(np.sin(2.0 * np.pi * turns + phases).sum(axis=1) / 2.0, dtype=np.float64)


def steady_counts(means: Floats, phase: float = 0.5) -> Ints:
    """Whole numbers that add up to `means` over any stretch, within one: small businesses without wild luck."""
    return np.diff(np.floor(np.cumsum(means) + phase), prepend=np.floor(phase)).astype(np.int64)
