"""Store: the memory of runs and deployments, one SQLite file that several kernels may share.

It lives in the folder ``.flyte_nb``: with generated modules, bundles, logs and large values beside it. Everything is
written first and made current last, in one transaction or one rename, so that a kernel that dies leaves it readable.
What a run tells is taken at once and written in batches by a thread of its own; whoever reads, reads all of it.
"""

from flyte_nb.engine.store.bundles import Bundles, Pruned, held, hold
from flyte_nb.engine.store.cache import CacheEntry
from flyte_nb.engine.store.home import home_for
from flyte_nb.engine.store.logs import LogPart, Logs
from flyte_nb.engine.store.placed import PlacedRecords
from flyte_nb.engine.store.tidying import Tidying

__all__ = ["CacheEntry", "LogPart", "Pruned", "Store", "held", "hold", "home_for"]


class Store(Tidying, Logs, PlacedRecords, Bundles):
    """Runs, their values and logs, cached results, deployments on this machine, and what is in clusters.

    Parameters
    ----------
    home : Path
        Its folder; made, private to the user, when something is first written.

    Raises
    ------
    StoreError
        When the file is one from a newer version of flyte_nb, or cannot be used. What cannot be written of a run is
        kept in memory and tried again; ``flush`` and the next read tell it.
    """
