"""Scenarios in words, each run on the simulated cluster and on the real control plane.

`manifests` builds what a user writes; `cluster` is what a scenario may do and ask, implemented by `sim_cluster` and
`plane_cluster`; `conditions` are the states to wait for. Every scenario ends with the invariants, checked from the
watch log of its cluster by `tests.invariants`. A scenario that passes on one and fails on the other shows a bug in one
of them.
"""
