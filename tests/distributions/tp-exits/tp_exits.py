"""Takes the process down at import, or tries to."""

import sys

sys.exit(7)
