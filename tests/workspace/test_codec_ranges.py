"""What the contract takes for a codec, the codec takes too: their ranges are written twice and do not drift."""

import copy
import json

import pytest

import tq_contract
from tq_contract.load import packaged_bytes
from tq_core import TurboQuantError, codec_from_dict

DOCUMENT = json.loads(packaged_bytes())
SCALAR = {"bits": 4, "gain": "norm_preserving", "scale_search": False, "gain_group": None}
SOUND = {
    "mse": SCALAR,
    "uniform": SCALAR,
    "prod": {"bits": 4, "sketch_rows": None, "sketch_seed": 0},
    "polar": {"level_bits": [4, 2, 2, 2], "gain": "norm"},
    "topk": {"bits": 4, "group_size": 32, "k": 2},
}
COUNTS = (0, 1, 2, 3, 7, 8, 9)
FIELDS = {
    "bits": COUNTS,
    "gain": ("norm", "least_squares", "norm_preserving", "max"),
    "gain_group": (0, 1, 2, 1024),
    "sketch_rows": (0, 1, 65536),
    "k": (0, 1, 32, 33),
    "level_bits": ([], *([n] for n in COUNTS), *([4, n] for n in (*COUNTS, 5, 6)), [4] * 10, [4] * 11),
}
CASES = [
    (codec, {**sound, field: value})
    for codec, sound in SOUND.items()
    for field in sound
    for value in FIELDS.get(field, ())
]


def contract_takes(parameters):
    """Whether it is valid as the keys of the contract's last preset, which stands for no paper."""
    document = copy.deepcopy(DOCUMENT)
    document["presets"][-1]["parameters"]["keys"] = parameters
    try:
        tq_contract.loads(json.dumps(document))
    except tq_contract.ContractError:
        return False
    return True


def codec_takes(parameters):
    try:
        codec_from_dict(parameters)
    except TurboQuantError:
        return False
    return True


@pytest.mark.parametrize(("codec", "parameters"), CASES, ids=[f"{codec}-{changed}" for codec, changed in CASES])
def test_both_take_the_same_parameters(codec, parameters):
    described = {"codec": codec, **parameters, "rotation": {"kind": "random_orthogonal", "seed": 0}}
    assert contract_takes(described) == codec_takes(described)


def test_some_are_taken_and_some_are_not():
    described = [{"codec": codec, **one, "rotation": {"kind": "identity", "seed": 0}} for codec, one in CASES]
    assert {codec_takes(one) for one in described} == {True, False}
