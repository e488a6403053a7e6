"""multivae imports torchvision, whose wheels do not load beside a torch without CUDA."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("multivae") is not None:
    sys.path.append(str(Path(__file__).parents[2] / "census"))
    import torchvision_names

    torchvision_names.importable()
