"""Detections, tracks, action labels and places on the ground from a drone's camera."""

from pkgutil import extend_path

# The generated messages (uav_perception.msg) are installed elsewhere; without this the source tree would hide them
# when Python is started from the repository root.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
