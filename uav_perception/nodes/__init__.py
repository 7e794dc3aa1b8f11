"""The ROS 2 nodes: adapters around the core, and nothing but adapters."""
