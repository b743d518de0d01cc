"""The command `lws-sched`. Each command imports what it needs when it runs, so `--help` answers at once."""
