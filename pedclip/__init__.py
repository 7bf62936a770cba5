"""PedCLIP for pediatric radiographs: the names meant for use, loaded when first asked for.

Lazy, because torch and transformers take seconds to import and `pedclip --help` needs neither. The first name taken
from here (or `import pedclip.auto`) also tells transformers' Auto classes about PedCLIP.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A checkout keeps configuration/, processing/, train.py, ... one level up; an installed copy has those folders right
# here and the files of the checkout's root in pedclip/checkout (see pyproject.toml).
_here = Path(__file__).resolve().parent
_is_checkout = (_here.parent / "configuration" / "configuration_pedclip.py").is_file()
__path__.append(str(_here.parent if _is_checkout else _here / "checkout"))

if TYPE_CHECKING:
    from .configuration.configuration_pedclip import PedCLIPConfig, PedCLIPVisionConfig
    from .modeling_pedclip.modeling_pedclip import (
        PedCLIPForImageClassification,
        PedCLIPModel,
        PedCLIPVisionBackbone,
        PedCLIPVisionModel,
    )
    from .processing.image_processing_pedclip import PedCLIPImageProcessor
    from .processing.processing_pedclip import PedCLIPProcessor

__version__ = "0.1.0"
__all__ = [
    "PedCLIPConfig",
    "PedCLIPForImageClassification",
    "PedCLIPImageProcessor",
    "PedCLIPModel",
    "PedCLIPProcessor",
    "PedCLIPVisionBackbone",
    "PedCLIPVisionConfig",
    "PedCLIPVisionModel",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'pedclip' has no attribute {name!r}")
    return vars(import_module("pedclip.auto"))[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
