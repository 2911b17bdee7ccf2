"""``python -m flyte_nb`` is ``flyte-nb``."""

import sys

from flyte_nb.cli import main

sys.exit(main())
