"""`procession.queues`, as `multiprocessing.queues`: the module is `procession.share.queues`."""

import sys

from procession.share import queues
from procession.share.queues import *  # noqa: F403

sys.modules[__name__] = queues
