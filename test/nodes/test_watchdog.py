from uav_perception.nodes.watchdog import ImageWatchdog, PublisherInfo

CAMERA = [PublisherInfo("/camera", "sensor_msgs/msg/Image")]


def _watchdog(middleware="rmw_fastrtps_cpp"):
    return ImageWatchdog("/camera/image_raw", "sensor_msgs/msg/Image", 3.0, middleware)


def test_silence_without_a_publisher_names_the_topic_once():
    watchdog = _watchdog()
    assert watchdog.check(0.0, []) == "" and watchdog.check(2.9, []) == ""
    text = watchdog.check(3.1, [])
    assert text.startswith("Nobody publishes /camera/image_raw.") and "image:=" in text
    assert watchdog.check(4.1, []) == ""
    assert watchdog.problem == text


def test_a_publisher_without_images_names_the_segment_and_the_line_to_add(monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    watchdog = _watchdog()
    assert watchdog.check(0.0, CAMERA) == ""
    text = watchdog.check(3.5, CAMERA)
    assert "/camera publishes /camera/image_raw, but no image has arrived within 3 s." in text
    assert "512 KB" in text and " FASTDDS_DEFAULT_PROFILES_FILE=/" in text and text.endswith("config/fastdds.xml")


def test_the_line_has_the_variable_of_the_distribution(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    watchdog = _watchdog()
    watchdog.check(0.0, CAMERA)
    assert " FASTRTPS_DEFAULT_PROFILES_FILE=/" in watchdog.check(3.5, CAMERA)


def test_another_middleware_gets_no_advice_for_fast_dds():
    watchdog = _watchdog("rmw_cyclonedds_cpp")
    watchdog.check(0.0, CAMERA)
    text = watchdog.check(3.5, CAMERA)
    assert "no image has arrived" in text and "512 KB" not in text


def test_the_time_counts_from_when_the_publisher_came():
    watchdog = _watchdog()
    watchdog.check(0.0, [])
    assert watchdog.check(10.0, []) != ""
    assert watchdog.check(11.0, CAMERA) == ""
    assert "no image has arrived" in watchdog.check(14.5, CAMERA)


def test_another_message_type_is_named():
    watchdog = _watchdog()
    other = [PublisherInfo("/camera", "sensor_msgs/msg/CompressedImage")]
    watchdog.check(0.0, other)
    text = watchdog.check(3.5, other)
    assert "as sensor_msgs/msg/CompressedImage, but this node expects sensor_msgs/msg/Image" in text


def test_images_clear_the_problem_and_a_later_silence_is_told_anew():
    watchdog = _watchdog()
    watchdog.check(0.0, CAMERA)
    watchdog.check(3.5, CAMERA)
    watchdog.arrived(4.0)
    assert watchdog.problem == "" and watchdog.check(5.0, CAMERA) == ""
    assert watchdog.check(7.5, CAMERA) == "No image on /camera/image_raw for 3 s, though /camera still publishes it."
