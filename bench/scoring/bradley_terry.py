"""Who wins, from pairs: Bradley and Terry's model (Biometrika 39, 1952)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ITERATIONS, CLOSE = 2000, 1e-9
PRIOR = 0.5  # wins that each of a compared pair has beforehand: one that never loses has a finite score
REPLICATES, TAIL = 1000, 2.5  # of the bootstrap; per cent at each end


@dataclass(frozen=True)
class Game:
    """One comparison.

    Attributes:
        first, second: the players' numbers.
        share: of the win that the first has: 1, 0, or 0.5 for a draw.
        cluster: games of one cluster are not independent.
    """

    first: int
    second: int
    share: float
    cluster: str


@dataclass(frozen=True)
class Ranking:
    """Log-odds with 95 % intervals, of mean 0 over all players, each of shape (players,): P(a beats b) = σ(a − b)."""

    scores: np.ndarray
    low: np.ndarray
    high: np.ndarray


def strengths(wins: np.ndarray) -> np.ndarray:
    """Log-odds that maximise the likelihood with PRIOR, of mean 0; (…, players).

    By Hunter's minorisation (Annals of Statistics 32, 2004): π_a ← W_a / Σ_b n_ab / (π_a + π_b).

    Args:
        wins: of the row's player over the column's, (…, players, players).
    """
    games = wins + np.swapaxes(wins, -1, -2)
    compared = games > 0
    wins, games = wins + PRIOR * compared, games + 2 * PRIOR * compared
    total, log = wins.sum(-1), np.zeros(wins.shape[:-1])
    for _ in range(ITERATIONS):
        power = np.exp(log)
        pace = (games / (power[..., :, None] + power[..., None, :])).sum(-1)
        new = np.log(np.where(pace > 0, total, 1.0)) - np.log(np.where(pace > 0, pace, 1.0))
        new -= new.mean(-1, keepdims=True)
        if np.abs(new - log).max(initial=0.0) < CLOSE:
            return new
        log = new
    return log


def ranked(games: Sequence[Game], players: int, seed: int = 0) -> Ranking:
    """Scores of all players with percentile intervals, by a bootstrap of clusters within each pair.

    Args:
        games: what was compared.
        players: how many there are.
        seed: of the bootstrap.
    """
    pairs: dict[tuple[int, int], dict[str, np.ndarray]] = {}
    for game in games:
        a, b = sorted((game.first, game.second))
        share = game.share if game.first == a else 1 - game.share
        own = pairs.setdefault((a, b), {})
        own[game.cluster] = own.get(game.cluster, np.zeros(2)) + np.array([share, 1 - share])
    random = np.random.default_rng(seed)
    wins, drawn = np.zeros((players, players)), np.zeros((REPLICATES, players, players))
    for (a, b), by_cluster in pairs.items():
        found = np.stack(list(by_cluster.values()))
        wins[a, b], wins[b, a] = found.sum(0)
        again = found[random.integers(len(found), size=(REPLICATES, len(found)))].sum(1)
        drawn[:, a, b], drawn[:, b, a] = again.T
    low, high = np.percentile(strengths(drawn), [TAIL, 100 - TAIL], axis=0)
    return Ranking(strengths(wins), low, high)
