"""Slow, obvious float64 versions of what distillation computes: plain loops and the math module."""

from __future__ import annotations

import math


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def bce(probability, target):
    return -(target * math.log(probability) + (1 - target) * math.log(1 - probability))


def softmax(row, temperature=1.0):
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def kl(student, teacher, temperature):
    """T^2 sum p_t ln(p_t / p_s) of two rows of logits."""
    p_s, p_t = softmax(student, temperature), softmax(teacher, temperature)
    return temperature**2 * sum(t * math.log(t / s) for s, t in zip(p_s, p_t, strict=True))


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = area(a) + area(b) - width * height
    return width * height / union if union > 0 else 0.0


def giou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = area(a) + area(b) - width * height
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return width * height / union - (hull - union) / hull


def diou(a, b):
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    offset = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    return iou(a, b) - offset / diagonal


def centerness(point, box):
    """Equation 7; a side of 0/0 counts as 1, a point outside as 0."""
    product = 1.0
    for axis in (0, 1):
        low, high = max(point[axis] - box[axis], 0.0), max(box[axis + 2] - point[axis], 0.0)
        product *= 1.0 if max(low, high) == 0 else min(low, high) / max(low, high)
    return math.sqrt(product)
