"""A certification run: every stage of the contract in a process of its own, and a sealed bundle at the end.

Read in this order: `refusals` (why it may not count), `plan` (what a run has decided and keeps), `stage_process` (one
stage, in its process), `runner` (all of them), `table` (what a person sees meanwhile). What it runs on,
`tq_cert.inspection` finds.
"""
