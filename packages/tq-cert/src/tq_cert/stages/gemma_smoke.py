"""A Gemma generates with its global layers compressed and its sliding-window layers dense."""

from tq_cert.stages.generation_smoke import measure

__all__ = ["measure"]
