"""The test suite. It is a package so that the suite, the benchmarks and `make cluster` share `tests.controlplane`."""
