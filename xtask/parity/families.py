"""Each family of models, written as its repos are published, with seeded random weights."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPConfig,
    CLIPModel,
    DistilBertConfig,
    DistilBertModel,
    DistilBertTokenizer,
    XLMRobertaConfig,
    XLMRobertaModel,
)

import configs
import tokenizer_files
from layouts import (
    weights_of,
    write_bpe_files,
    write_json,
    write_pytorch_bin,
    write_safetensors,
    write_shards,
    write_tokenizer_json,
    write_wordpiece_file,
)
from weights import randomise

# The towers of one CLIP are the same in each of its layouts, so that their vectors can be compared.
CLIP_SEED, LAION_SEED, DISTILBERT_SEED, BERT_SEED, XLM_ROBERTA_SEED, LABSE_SEED = range(1, 7)


def write_clip(folder: Path, full: bool = False) -> None:
    """`openai/clip-vit-base-patch32`."""
    size = configs.CLIP_FULL if full else configs.CLIP_TINY
    write_json(folder / "config.json", configs.clip(size))
    write_json(folder / "preprocessor_config.json", configs.clip_preprocessor_old(size.image))
    _write_clip_tokenizer(folder, size, with_json=True)
    write_safetensors(folder, weights_of(_clip_model(size)))


def _clip_model(size: configs.ClipSize) -> CLIPModel:
    return _seeded(lambda: CLIPModel(CLIPConfig(**configs.clip(size))), CLIP_SEED, full=size is configs.CLIP_FULL)


def _seeded(build: Callable[[], nn.Module], seed: int, full: bool = False) -> nn.Module:
    """Builds a model; a full-size one keeps the library's own initial weights, drawn from the seed."""
    torch.manual_seed(seed)
    model = build().eval()
    if not full:
        randomise(model, seed)
    return model


def _write_clip_tokenizer(folder: Path, size: configs.ClipSize, with_json: bool) -> None:
    learn = tokenizer_files.clip_merges_from_texts
    merges = (tokenizer_files.clip_merges_of_full_size if size is configs.CLIP_FULL else learn)(size.vocab)
    tokenizer = tokenizer_files.clip_tokenizer(merges)
    write_bpe_files(folder, tokenizer, merges)
    if with_json:
        write_tokenizer_json(folder, tokenizer)
    write_json(folder / "tokenizer_config.json", configs.clip_tokenizer_config())
    write_json(folder / "special_tokens_map.json", configs.clip_special_tokens())


def write_clip_laion(folder: Path) -> None:
    """`laion/CLIP-ViT-…`: gelu, patches of 16, another picture size, fp16."""
    size = configs.LAION_TINY
    config = configs.clip_laion(size)
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", configs.clip_preprocessor(size.image))
    _write_clip_tokenizer(folder, size, with_json=True)
    model = _seeded(lambda: CLIPModel(CLIPConfig(**config)), LAION_SEED)
    weights = {name: tensor for name, tensor in weights_of(model, torch.float16).items() if tensor.is_floating_point()}
    write_safetensors(folder, weights)


def write_clip_st(folder: Path, full: bool = False) -> None:
    """`sentence-transformers/clip-ViT-B-32` as of 2021: a folder in the folder, a pickle, no `tokenizer.json`."""
    size = configs.CLIP_FULL if full else configs.CLIP_TINY
    write_json(folder / "modules.json", configs.modules(("CLIPModel", "0_CLIPModel")))
    write_json(folder / "config_sentence_transformers.json", configs.sentence_transformers_versions())
    inner = folder / "0_CLIPModel"
    write_json(inner / "config.json", configs.clip(size))
    write_json(inner / "preprocessor_config.json", configs.clip_preprocessor_old(size.image))
    _write_clip_tokenizer(inner, size, with_json=False)
    write_pytorch_bin(inner, weights_of(_clip_model(size)))


def write_clip_st_new(folder: Path) -> None:
    """The same model saved by the installed sentence-transformers."""
    source = folder.with_name(f"{folder.name}.source")
    try:
        write_clip(source)
        SentenceTransformer(str(source), device="cpu").save(str(folder), create_model_card=False)
    finally:
        shutil.rmtree(source, ignore_errors=True)


def write_multilingual(folder: Path, full: bool = False) -> None:
    """`sentence-transformers/clip-ViT-B-32-multilingual-v1`."""
    tower = configs.DISTILBERT_FULL if full else configs.DISTILBERT_TINY
    vocab = configs.DISTILBERT_FULL_VOCAB if full else configs.DISTILBERT_TINY_VOCAB
    positions = 512 if full else 160
    out = (configs.CLIP_FULL if full else configs.CLIP_TINY).dimensions
    config = configs.distilbert(tower, vocab, positions)
    types = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense")
    write_json(folder / "modules.json", configs.modules(*types))
    write_json(folder / "config_sentence_transformers.json", configs.sentence_transformers_versions())
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 128, "do_lower_case": False})
    write_json(folder / "config.json", config)
    if full:
        tokens = tokenizer_files.wordpiece_of_full_size(vocab)
    else:
        tokens = tokenizer_files.wordpiece_from_texts(vocab, lower_case=False)
    tokenizer = DistilBertTokenizer(vocab={token: id for id, token in enumerate(tokens)}, do_lower_case=False)
    _write_wordpiece(folder, tokens, configs.bert_tokenizer_config("DistilBertTokenizer", False, 512))
    write_tokenizer_json(folder, tokenizer)
    model = _seeded(lambda: DistilBertModel(DistilBertConfig(**config)), DISTILBERT_SEED, full)
    write_safetensors(folder, _floats(model))
    write_json(folder / "1_Pooling" / "config.json", configs.pooling(tower.hidden, "mean_tokens"))
    dense = folder / "2_Dense"
    write_json(dense / "config.json", configs.dense(tower.hidden, out, bias=False, activation="linear.Identity"))
    write_safetensors(dense, _dense_weights(tower.hidden, out, bias=False, seed=DISTILBERT_SEED, full=full))


def _write_wordpiece(folder: Path, tokens: list[str], config: configs.Json) -> None:
    write_wordpiece_file(folder, tokens)
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", configs.bert_special_tokens())


def _floats(model: nn.Module, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in weights_of(model, dtype).items() if tensor.is_floating_point()}


def _dense_weights(inputs: int, outputs: int, bias: bool, seed: int, full: bool = False) -> dict[str, torch.Tensor]:
    layer = _seeded(lambda: nn.Linear(inputs, outputs, bias=bias), seed + 100, full)
    return {f"linear.{name}": tensor for name, tensor in weights_of(layer).items()}


def write_bert(folder: Path) -> None:
    """`BAAI/bge-small-en-v1.5` and its like: the first token's state, normalised; only `vocab.txt`; a pooler unused."""
    tower, vocab = configs.BERT_TINY, configs.BERT_TINY_VOCAB
    config = configs.bert(tower, vocab, positions=80)
    types = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    write_json(folder / "modules.json", configs.modules(*types))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    write_json(folder / "config.json", config)
    tokens = tokenizer_files.wordpiece_from_texts(vocab, lower_case=True)
    _write_wordpiece(folder, tokens, configs.bert_tokenizer_config("BertTokenizer", True, 80))
    model = _seeded(lambda: BertModel(BertConfig(**config)), BERT_SEED)
    write_safetensors(folder, weights_of(model))
    write_json(folder / "1_Pooling" / "config.json", configs.pooling(tower.hidden, "cls_token"))


def write_xlm_roberta(folder: Path) -> None:
    """`intfloat/multilingual-e5-…` and its like: unigram tokens, the mean, bf16 in two files."""
    tower, vocab = configs.XLM_ROBERTA_TINY, configs.XLM_ROBERTA_TINY_VOCAB
    config = configs.xlm_roberta(tower, vocab, positions=98)
    types = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    write_json(folder / "modules.json", configs.modules(*types))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 96, "do_lower_case": False})
    write_json(folder / "config.json", config)
    tokenizer = tokenizer_files.xlm_roberta_tokenizer(vocab, 96)
    write_tokenizer_json(folder, tokenizer)
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    special |= {"pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    settings = {"model_max_length": 96, "tokenizer_class": "XLMRobertaTokenizer"}
    write_json(folder / "tokenizer_config.json", special | settings)
    write_json(folder / "special_tokens_map.json", special)
    model = _seeded(lambda: XLMRobertaModel(XLMRobertaConfig(**config)), XLM_ROBERTA_SEED)
    write_shards(folder, _floats(model, torch.bfloat16), 2)
    write_json(folder / "1_Pooling" / "config.json", configs.pooling(tower.hidden, "mean_tokens"))


def write_dense_tanh(folder: Path) -> None:
    """`sentence-transformers/LaBSE`: a BERT's first token, `Dense` with bias and tanh, normalised; pickles only."""
    tower, vocab = configs.BERT_TINY, configs.DISTILBERT_TINY_VOCAB
    config = configs.bert(tower, vocab, positions=80)
    types = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")
    write_json(folder / "modules.json", configs.modules(*types))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    write_json(folder / "config.json", config)
    tokens = tokenizer_files.wordpiece_from_texts(vocab, lower_case=False)
    tokenizer = BertTokenizer(vocab={token: id for id, token in enumerate(tokens)}, do_lower_case=False)
    _write_wordpiece(folder, tokens, configs.bert_tokenizer_config("BertTokenizer", False, 80))
    write_tokenizer_json(folder, tokenizer)
    model = _seeded(lambda: BertModel(BertConfig(**config)), LABSE_SEED)
    write_pytorch_bin(folder, weights_of(model))
    write_json(folder / "1_Pooling" / "config.json", configs.pooling(tower.hidden, "cls_token"))
    dense = folder / "2_Dense"
    write_json(dense / "config.json", configs.dense(tower.hidden, tower.hidden, True, "activation.Tanh"))
    write_pytorch_bin(dense, _dense_weights(tower.hidden, tower.hidden, True, LABSE_SEED))
