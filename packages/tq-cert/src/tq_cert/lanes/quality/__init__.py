"""The quality lane: how far each compressed cache moves a model's predictions from the dense run's.

Teacher-forced on real text, fed in chunks through the real cache and the real attention. Read in this order:
`settings` (what is asked), `methods` (what is compared), `caches` (how each is built), `measure` (the dense run and all
methods in lockstep), `stored_bits` (what a window's caches hold), `guards` (what may not be reported), `record`,
`summary` and `statistics` (windows to rows; no MLX), `table` (rows for people), `lane` (all of it), `document` (the
committed page). The numbers of one chunk are `tq_mlx.divergence`'s.
"""
