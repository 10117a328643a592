"""A tokenizer of single characters with what mlx-lm's generation loop asks of one."""

import string

from mlx_lm.tokenizer_utils import TokenizerWrapper
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

ALPHABET = string.ascii_letters + string.digits + " .,:;!?-'\"()\n"


def TinyTokenizer() -> TokenizerWrapper:  # noqa: N802 (stands where a class would)
    vocabulary = {character: index for index, character in enumerate(["\0", *ALPHABET])}
    vocabulary |= {f"<{index}>": index for index in range(len(vocabulary), 96)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="\0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return TokenizerWrapper(PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<95>", unk_token="\0"))
