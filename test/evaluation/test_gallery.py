import cv2
import numpy as np
from flight_bags import HEIGHT, WIDTH, write_flight

from uav_perception.evaluation.gallery import cut_out, pictures_of_misses, worst_misses
from uav_perception.evaluation.record import Accounting, FlightRecord, ImageRecord
from uav_perception.evaluation.recordings import Recording
from uav_perception.evaluation.settings import Settings
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.inference.detections import Detections

SMALL, LARGE = [10.0, 10.0, 18.0, 18.0], [20.0, 20.0, 60.0, 60.0]


def flight(count):
    """In every image a large object that is missed, a small one that is missed, and a false detection."""
    images = []
    for i in range(count):
        truth = ImageTruth([SMALL, LARGE], [0, 1], width=WIDTH, height=HEIGHT)
        found = Detections([[100.0, 5.0, 120.0, 20.0]], [0.5 + i / 100], [0])
        images.append(ImageRecord(i, "", 10**9 + i * 10**8, found, None, truth))
    return FlightRecord("flight", Accounting(count, count, 0, 0), tuple(images))


def test_the_worst_of_each_kind_spread_over_the_flight():
    chosen = worst_misses(flight(20), score=0.4, count=6)
    missed = [m for m in chosen if m.kind == "missed"]
    false = [m for m in chosen if m.kind == "false"]
    assert [m.true_class for m in missed] == [1, 1]  # the large ones
    assert abs(missed[0].frame - missed[1].frame) >= 5
    assert [m.frame for m in false] == [19, 14]  # the surest first, then five images away


def test_pictures_are_cut_from_the_images_themselves(tmp_path):
    recording = Recording(str(write_flight(tmp_path / "flight", count=12)), "bag", "flight")
    done = [(recording, flight(12))]
    pictures = pictures_of_misses(done, Settings(model="m.onnx"), ("car", "bus"), 0.4, 4)
    assert [p.kind for p in pictures] == ["missed", "missed", "false", "false"]
    assert pictures[0].text == "bus not found, 40x40 px"
    assert pictures[2].text == "nothing taken for a car, score 0.61"
    assert pictures[2].stamp_s == 1.1
    for picture in pictures:
        image = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert max(image.shape[:2]) == 320


def test_the_miss_is_outlined_and_stays_inside_at_the_border():
    record = flight(1).images[0]
    miss = worst_misses(flight(1), 0.4, 3)[0]
    image = cv2.imdecode(np.frombuffer(cut_out(np.zeros((HEIGHT, WIDTH, 3), np.uint8), record, miss, 0.4), np.uint8), 1)
    green = (image[..., 1] > 150) & (image[..., 2] < 150)
    assert green.sum() > 4 * 3 * 100  # a frame of three pixels around a box of 40 px, enlarged
