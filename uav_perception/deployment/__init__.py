"""From a trained network to a file that flies: export, quantise, engine build, profile."""
