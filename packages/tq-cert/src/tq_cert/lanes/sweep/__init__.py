"""The sweep lane: key bits × value bits × codec × levers, each measured as in the quality lane.

`grid` makes the configurations, `pareto` finds those that no other beats in both stored bits and KL, `effects` says
what each lever is worth over the grid, `table` and `plot` show it.
"""
