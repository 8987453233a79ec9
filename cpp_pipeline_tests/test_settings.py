"""Settings come from the environment, and a bad value names its variable."""

import pytest

from cpp_pipeline.settings import Settings


def test_defaults_need_no_environment() -> None:
    assert Settings.from_env({}) == Settings()


def test_values_are_read_by_their_type() -> None:
    env = {"CPP_PIPELINE_SEED": "7", "SANDBOX_URL": "http://127.0.0.1:1", "CPP_PIPELINE_REAL_CPP": "0"}
    assert Settings.from_env(env) == Settings(seed=7, sandbox_url="http://127.0.0.1:1", real_cpp=False)


@pytest.mark.parametrize(("name", "value"), [("CPP_PIPELINE_SEED", "x"), ("CPP_PIPELINE_REAL_CPP", "maybe")])
def test_a_bad_value_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings.from_env({name: value})
