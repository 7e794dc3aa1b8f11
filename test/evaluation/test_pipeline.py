"""The models in a row, as the nodes run them."""

from dataclasses import replace

import pytest
from flight_bags import START_NS, STEP_NS, scene, write_detector

from uav_perception.evaluation.pipeline import Pipeline
from uav_perception.evaluation.settings import Settings
from uav_perception.frames.frame import Frame
from uav_perception.inference.contract import read_contract, write_contract


def _look(pipeline, frame):
    work = pipeline.prepare(frame)
    pipeline.infer(work)
    return pipeline.follow(frame, work)


@pytest.mark.parametrize(("named", "followed"), [(None, 1), (0.2, 2), (0.95, 0)])
def test_objects_are_followed_from_the_threshold_that_the_model_names(tmp_path, named, followed):
    """A car of score 0.9 and a false one of 0.32: judged both, followed from 0.3 where the model names nothing."""
    model = write_detector(tmp_path / "detector.onnx", wrong_boxes=1, wrong_score=0.32)
    contract = read_contract(model)
    if named is not None:
        write_contract(model, replace(contract, decoder_options={**contract.decoder_options, "score_threshold": named}))
    pipeline = Pipeline(Settings(model=str(model)))
    pipeline.start(in_time_order=True)
    for i in range(3):
        frame = Frame(scene(0)[0], START_NS + i * STEP_NS)
        outcome = _look(pipeline, frame)
        assert len(outcome.detections) == 2
    assert (outcome.tracks.track_ids >= 0).sum() == followed
    pipeline.start(in_time_order=False)
    assert _look(pipeline, frame).tracks is None
