"""`tq-cert bench kv-paper-eval`: its prompts, its scores against plain runs, and its honest statuses."""

import json
import shutil

import msgspec
import pytest

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

from tq_cert.cli import main
from tq_cert.errors import OptionError
from tq_cert.lanes.errors import TextTooShortError
from tq_cert.lanes.kv_paper_eval.catalogue import CATALOGUE
from tq_cert.lanes.kv_paper_eval.haystack import Haystack, Question, make_haystacks
from tq_cert.lanes.kv_paper_eval.measure import probe
from tq_cert.lanes.kv_paper_eval.record import Answer, EvalReport, MeasuredRow, NotRunRow, Probe, row_of, wilson
from tq_cert.lanes.kv_paper_eval.settings import TIERS, EvalScope
from tq_cert.lanes.quality.methods import parse_methods
from tq_cert.lanes.quality.record import StoredBits
from tq_cert.lanes.texts import Text

SCOPE = EvalScope(contexts=(700,), haystacks=2, needles=3, passage=24, chunk=128)
PROSE = Text("prose", "0", "The quick brown fox jumps over the lazy dog, again and again. " * 60)


def test_every_fact_is_in_the_prompt_at_its_depth_and_fits(tiny_llama_loaded) -> None:
    tokenizer = tiny_llama_loaded.tokenizer
    first, second = make_haystacks(PROSE, tokenizer, SCOPE, 700)
    assert first != second
    assert (first, second) == make_haystacks(PROSE, tokenizer, SCOPE, 700)
    for haystack in (first, second):
        questions = (*haystack.needles, haystack.copy)
        assert len(haystack.tokens) + max(len(one.cue) + len(one.answer) for one in questions) == 700
        prompt = tokenizer.decode(list(haystack.tokens))
        for needle in haystack.needles:
            asked = tokenizer.decode([*needle.cue, *needle.answer])
            fact = asked.split("Answer: ")[1]
            place = prompt.index(f"\n{fact}.\n") / len(prompt)
            assert abs(place - needle.depth) < 0.1
            assert fact.split()[-1].isdigit()
            assert len(fact.split()[-1]) == 5
        passage = tokenizer.decode([*haystack.copy.cue, *haystack.copy.answer])
        assert prompt.startswith(passage)
        assert len(haystack.copy.cue) + len(haystack.copy.answer) == 24


def test_prompts_that_do_not_fit_are_refused(tiny_llama_loaded) -> None:
    tokenizer = tiny_llama_loaded.tokenizer
    with pytest.raises(OptionError, match="have no room for 3 needles"):
        make_haystacks(PROSE, tokenizer, SCOPE, 200)
    with pytest.raises(OptionError, match="too many"):
        make_haystacks(PROSE, tokenizer, msgspec.structs.replace(SCOPE, needles=21), 700)
    with pytest.raises(TextTooShortError):
        make_haystacks(Text("short", "0", "Short. " * 60), tokenizer, SCOPE, 700)


def test_a_dense_answer_is_that_of_one_plain_run(tiny_llama_loaded) -> None:
    """Chunks, copies of caches and slices of logits change nothing: the whole sequence at once says the same."""
    model = tiny_llama_loaded.model
    (haystack, _) = make_haystacks(PROSE, tiny_llama_loaded.tokenizer, SCOPE, 700)
    needle = haystack.needles[1]
    sequence = [*haystack.tokens, *needle.cue, *needle.answer]
    logits = model(mx.array([sequence]), cache=make_prompt_cache(model))[0, -len(needle.answer) - 1 : -1]
    greedy = mx.argmax(logits, axis=-1).tolist()
    # One question whose answer is what the model says, and one whose answer is not.
    right = Question(0.5, needle.cue, needle.answer[:1])
    said = msgspec.convert(greedy[:1], tuple[int, ...])
    changed = Haystack(haystack.tokens, (Question(0.5, needle.cue, said), needle), right)
    (dense,) = parse_methods("dense")
    found = probe(model, changed, dense, SCOPE.at(700))
    assert found.needles[0].right == (True,)
    assert found.needles[1].right == tuple(a == b for a, b in zip(greedy, needle.answer, strict=True))
    expected = mx.logsumexp(logits, axis=-1) - logits[mx.arange(len(needle.answer)), mx.array(needle.answer)]
    assert found.needles[1].nll == pytest.approx(expected.mean().item(), abs=1e-4)
    assert found.codes_read == 0
    assert found.stored_bits.as_run == 32


def test_a_compressed_answer_reads_codes_and_differs(tiny_llama_loaded) -> None:
    (haystack, _) = make_haystacks(PROSE, tiny_llama_loaded.tokenizer, SCOPE, 700)
    dense, ours = parse_methods("dense,preset:equal_noise_k3v3")
    with tq_mlx.hooks_installed():
        exact, coded = (probe(tiny_llama_loaded.model, haystack, method, SCOPE.at(700)) for method in (dense, ours))
    assert coded.codes_read > 0
    assert coded.stored_bits.model16 < 4
    assert [answer.nll for answer in coded.needles] != [answer.nll for answer in exact.needles]


def test_rows_count_whole_needles_and_single_tokens() -> None:
    def probed(*right: tuple[bool, ...]) -> Probe:
        answers = tuple(Answer(0.5, each, 1.0) for each in right)
        return Probe(StoredBits(4.0, 5.0), 1, answers[:-1], answers[-1])

    probes = [probed((True, True), (True, False), (True, False, True, True)), probed((True,), (False,), (True, True))]
    needles = row_of("n", "m", 10, probes, whole=True)
    assert (needles.asked, needles.found, needles.share) == (4, 2, 0.5)
    copied = row_of("c", "m", 10, probes, whole=False)
    assert (copied.asked, copied.found) == (6, 5)
    assert wilson(2, 4) == pytest.approx((0.1500, 0.8500), abs=1e-4)
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1


@pytest.fixture
def arguments(tiny_llama_directory, tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text(PROSE.content)
    scope = ["--contexts", "700,3000", "--haystacks", "1", "--needles", "2", "--passage", "16"]
    return ["bench", "kv-paper-eval", "--model", str(tiny_llama_directory), "--text", str(path), *scope]


def test_everything_has_a_status_and_what_was_not_run_a_reason(
    arguments, tiny_llama_directory, tmp_path, capsys
) -> None:
    short = tmp_path / "short"
    shutil.copytree(tiny_llama_directory, short)
    config = json.loads((short / "config.json").read_bytes())
    (short / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 1024}))
    out, page = tmp_path / "r.json", tmp_path / "r.md"
    command = [*arguments, "--model", str(short), "--methods", "dense,preset:lloyd_k4v4", "--out", str(out)]
    assert main([*command, "--markdown", str(page)]) == 0
    report = msgspec.json.decode(out.read_bytes(), type=EvalReport)
    statuses = {(row["evaluation"], row["status"]) for row in json.loads(out.read_bytes())["rows"]}
    assert {name for name, _ in statuses} == {evaluation.name for evaluation in CATALOGUE}
    measured = [row for row in report.rows if isinstance(row, MeasuredRow)]
    assert [(row.evaluation, row.method, row.context) for row in measured] == [
        (evaluation, method, 700)
        for method in ("dense", "preset:lloyd_k4v4")
        for evaluation in ("needle_in_a_haystack", "long_range_copy")
    ]
    reasons = {(row.evaluation, row.context): row.reason for row in report.rows if isinstance(row, NotRunRow)}
    assert reasons["needle_in_a_haystack", 3000] == "the model was trained for 1024 tokens at most"
    assert "no figure of it is claimed" in reasons["longbench", None]
    assert "bench vector-search" in reasons["nearest_neighbours", None]
    assert "| longbench | not_run |" in page.read_text()
    assert not out.with_name("r.json.partial").exists()
    capsys.readouterr()


def test_tiers_differ_in_depth() -> None:
    fast, heavy = TIERS["fast-check"], TIERS["heavy-offline"]
    assert max(fast.contexts) < max(heavy.contexts) == 8192
    assert fast.haystacks * fast.needles < heavy.haystacks * heavy.needles


@pytest.mark.parametrize("change", [["--needles", "0"], ["--passage", "15"], ["--contexts", "1,1"]])
def test_options_out_of_range(change, arguments, capsys) -> None:
    assert main([*arguments, *change]) == 2
    assert change[0] in capsys.readouterr().err
