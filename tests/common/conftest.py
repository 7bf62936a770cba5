"""Makes transformers' unpacked common tests importable as `transformers_tests`, and our classes look native to them.

`make test` passes this folder by: run.py says where the unpacked tests are, and runs it.
"""

import os
import sys
from types import ModuleType

collect_ignore_glob = [] if "TRANSFORMERS_TESTS" in os.environ else ["test_*.py"]


def _stand_in(module_name: str, **content):
    """A module that the common tests import and the source distribution does not carry."""
    module = ModuleType(module_name)
    vars(module).update(content)
    sys.modules[module_name] = module


def _prepare():
    from transformers.models.auto import modeling_auto

    import pedclip.auto  # noqa: F401  the Auto classes know ours from here on

    sys.path.insert(0, os.environ["TRANSFORMERS_TESTS"])
    # Mixins with tests of their own, for exporters and text generation
    _stand_in("transformers_tests.exporters.test_export", ExportTesterMixin=object)
    _stand_in("transformers_tests.generation.test_utils", GenerationTesterMixin=type("GenerationTesterMixin", (), {}))
    # Where transformers' own runs find a test file that was downloaded before; here every URL stays one
    _stand_in("fetch_hub_objects_for_ci", url_to_local_path=lambda url: url)
    # Fields of every config with a value that is not their default
    common_fields = {
        "return_dict": False,
        "output_hidden_states": True,
        "dtype": "float16",
        "chunk_size_feed_forward": 5,
        "architectures": ["BertModel"],
        "id2label": {0: "label"},
        "label2id": {"label": 0},
        "problem_type": "regression",
    }
    _stand_in("transformers_tests.utils.test_configuration_utils", config_common_kwargs=common_fields)

    # The common tests look a class up by name, to see whether it is a base model or takes labels
    modeling_auto.MODEL_MAPPING_NAMES |= {"pedclip": "PedCLIPModel", "pedclip_vision_model": "PedCLIPVisionModel"}
    modeling_auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES["pedclip"] = "PedCLIPModel"
    modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES["pedclip"] = "PedCLIPForImageClassification"


if "TRANSFORMERS_TESTS" in os.environ:
    _prepare()
