"""Training: Lightning modules and recipes."""
