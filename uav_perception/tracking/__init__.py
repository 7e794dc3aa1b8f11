"""Tracking of small objects under a moving camera. No ROS, no torch."""
