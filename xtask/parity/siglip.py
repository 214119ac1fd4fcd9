"""SigLIP and SigLIP 2 of a fixed resolution, written as Google publishes them, and what transformers makes of them."""

import tempfile
from pathlib import Path

import numpy
import sentencepiece
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoProcessor, SiglipConfig, SiglipModel, SiglipTokenizer

import tokenizer_files
from layouts import weights_of, write_json, write_safetensors
from texts import TEXTS
from weights import randomise

Json = dict[str, object]

SIGLIP_SEED, SIGLIP2_SEED = 21, 22
SIGLIP_VOCAB, SIGLIP2_VOCAB = 420, 900
TOKENS = 64


def _config(vocab: int, hidden: int, image: int, patch: int, dtype: str) -> Json:
    tower = {
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden + 16,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
    }
    return {
        "architectures": ["SiglipModel"],
        "initializer_factor": 1.0,
        "model_type": "siglip",
        "text_config": {"model_type": "siglip_text_model", "vocab_size": vocab, **tower},
        "torch_dtype": dtype,
        "vision_config": {
            "model_type": "siglip_vision_model",
            "image_size": image,
            "patch_size": patch,
            **tower,
            "num_hidden_layers": 3,
        },
    }


def _preprocessor(image: int, resample: int) -> Json:
    return {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "SiglipProcessor",
        "resample": resample,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": image, "width": image},
    }


def write_siglip(folder: Path) -> None:
    """`google/siglip-base-patch16-224`: `spiece.model` alone, no punctuation, no capitals, bicubic."""
    config = _config(SIGLIP_VOCAB, hidden=32, image=96, patch=16, dtype="float32")
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", _preprocessor(96, resample=3))
    _write_spiece(folder)
    write_safetensors(folder, weights_of(_model(config, SIGLIP_SEED)))


def _write_spiece(folder: Path) -> None:
    (folder / "spiece.model").write_bytes(_spiece(SIGLIP_VOCAB))
    special = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    settings = {"do_lower_case": True, "model_max_length": TOKENS, "tokenizer_class": "SiglipTokenizer"}
    write_json(folder / "tokenizer_config.json", {**special, **settings})
    write_json(folder / "special_tokens_map.json", special)


def write_siglip2(folder: Path) -> None:
    """`google/siglip2-base-patch16-256`: Gemma's tokens in `tokenizer.json`, bilinear, fp16."""
    config = _config(SIGLIP2_VOCAB, hidden=24, image=96, patch=16, dtype="float16")
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", _preprocessor(96, resample=2))
    tokenizer = gemma_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "add_bos_token": False,
        "add_eos_token": True,
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": "<pad>",
        "padding_side": "right",
        "tokenizer_class": "GemmaTokenizer",
        "unk_token": "<unk>",
    }
    write_json(folder / "tokenizer_config.json", settings)
    weights = weights_of(_model(config, SIGLIP2_SEED), torch.float16)
    write_safetensors(folder, {name: tensor for name, tensor in weights.items() if tensor.is_floating_point()})


def write_siglip_full(folder: Path) -> SiglipModel:
    """`google/siglip-base-patch16-224` by its sizes, which are those that transformers gives a file that says nothing."""
    config = {"architectures": ["SiglipModel"], "model_type": "siglip", "torch_dtype": "float32"}
    config |= {"text_config": {"model_type": "siglip_text_model"}, "vision_config": {"model_type": "siglip_vision_model"}}
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", _preprocessor(224, resample=3))
    _write_spiece(folder)
    torch.manual_seed(SIGLIP_SEED)
    model = SiglipModel(SiglipConfig(**config)).eval()
    write_safetensors(folder, weights_of(model))
    return model


def _model(config: Json, seed: int) -> SiglipModel:
    torch.manual_seed(seed)
    model = SiglipModel(SiglipConfig(**config)).eval()
    randomise(model, seed)
    return model


def _texts_to_learn() -> list[str]:
    return [text for name, text in TEXTS.items() if name not in ("emoji", "long-word") and "over-" not in name]


def _spiece(vocab: int) -> bytes:
    """A unigram model in T5's order: padding, end, unknown."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, prefix = Path(folder) / "corpus.txt", Path(folder) / "spiece"
        corpus.write_text("\n".join(text.replace("\n", " ").lower() for text in _texts_to_learn()), encoding="utf-8")
        rules = Path(folder) / "rules.tsv"
        rules.write_text("".join(tokenizer_files.normalisation_rules()), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus),
            model_prefix=str(prefix),
            model_type="unigram",
            vocab_size=vocab,
            character_coverage=0.995,
            normalization_rule_tsv=str(rules),
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
        return prefix.with_suffix(".model").read_bytes()


def gemma_tokenizer() -> Tokenizer:
    """Byte-pair encoding of whole texts, with bytes for what it lacks, as Gemma's."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    texts = [text.lower().replace(" ", "\u2581") for text in _texts_to_learn()]
    words = [tuple(text[start:end]) for text in texts for start, end in _pieces(text)]
    letters = sorted({letter for word in words for letter in word})[: SIGLIP2_VOCAB - len(tokens)]
    tokens += letters
    merges = [
        pair
        for pair in tokenizer_files.learn_merges(words, SIGLIP2_VOCAB - len(tokens))
        if all(letter in letters for letter in "".join(pair))
    ]
    tokens += dict.fromkeys("".join(pair) for pair in merges if "".join(pair) not in tokens)
    vocab = {token: id for id, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, fuse_unk=True, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return tokenizer


def _pieces(text: str) -> list[tuple[int, int]]:
    """Cuts a text before each space, so that merges are learnt inside words."""
    starts = [0, *(place for place, letter in enumerate(text) if letter == "\u2581" and place > 0)]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


class SiglipReference:
    """A model folder as transformers runs it, in fp32, with Pillow's pixels."""

    def __init__(self, folder: Path) -> None:
        self.model = SiglipModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(folder, backend="pil")
        self.image_processor = self.processor.image_processor
        if "pil" not in type(self.image_processor).__name__.lower():
            raise RuntimeError("torchvision resizes otherwise than Pillow does: uninstall it")

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
        """The ids that reach the model, padding among them.

        White space around a text is removed first where a SentencePiece model splits it: transformers would make a token of
        it that no text of the training began with.
        """
        options = {"padding": "max_length", "max_length": TOKENS, "truncation": True}
        text = text.strip() if isinstance(self.processor.tokenizer, SiglipTokenizer) else text
        return self.processor.tokenizer([text], **options)["input_ids"][0]

    def most_tokens(self) -> int:
        """How many tokens every text has."""
        return TOKENS
