"""Topaz beside a PyTorch for processors only.

The torchvision that fits comes for graphics cards, and then asks for operators that such a PyTorch
does not have. Topaz uses none of them, so it is enough that they are declared.
"""

import random
from importlib.metadata import version

import numpy as np
import torch

if "+cpu" in torch.__version__ and "+cpu" not in version("torchvision"):
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# Trained in the same way each time.
random.seed(0)
np.random.seed(0)  # noqa: NPY002
torch.manual_seed(0)

from topaz.main import main  # noqa: E402

main()
