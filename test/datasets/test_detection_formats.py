import json
import logging

import cv2
import numpy as np
import pytest
from PIL import Image

from uav_perception.datasets.coco import coco_dict, read_coco, write_coco
from uav_perception.datasets.detection_set import AnnotatedImage, DetectionSet, decode_image, image_size
from uav_perception.datasets.detection_sources import open_detection_set
from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.uavdt import UAVDT_CLASSES, UAVDT_TEST_SEQUENCES, read_uavdt, write_uavdt
from uav_perception.datasets.visdrone import VISDRONE_CLASSES, read_visdrone, write_visdrone
from uav_perception.evaluation.truth import ImageTruth


def picture(path, width=64, height=48):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def visdrone_split(root, lines, name="a"):
    picture(root / "images" / f"{name}.jpg")
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_visdrone_categories_scores_and_ignore_rules(tmp_path, caplog):
    visdrone_split(
        tmp_path,
        [
            "10,5,20,10,1,1,0,0",  # pedestrian
            "30,5,10,10,0,10,0,0,",  # motor that is not evaluated; some files end a line with a comma
            "0,0,9,9,0,0,0,0",  # ignored region
            "1,1,5,5,1,11,0,0",  # others
            "5,5,0,7,1,4,0,0",  # no width
            "70,5,9,9,1,4,0,0",  # outside
            "60,40,20,20,1,9,1,2",  # bus, partly outside
            "5,5,9,9,1,12,0,0",
            "a,b,c",
            "",
        ],
    )
    with caplog.at_level(logging.WARNING):
        dataset = read_visdrone(tmp_path)
    truth = dataset.images[0].truth
    assert truth.boxes.tolist() == [[10, 5, 30, 15], [30, 5, 40, 15], [60, 40, 64, 48]]
    assert [VISDRONE_CLASSES[i] for i in truth.class_ids] == ["pedestrian", "motor", "bus"]
    assert truth.ignored.tolist() == [False, True, False]
    assert truth.ignore_regions.tolist() == [[0, 0, 9, 9]]
    assert (truth.width, truth.height) == (64, 48)
    assert [line.split(":")[0] for line in dataset.problems] == [f"a.txt, line {n}" for n in (5, 6, 8, 9)]
    reasons = ("has no area", "outside the image of 64x48", "no category 12", "is not left,top,width")
    assert all(reason in line for reason, line in zip(reasons, dataset.problems, strict=True))
    assert "skipped 4 entries" in caplog.text


def test_broken_and_unannotated_images_are_named_and_skipped(tmp_path):
    visdrone_split(tmp_path, ["1,1,5,5,1,1,0,0"])
    (tmp_path / "images" / "broken.jpg").write_bytes(b"not a picture")
    picture(tmp_path / "images" / "lonely.jpg")
    dataset = read_visdrone(tmp_path)
    assert [image.name for image in dataset.images] == ["a.jpg"]
    assert len(dataset.problems) == 2
    assert "broken.jpg" in dataset.problems[0] and "cannot be read" in dataset.problems[0]
    assert "lonely.txt does not exist" in dataset.problems[1]


def test_visdrone_survives_writing_and_reading(tmp_path):
    visdrone_split(tmp_path / "one", ["10,5,20,10,1,1,0,0", "30,5,10,10,0,10,0,0", "0,0,9,9,0,0,0,0"])
    dataset = read_visdrone(tmp_path / "one")
    picture(tmp_path / "two" / "images" / "a.jpg")
    write_visdrone(dataset, tmp_path / "two")
    again = read_visdrone(tmp_path / "two")
    for field in ("boxes", "class_ids", "ignored", "ignore_regions"):
        assert getattr(again.images[0].truth, field).tolist() == getattr(dataset.images[0].truth, field).tolist()


def test_visdrone_to_coco_and_back_keeps_objects(tmp_path):
    visdrone_split(tmp_path, ["10,5,20,10,1,1,0,0", "30,5,10,10,0,10,0,0", "0,20,12,8,0,0,0,0"])
    dataset = read_visdrone(tmp_path)
    write_coco(dataset, tmp_path / "coco.json")
    again = read_coco(tmp_path / "coco.json", tmp_path / "images")
    assert again.class_names == VISDRONE_CLASSES
    before, after = dataset.images[0].truth, again.images[0].truth
    assert after.boxes.tolist() == before.boxes.tolist()
    assert after.class_ids.tolist() == before.class_ids.tolist()
    assert after.ignored.tolist() == before.ignored.tolist()
    assert after.ignore_regions.tolist() == before.ignore_regions.tolist() == [[0, 20, 12, 28]]
    assert (after.width, after.height) == (64, 48)
    assert dataset.counts()["pedestrian"] == 1
    assert dataset.counts()["motor"] == 0  # ignored


def test_coco_as_pycocotools_reads_it(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    visdrone_split(tmp_path, ["10,5,20,10,1,1,0,0", "30,5,10,10,0,10,0,0"])
    write_coco(read_visdrone(tmp_path), tmp_path / "coco.json")
    api = coco.COCO(str(tmp_path / "coco.json"))
    [first, second] = api.loadAnns(api.getAnnIds())
    assert (first["bbox"], first["area"], first["iscrowd"], first["category_id"]) == ([10, 5, 20, 10], 200, 0, 1)
    assert (second["iscrowd"], second["category_id"]) == (1, 10)


def coco_file(tmp_path, **changes):
    picture(tmp_path / "a.jpg")
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 64, "height": 48}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 10], "area": 60, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 90, "bbox": [5, 5, 20, 20], "ignore": 1},
            {"id": 3, "image_id": 7, "category_id": 3, "bbox": [5, 5, 0, 20]},
            {"id": 4, "image_id": 7, "category_id": 3, "bbox": [5, float("nan"), 9, 20]},
            {"id": 5, "image_id": 8, "category_id": 3, "bbox": [5, 5, 9, 20]},
        ],
        "categories": [{"id": 90, "name": "brush"}, {"id": 3, "name": "car"}],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def test_coco_ids_ignore_flags_and_skipped_boxes(tmp_path):
    dataset = read_coco(coco_file(tmp_path), tmp_path)
    truth = dataset.images[0].truth
    assert dataset.class_names == ("car", "brush")  # by category id
    assert truth.class_ids.tolist() == [0, 1]
    assert truth.ignored.tolist() == [False, True]
    assert truth.areas.tolist() == [60, 400]
    assert len(dataset.problems) == 3
    assert read_coco(tmp_path / "coco.json", tmp_path, ["brush"]).images[0].truth.class_ids.tolist() == [0]


def test_errors_say_what_is_wrong(tmp_path):
    path = coco_file(tmp_path)
    with pytest.raises(DatasetError, match="has no classes boat"):
        read_coco(path, tmp_path, ["car", "boat"])
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DatasetError, match="no COCO detection file"):
        read_coco(tmp_path / "list.json", tmp_path)
    with pytest.raises(DatasetError, match="no COCO detection file"):
        read_coco(tmp_path / "missing.json", tmp_path)
    missing = coco_file(tmp_path, images=[{"id": 7, "file_name": "gone.jpg", "width": 4, "height": 4}])
    assert "gone.jpg: the image file does not exist" in read_coco(missing, tmp_path).problems
    (tmp_path / "gone").mkdir()
    with pytest.raises(DatasetError, match="must hold the folders images/ and annotations/"):
        read_visdrone(tmp_path / "gone")


def test_uavdt_splits_objects_and_ignore_regions(tmp_path):
    images, annotations = tmp_path / "images", tmp_path / "GT"
    annotations.mkdir()
    for sequence in ("M0101", "M0203"):
        for frame in (1, 2):
            picture(images / sequence / f"img{frame:06d}.jpg")
        (annotations / f"{sequence}_gt_whole.txt").write_text(
            "1,4,10,10,20,10,1,1,1\n2,4,12,10,20,10,1,1,3\n2,5,0,0,0,10,1,1,2\n2,6,0,0,5,10,1,1,7\nbad\n"
        )
    (annotations / "M0101_gt_ignore.txt").write_text("1,0,0,0,30,8,1,1,-1\n")
    train = read_uavdt(images, annotations, "train")
    assert [image.name for image in train.images] == ["M0101/img000001.jpg", "M0101/img000002.jpg"]
    first, second = (image.truth for image in train.images)
    assert first.ignore_regions.tolist() == [[0, 0, 30, 8]]
    assert second.boxes.tolist() == [[12, 10, 32, 20]]
    assert second.class_ids.tolist() == [2]
    assert second.track_ids.tolist() == [4]
    assert len(train.problems) == 3
    assert [image.name[:5] for image in read_uavdt(images, annotations, "test", every=2).images] == ["M0203"]
    assert len(UAVDT_TEST_SEQUENCES) == 20
    with pytest.raises(DatasetError, match="splits train and test, not 'val'"):
        read_uavdt(images, annotations, "val")


def test_uavdt_comes_back_as_it_was_written(tmp_path):
    images = tmp_path / "UAV-benchmark-M"
    for name in ("M0101/img000001.jpg", "M0101/img000002.jpg"):
        picture(images / name)
    truths = (
        ImageTruth([[1, 2, 11, 12], [20, 20, 40, 30]], [1, 0], track_ids=[7, 8], width=64, height=48),
        ImageTruth([[5, 5, 15, 20], [0, 0, 9, 9]], [2, 0], ignored=[False, True], ignore_regions=[[30, 0, 60, 20]],
                   width=64, height=48),
    )  # fmt: skip
    names = ("M0101/img000001.jpg", "M0101/img000002.jpg")
    written = DetectionSet(
        tuple(AnnotatedImage(images / n, n, t) for n, t in zip(names, truths, strict=True)), ("car", "truck", "person")
    )
    write_uavdt(written, tmp_path / "GT")
    back = read_uavdt(images, tmp_path / "GT", "train")
    first, second = (image.truth for image in back.images)
    assert first.boxes.tolist() == [[1, 2, 11, 12], [20, 20, 40, 30]]
    assert [UAVDT_CLASSES[i] for i in first.class_ids] == ["truck", "car"]
    assert first.track_ids.tolist() == [7, 8]
    assert second.boxes.size == 0  # UAVDT does not annotate people
    assert sorted(second.ignore_regions.tolist()) == [[0, 0, 9, 9], [30, 0, 60, 20]]
    assert back.problems == ()
    with pytest.raises(DatasetError, match="UAVDT's classes are car, truck, bus; this data set has person"):
        write_uavdt(DetectionSet(written.images, ("person",)), tmp_path)
    renamed = AnnotatedImage(images / "a.jpg", "a.jpg", truths[0])
    with pytest.raises(DatasetError, match=r"img000001\.jpg; a\.jpg is to be renamed"):
        write_uavdt(DetectionSet((renamed,), ("car", "truck")), tmp_path)
    twin = AnnotatedImage(images / "b", "b/M0101/img000001.jpg", truths[0])
    with pytest.raises(DatasetError, match="Two images would be frame 1 of M0101"):
        write_uavdt(DetectionSet((*written.images, twin), written.class_names), tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


def test_a_recipes_description_opens_the_right_reader(tmp_path):
    visdrone_split(tmp_path, ["1,1,5,5,1,1,0,0"])
    assert len(open_detection_set({"format": "visdrone", "root": tmp_path})) == 1
    with pytest.raises(DatasetError, match="no data set format 'voc'; choose one of coco, visdrone, uavdt, joined"):
        open_detection_set({"format": "voc"})
    with pytest.raises(DatasetError, match="missing: annotations, images; unknown: root"):
        open_detection_set({"format": "coco", "root": tmp_path})


def test_a_description_takes_away_what_it_inherits(tmp_path):
    visdrone_split(tmp_path, ["1,2,10,10,1,4,0,0"])
    assert len(open_detection_set({"format": "visdrone", "root": str(tmp_path), "sets": None})) == 1


def test_sets_of_the_same_classes_are_joined(tmp_path):
    for name, lines in (("one", ["1,1,5,5,1,1,0,0"]), ("two", ["2,2,5,5,1,4,0,0", "not a line"])):
        visdrone_split(tmp_path / name, lines, name)
    one, two = ({"format": "visdrone", "root": tmp_path / name} for name in ("one", "two"))
    both = open_detection_set({"format": "joined", "sets": [two, one]})
    assert [image.name for image in both.images] == ["two.jpg", "one.jpg"]
    assert both.counts()["pedestrian"] == both.counts()["car"] == 1
    assert len(both.problems) == 1
    write_coco(read_visdrone(tmp_path / "one"), tmp_path / "cars.json")
    cars = {"format": "coco", "annotations": tmp_path / "cars.json", "images": tmp_path / "one/images"}
    cars["class_names"] = ["car"]
    with pytest.raises(DatasetError, match=r"the first has pedestrian, .*, number 2 has car\. Name the wanted ones"):
        open_detection_set({"format": "joined", "sets": [one, cars]})
    for wrong in ({}, {"sets": []}, {"sets": one}, {"sets": [one], "root": "x"}):
        with pytest.raises(DatasetError, match="described by `sets`, a list of at least one"):
            open_detection_set({"format": "joined", **wrong})


def test_more_classes_than_visdrone_has_are_refused(tmp_path):
    names = tuple(f"class {i}" for i in range(11))
    dataset = DetectionSet((AnnotatedImage(tmp_path / "a.jpg", "a.jpg", ImageTruth(np.zeros((0, 4)), [])),), names)
    with pytest.raises(DatasetError, match="10 categories, this data set has 11"):
        write_visdrone(dataset, tmp_path)
    assert coco_dict(dataset)["annotations"] == []


def test_images_of_several_folders_get_several_visdrone_files(tmp_path):
    def image(name, x):
        truth = ImageTruth(np.array([[x, 2, x + 5, 9]]), np.array([0]), width=40, height=30)
        return AnnotatedImage(tmp_path / name, name, truth)

    dataset = DetectionSet((image("M0101/img000001.jpg", 3), image("M0203/img000001.jpg", 8)), ("car",))
    write_visdrone(dataset, tmp_path)
    written = {path.stem: path.read_text() for path in (tmp_path / "annotations").iterdir()}
    assert written == {"M0101_img000001": "3,2,5,7,1,1,0,0\n", "M0203_img000001": "8,2,5,7,1,1,0,0\n"}
    alike = DetectionSet((image("a.jpg", 3), image("a.png", 8)), ("car",))
    with pytest.raises(DatasetError, match=r"Two images would be annotated in a\.txt"):
        write_visdrone(alike, tmp_path)


def test_pixels_are_those_that_the_annotation_is_for(tmp_path):
    photograph, exif = Image.new("RGB", (40, 30)), Image.Exif()
    exif[0x0112] = 6  # viewers turn it by 90 degrees
    photograph.save(tmp_path / "turned.jpg", exif=exif)
    assert image_size(tmp_path / "turned.jpg") == (40, 30)
    item = AnnotatedImage(tmp_path / "turned.jpg", "turned.jpg", ImageTruth.empty(40, 30))
    assert decode_image(item).shape == (30, 40, 3)
    other = AnnotatedImage(item.path, item.name, ImageTruth.empty(400, 300))
    with pytest.raises(DatasetError, match="has 40x30 px, but its annotation is for 400x300"):
        decode_image(other)


def test_a_size_that_coco_lacks_is_read_from_the_image(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((30, 40, 3), np.uint8))
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [30, 20, 30, 30]},
            {"id": 2, "image_id": 1, "category_id": 1},
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    dataset = read_coco(tmp_path / "coco.json", tmp_path, check_files=False)
    assert (dataset.images[0].truth.width, dataset.images[0].truth.height) == (40, 30)
    assert dataset.images[0].truth.boxes.tolist() == [[30, 20, 40, 30]]
    assert len(dataset) == 1
    assert "annotation 2: its bbox is None, not x, y, width and height" in dataset.problems[0]
    assert "b.png: the annotations lack its size" in dataset.problems[1]
