"""What a page says of a model beside its accuracy, in every language."""

import math
import re

import pytest

from label_data.intervals import Estimate
from label_data.sentences import LANGUAGES
from reward.report.ceiling import Human
from workbench.views.report import human_verdict
from workbench.wording import page_texts

NONE = float("nan")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_ceiling_is_said_with_its_interval_or_that_nobody_knows_it(language):
    says = page_texts(language)["report"]
    found = human_verdict(Human(Estimate(0.8, 0.61, 0.92, 1_234, 77), 0.8, 0.887), says)
    numbers = {"80.0%", "61.0%", "92.0%", "88.7%"}
    assert numbers <= set(re.findall(r"[\d.]+%", found)) and "1,234" in found and "77" in found
    few = human_verdict(Human(Estimate(0.8, NONE, NONE, 3, 3), 0.8, 0.887), says)
    assert "nan" not in few and "88.7%" in few
    assert human_verdict(Human(Estimate(NONE, NONE, NONE, 0, 0), NONE, NONE), says) == says["human_none"]
    against = human_verdict(Human(Estimate(0.4, 0.3, 0.5, 9, 9), 0.4, math.nan), says)
    assert "40.0%" in against and "nan" not in against
