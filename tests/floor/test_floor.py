"""The reasons for the lowest releases that PedCLIP supports; run.py runs each on the release below."""


def test_a_config_builds_the_config_of_any_text_encoder_from_a_dict():
    """transformers: needs `sub_configs_defaults` with `SubConfigSpec`, by which it resolves a nested config itself.

    Before they came, a model whose text tower may be any BERT-family encoder had to do that by hand.
    """
    from pedclip import PedCLIPConfig

    config = PedCLIPConfig(text_config={"model_type": "roberta", "hidden_size": 48})
    assert type(config.text_config).__name__ == "RobertaConfig"
    assert type(PedCLIPConfig().text_config).__name__ == "BertConfig"
    assert type(config.vision_config).__name__ == "PedCLIPVisionConfig"


def test_an_adapter_of_the_experts_is_stored_as_that_of_a_linear_layer():
    """peft: up to 0.19.0 it took stacked matrices, which lie as (experts, out, in), for (experts, in, out).

    An adapter saved there does not open with a later release, nor the other way; where an expert is as wide inside
    as outside it opens and is wrong.
    """
    import peft

    from pedclip import PedCLIPVisionConfig, PedCLIPVisionModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
    config = PedCLIPVisionConfig(**sizes, image_size=16, patch_size=8, mobe_layers=[0], num_experts=3)
    lora = peft.LoraConfig(r=2, target_modules=[], target_parameters=["experts.up_proj"])
    weights = peft.get_peft_model_state_dict(peft.get_peft_model(PedCLIPVisionModel(config), lora))
    ((_, inside),) = (tensor.shape for name, tensor in weights.items() if "lora_A" in name)
    assert inside == config.hidden_size, f"peft takes the experts' matrices for (in, out): it reads {inside} numbers"
