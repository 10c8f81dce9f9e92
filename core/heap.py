"""The garbage collector in processes that run for months: rare looks, and none at what was made before they began.

Nearly everything of ours is freed by counting references. A full collection walks every live call and every module
while calls wait; with Python's defaults it comes each time some thousand objects have been made.
"""

import gc

YOUNGEST = 20_000
MIDDLE = 20
OLDEST = 50


def settle() -> None:
    """Call once, when all is imported and before the work begins."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNGEST, MIDDLE, OLDEST)
