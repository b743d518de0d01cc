"""What the documentation says, done: every command of README.md and docs/ on the real control plane.

A page is a story that runs from top to bottom on a cluster of its own: 16 racks of 4 hosts with 8 GPUs, as
`make cluster NODES=64 HOSTS_PER_RACK=4` gives a reader.

- `console` blocks: lines after `$ ` are run, what follows is what they have to print (`compare`). A command that only
  reads is asked again until it does, as a reader would wait.
- `sh` blocks: run as they stand.
- `yaml` blocks: one whose first line is `# name.yaml` is that file, for the commands below it. Other objects have to
  be accepted by the API server (dry run); anything else has to be YAML.
- `json` blocks have to be JSON. `text`, `mermaid`, `python` and the like are for reading.

What cannot run here is listed in `not_run`, each with the reason.
"""
