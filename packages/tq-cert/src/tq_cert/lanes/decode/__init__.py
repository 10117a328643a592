"""The decode lane: what attention and whole decode steps cost against the length of the context.

Read in this order: `settings` (what is asked), `methods` (dense, mlx-lm's quantized and our caches over one synthetic
history), `attention` (chains of layers in one evaluation), `copying` (the bandwidth that shares are of), `step` (a
model's whole decode step), `record`, `table`, `plot`, `lane` (all of it), `document` (the committed page).
"""
