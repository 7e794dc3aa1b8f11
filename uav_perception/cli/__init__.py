"""The one console command, `uav-perception`. Each module beside this file is a subcommand.

A subcommand module has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args) -> int``. Heavy imports (torch,
MuJoCo, rclpy) belong inside ``run``, so that ``--help`` answers at once and works without the extras.
"""
