"""`procession.sharedctypes`, as `multiprocessing.sharedctypes`: the module is `procession.share.sharedctypes`."""

import sys

from procession.share import sharedctypes
from procession.share.sharedctypes import *  # noqa: F403

sys.modules[__name__] = sharedctypes
