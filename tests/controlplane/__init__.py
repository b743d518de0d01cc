"""A real Kubernetes control plane for tests, benchmarks and `make cluster`.

`plane` starts and breaks it, `nodes` fills it with fake racks, `client` talks to it
without the product's code, `build` makes its programs from source, `process` and
`janitor` see to it that nothing is left behind.
"""
