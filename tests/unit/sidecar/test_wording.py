"""Numbers in sentences."""

from __future__ import annotations

import pytest

from portkin.wording import amount


@pytest.mark.parametrize(("number", "said"), [(0, "0 ports"), (1, "1 port"), (2, "2 ports"), (2_048, "2,048 ports")])
def test_one_is_singular(number, said):
    """One port, but no ports, two ports; thousands are set apart."""
    assert said == amount(number, "port")
