"""Typed errors: each names the offending value and the remedy."""


class TurboQuantError(Exception):
    """Base of every error that this project raises on purpose."""


class InvalidCodecError(TurboQuantError, ValueError):
    """A codec's parameter is out of range, or two of them contradict each other."""


class UnsupportedHeadDimError(TurboQuantError, ValueError):
    """No rotation, or no packing, serves this head dimension."""


class NonFiniteError(TurboQuantError, ValueError):
    """Keys or values hold NaN or Inf, for which no code exists."""
