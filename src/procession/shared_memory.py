"""`procession.shared_memory`, as `multiprocessing.shared_memory`: the module is `procession.share.shared_memory`."""

import sys

from procession.share import shared_memory
from procession.share.shared_memory import *  # noqa: F403

sys.modules[__name__] = shared_memory
