"""A Llama generates from a compressed cache."""

from tq_cert.stages.generation_smoke import measure

__all__ = ["measure"]
