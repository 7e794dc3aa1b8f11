"""Camera images: `sensor_msgs` messages and raw CDR bytes to NumPy arrays and back. No ROS import."""
