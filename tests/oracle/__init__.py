"""A brute-force oracle for the placement engine, which shares no code with it but the value types.

`instances` makes small random clusters with one group, `pods` its pods, `tori` the places of the nodes in a torus;
`brute_force` decides by trying whether the group fits, `wishes` how well it is placed; `run` compares the engine with
them. From the command line:
`python -m tests.oracle --instances 10000 --seed 1`.
"""

from __future__ import annotations

from tests.oracle.run import run

__all__ = ["run"]
