"""The JSON files of the published models, with the sizes given: the models are built from exactly what is written."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


@dataclass(frozen=True)
class Tower:
    """The size of one transformer."""

    hidden: int
    feed_forward: int
    layers: int
    heads: int


@dataclass(frozen=True)
class ClipSize:
    """The size of a CLIP with two towers."""

    text: Tower
    vision: Tower
    vocab: int
    dimensions: int
    patch: int
    image: int = 224


CLIP_TINY = ClipSize(Tower(32, 80, 2, 2), Tower(20, 56, 2, 2), vocab=760, dimensions=32, patch=32)
CLIP_FULL = ClipSize(Tower(512, 2048, 12, 8), Tower(768, 3072, 12, 12), vocab=49408, dimensions=512, patch=32)
# As ViT-B-16-plus-240: another picture size, and another width for each tower and their common space.
LAION_TINY = ClipSize(Tower(24, 64, 2, 3), Tower(32, 80, 3, 4), vocab=760, dimensions=20, patch=16, image=240)

DISTILBERT_TINY = Tower(40, 96, 2, 4)
DISTILBERT_FULL = Tower(768, 3072, 6, 12)
DISTILBERT_TINY_VOCAB = 1000
DISTILBERT_FULL_VOCAB = 119547
BERT_TINY = Tower(32, 80, 2, 4)
BERT_TINY_VOCAB = 800
XLM_ROBERTA_TINY = Tower(32, 80, 2, 2)
XLM_ROBERTA_TINY_VOCAB = 530


def clip(size: ClipSize) -> Json:
    """`openai/clip-vit-base-patch32`: the end token's id is the 2 of an older tokenizer, so the highest id is meant."""
    text = {
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dropout": 0.0,
        "eos_token_id": 2,
        "hidden_act": "quick_gelu",
        "hidden_size": size.text.hidden,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": size.text.feed_forward,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": size.text.heads,
        "num_hidden_layers": size.text.layers,
        "pad_token_id": 1,
        "projection_dim": size.dimensions,
        "vocab_size": size.vocab,
    }
    vision = {
        "attention_dropout": 0.0,
        "dropout": 0.0,
        "hidden_act": "quick_gelu",
        "hidden_size": size.vision.hidden,
        "image_size": size.image,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": size.vision.feed_forward,
        "layer_norm_eps": 1e-05,
        "model_type": "clip_vision_model",
        "num_attention_heads": size.vision.heads,
        "num_channels": 3,
        "num_hidden_layers": size.vision.layers,
        "patch_size": size.patch,
        "projection_dim": size.dimensions,
    }
    return {
        "architectures": ["CLIPModel"],
        "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592,
        "model_type": "clip",
        "projection_dim": size.dimensions,
        "text_config": text,
        "text_config_dict": None,
        "torch_dtype": "float32",
        "transformers_version": None,
        "vision_config": vision,
        "vision_config_dict": None,
    }


def clip_laion(size: ClipSize) -> Json:
    """`laion/CLIP-ViT-…`: gelu, the end token's true id, and what equals the library's defaults left out."""
    return {
        "architectures": ["CLIPModel"],
        "logit_scale_init_value": 2.6592,
        "model_type": "clip",
        "projection_dim": size.dimensions,
        "text_config": {
            "bos_token_id": size.vocab - 2,
            "eos_token_id": size.vocab - 1,
            "hidden_act": "gelu",
            "hidden_size": size.text.hidden,
            "intermediate_size": size.text.feed_forward,
            "layer_norm_eps": 1e-06,
            "model_type": "clip_text_model",
            "num_attention_heads": size.text.heads,
            "num_hidden_layers": size.text.layers,
            "vocab_size": size.vocab,
        },
        "torch_dtype": "float16",
        "vision_config": {
            "hidden_act": "gelu",
            "hidden_size": size.vision.hidden,
            "image_size": size.image,
            "intermediate_size": size.vision.feed_forward,
            "layer_norm_eps": 1e-04,
            "model_type": "clip_vision_model",
            "num_attention_heads": size.vision.heads,
            "num_hidden_layers": size.vision.layers,
            "patch_size": size.patch,
        },
    }


def clip_preprocessor_old(image: int) -> Json:
    """OpenAI's of 2021: plain numbers for the sizes, and no word of RGB or of the scale."""
    return {
        "crop_size": image,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": MEAN,
        "image_std": STD,
        "resample": 3,
        "size": image,
    }


def clip_preprocessor(image: int) -> Json:
    """As transformers has written it since 2023."""
    return {
        "crop_size": {"height": image, "width": image},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": MEAN,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": STD,
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": image},
    }


def clip_tokenizer_config() -> Json:
    """The tokenizer's settings, as in OpenAI's repos and those made from them."""
    token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "__type": "AddedToken"}
    return {
        "unk_token": {"content": "<|endoftext|>", **token},
        "bos_token": {"content": "<|startoftext|>", **token},
        "eos_token": {"content": "<|endoftext|>", **token},
        "pad_token": "<|endoftext|>",
        "add_prefix_space": False,
        "errors": "replace",
        "do_lower_case": True,
        "name_or_path": "openai/clip-vit-base-patch32",
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    }


def clip_special_tokens() -> Json:
    """`special_tokens_map.json` of a CLIP."""
    token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    return {
        "bos_token": {"content": "<|startoftext|>", **token},
        "eos_token": {"content": "<|endoftext|>", **token},
        "unk_token": {"content": "<|endoftext|>", **token},
        "pad_token": "<|endoftext|>",
    }


def distilbert(tower: Tower, vocab: int, positions: int) -> Json:
    """`sentence-transformers/clip-ViT-B-32-multilingual-v1`, made from distilbert-base-multilingual-cased."""
    return {
        "activation": "gelu",
        "architectures": ["DistilBertModel"],
        "attention_dropout": 0.1,
        "dim": tower.hidden,
        "dropout": 0.1,
        "hidden_dim": tower.feed_forward,
        "initializer_range": 0.02,
        "max_position_embeddings": positions,
        "model_type": "distilbert",
        "n_heads": tower.heads,
        "n_layers": tower.layers,
        "output_past": True,
        "pad_token_id": 0,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "torch_dtype": "float32",
        "vocab_size": vocab,
    }


def bert(tower: Tower, vocab: int, positions: int) -> Json:
    """Any BERT."""
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": tower.hidden,
        "initializer_range": 0.02,
        "intermediate_size": tower.feed_forward,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "model_type": "bert",
        "num_attention_heads": tower.heads,
        "num_hidden_layers": tower.layers,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "vocab_size": vocab,
    }


def xlm_roberta(tower: Tower, vocab: int, positions: int) -> Json:
    """Any XLM-R: positions count from the padding's id, so two more rows than tokens."""
    return {
        "architectures": ["XLMRobertaModel"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": tower.hidden,
        "initializer_range": 0.02,
        "intermediate_size": tower.feed_forward,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": positions,
        "model_type": "xlm-roberta",
        "num_attention_heads": tower.heads,
        "num_hidden_layers": tower.layers,
        "output_past": True,
        "pad_token_id": 1,
        "position_embedding_type": "absolute",
        "torch_dtype": "bfloat16",
        "type_vocab_size": 1,
        "vocab_size": vocab,
    }


def bert_tokenizer_config(tokenizer_class: str, lower_case: bool, most_tokens: int) -> Json:
    """The settings of a WordPiece tokenizer."""
    return {
        "cls_token": "[CLS]",
        "do_lower_case": lower_case,
        "mask_token": "[MASK]",
        "model_max_length": most_tokens,
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": tokenizer_class,
        "unk_token": "[UNK]",
    }


def bert_special_tokens() -> Json:
    """`special_tokens_map.json` of a BERT."""
    return {
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }


def pooling(dimensions: int, mode: str) -> Json:
    """sentence-transformers' `Pooling` with `mode` one of `cls_token` and `mean_tokens`."""
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    return {
        "word_embedding_dimension": dimensions,
        **{f"pooling_mode_{name}": name == mode for name in modes},
    }


def dense(in_features: int, out_features: int, bias: bool, activation: str) -> Json:
    """sentence-transformers' `Dense`; `activation` is the last word of a torch class."""
    return {
        "in_features": in_features,
        "out_features": out_features,
        "bias": bias,
        "activation_function": f"torch.nn.modules.{activation}",
    }


def modules(*types: tuple[str, str]) -> list[Json]:
    """`modules.json`: the types' names and the folders that hold them."""
    return [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{name}"}
        for index, (name, path) in enumerate(types)
    ]


def sentence_transformers_versions() -> Json:
    """`config_sentence_transformers.json`."""
    return {"__version__": {"sentence_transformers": "2.0.0", "transformers": "4.7.0", "pytorch": "1.9.0+cu102"}}
