from __future__ import annotations

import pytest
import torch
from torch import Tensor


@pytest.fixture
def rows() -> tuple[Tensor, Tensor, Tensor]:
    """Clean ids below 9 (the mask), which of them may be masked (all but 10 of prompt) and example ids, of 64 rows."""
    clean = torch.randint(9, (64, 40))
    maskable = (torch.arange(40) >= 10).expand(64, 40).clone()
    return clean, maskable, torch.arange(64)
