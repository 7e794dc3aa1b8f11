"""Knowledge distillation: pure functions of logits, features, boxes and masks."""
