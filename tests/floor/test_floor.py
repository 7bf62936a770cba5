"""The reason for the lowest transformers release that PedCLIP supports; run.py runs this on the release below it."""


def test_a_config_builds_the_config_of_any_text_encoder_from_a_dict():
    """Needs `sub_configs_defaults` with `SubConfigSpec`, by which transformers itself resolves a nested config.

    Before they came, a model whose text tower may be any BERT-family encoder had to do that by hand.
    """
    from pedclip import PedCLIPConfig

    config = PedCLIPConfig(text_config={"model_type": "roberta", "hidden_size": 48})
    assert type(config.text_config).__name__ == "RobertaConfig"
    assert type(PedCLIPConfig().text_config).__name__ == "BertConfig"
    assert type(config.vision_config).__name__ == "PedCLIPVisionConfig"
