"""The networks, in torch. Never imported by a node."""
