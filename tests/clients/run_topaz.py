"""Topaz beside a PyTorch for processors only.

The torchvision that fits comes for graphics cards, and then asks for operators that such a PyTorch
does not have. Topaz uses none of them, so it is enough that they are declared.
"""

from importlib.metadata import version

import torch

if "+cpu" in torch.__version__ and "+cpu" not in version("torchvision"):
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from topaz.main import main

main()
