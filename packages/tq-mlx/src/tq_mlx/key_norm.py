"""How long a layer's keys are: what a rule for key bits chooses by."""

import mlx.core as mx

from tq_mlx.centring import Centre
from tq_mlx.token_chunks import token_chunks


def key_norm(keys: mx.array, centre: Centre | None) -> float:
    """Return the root mean square norm of keys [B, H, T, D], centred if there is a centre for them."""
    if centre is not None:
        centre = centre.reaching(keys, 0, keys.shape[-2])
    squares, first = mx.zeros(()), 0
    for chunk in token_chunks(keys):
        centred = chunk.astype(mx.float32)
        if centre is not None:
            centred = centred - centre.at(first, chunk.shape[-2])
        squares = squares + mx.square(centred).sum()
        first += chunk.shape[-2]
        mx.async_eval(squares)
    return float(mx.sqrt(squares / (keys.size // keys.shape[-1])))
