"""The subcommands of `tq-contract`, one in each file."""
