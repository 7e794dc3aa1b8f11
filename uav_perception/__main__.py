"""``python -m uav_perception`` is ``uav-perception``."""

import sys

from uav_perception.cli.main import main

sys.exit(main())
