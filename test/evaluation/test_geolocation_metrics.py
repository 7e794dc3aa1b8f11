import numpy as np
import pytest
from scipy.stats import chi2

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.geolocation import CHI2_95, PlacedTargets, geolocation_metrics


def test_errors_by_hand():
    targets = PlacedTargets([[3, 4], [0, 0], [0, 1]], np.zeros((3, 2)), [np.eye(2) * 4] * 3)
    metrics = geolocation_metrics(targets)
    assert metrics["error_median_m"] == 1.0
    assert metrics["error_mean_m"] == pytest.approx(2.0)
    assert metrics["error_p95_m"] == pytest.approx(1 + 0.9 * 4)
    assert (metrics["bias_east_m"], metrics["bias_north_m"]) == (pytest.approx(1.0), pytest.approx(5 / 3))
    assert metrics["coverage_95"] == pytest.approx(2 / 3)  # 25 / 4 > 5.99


def test_an_honest_covariance_covers_95_percent_whatever_its_shape():
    rng = np.random.default_rng(0)
    covariance = np.array([[9.0, 4.0], [4.0, 2.5]])
    errors = rng.multivariate_normal([0, 0], covariance, 20000)
    targets = PlacedTargets(errors, np.zeros_like(errors), np.broadcast_to(covariance, (20000, 2, 2)))
    assert geolocation_metrics(targets)["coverage_95"] == pytest.approx(0.95, abs=0.01)
    assert pytest.approx(chi2.ppf(0.95, 2)) == CHI2_95


def test_a_claim_of_certainty_covers_only_the_truth_itself():
    targets = PlacedTargets([[0, 0], [1, 0]], np.zeros((2, 2)), np.zeros((2, 2, 2)))
    assert targets.inside_95().tolist() == [True, False]


def test_no_targets_and_uneven_ones():
    assert geolocation_metrics(PlacedTargets.joined([]))["error_median_m"] is None
    with pytest.raises(EvaluationError, match="1 estimates, 2 true places"):
        PlacedTargets([[0, 0]], np.zeros((2, 2)), [np.eye(2)])
