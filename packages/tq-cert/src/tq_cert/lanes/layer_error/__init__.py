"""The layer-error lane: how far decoded keys and values are from those that went in, layer by layer."""
