"""``python -m telltime`` is ``telltime``."""

import sys

from telltime.cli.main import main

sys.exit(main())
