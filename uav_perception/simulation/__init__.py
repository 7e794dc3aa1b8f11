"""Simulated drone flights with exact ground truth (MuJoCo, offscreen)."""
