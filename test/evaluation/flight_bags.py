"""Small flights as real bags, and a stand-in detector as a real ONNX file, for the tests of the evaluation.

The scene: bright squares of two colours on a dark ground. The network is a "yolo_end_to_end" graph that finds the red
ones: a maximum over cells of the red channel, so that its detections are known in advance.
"""

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from uav_perception.frames.typestore import typestore
from uav_perception.inference.contract import ModelContract, write_contract

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
DETECTIONS, ACTIONS = "uav_perception/msg/DetectionArray", "uav_perception/msg/ActionArray"
WIDTH, HEIGHT, CELL = 160, 96, 16
START_NS, STEP_NS = 1_700_000_000_000_000_000, 50_000_000
NAMES = ("car", "bus")


def time_of(stamp_ns):
    types = typestore().types
    return types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def header(stamp_ns):
    return typestore().types["std_msgs/msg/Header"](stamp=time_of(stamp_ns), frame_id="camera_optical_frame")


def scene(index, lamp=False):
    """An image and the true boxes in it: a car moves right by one cell every fourth image, a bus stands.

    ``lamp`` lights the upper edge green, which the stand-in action model takes for running.
    """
    image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    image[:CELL] = (20, 250, 20) if lamp else (20, 20, 20)
    column = index // 4 % 8
    car = (column * CELL, 2 * CELL, (column + 1) * CELL, 3 * CELL)
    bus = (8 * CELL, 4 * CELL, 9 * CELL, 5 * CELL)
    for (x1, y1, x2, y2), color in ((car, (20, 20, 250)), (bus, (250, 20, 20))):
        image[y1:y2, x1:x2] = color
    return image, [(car, 0, 7), (bus, 1, 8)]


def detection_array(stamp_ns, rows):
    types = typestore().types
    detections = [
        types["uav_perception/msg/Detection"](
            class_id=c,
            class_name=NAMES[c],
            score=1.0,
            x_min=float(b[0]),
            y_min=float(b[1]),
            x_max=float(b[2]),
            y_max=float(b[3]),
            track_id=t,
            velocity_x=0.0,
            velocity_y=0.0,
        )
        for b, c, t in rows
    ]
    return types[DETECTIONS](
        header=header(stamp_ns), image_width=WIDTH, image_height=HEIGHT, model="truth", detections=detections
    )


def action_array(stamp_ns, labels):
    """Labels by track id, -1 for the whole image."""
    types = typestore().types
    actions = [
        types["uav_perception/msg/ActionLabel"](
            scope=0 if t < 0 else 1,
            track_id=t,
            label=label,
            score=1.0,
            scores=[],
            window_start=time_of(stamp_ns),
            window_end=time_of(stamp_ns),
            segments=0,
        )
        for t, label in labels.items()
    ]
    return types[ACTIONS](header=header(stamp_ns), model="truth", actions=actions)


def image_fields(image):
    """What a sensor_msgs/Image of ROS 1 or 2 says of a BGR picture."""
    return {
        "height": image.shape[0],
        "width": image.shape[1],
        "encoding": "bgr8",
        "is_bigendian": 0,
        "step": image.shape[1] * 3,
        "data": image.reshape(-1),
    }


def image_message(stamp_ns, image, compressed):
    types = typestore().types
    if compressed:
        data = np.frombuffer(cv2.imencode(".png", image)[1].tobytes(), np.uint8)
        return types[COMPRESSED](header=header(stamp_ns), format="png", data=data)
    return types[IMAGE](header=header(stamp_ns), **image_fields(image))


def write_flight(
    path,
    count=24,
    storage=StoragePlugin.SQLITE3,
    compression=CompressionMode.NONE,
    compressed=False,
    truth=True,
    actions=None,
    broken=(),
    version=9,
):
    """Write a bag; ``broken`` images carry no pixels, ``actions`` gives labels by track id for an image's index."""
    store = typestore()
    topic = "/camera/image_raw/compressed" if compressed else "/camera/image_raw"
    kind = COMPRESSED if compressed else IMAGE
    with Writer(path, version=version, storage_plugin=storage) as writer:
        if compression != CompressionMode.NONE:
            raise AssertionError("set the compression before opening")
        _fill(writer, store, topic, kind, count, truth, actions, broken, compressed)
    return path


def write_compressed_flight(path, compression, storage=StoragePlugin.SQLITE3, **options):
    """As :func:`write_flight`, the bag compressed with zstd."""
    store = typestore()
    compressed = options.pop("compressed", False)
    topic = "/camera/image_raw/compressed" if compressed else "/camera/image_raw"
    writer = Writer(path, version=9, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        kind = COMPRESSED if compressed else IMAGE
        _fill(writer, store, topic, kind, options.pop("count", 24), True, None, (), compressed)
    return path


def _fill(writer, store, topic, kind, count, truth, actions, broken, compressed):
    images = writer.add_connection(topic, kind, typestore=store)
    boxes = writer.add_connection("/ground_truth/detections", DETECTIONS, typestore=store) if truth else None
    labels = writer.add_connection("/ground_truth/actions", ACTIONS, typestore=store) if actions else None
    for i in range(count):
        stamp = START_NS + i * STEP_NS
        image, rows = scene(i, lamp=bool(actions) and actions(i).get(-1) == "run")
        message = image_message(stamp, image, compressed)
        data = store.serialize_cdr(message, kind)
        writer.write(images, stamp, data[: len(data) // 2] if i in broken else data)
        if boxes is not None:
            writer.write(boxes, stamp, store.serialize_cdr(detection_array(stamp, rows), DETECTIONS))
        if labels is not None:
            writer.write(labels, stamp, store.serialize_cdr(action_array(stamp, actions(i)), ACTIONS))


def write_detector(path, wrong_boxes=0, wrong_score=0.3):
    """A detector that finds the red cells as cars (score 0.9) and, optionally, boxes where nothing is.

    Output (1, N, 6): x1, y1, x2, y2, score, class. The blue squares (buses) are never found.
    """
    cells = (HEIGHT // CELL) * (WIDTH // CELL)
    grid = np.array(
        [
            (x * CELL, y * CELL, (x + 1) * CELL, (y + 1) * CELL)
            for y in range(HEIGHT // CELL)
            for x in range(WIDTH // CELL)
        ],
        np.float32,
    )
    false = np.array([[0.0, y, 12.0, y + 9.0, wrong_score, 0.0] for y in range(wrong_boxes)], np.float32).reshape(-1, 6)
    constants = {
        "boxes": grid[None],
        "classes": np.zeros((1, cells, 1), np.float32),
        "weights": np.array([1.2, -0.6, -0.6], np.float32).reshape(1, 3, 1, 1) / CELL**2,
        "shape": np.array([1, cells, 1], np.int64),
        "top": np.array(0.9, np.float32),
        "zero": np.array(0.0, np.float32),
        "false": false[None],
    }
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["redness"], strides=[CELL, CELL], kernel_shape=[CELL, CELL]),
        helper.make_node("Reshape", ["redness", "shape"], ["flat"]),
        helper.make_node("Clip", ["flat", "zero", "top"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores", "classes"], ["found"], axis=2),
        helper.make_node("Concat", ["found", "false"], ["output0"], axis=1),
    ]
    # A kernel as large as the cell, the same weight for each of its pixels.
    constants["weights"] = np.broadcast_to(constants["weights"], (1, 3, CELL, CELL)).copy()
    graph = helper.make_graph(
        nodes,
        "red_squares",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, cells + wrong_boxes, 6])],
        [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    contract = ModelContract(
        task="detection",
        name="red_squares",
        input_width=WIDTH,
        input_height=HEIGHT,
        class_names=NAMES,
        decoder="yolo_end_to_end",
        std=(255.0, 255.0, 255.0),
    )
    write_contract(path, contract)
    return path


def write_action_model(path):
    """An action model in two halves: mean green of a frame, then "run" where the window is green, else "walk"."""
    constants = {
        "axes": np.array([2, 3], np.int64),
        "time": np.array([1], np.int64),
        "weights": np.array([[-1.0, 1.0], [90.0, -90.0], [-1.0, 1.0]], np.float32),
        "bias": np.array([-18.0, 18.0], np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["frames", "axes"], ["features"], keepdims=0),
        helper.make_node("ReduceMean", ["window", "time"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "green_lamp",
        [
            helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["B", 3, 32, 32]),
            helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", 3, 3]),
        ],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", 3]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2]),
        ],
        [onnx.numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    contract = ModelContract(
        task="action",
        name="green_lamp",
        input_width=32,
        input_height=32,
        class_names=("run", "walk"),
        decoder="larmuv",
        decoder_options={"segments": 3, "feature_size": 3, "window_seconds": 0.4, "tick_hz": 10.0},
        std=(255.0, 255.0, 255.0),
        resize="stretch",
    )
    write_contract(path, contract)
    return path
