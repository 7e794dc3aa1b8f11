"""Model files and their contract, backends, preprocessing, decoders and the detector. No ROS, no torch."""
