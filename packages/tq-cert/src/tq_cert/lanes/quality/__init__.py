"""The quality lane: how far each compressed cache moves a model's predictions from the dense run's.

Teacher-forced on real text, fed in chunks through the real cache and the real attention. Read in this order:
`methods` (what is compared), `caches` (how each is built), `measure` (the dense run and all methods in lockstep),
`divergence` (the numbers of one chunk), `guards` (what may not be reported), `summary` and `statistics` (windows to
rows; no MLX), `table` (rows for people), `lane` (all of it).
"""
