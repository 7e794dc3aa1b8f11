"""Camera geometry, vehicle state, frame conversions and geolocation. No ROS, no torch."""
