"""Benchmarks of placement: quality on traces, packing of snapshots, defragmentation, tori, and speed.

One module is one benchmark with one command (`python -m benchmarks.placement.quality`, `.snapshot`,
`.defragmentation`, `.torus`, `.speed`); `python -m benchmarks.placement` runs them all and writes the report
(`make bench`), with `--quick` the short version (`make -s bench-quick`). Seeds are printed with every result, equal
seeds give equal fleets and queues. Every placement, ours and the baselines', is handed to the independent checker.
"""
