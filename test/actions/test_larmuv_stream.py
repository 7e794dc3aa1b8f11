"""LARMUV itself, exported with random weights: the stream's cached path against a full recomputation in torch."""

import numpy as np
import pytest

from uav_perception.actions.model import softmax
from uav_perception.actions.recogniser import Recogniser, RecogniserOptions
from uav_perception.actions.smoothing import SmoothingOptions

torch = pytest.importorskip("torch")

MS = 1_000_000
SIZE = 96  # the backbone is convolutional; small images keep the test short


@pytest.fixture(scope="module")
def larmuv(tmp_path_factory):
    from uav_perception.deployment.export_action import contract_of, export_network
    from uav_perception.networks.action_zoo import Feed
    from uav_perception.training.action_model import ActionModel

    torch.manual_seed(0)
    feed = Feed(SIZE, 110, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    described = ActionModel("larmuv", {}, ("walk", "run", "clap"), feed, 1.5)
    network = described.build().eval()
    path = tmp_path_factory.mktemp("larmuv") / "larmuv.onnx"
    contract = contract_of(described, "larmuv", 10.0, 1.5, {})
    export_network(network, described, contract, path, "parts", half=False)
    return network, path


def test_cached_features_give_the_logits_of_whole_clips(larmuv):
    network, path = larmuv
    steady = SmoothingOptions(time_constant_s=0.0, enter=0.0, exit=0.0, min_dwell_s=0.0)
    recogniser = Recogniser(path, options=RecogniserOptions(smoothing=steady))
    rng = np.random.default_rng(2)
    images = [rng.integers(0, 256, (120, 160, 3), np.uint8) for _ in range(22)]
    stamps = [100 * i + (37 * i) % 11 for i in range(len(images))]
    for i, image in enumerate(images):
        result = recogniser.update(image, stamps[i] * MS)
        if i < 16:
            continue
        centres = [stamps[i] - 1500 + 1500 * (k + 0.5) / 3 for k in range(3)]
        chosen = [min(range(i + 1), key=lambda j, centre=centre: abs(stamps[j] - centre)) for centre in centres]
        clip = recogniser.model.preprocess_frames([images[j] for j in chosen])[None]
        with torch.inference_mode():
            expected = softmax(network(torch.from_numpy(clip)).numpy())[0]
        got = [score.score for score in sorted(result.scores, key=lambda score: score.class_id)]
        np.testing.assert_allclose(got, expected, atol=1e-4)
        assert result.window_start_ns == stamps[chosen[0]] * MS
