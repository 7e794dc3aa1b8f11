"""Errors of the evaluation area."""

from uav_perception.errors import UavPerceptionError


class EvaluationError(UavPerceptionError):
    """A flight, its truth or a setting cannot be evaluated; the message says which and what to do."""


class TruthError(EvaluationError):
    """Ground truth that cannot be read, or that matches none of the images."""


class RecordingError(EvaluationError):
    """A bag or a folder of images that cannot be read."""
