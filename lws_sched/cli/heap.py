"""What the C library keeps of freed memory: for a long process with many threads, glibc's ways are wasteful.

It gives threads arenas of their own, up to eight per processor, which helps where threads allocate at the same time: in
Python they take turns. And once it has freed a large block, it takes the next of that size from an arena as well, where
small blocks that live long then keep it from being given back. Lists are read in pages of some megabytes: of the 300 MB
that the extender had at 20,000 pods, 25 were free.

Other C libraries have no such settings, and are left alone.
"""

from __future__ import annotations

import ctypes

ARENAS = 2
LARGE_BYTES = 1 << 20
"""A block of this size is a mapping of its own, and goes back at once. A page of a list is one; a call of
kube-scheduler's, of which there are thousands, is none."""
FREE_BYTES = 2 << 20
"""What may be free at an arena's end before it is given back."""
_SETTINGS = {-8: ARENAS, -3: LARGE_BYTES, -1: FREE_BYTES}
"""M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h."""


def keep_little() -> None:
    """Call it before there are threads: an arena that exists stays."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for setting, value in _SETTINGS.items():
            mallopt(setting, value)
