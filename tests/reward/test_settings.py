from dataclasses import fields

import pytest

from label_data.errors import InputError
from reward.settings import Settings, flag_of


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("held_out", 0.0),
        ("held_out", 20),
        ("validation", 0.5),
        ("smoothing", 0.5),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("epochs", 0),
        ("groups_per_step", 0),
        ("last_layers", 0),
        ("margin", -1.0),
        ("centring", -1.0),
    ],
)
def test_an_error_about_a_setting_out_of_range_names_its_flag_and_value(field, value):
    with pytest.raises(InputError) as error:
        Settings(**{field: value})
    assert (error.value.values["setting"], error.value.values["value"]) == (flag_of(field), value)


def test_an_error_about_a_negative_weight_names_the_annotator():
    with pytest.raises(InputError, match=r"annotator 'ann' is -1\.0"):
        Settings(annotator_weights={"ann": -1.0})


def test_every_setting_has_a_help_text():
    assert all(setting.metadata["help"] for setting in fields(Settings))


def test_the_flag_of_the_annotator_weights_is_singular_because_it_is_repeated_for_each():
    assert (flag_of("annotator_weights"), flag_of("groups_per_step")) == ("--annotator-weight", "--groups-per-step")


def test_a_margin_is_refused_with_any_loss_but_bradley_terry():
    with pytest.raises(InputError, match="not with plackett-luce"):
        Settings(loss="plackett-luce", margin=1.0)


def test_the_default_learning_rate_depends_on_the_method():
    assert (Settings(method="full").rate, Settings(method="lora").rate) == (2e-5, 2e-4)
    assert Settings(method="full", learning_rate=1e-6).rate == 1e-6


def test_the_method_top_of_earlier_versions_is_last_layers():
    assert Settings(method="top").method == "last-layers"
