import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from uav_perception.flight.buffer import BufferOptions, StateBuffer
from uav_perception.flight.errors import FlightError, StateError
from uav_perception.flight.geodesy import Origin, to_wgs84
from uav_perception.flight.rotations import matrix
from uav_perception.flight.state import GimbalSample, HeightSample, PoseSample

MS = 1_000_000
LEVEL = np.array([0, 0, 0, 1.0])


def about_z(degrees: float) -> np.ndarray:
    return Rotation.from_euler("z", degrees, degrees=True).as_quat()


def pose(ms: int, position=(0, 0, 25), orientation=LEVEL, **more) -> PoseSample:
    return PoseSample(ms * MS, position, orientation, **more)


def filled(*samples) -> StateBuffer:
    buffer = StateBuffer()
    for sample in samples:
        buffer.add_pose(sample)
    return buffer


def reason_of(buffer: StateBuffer, ms: float) -> str:
    with pytest.raises(StateError) as caught:
        buffer.at(round(ms * MS))
    return caught.value.reason


def test_position_and_attitude_are_interpolated():
    turns = Rotation.from_euler("ZYX", [[10, 5, -3], [50, -5, 9]], degrees=True)
    buffer = filled(pose(0, (0, 0, 20), turns[0].as_quat()), pose(200, (2, 4, 22), turns[1].as_quat()))
    state = buffer.at(50 * MS)
    np.testing.assert_allclose(state.position, [0.5, 1, 20.5])
    np.testing.assert_allclose(state.velocity, [10, 20, 10])
    expected = Slerp([0, 200], turns)(50)
    np.testing.assert_allclose(matrix(state.orientation), expected.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(state.angular_velocity, (turns[1] * turns[0].inv()).as_rotvec() / 0.2, atol=1e-9)


def test_an_accelerated_path_is_met_exactly_when_velocities_are_known():
    """x = 3 t + 2 t^2: a cubic through positions and velocities is exact, a straight line is 2 cm off."""

    def at(ms):
        t = ms / 1000
        return pose(ms, (3 * t + 2 * t * t, 0, 25), velocity=(3 + 4 * t, 0, 0))  # fmt: skip

    state = filled(at(0), at(200)).at(100 * MS)
    assert state.position[0] == pytest.approx(0.32)
    assert state.velocity[0] == pytest.approx(3.4)


def test_a_little_beyond_the_newest_sample():
    buffer = filled(pose(0, (0, 0, 25), about_z(0)), pose(100, (1, 0, 25), about_z(10)))
    state = buffer.at(150 * MS)
    np.testing.assert_allclose(state.position, [1.5, 0, 25])
    np.testing.assert_allclose(matrix(state.orientation), matrix(about_z(15)), atol=1e-9)
    assert reason_of(buffer, 201) == "stale"


def test_reasons_to_refuse():
    assert reason_of(StateBuffer(), 0) == "missing"
    buffer = filled(pose(1000), pose(1900), pose(2000))
    assert reason_of(buffer, 500) == "too_old"
    assert reason_of(buffer, 1500) == "gap"
    assert buffer.at(1000 * MS).position[2] == 25


def test_the_message_says_how_stale():
    with pytest.raises(StateError, match=r"newest vehicle pose is 0\.300 s older than the image"):
        filled(pose(0), pose(100)).at(400 * MS)


def test_old_samples_are_forgotten():
    buffer = filled(*(pose(100 * i) for i in range(100)))
    assert reason_of(buffer, 4000) == "too_old"
    assert buffer.at(5000 * MS)


def test_late_samples_are_left_out_and_a_clock_set_back_starts_anew():
    buffer = filled(pose(10_000), pose(10_100), pose(10_050))
    buffer.add_height(HeightSample(10_100 * MS, 20))
    assert buffer.events == {"out_of_order": 1}
    assert buffer.epoch == 0
    buffer.add_pose(pose(2_000))
    assert buffer.events["clock_jump"] == 1
    assert buffer.epoch == 1
    state = buffer.at(2_000 * MS)
    assert state.height_above_ground is None


def test_nothing_is_interpolated_across_a_jump_of_the_position():
    buffer = filled(pose(0), pose(100), pose(200, (80, 0, 25)))
    assert buffer.events == {"position_jump": 1}
    assert reason_of(buffer, 150) == "too_old"
    assert buffer.at(200 * MS).epoch == 1


def test_an_estimator_reset_is_a_jump():
    buffer = filled(pose(0), pose(100, reset_counter=1))
    assert buffer.events == {"estimator_reset": 1}
    assert reason_of(buffer, 50) == "too_old"


def test_the_origin_may_waver_but_not_move():
    origin = Origin(47.4, 8.5, 480.0)
    buffer = filled(pose(0), pose(100))
    buffer.set_origin(origin)
    buffer.set_origin(Origin(*to_wgs84(origin, [0.8, -0.5, 1.0])))
    assert buffer.at(50 * MS).origin == origin
    assert buffer.epoch == 0
    buffer.set_origin(Origin(*to_wgs84(origin, [200, 0, 0])))
    assert buffer.events == {"origin_reset": 1}
    assert buffer.epoch == 1
    assert reason_of(buffer, 50) == "missing"


def test_a_stamp_that_a_sample_has_gets_that_sample_and_the_rates_up_to_it():
    turned = Rotation.from_euler("Z", 0.02).as_quat()
    buffer = filled(PoseSample(0, [0, 0, 10], [0, 0, 0, 1]), PoseSample(100 * MS, [0.5, 0, 10], turned))
    state = buffer.at(100 * MS)
    np.testing.assert_allclose(state.position, [0.5, 0, 10], atol=1e-12)
    np.testing.assert_allclose(state.orientation, turned, atol=1e-12)
    np.testing.assert_allclose(state.velocity, [5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(state.angular_velocity, [0, 0, 0.2], atol=1e-9)
    buffer.add_pose(PoseSample(2000 * MS, [1.0, 0, 10], turned))  # after a gap there is no rate
    assert not buffer.at(2000 * MS).velocity.any()


def test_height_is_interpolated_and_refused_when_stale():
    buffer = filled(*(pose(100 * i) for i in range(20)))
    buffer.add_height(HeightSample(0, 20, 0.04))
    buffer.add_height(HeightSample(200 * MS, 22, 0.09))
    state = buffer.at(50 * MS)
    assert state.height_above_ground == pytest.approx(20.5)
    assert state.height_variance == 0.09
    assert buffer.at(400 * MS).height_above_ground == 22
    assert reason_of(buffer, 800) == "stale"
    assert buffer.at(800 * MS, height_matters=False).height_above_ground is None
    assert buffer.at(400 * MS, height_matters=False).height_above_ground == 22


def test_the_position_is_known_without_height_and_gimbal():
    buffer = filled(*(pose(100 * i) for i in range(20)))
    buffer.add_height(HeightSample(0, 20))
    buffer.add_gimbal(GimbalSample(0, np.array([0.0, 0, 0, 1])))
    assert reason_of(buffer, 1550) == "stale"
    expected = filled(*(pose(100 * i) for i in range(20))).at(1550 * MS).position
    np.testing.assert_array_equal(buffer.position_at(1550 * MS), expected)


def test_gimbal_in_the_map_and_behind_the_nose():
    """The vehicle looks north (90 degrees from east) and rolls; the camera is 30 degrees left of the nose."""
    rolled = (Rotation.from_euler("z", 90, degrees=True) * Rotation.from_euler("x", 20, degrees=True)).as_quat()
    buffer = filled(pose(0, orientation=rolled), pose(100, orientation=rolled))
    assert buffer.at(0).camera_orientation is None
    buffer.add_gimbal(GimbalSample(0, about_z(30), "heading"))
    buffer.add_gimbal(GimbalSample(100 * MS, about_z(40), "heading"))
    np.testing.assert_allclose(matrix(buffer.at(50 * MS).camera_orientation), matrix(about_z(125)), atol=1e-9)
    np.testing.assert_allclose(buffer.at(50 * MS).camera_angular_velocity, [0, 0, np.radians(100)], atol=1e-9)
    north = filled(pose(0, orientation=rolled))
    north.add_gimbal(GimbalSample(0, about_z(30), "map"))
    np.testing.assert_allclose(matrix(north.at(0).camera_orientation), matrix(about_z(30)), atol=1e-9)


def test_a_gimbal_behind_the_nose_turns_with_the_vehicle():
    buffer = filled(pose(0, orientation=about_z(0)), pose(100, orientation=about_z(5)))
    for ms, degrees in ((0, 30), (100, 32)):
        buffer.add_gimbal(GimbalSample(ms * MS, about_z(degrees), "heading"))
    np.testing.assert_allclose(buffer.at(50 * MS).camera_angular_velocity, [0, 0, np.radians(70)], atol=1e-9)


def test_a_stale_gimbal_is_refused():
    buffer = filled(*(pose(100 * i) for i in range(10)))
    buffer.add_gimbal(GimbalSample(0, about_z(30)))
    with pytest.raises(StateError, match=r"newest gimbal attitude is 0\.500 s older"):
        buffer.at(500 * MS)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: PoseSample(0, [np.nan, 0, 0], LEVEL), "not_finite"),
        (lambda: PoseSample(0, [0, 0], LEVEL), "not_finite"),
        (lambda: PoseSample(0, [0, 0, 0], [0, 0, 0, 0]), "bad_quaternion"),
        (lambda: PoseSample(0, [0, 0, 0], LEVEL, velocity=[np.inf, 0, 0]), "not_finite"),
        (lambda: HeightSample(0, np.nan), "not_finite"),
        (lambda: HeightSample(0, -3.0), "bad_height"),
        (lambda: GimbalSample(0, [np.nan] * 4), "bad_quaternion"),
    ],
)
def test_broken_samples_are_refused(build, reason):
    with pytest.raises(StateError) as caught:
        build()
    assert caught.value.reason == reason


def test_wrong_options():
    with pytest.raises(FlightError, match=r"`max_gap_s`.*-1\.0"):
        BufferOptions(max_gap_s=-1.0)
    with pytest.raises(ValueError, match="'body'"):
        GimbalSample(0, LEVEL, "body")
