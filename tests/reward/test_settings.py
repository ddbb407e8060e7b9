import pytest

from label_data.errors import InputError
from reward.settings import Settings


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
        ("top_layers", 0),
        ("margin", -1.0),
        ("centring", -1.0),
        ("annotator_weights", {"ann": -1.0}),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(field, value):
    with pytest.raises(InputError, match=field.replace("_", ".").removesuffix("s")[:6]):
        Settings(**{field: value})


def test_a_margin_belongs_to_one_loss():
    with pytest.raises(InputError, match="not to plackett-luce"):
        Settings(loss="plackett-luce", margin=1.0)


def test_the_learning_rate_goes_by_the_method_unless_it_is_given():
    assert (Settings(method="full").rate, Settings(method="lora").rate) == (2e-5, 2e-4)
    assert Settings(method="full", learning_rate=1e-6).rate == 1e-6
