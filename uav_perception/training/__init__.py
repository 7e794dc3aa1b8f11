"""Training of detectors and action networks: recipes, Lightning modules, checkpoints."""

# Before Lightning, whose metrics import torchvision: where its operators do not fit torch, only this import works.
import uav_perception.networks.vision  # noqa: F401
