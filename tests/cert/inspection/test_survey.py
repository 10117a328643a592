"""The process that looks at the machine and the models before the first stage."""

import pytest

from tq_cert.inspection.scope import ModelSource
from tq_cert.inspection.survey_process import SurveyFailedError, survey


def test_a_model_that_cannot_be_loaded_is_named_with_its_problem_and_what_chooses_another(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SurveyFailedError) as raised:
        survey((ModelSource("llama", str(tmp_path), None, None),))
    assert str(tmp_path) in raised.value.message
    assert "ended with exit code 2" in raised.value.message
    assert "no directory with config.json and *.safetensors" in raised.value.message
    assert "TQ_TEST_LLAMA_MODEL" in raised.value.remedy
