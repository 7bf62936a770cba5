"""Makes transformers' Auto classes know the installed PedCLIP, so that no `trust_remote_code` is asked for.

Not shipped to the Hub: there the same classes are found through `auto_map`.
"""

from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForZeroShotImageClassification,
    AutoProcessor,
)

from pedclip.configuration.configuration_pedclip import PedCLIPConfig, PedCLIPVisionConfig
from pedclip.modeling_pedclip.modeling_pedclip import (
    PedCLIPForImageClassification,
    PedCLIPModel,
    PedCLIPVisionBackbone,
    PedCLIPVisionModel,
)
from pedclip.processing.image_processing_pedclip import PedCLIPImageProcessor
from pedclip.processing.processing_pedclip import PedCLIPProcessor

for config in (PedCLIPConfig, PedCLIPVisionConfig):
    AutoConfig.register(config.model_type, config)
    AutoImageProcessor.register(config, image_processor_classes={"pil": PedCLIPImageProcessor})
AutoModel.register(PedCLIPConfig, PedCLIPModel)
AutoModel.register(PedCLIPVisionConfig, PedCLIPVisionModel)
AutoModelForZeroShotImageClassification.register(PedCLIPConfig, PedCLIPModel)
AutoModelForImageClassification.register(PedCLIPConfig, PedCLIPForImageClassification)
AutoBackbone.register(PedCLIPVisionConfig, PedCLIPVisionBackbone)
AutoProcessor.register(PedCLIPConfig, PedCLIPProcessor)
