"""Online action recognition: feature ring, segment choice, recogniser, label smoothing. No ROS, no torch."""
