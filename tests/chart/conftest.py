"""Each test that asks for `found` runs on every value set."""

import pytest
from support import VALUE_SETS, rendered


@pytest.fixture(params=VALUE_SETS)
def found(request):
    """The objects of one value set."""
    return rendered(request.param)
