"""`python -m tp_core.cli`, where the `tp` script is not on the path."""

import sys

from tp_core.cli import main

sys.exit(main())
