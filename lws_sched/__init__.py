"""lws-sched: groups of pods, placed whole."""

__version__ = "0.1.0"
