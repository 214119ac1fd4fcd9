"""Chinese-CLIP, written as `OFA-Sys/chinese-clip-vit-base-patch16` is published, and what transformers makes of it."""

from pathlib import Path

import numpy
import torch
from PIL import Image
from transformers import AutoTokenizer, BertTokenizer, ChineseCLIPConfig, ChineseCLIPImageProcessorPil, ChineseCLIPModel

import configs
import tokenizer_files
from layouts import weights_of, write_json, write_pytorch_bin, write_wordpiece_file
from weights import randomise

SEED = 62
TOKENS = 80


def write_chinese_clip(folder: Path) -> None:
    """A CLIP's image tower, a BERT for texts; the whole picture squashed; only `vocab.txt` and a pickle."""
    vocab = configs.DISTILBERT_TINY_VOCAB
    text = {
        "hidden_act": "gelu",
        "hidden_size": 24,
        "intermediate_size": 56,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": TOKENS,
        "model_type": "chinese_clip_text_model",
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": vocab,
    }
    vision = {
        "hidden_act": "quick_gelu",
        "hidden_size": 32,
        "image_size": 224,
        "intermediate_size": 72,
        "layer_norm_eps": 1e-05,
        "model_type": "chinese_clip_vision_model",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "patch_size": 32,
    }
    config = {
        "architectures": ["ChineseCLIPModel"],
        "logit_scale_init_value": 2.6592,
        "model_type": "chinese_clip",
        "projection_dim": 20,
        "text_config": text,
        "vision_config": vision,
    }
    write_json(folder / "config.json", config)
    preprocessor = {
        "do_center_crop": False,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ChineseCLIPFeatureExtractor",
        "image_mean": configs.MEAN,
        "image_std": configs.STD,
        "resample": 3,
        "size": {"height": 224, "width": 224},
    }
    write_json(folder / "preprocessor_config.json", preprocessor)
    tokens = tokenizer_files.wordpiece_from_texts(vocab, lower_case=True)
    write_wordpiece_file(folder, tokens)
    write_json(folder / "tokenizer_config.json", configs.bert_tokenizer_config("BertTokenizer", True, TOKENS))
    torch.manual_seed(SEED)
    model = ChineseCLIPModel(ChineseCLIPConfig(**config)).eval()
    randomise(model, SEED)
    write_pytorch_bin(folder, weights_of(model))


class ChineseClipReference:
    """A model folder as transformers runs it, in fp32, with Pillow's pixels."""

    def __init__(self, folder: Path) -> None:
        self.model = ChineseCLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.image_processor = ChineseCLIPImageProcessorPil.from_pretrained(folder)
        self.tokenizer: BertTokenizer = AutoTokenizer.from_pretrained(folder)

    def embed(self, inputs: list[Image.Image] | list[str]) -> numpy.ndarray:
        """Embeds one by one: `(inputs, dimensions)` f32 of unit length."""
        with torch.no_grad():
            vectors = [self._one(value) for value in inputs]
        return numpy.stack([(vector / vector.norm()).numpy() for vector in vectors]).astype(numpy.float32)

    def _one(self, value: Image.Image | str) -> torch.Tensor:
        if isinstance(value, str):
            return self.model.get_text_features(input_ids=torch.tensor([self.token_ids(value)])).pooler_output[0]
        pixels = self.image_processor(value, return_tensors="pt")["pixel_values"]
        return self.model.get_image_features(pixel_values=pixels).pooler_output[0]

    def token_ids(self, text: str) -> list[int]:
        """The ids that reach the model, cut to the most it takes."""
        return self.tokenizer(text, truncation=True, max_length=TOKENS)["input_ids"]

    def most_tokens(self) -> int:
        """How many tokens a text is cut to."""
        return TOKENS
