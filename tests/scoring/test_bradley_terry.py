"""Bradley and Terry's model: against the likelihood's own conditions, and its intervals by simulation."""

import math

import numpy as np
import pytest

from erasebench.scoring.bradley_terry import PRIOR, Game, ranked, strengths


def games(random: np.random.Generator, scores: list[float], each: int) -> list[Game]:
    return [
        Game(a, b, float(random.random() < 1 / (1 + math.exp(scores[b] - scores[a]))), f"{k}")
        for a in range(len(scores))
        for b in range(a + 1, len(scores))
        for k in range(each)
    ]


def test_two_players_have_the_log_odds_of_their_wins() -> None:
    found = strengths(np.array([[0.0, 7.0], [2.0, 0.0]]))
    assert found[0] - found[1] == pytest.approx(math.log((7 + PRIOR) / (2 + PRIOR)))


def test_expected_wins_are_the_wins() -> None:
    wins = np.random.default_rng(0).integers(0, 9, (5, 5)).astype(float) * ~np.eye(5, dtype=bool)
    wins[0, 1] = wins[1, 0] = 0  # never met
    scores = strengths(wins)
    compared = wins + wins.T > 0
    total = (wins + PRIOR * compared).sum(1)
    expected = (compared * (wins + wins.T + 2 * PRIOR) / (1 + np.exp(scores[None] - scores[:, None]))).sum(1)
    assert expected == pytest.approx(total, rel=1e-5)
    assert scores.mean() == pytest.approx(0)


def test_one_that_always_wins_has_a_finite_score_and_sides_do_not_matter() -> None:
    always = [Game(0, 1, 1.0, "a"), Game(0, 2, 1.0, "a"), Game(1, 2, 0.5, "a")]
    turned = [Game(game.second, game.first, 1 - game.share, game.cluster) for game in always]
    found = ranked(always, 3)
    assert np.isfinite(found.scores).all()
    assert found.scores[0] > found.scores[1] == pytest.approx(found.scores[2])
    assert ranked(turned, 3).scores == pytest.approx(found.scores)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth, random, held = [0.9, 0.0, -0.9], np.random.default_rng(1), []
    for _ in range(60):
        found = ranked(games(random, truth, 30), 3)
        held += list((found.low <= truth) & (truth <= found.high))
    assert 0.88 <= np.mean(held) <= 1


def test_games_of_one_cluster_count_as_one() -> None:
    alone = [Game(0, 1, float(k % 4 > 0), f"{k}") for k in range(16)]
    together = [Game(0, 1, float(k % 4 > 0), f"{k % 4}") for k in range(16)]
    wide, narrow = ranked(together, 2), ranked(alone, 2)
    assert wide.scores == pytest.approx(narrow.scores)
    assert wide.high[0] - wide.low[0] > 1.5 * (narrow.high[0] - narrow.low[0])
