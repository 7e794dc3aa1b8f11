import json

import cv2
import numpy as np
import pytest
import torch
from slow_reference import diou, giou, iou

from uav_perception.cli.main import main
from uav_perception.distillation import analysis, pictures
from uav_perception.distillation.errors import DistillationError
from uav_perception.networks.assigners import assign_atss
from uav_perception.networks.detector import Detector, DetectorConfig
from uav_perception.training.checkpoints import DetectorCheckpoint, write_detector

BOXES = torch.tensor([[20.0, 30.0, 32.0, 44.0], [60.0, 20.0, 150.0, 100.0], [100.0, 100.0, 109.0, 108.0]])


def test_candidates_are_the_nearest_cells_of_each_level():
    grid = analysis.image_grid(128, 192)
    chosen = analysis.candidate_cells(grid, BOXES)
    for box, cells in zip(BOXES.tolist(), chosen.tolist(), strict=True):
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        start = 0
        for size in grid.level_sizes:
            distances = [
                (x - centre[0]) ** 2 + (y - centre[1]) ** 2 for x, y in grid.centres[start : start + size].tolist()
            ]
            best = sorted(distances)[:9]
            mine = sorted(distances[cell - start] for cell in cells if start <= cell < start + size)
            assert mine == pytest.approx(best)
            start += size


def test_box_statistics_against_loops():
    found = analysis.box_statistics(BOXES, 128, 192)
    grid = analysis.image_grid(128, 192)
    cells = analysis.candidate_cells(grid, BOXES)
    assigned = assign_atss(grid, BOXES).gt_index
    for number, box in enumerate(BOXES.tolist()):
        anchors = grid.anchors[cells[number]].tolist()
        for name, measure in (("iou", iou), ("giou", giou), ("diou", diou)):
            expected = sum(measure(anchor, box) for anchor in anchors) / len(anchors)
            assert getattr(found, name)[number] == pytest.approx(expected, abs=1e-5)
        covered = np.zeros((400, 400), bool)  # one pixel a pixel, shifted by 100 to hold what leaves the image
        for cell in torch.nonzero(assigned == number).flatten().tolist():
            x, y = (int(value) + 100 for value in grid.centres[cell].tolist())
            half = int(grid.strides[cell]) // 2
            covered[y - half : y + half, x - half : x + half] = True
        area = (box[2] - box[0]) * (box[3] - box[1])
        assert found.area_ratio[number] == pytest.approx(covered.sum() / area, rel=1e-5)
    assert found.small.tolist() == [True, False, True]


def test_statistics_follow_the_scale_of_the_input_but_small_is_of_the_image():
    once, doubled = analysis.box_statistics(BOXES, 128, 192), analysis.box_statistics(BOXES / 2, 64, 96, scale=2.0)
    np.testing.assert_allclose(once.iou, doubled.iou)
    np.testing.assert_allclose(once.area_ratio, doubled.area_ratio)
    np.testing.assert_allclose(once.area, 4 * doubled.area)
    empty = analysis.box_statistics(BOXES[:0], 128, 192)
    assert len(analysis.BoxStatistics.joined([once, empty]).iou) == 3


def test_small_boxes_overlap_less():
    sides = torch.tensor([8.0, 12.0, 64.0, 90.0])
    boxes = torch.stack([64 - sides / 2, 64 - sides / 2, 64 + sides / 2, 64 + sides / 2], 1)
    assert (np.diff(analysis.box_statistics(boxes, 128, 128).iou) > 0).all()


def test_the_ideal_teacher_predicts_the_nearest_object():
    grid = analysis.image_grid(128, 192)
    ideal = analysis.ideal_teacher(grid, BOXES)
    inside = int(((grid.centres - torch.tensor([24.0, 32.0])).abs().sum(1) + (grid.strides != 8)).argmin())
    assert ideal[inside].tolist() == BOXES[0].tolist()
    assert (ideal[:, :2] <= grid.centres).all()  # a distribution head has no negative distance
    assert (ideal[:, 2:] >= grid.centres).all()
    nothing = analysis.ideal_teacher(grid, BOXES[:0])
    assert torch.equal(nothing[:, :2], nothing[:, 2:])
    assert analysis.cid_region(grid, BOXES[:0], 0.45).sum() == 0


def test_regions_are_where_the_paper_puts_them():
    grid = analysis.image_grid(128, 192)
    small = BOXES[2:]
    ld, cid = analysis.ld_region(grid, small, 0.25), analysis.cid_region(grid, small, 0.45)
    assert cid[cid > 0].mean() > ld[ld > 0].mean()  # the point of Fig. 5
    distance = (grid.centres[cid > 0] - torch.tensor([104.5, 104.0])).norm(dim=1)
    assert distance.max() <= 0.75 * torch.tensor([9.0, 8.0]).norm()


def test_paint_draws_squares_and_keeps_the_largest():
    grid = analysis.image_grid(16, 16, strides=(8, 16))
    weights = torch.zeros(5)
    weights[3], weights[4] = 0.9, 0.4  # cell (1, 1) of level 0 at (8, 8); the only cell of level 1 at (0, 0)
    picture = analysis.paint(grid, weights, 16, 16)
    expected = np.zeros((16, 16), np.float32)
    expected[:8, :8] = 0.4
    expected[4:12, 4:12] = 0.9
    np.testing.assert_array_equal(picture, expected)


def test_cosine_distance():
    a = torch.tensor([[[1.0, 1.0, 0.0]], [[0.0, 1.0, 2.0]]])
    b = torch.tensor([[[2.0, -1.0, 3.0]], [[0.0, -1.0, 0.0]]])
    assert analysis.cosine_distance(a, b).tolist() == [[pytest.approx(0), pytest.approx(2), pytest.approx(1)]]
    with pytest.raises(DistillationError, match="differ"):
        analysis.cosine_distance(a, b[:, :, :2])


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("scene")
    image = np.random.default_rng(0).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    annotations = [
        {"id": i + 1, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
        for i, (x1, y1, x2, y2) in enumerate(BOXES.tolist())
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 192, "height": 128}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "car"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    for seed in (1, 2):
        torch.manual_seed(seed)
        small = {"neck_channels": 16, "head_channels": 16, "groups": 4, "stacked_convs": 1, "reg_max": 4}
        config = DetectorConfig(num_classes=1, backbone="mobilenet_v3_small", **small)
        checkpoint = DetectorCheckpoint(Detector(config), ("car",), test_size=(0, 0))
        write_detector(tmp_path / f"net{seed}" / "detector.pt", checkpoint)
    return tmp_path


def is_picture(path):
    picture = cv2.imread(str(path))
    return picture is not None and picture.std() > 5


@pytest.mark.parametrize("picture", ["iou", "area"])
def test_histograms_from_the_command_line(scene, picture, capsys):
    out = scene / "out.png"
    assert (
        main(["analyse", picture, "--annotations", str(scene / "coco.json"), "--size", "0", "0", "--out", str(out)])
        == 0
    )
    assert is_picture(out)
    printed = capsys.readouterr().out
    assert "small: 2 boxes" in printed
    assert "larger: 1 boxes" in printed


@pytest.mark.parametrize("teacher", [False, True])
def test_region_picture_from_the_command_line(scene, teacher, capsys):
    out = scene / "vlr.png"
    command = ["analyse", "vlr", "--annotations", str(scene / "coco.json"), "--size", "0", "0", "--out", str(out)]
    command += (
        ["--images", str(scene), "--teacher", str(scene / "net1" / "detector.pt")] if teacher else ["--levels", "3"]
    )
    assert main([*command, "--window", "0", "0", "96", "96"]) == 0
    assert is_picture(out)
    printed = capsys.readouterr().out
    assert "LD, gamma 0.25" in printed
    assert "CID, gamma 0.45" in printed


def test_cosine_picture_from_the_command_line(scene, capsys):
    out = scene / "cosine.png"
    command = [
        "analyse",
        "cosine",
        "--annotations",
        str(scene / "coco.json"),
        "--images",
        str(scene),
        "--out",
        str(out),
    ]
    command += ["--teacher", str(scene / "net1" / "detector.pt"), "--student"]
    assert main([*command, str(scene / "net1" / "detector.pt"), str(scene / "net2" / "detector.pt")]) == 0
    assert is_picture(out)
    first, second = (line for line in capsys.readouterr().out.splitlines() if line.startswith("net"))
    assert "elsewhere 0.000" in first  # the teacher compared with itself
    assert "elsewhere 0.000" not in second


def test_command_line_errors_name_the_remedy(scene, capsys):
    annotations = str(scene / "coco.json")
    assert main(["analyse", "vlr", "--annotations", annotations, "--name", "b.png"]) == 1
    assert "no image 'b.png', but 'a.png'" in capsys.readouterr().err
    teacher = str(scene / "net1" / "detector.pt")
    assert main(["analyse", "cosine", "--annotations", annotations, "--teacher", teacher, "--student", teacher]) == 1
    assert "give --images" in capsys.readouterr().err
    empty = scene / "empty.json"
    empty.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    assert main(["analyse", "iou", "--annotations", str(empty)]) == 1
    assert "holds no box" in capsys.readouterr().err


def test_overlays_wrap_their_panels(tmp_path):
    panels = [pictures.Panel(str(i), np.full((20, 30), 0.5, np.float32)) for i in range(4)]
    pictures.overlays(np.zeros((20, 30, 3), np.uint8), np.zeros((0, 4)), panels, tmp_path / "p.png")
    assert is_picture(tmp_path / "p.png")
