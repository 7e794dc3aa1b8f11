"""With messages that are not on PyPI: gates, reports, PX4's topics, vision_msgs; each test says what it misses."""

from __future__ import annotations

import time

import pytest
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_client import Camera, blob, wait_until
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Bool
from uav_perception.msg import Detection, DetectionArray, GeoTargetArray

from uav_perception.nodes.conversions import from_time, to_header
from uav_perception.nodes.px4_input import px4_topic
from uav_perception.nodes.qos import latched, results, sensor

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND


def _px4_qos() -> QoSProfile:
    """What PX4's publishers have: best effort, transient local."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Gated:
    """A detector behind a gate, with a camera."""

    def __init__(self, run, client, models, namespace: str, gate: str, *options: str) -> None:
        self.client = client
        self.name = f"/{namespace}/detector"
        self.nodes = run("--model", models["blobs"], "--nodes", "detector", "--namespace", namespace,
                         "--image", f"/{namespace}/image", "-p", f"detector.gate={gate}", *options)  # fmt: skip
        client.wait_for_state(self.name, "active")
        self.found = client.collect(DetectionArray, f"{self.name}/detections", results())
        self.camera = Camera(client, f"/{namespace}/image")
        self.camera.wait_for_subscribers()
        wait_until(lambda: client.node.count_publishers(f"{self.name}/detections") == 1, 10, "the publisher")
        self.stamp = NOW

    def fly(self, seconds: float) -> int:
        """Send images at 20 Hz; returns how many detections came."""
        before = len(self.found)
        for _ in range(round(seconds * 20)):
            self.stamp += SECOND // 20
            self.camera.send(blob(), self.stamp)
            time.sleep(0.05)
        time.sleep(0.3)
        return len(self.found) - before

    def check(self, opens, closes) -> None:
        """Closed at first, open after ``opens()``, closed after ``closes()``."""
        assert self.fly(0.5) == 0
        name = self.name.lstrip("/")
        wait_until(lambda: "waiting for the gate" in self.client.diagnostics[name].message, 10, "the reason")
        wait_until(lambda: int(self.client.values(name)["held_back"]) > 0, 10, "the images held back")
        opens()
        self.nodes.wait_for("opens")
        assert self.fly(0.5) > 0
        closes()
        self.nodes.wait_for("closes")
        assert self.fly(0.5) == 0


def test_a_gate_by_topic(run, client, models):
    gated = Gated(run, client, models, "h1", "topic")
    publisher = client.node.create_publisher(Bool, "/h1/enabled", results())
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, "the gate's subscription")
    gated.check(lambda: publisher.publish(Bool(data=True)), lambda: publisher.publish(Bool(data=False)))


def test_a_gate_by_mavros_opens_in_the_air(run, client, models):
    messages = pytest.importorskip("mavros_msgs.msg", reason="mavros_msgs is not installed")
    gated = Gated(run, client, models, "h2", "mavros_airborne")
    publisher = client.node.create_publisher(messages.ExtendedState, "/h2/mavros/extended_state", latched())
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, "the gate's subscription")
    gated.check(
        lambda: publisher.publish(messages.ExtendedState(landed_state=2)),
        lambda: publisher.publish(messages.ExtendedState(landed_state=1)),
    )


def test_a_gate_by_px4_opens_when_armed(run, client, models):
    messages = pytest.importorskip("px4_msgs.msg", reason="px4_msgs is not installed")
    gated = Gated(run, client, models, "h3", "px4_armed")
    topic = px4_topic("/h3/fmu/out", "vehicle_status", messages.VehicleStatus)
    publisher = client.node.create_publisher(messages.VehicleStatus, topic, _px4_qos())
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, "the gate's subscription")
    gated.check(
        lambda: publisher.publish(messages.VehicleStatus(arming_state=2)),
        lambda: publisher.publish(messages.VehicleStatus(arming_state=1)),
    )


def test_a_gate_by_mavros_opens_when_armed(run, client, models):
    messages = pytest.importorskip("mavros_msgs.msg", reason="mavros_msgs is not installed")
    gated = Gated(run, client, models, "h15", "mavros_armed")
    publisher = client.node.create_publisher(messages.State, "/h15/mavros/state", latched())
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, "the gate's subscription")
    gated.check(
        lambda: publisher.publish(messages.State(armed=True)), lambda: publisher.publish(messages.State(armed=False))
    )


def test_a_gate_by_px4_opens_in_the_air(run, client, models):
    messages = pytest.importorskip("px4_msgs.msg", reason="px4_msgs is not installed")
    gated = Gated(run, client, models, "h16", "px4_airborne")
    landed = messages.VehicleLandDetected
    topic = px4_topic("/h16/fmu/out", "vehicle_land_detected", landed)
    publisher = client.node.create_publisher(landed, topic, _px4_qos())
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, "the gate's subscription")
    gated.check(lambda: publisher.publish(landed(landed=False)), lambda: publisher.publish(landed(landed=True)))


def test_a_gate_by_mavros_opens_in_a_mode(run, client, models):
    messages = pytest.importorskip("mavros_msgs.msg", reason="mavros_msgs is not installed")
    gated = Gated(run, client, models, "h8", "mavros_mode", "-p", "detector.gate_modes=GUIDED, AUTO.MISSION")
    publisher = client.node.create_publisher(messages.State, "/h8/mavros/state", latched())
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, "the gate's subscription")
    gated.check(
        lambda: publisher.publish(messages.State(mode="AUTO.MISSION")),
        lambda: publisher.publish(messages.State(mode="AUTO.RTL")),
    )


def test_a_gate_by_px4_opens_in_a_mode(run, client, models):
    messages = pytest.importorskip("px4_msgs.msg", reason="px4_msgs is not installed")
    gated = Gated(run, client, models, "h9", "px4_mode", "-p", "detector.gate_modes=AUTO_MISSION")
    topic = px4_topic("/h9/fmu/out", "vehicle_status", messages.VehicleStatus)
    publisher = client.node.create_publisher(messages.VehicleStatus, topic, _px4_qos())
    wait_until(lambda: publisher.get_subscription_count() == 1, 10, "the gate's subscription")
    status = messages.VehicleStatus
    gated.check(
        lambda: publisher.publish(status(nav_state=status.NAVIGATION_STATE_AUTO_MISSION)),
        lambda: publisher.publish(status(nav_state=status.NAVIGATION_STATE_AUTO_RTL)),
    )


def test_a_gate_without_its_messages_is_refused_with_the_remedy(run, client, models):
    try:
        import mavros_msgs  # noqa: F401
    except ModuleNotFoundError:
        nodes = run("--model", models["blobs"], "--nodes", "detector", "--namespace", "h4",
                    "-p", "detector.gate=mavros_armed")  # fmt: skip
        nodes.wait_for("cannot activate: the gates of MAVROS need mavros_msgs, which is not installed")
        assert client.state("/h4/detector") == "inactive"
    else:
        pytest.skip("mavros_msgs is installed here")


def test_a_heartbeat_goes_out_through_mavros(run, client, models):
    messages = pytest.importorskip("mavros_msgs.msg", reason="mavros_msgs is not installed")
    beats = client.collect(messages.CompanionProcessStatus, "/h5/mavros/companion_process/status", results())
    run("--model", models["blobs"], "--nodes", "detector", "--namespace", "h5", "-p", "detector.report=mavros",
        "-p", "detector.report_component=197")  # fmt: skip
    wait_until(lambda: bool(beats), 20, "a heartbeat")
    assert beats[0].component == 197 and beats[0].state in (4, 5)


def _check_computer(state) -> None:
    """Memory and loads are known, the rest carries MAVLink's marks for unused fields."""
    assert 0 < state.ram_usage < state.ram_total and state.uptime > 0 and state.cpu_cores[0] <= 100
    assert list(state.gpu_cores) == [255] * 4
    assert (state.temperature_board, state.temperature_core[0], state.fan_speed[0]) == (127, 127, 32767)
    assert state.storage_total[0] == state.link_rx_max[5] == 2**32 - 1


def test_the_computers_state_goes_out_through_mavros(run, client, models):
    messages = pytest.importorskip("mavros_msgs.msg", reason="mavros_msgs is not installed")
    states = client.collect(messages.OnboardComputerStatus, "/h12/mavros/onboard_computer/status", results())
    run("--model", models["blobs"], "--nodes", "detector", "--namespace", "h12", "-p", "detector.report=mavros",
        "-p", "detector.report_component=191")  # fmt: skip
    wait_until(lambda: bool(states), 20, "the state")
    assert states[0].component == 191 and abs(states[0].header.stamp.sec - time.time()) < 60.0
    _check_computer(states[0])


def test_the_computers_state_goes_out_to_px4(run, client, models):
    messages = pytest.importorskip("px4_msgs.msg", reason="px4_msgs is not installed")
    topic = px4_topic("/h6/fmu/in", "onboard_computer_status", messages.OnboardComputerStatus)
    states = client.collect(messages.OnboardComputerStatus, topic, sensor())
    run("--model", models["blobs"], "--nodes", "detector", "--namespace", "h6", "-p", "detector.report=px4")
    wait_until(lambda: bool(states), 20, "the state")
    assert abs(states[0].timestamp / 1e6 - time.time()) < 60.0
    _check_computer(states[0])


def test_px4_places_targets_from_its_own_topics_and_frames(run, client):
    messages = pytest.importorskip("px4_msgs.msg", reason="px4_msgs is not installed")
    run("--nodes", "geolocation", "--namespace", "h7", "--image", "/h7/camera/image_raw",
        "-p", "geolocation.vehicle=px4", "-p", "geolocation.mount_pitch=90.0")  # fmt: skip
    client.wait_for_state("/h7/geolocation", "active")
    create = client.node.create_publisher

    def px4(name: str, topic: str):
        kind = getattr(messages, name)
        publisher = create(kind, px4_topic("/h7/fmu/out", topic, kind), _px4_qos())
        wait_until(lambda: publisher.get_subscription_count() == 1, 15, f"a subscriber of {publisher.topic_name}")
        return publisher

    odometry = px4("VehicleOdometry", "vehicle_odometry")
    position = px4("VehicleLocalPosition", "vehicle_local_position")
    globe = px4("VehicleGlobalPosition", "vehicle_global_position")
    camera = create(CameraInfo, "/h7/camera/camera_info", sensor())
    detections = create(DetectionArray, "/h7/detector/detections", results())
    found = client.collect(GeoTargetArray, "/h7/geolocation/targets", results())
    for publisher in (camera, detections):
        wait_until(lambda p=publisher: p.get_subscription_count() == 1, 15, "the node's subscriptions")
    camera.publish(CameraInfo(width=320, height=240, k=[300.0, 0.0, 159.5, 0.0, 300.0, 119.5, 0.0, 0.0, 1.0]))
    # 10 m north, 5 m east, 20 m up, nose to the north: the body's FRD axes are NED's.
    microseconds = NOW // 1000
    for index in range(20):
        stamp = microseconds + index * 20_000
        message = messages.VehicleOdometry(timestamp=stamp, timestamp_sample=stamp, pose_frame=1, velocity_frame=1)
        message.position, message.q = [10.0, 5.0, -20.0], [1.0, 0.0, 0.0, 0.0]
        message.velocity = [0.0, 0.0, 0.0]
        message.position_variance = message.orientation_variance = [0.01, 0.01, 0.01]
        odometry.publish(message)
        globe.publish(messages.VehicleGlobalPosition(alt=520.0, alt_ellipsoid=567.0))
        reference = messages.VehicleLocalPosition(
            timestamp=stamp, timestamp_sample=stamp, xy_global=True, z_global=True
        )
        reference.ref_lat, reference.ref_lon, reference.ref_alt = 47.0, 8.0, 500.0
        position.publish(reference)
        time.sleep(0.02)
    stamp = (microseconds + 10 * 20_000) * 1000
    box = Detection(class_name="blob", score=0.9, x_min=80.0, y_min=60.0, x_max=180.0, y_max=120.0, track_id=1)
    header = to_header(stamp, "camera")
    detections.publish(DetectionArray(header=header, image_width=320, image_height=240, detections=[box]))
    wait_until(lambda: any(from_time(m.header.stamp) == stamp for m in found), 10, "the targets")
    (target,) = found[-1].targets
    # 30 px left of the axis, 2 m to the west of the vehicle: east 5 - 2, north 10.
    assert (target.position.x, target.position.y, target.position.z) == pytest.approx((3.0, 10.0, 0.0), abs=0.02)
    assert target.altitude == pytest.approx(547.0, abs=0.05)
    assert target.latitude == pytest.approx(47.0 + 10.0 / 111_170, abs=2e-7)


def test_detections_go_out_as_vision_msgs_too(run, client, models):
    messages = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed")
    run("--model", models["blobs"], "--nodes", "detector", "--namespace", "h10", "--image", "/h10/image",
        "-p", "detector.vision_msgs=true")  # fmt: skip
    client.wait_for_state("/h10/detector", "active")
    mirrored = client.collect(messages.Detection2DArray, "/h10/detector/detections_vision", results())
    ours = client.collect(DetectionArray, "/h10/detector/detections", results())
    camera = Camera(client, "/h10/image")
    camera.wait_for_subscribers()
    wait_until(lambda: client.node.count_publishers("/h10/detector/detections_vision") == 1, 10, "the publisher")
    for index in range(6):
        camera.send(blob(), NOW + index * SECOND // 10)
        time.sleep(0.1)
    wait_until(lambda: bool(mirrored) and bool(mirrored[-1].detections[0].id), 10, "detections with a track")
    header = mirrored[-1].header
    assert header.frame_id == "camera_optical_frame"
    (mirror,) = mirrored[-1].detections
    (detection,) = next(message for message in ours if message.header == header).detections
    assert mirror.header == header and mirror.id == str(detection.track_id)
    assert (mirror.results[0].hypothesis.class_id, mirror.results[0].hypothesis.score) == pytest.approx(
        ("blob", detection.score)
    )
    half_width, half_height = mirror.bbox.size_x / 2, mirror.bbox.size_y / 2
    x, y = mirror.bbox.center.position.x, mirror.bbox.center.position.y
    corners = (x - half_width, y - half_height, x + half_width, y + half_height)
    assert corners == pytest.approx((detection.x_min, detection.y_min, detection.x_max, detection.y_max), abs=1e-3)


def test_vision_msgs_that_are_not_installed_are_refused_with_the_remedy(run, client, models):
    try:
        import vision_msgs  # noqa: F401
    except ModuleNotFoundError:
        nodes = run("--model", models["blobs"], "--nodes", "detector", "--namespace", "h11",
                    "-p", "detector.vision_msgs=true")  # fmt: skip
        nodes.wait_for("cannot configure: the parameter vision_msgs is true, but vision_msgs is not installed")
        assert client.state("/h11/detector") == "unconfigured"
    else:
        pytest.skip("vision_msgs is installed here")


HALF = 0.5**0.5
LEFT_OF_THE_NOSE, LEFT_OF_NORTH = (0.0, 2.0), (-2.0, 0.0)  # east, north: 30 px at 20 m, the nose to the east


class Looker:
    """A geolocation node whose camera hangs on a gimbal that looks straight down, and detections of one box."""

    def __init__(self, run, client, namespace: str, autopilot: str) -> None:
        image = f"/{namespace}/camera/image_raw"
        self.nodes = run("--nodes", "geolocation", "--namespace", namespace, "--image", image,
                         "-p", f"geolocation.vehicle={autopilot}", "-p", f"geolocation.gimbal={autopilot}")  # fmt: skip
        self.client, self.name = client, f"/{namespace}/geolocation"
        client.wait_for_state(self.name, "active")
        self.found = client.collect(GeoTargetArray, f"{self.name}/targets", results())
        camera = self.publisher(CameraInfo, f"/{namespace}/camera/camera_info", sensor())
        self._detections = self.publisher(DetectionArray, f"/{namespace}/detector/detections", results())
        camera.publish(CameraInfo(width=320, height=240, k=[300.0, 0.0, 159.5, 0.0, 300.0, 119.5, 0.0, 0.0, 1.0]))
        wait_until(lambda: client.node.count_publishers(f"{self.name}/targets") == 1, 15, "the publisher")
        self.stamp = NOW

    def publisher(self, kind: type, topic: str, qos: QoSProfile):
        made = self.client.node.create_publisher(kind, topic, qos)
        wait_until(lambda: made.get_subscription_count() == 1, 15, f"a subscriber of {topic}")
        return made

    def look(self, publish) -> tuple[float, float] | None:
        """Publish the state ten times by ``publish(stamp)``; returns where the box is, east and north, if anywhere."""
        for _ in range(10):
            self.stamp += SECOND // 50
            publish(self.stamp)
            time.sleep(0.01)
        stamp = self.stamp - SECOND // 50
        box = Detection(class_name="blob", score=0.9, track_id=-1, x_min=80.0, y_min=60.0, x_max=180.0, y_max=120.0)
        header = to_header(stamp, "camera")
        self._detections.publish(DetectionArray(header=header, image_width=320, image_height=240, detections=[box]))
        wait_until(lambda: any(from_time(m.header.stamp) == stamp for m in self.found), 10, "the targets")
        targets = next(m for m in self.found if from_time(m.header.stamp) == stamp).targets
        return (targets[0].position.x, targets[0].position.y) if targets else None

    def check(self, publish_with_flags) -> None:
        """Heading by the vehicle, by north, and by both at once, which is refused until one of them is right again."""

        def look(flags: int) -> tuple[float, float] | None:
            self.stamp += SECOND  # what was said before is too old
            return self.look(lambda stamp: publish_with_flags(stamp, flags))

        assert look(32) == pytest.approx(LEFT_OF_THE_NOSE, abs=0.02)
        assert look(64) == pytest.approx(LEFT_OF_NORTH, abs=0.02)
        assert look(32 | 64) is None
        self.nodes.wait_for("The gimbal claims yaw in the vehicle's and in the Earth's frame at once (flags 96)")
        assert look(64) == pytest.approx(LEFT_OF_NORTH, abs=0.02)
        counted = self.name.lstrip("/")
        wait_until(lambda: int(self.client.values(counted)["message_gimbal_flags"]) == 10, 10, "the refusals counted")


def test_a_gimbal_through_mavros(run, client):
    messages = pytest.importorskip("mavros_msgs.msg", reason="mavros_msgs is not installed")
    looker = Looker(run, client, "h13", "mavros")
    odometry = looker.publisher(Odometry, "/h13/mavros/local_position/odom", sensor())
    kind = messages.GimbalDeviceAttitudeStatus
    gimbal = looker.publisher(kind, "/h13/mavros/gimbal_control/device/attitude_status", results())

    def publish(stamp: int, flags: int) -> None:
        header = to_header(stamp, "map")
        pose = Odometry(header=header, child_frame_id="base_link")
        pose.pose.pose.position.z, pose.pose.pose.orientation.w = 20.0, 1.0
        odometry.publish(pose)
        message = kind(header=header, flags=flags)
        message.q.y, message.q.w = -HALF, HALF
        gimbal.publish(message)

    looker.check(publish)


def test_a_gimbal_of_px4(run, client):
    messages = pytest.importorskip("px4_msgs.msg", reason="px4_msgs is not installed")
    if not hasattr(messages, "GimbalDeviceAttitudeStatus"):
        pytest.skip("this px4_msgs has no GimbalDeviceAttitudeStatus")
    looker = Looker(run, client, "h14", "px4")

    def px4(name: str, topic: str):
        kind = getattr(messages, name)
        return kind, looker.publisher(kind, px4_topic("/h14/fmu/out", topic, kind), _px4_qos())

    vehicle_odometry, odometry = px4("VehicleOdometry", "vehicle_odometry")
    attitude, gimbal = px4("GimbalDeviceAttitudeStatus", "gimbal_device_attitude_status")

    def publish(stamp: int, flags: int) -> None:
        microseconds = stamp // 1000
        pose = vehicle_odometry(timestamp=microseconds, timestamp_sample=microseconds, pose_frame=1, velocity_frame=1)
        pose.position, pose.q = [0.0, 0.0, -20.0], [HALF, 0.0, 0.0, HALF]
        odometry.publish(pose)
        gimbal.publish(attitude(timestamp=microseconds, device_flags=flags, q=[HALF, 0.0, -HALF, 0.0]))

    looker.check(publish)
