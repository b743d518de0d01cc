"""What is counted, and how it is told: plain numbers where things happen, Prometheus' text when somebody asks.

`families` has every metric's name in one place. `counts` are the instruments: adding to one is an addition under a
lock. `exposition`, the only importer of `prometheus_client`, reads them when /metrics is scraped.
"""
