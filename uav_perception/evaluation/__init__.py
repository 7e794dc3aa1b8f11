"""Recorded flights judged: bag reading, matching, metrics, report. No ROS, no torch."""
