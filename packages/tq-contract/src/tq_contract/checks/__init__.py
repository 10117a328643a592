"""Static checks of a checkout against its contract: source is read, never imported, and MLX is not needed.

A check is a function from a `Checkout` to findings. Each stands in a file of its own; `run` runs them.
"""
