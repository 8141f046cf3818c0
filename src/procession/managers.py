"""`procession.managers`, as `multiprocessing.managers`: the module is `procession.share.managers`."""

import sys

from procession.share import managers
from procession.share.managers import *  # noqa: F403

sys.modules[__name__] = managers
