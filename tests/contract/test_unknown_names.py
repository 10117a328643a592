"""The error for a name that is not known."""

import pickle

from tq_contract import UnknownFamilyError, UnknownPresetError


def test_it_reads_well_and_survives_pickling():
    error = UnknownPresetError("papermse", ("paper_mse", "other"))
    assert str(error) == "unknown preset 'papermse'. Did you mean 'paper_mse'? Known: paper_mse, other."
    again = pickle.loads(pickle.dumps(error))
    assert (again.value, again.known, str(again)) == (error.value, error.known, str(error))


def test_without_a_likely_name_it_lists_the_known():
    assert str(UnknownFamilyError(None, ("llama",))) == "unknown model family None. Known: llama."
