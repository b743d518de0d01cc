"""The solver's libraries: 56 MB that are read in when the solver is first asked, which takes half a second.

Meanwhile the interpreter belongs to the importing thread, for a third of a second in one piece. So a process that has
to answer others in time loads them before it answers anybody.
"""

from __future__ import annotations

import importlib


def load_solver() -> None:
    """Read the libraries in, if they are not yet."""
    importlib.import_module("ortools.sat.python.cp_model")
