"""What the papers evaluate, and what stands for it here.

TurboQuant: arXiv 2504.19874, section 4; PolarQuant: arXiv 2502.02617; QJL: arXiv 2406.03482.
"""

import msgspec


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One evaluation.

    Attributes:
        name: as rows name it.
        papers: what it is in the papers.
        here: what is measured here; None where nothing is.
        reason: why it is not run; None where it is.
    """

    name: str
    papers: str
    here: str | None = None
    reason: str | None = None


NEEDLE = Evaluation(
    "needle_in_a_haystack",
    "TurboQuant: one fact in a long document, Llama-3.1-8B-Instruct, 4k to 104k tokens",
    here="five-digit facts planted at even depths of a text, each asked for; found where every token of the answer is "
    "the model's first choice, which is what greedy decoding would write",
)
COPY = Evaluation(
    "long_range_copy",
    "none: it stands beside the needles because small models answer few of them even with a dense cache",
    here="tokens of a random passage at the beginning of the prompt, copied at its end, teacher-forced",
)
LONGBENCH = Evaluation(
    "longbench",
    "TurboQuant, PolarQuant and QJL: question answering, summaries, few-shot, synthetic and code tasks with models of "
    "7B and 8B",
    reason="LongBench's texts are not in this package, and the sample models are too small for its tasks; no figure of "
    "it is claimed",
)
INNER_PRODUCTS = Evaluation(
    "inner_product_error",
    "TurboQuant: distribution of the error of estimated inner products",
    reason="another lane measures it: tq-cert bench inner-product-bias",
)
NEIGHBOURS = Evaluation(
    "nearest_neighbours",
    "TurboQuant: recall of approximate search on GloVe and OpenAI embeddings",
    reason="another lane measures recall, on other vectors: tq-cert bench vector-search",
)

CATALOGUE = (NEEDLE, COPY, LONGBENCH, INNER_PRODUCTS, NEIGHBOURS)
