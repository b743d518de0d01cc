"""Drills: groups are placed while everything around them breaks, and afterwards each stands whole or not at all.

`workload` draws clusters and what users want of them, `sabotage` breaks things, `outcome` says what is wrong in the
end; all three on the `Cluster` of `tests.scenarios`. `python -m tests.drills` runs many on the simulated cluster
(`simulated`) and prints a summary; each is drawn from one seed, and `python -m tests.drills --replay SEED` runs that
one again and tells it in words.
"""
