"""Quality of service: the profiles in use, and plain words when two sides do not fit together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rclpy.exceptions import InvalidTopicNameException
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions

from uav_perception.nodes.errors import NodeError

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

__all__ = [
    "OVERRIDABLE",
    "Policies",
    "SubscriptionEventCallbacks",
    "latched",
    "mismatch",
    "refusals_explained",
    "results",
    "sensor",
]

# Every endpoint declares read-only parameters qos_overrides.<topic>.<publisher|subscription>.<policy>.
OVERRIDABLE = QoSOverridingOptions(
    [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY]
)


@contextmanager
def refusals_explained(topic: str) -> Iterator[None]:
    """Around the making of a publisher or subscription: what the user's parameters make impossible is said in words.

    Raises:
        NodeError: the topic's name or an override of its quality of service is refused.
    """
    try:
        yield
    except (InvalidTopicNameException, InvalidQosOverridesError, RuntimeError) as error:
        raise NodeError(f"cannot open the topic {topic}: {error}") from error


def _profile(depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    # A new one for each endpoint: rclpy writes the user's overrides into the profile it is given.
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


def sensor() -> QoSProfile:
    """What cameras and autopilots publish with: fresh data rather than all data (rclpy's sensor data profile)."""
    return _profile(5, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)


def results() -> QoSProfile:
    """Results are small and somebody's input: all of them arrive, but old ones are not worth keeping."""
    return _profile(5, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)


def latched() -> QoSProfile:
    """A late subscriber gets the last message at once: class names, MAVROS's state topics."""
    return _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass(frozen=True)
class Policies:
    """The two policies over which endpoints fail to match.

    Attributes:
        reliability: ``reliable`` or ``best_effort``.
        durability: ``transient_local`` or ``volatile``.
    """

    reliability: str
    durability: str

    @classmethod
    def of(cls, profile: QoSProfile) -> Policies:
        """Read them from an rclpy profile."""
        return cls(profile.reliability.name.lower(), profile.durability.name.lower())


def mismatch(topic: str, publisher: str, offered: Policies, wanted: Policies) -> str:
    """Say why a subscription gets nothing from a publisher, and what to change.

    Args:
        topic: full name of the topic.
        publisher: full name of the publishing node.
        offered: the publisher's policies.
        wanted: this subscription's policies.

    Returns:
        A few sentences for each policy that does not fit; empty when the two fit.
    """
    sentences = []
    if offered.reliability == "best_effort" and wanted.reliability == "reliable":
        sentences.append(_sentence(topic, publisher, "reliability", offered.reliability, wanted.reliability))
    if offered.durability == "volatile" and wanted.durability == "transient_local":
        sentences.append(_sentence(topic, publisher, "durability", offered.durability, wanted.durability))
    return " ".join(sentences)


def _sentence(topic: str, publisher: str, policy: str, offered: str, wanted: str) -> str:
    return (
        f"{topic}: {publisher} offers {policy} {offered}, this node asks for {wanted}, so nothing arrives. "
        f"Set the parameter `qos_overrides.{topic}.subscription.{policy}` to {offered}, "
        f"or make the publisher {wanted}."
    )
