"""Text encoders with rotary positions, biases by distance and gated halves, written as their repos are published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import (
    BertTokenizer,
    Gemma3TextConfig,
    Gemma3TextModel,
    GteConfig,
    GteModel,
    MPNetConfig,
    MPNetModel,
    MPNetTokenizer,
    NomicBertConfig,
    NomicBertModel,
    Qwen3Config,
    Qwen3Model,
)

import configs
import jina_bert
import siglip
import text_models
import tokenizer_files
from layouts import weights_of, write_json, write_safetensors, write_tokenizer_json
from weights import randomise

MPNET_SEED, NOMIC_SEED, GTE_SEED, QWEN3_SEED, GEMMA_SEED, JINA_SEED = range(51, 57)
VOCAB = configs.BERT_TINY_VOCAB
QWEN3_VOCAB = 640
POSITIONS = 128
TOKENS = 96
GTE_STRETCH = 2.0

# Qwen2's pattern of words, as in its `tokenizer.json`.
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_modern_bert(folder: Path) -> None:
    """`nomic-ai/modernbert-embed-base`, the weights themselves."""
    text_models.write_modern_bert(folder)


def write_mpnet(folder: Path) -> None:
    """`sentence-transformers/all-mpnet-base-v2`."""
    config = {
        "architectures": ["MPNetForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 80,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": POSITIONS + 2,
        "model_type": "mpnet",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 1,
        "relative_attention_num_buckets": 32,
        "vocab_size": VOCAB,
    }
    _sentence_folder(folder, config, "mean_tokens")
    pieces = tokenizer_files.wordpiece_from_texts(VOCAB, lower_case=True)
    pieces = [token for token in pieces if not token.startswith("[")]
    tokens = ["<s>", "<pad>", "</s>", "[UNK]", *pieces[: VOCAB - 5], "<mask>"]
    write_tokenizer_json(folder, MPNetTokenizer(vocab={token: id for id, token in enumerate(tokens)}))
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    special |= {"pad_token": "<pad>", "sep_token": "</s>", "unk_token": "[UNK]"}
    settings = {"do_lower_case": True, "model_max_length": POSITIONS, "tokenizer_class": "MPNetTokenizer"}
    write_json(folder / "tokenizer_config.json", special | settings)
    model = _seeded(lambda: MPNetModel(MPNetConfig(**config), add_pooling_layer=False), MPNET_SEED)
    write_safetensors(folder, weights_of(model))


def write_nomic_bert(folder: Path) -> None:
    """`nomic-ai/nomic-embed-text-v1.5`; `config.json` is transformers' own until `publish_nomic_bert`."""
    config = {
        "hidden_size": 32,
        "intermediate_size": 80,
        "max_position_embeddings": POSITIONS,
        "model_type": "nomic_bert",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "rope_parameters": {"rope_theta": 1000.0, "rope_type": "default"},
        "vocab_size": VOCAB,
    }
    _sentence_folder(folder, config, "mean_tokens")
    _write_bert_tokenizer(folder)
    model = _seeded(lambda: NomicBertModel(NomicBertConfig(**config)), NOMIC_SEED)
    renamed: dict[str, torch.Tensor] = {}
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in weights_of(model).items():
        for new, old in [
            ("embeddings.LayerNorm", "emb_ln"),
            ("self_attn.o_proj", "attn.out_proj"),
            ("up_proj", "fc11"),
            ("gate_proj", "fc12"),
            ("down_proj", "fc2"),
            ("post_attention_layernorm", "norm1"),
            ("post_mlp_layernorm", "norm2"),
        ]:
            name = name.replace(new, old)
        name = f"encoder.{name}" if name.startswith("layers.") else name
        place, _, part = name.partition("self_attn.")
        if part:
            parts.setdefault(f"{place}attn.Wqkv.weight", {})[part] = tensor
        elif tensor.is_floating_point():
            renamed[name] = tensor
    renamed |= {name: _joined(of, ".weight") for name, of in parts.items()}
    write_safetensors(folder, renamed)


def publish_nomic_bert(folder: Path) -> None:
    """Writes `config.json` as the model's own code has it."""
    write_json(
        folder / "config.json",
        {
            "activation_function": "swiglu",
            "architectures": ["NomicBertModel"],
            "causal": False,
            "layer_norm_epsilon": 1e-12,
            "max_trained_positions": POSITIONS,
            "mlp_fc1_bias": False,
            "mlp_fc2_bias": False,
            "model_type": "nomic_bert",
            "n_embd": 32,
            "n_head": 4,
            "n_inner": 80,
            "n_layer": 2,
            "n_positions": POSITIONS,
            "parallel_block": False,
            "prenorm": False,
            "qkv_proj_bias": False,
            "rotary_emb_base": 1000,
            "rotary_emb_fraction": 1.0,
            "rotary_emb_interleaved": False,
            "rotary_emb_scale_base": None,
            "rotary_scaling_factor": None,
            "type_vocab_size": 2,
            "use_rms_norm": False,
            "vocab_size": VOCAB,
        },
    )


def write_gte(folder: Path) -> None:
    """`Alibaba-NLP/gte-base-en-v1.5`, bf16; `config.json` is transformers' own until `publish_gte`."""
    config = {
        "hidden_size": 32,
        "intermediate_size": 80,
        "max_position_embeddings": POSITIONS,
        "model_type": "gte",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "rope_parameters": {"rope_theta": 160000.0, "rope_type": "default"},
        "type_vocab_size": 0,
        "vocab_size": VOCAB,
    }
    _sentence_folder(folder, config, "cls_token")
    _write_bert_tokenizer(folder)
    model = _seeded(lambda: GteModel(GteConfig(**config)), GTE_SEED)
    renamed: dict[str, torch.Tensor] = {}
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in weights_of(model, torch.bfloat16).items():
        for new, old in [
            ("self_attn.o_proj", "attention.o_proj"),
            ("post_attention_layernorm", "attn_ln"),
            ("post_mlp_layernorm", "mlp_ln"),
        ]:
            name = name.replace(new, old)
        name = f"encoder.layer{name.removeprefix('layers')}" if name.startswith("layers.") else name
        place, _, part = name.partition("self_attn.")
        kind = name.rpartition(".")[2]
        if part:
            parts.setdefault(f"{place}attention.qkv_proj.{kind}", {})[part] = tensor
        elif "mlp.up_proj" in name or "mlp.gate_proj" in name:
            place, _, part = name.partition("mlp.")
            parts.setdefault(f"{place}mlp.up_gate_proj.{kind}", {})[part] = tensor
        elif tensor.is_floating_point():
            renamed[name] = tensor
    renamed |= {name: _joined(of, f".{name.rpartition('.')[2]}") for name, of in parts.items()}
    write_safetensors(folder, renamed)


def stretch_gte(model: nn.Module) -> None:
    """Stretches the frequencies as `NTKScalingRotaryEmbedding` of the model's own code does, which transformers left out."""
    width = model.config.hidden_size // model.config.num_attention_heads
    base = model.config.rope_parameters["rope_theta"] * GTE_STRETCH
    frequencies = 1.0 / (base ** (torch.arange(0, width, 2).float() / width))
    model.rotary_emb.inv_freq = frequencies / GTE_STRETCH ** (2 / width)


def publish_gte(folder: Path) -> None:
    """Writes `config.json` as the model's own code has it."""
    code = "Alibaba-NLP/new-impl--"
    write_json(
        folder / "config.json",
        {
            "architectures": ["NewModel"],
            "attention_probs_dropout_prob": 0.0,
            "auto_map": {"AutoConfig": f"{code}configuration.NewConfig", "AutoModel": f"{code}modeling.NewModel"},
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": 32,
            "intermediate_size": 80,
            "layer_norm_eps": 1e-12,
            "layer_norm_type": "layer_norm",
            "logn_attention_clip1": False,
            "logn_attention_scale": False,
            "max_position_embeddings": POSITIONS,
            "model_type": "new",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "pack_qkv": True,
            "pad_token_id": 0,
            "position_embedding_type": "rope",
            "rope_scaling": {"factor": GTE_STRETCH, "type": "ntk"},
            "rope_theta": 160000,
            "torch_dtype": "bfloat16",
            "type_vocab_size": 0,
            "unpad_inputs": False,
            "use_memory_efficient_attention": False,
            "vocab_size": VOCAB,
        },
    )


def write_qwen3(folder: Path) -> None:
    """`Qwen/Qwen3-Embedding-0.6B`: the last token, heads wider than the row has room for, fewer keys than queries; bf16."""
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": QWEN3_VOCAB - 1,
        "eos_token_id": QWEN3_VOCAB - 1,
        "head_dim": 16,
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 72,
        "max_position_embeddings": POSITIONS,
        "max_window_layers": 2,
        "model_type": "qwen3",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_sliding_window": False,
        "vocab_size": QWEN3_VOCAB,
    }
    write_json(folder / "config.json", config)
    types = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    write_json(folder / "modules.json", configs.modules(*types))
    pooling = configs.pooling(32, "") | {"pooling_mode_lasttoken": True, "include_prompt": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    _qwen_tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "add_bos_token": False,
        "eos_token": "<|endoftext|>",
        "model_max_length": TOKENS,
        "pad_token": "<|endoftext|>",
        "padding_side": "left",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    write_json(folder / "tokenizer_config.json", settings)
    model = _seeded(lambda: Qwen3Model(Qwen3Config(**config)), QWEN3_SEED)
    write_safetensors(folder, weights_of(model, torch.bfloat16))


def _qwen_tokenizer() -> Tokenizer:
    """Byte-level BPE that puts an end behind each text."""
    split = pre_tokenizers.Split(Regex(QWEN_WORDS), "isolated")
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words_of = pre_tokenizers.Sequence([split, bytes_of])
    words = [
        tuple(word)
        for text in tokenizer_files.texts_to_learn()
        for word, _ in words_of.pre_tokenize_str(normalizers.NFC().normalize_str(text))
    ]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = tokenizer_files.learn_merges(words, QWEN3_VOCAB - len(letters) - 1)
    tokens = [*letters, *dict.fromkeys("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = words_of
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    end = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", end)]
    )
    return tokenizer


def write_gemma(folder: Path) -> None:
    """`google/embeddinggemma-300m`: no causal mask, windows, the mean, two dense steps; bf16."""
    config = {
        "_sliding_window_pattern": 3,
        "architectures": ["Gemma3TextModel"],
        "attention_bias": False,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "head_dim": 16,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 32,
        "intermediate_size": 72,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "max_position_embeddings": POSITIONS,
        "model_type": "gemma3_text",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "query_pre_attn_scalar": 16,
        "rms_norm_eps": 1e-06,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": None,
        "rope_theta": 1000000.0,
        "sliding_window": 8,
        "torch_dtype": "bfloat16",
        "use_bidirectional_attention": True,
        "vocab_size": siglip.SIGLIP2_VOCAB,
    }
    write_json(folder / "config.json", config)
    types = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Dense", "3_Dense")
    write_json(folder / "modules.json", configs.modules(*types, ("Normalize", "4_Normalize")))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": TOKENS, "do_lower_case": False})
    write_json(folder / "1_Pooling" / "config.json", configs.pooling(32, "mean_tokens"))
    for name, sides, seed in (("2_Dense", (32, 48), 1), ("3_Dense", (48, 32), 2)):
        write_json(folder / name / "config.json", configs.dense(*sides, bias=False, activation="linear.Identity"))
        layer = _seeded(lambda sides=sides: nn.Linear(*sides, bias=False), GEMMA_SEED + 100 * seed)
        write_safetensors(folder / name, {f"linear.{key}": tensor for key, tensor in weights_of(layer).items()})
    tokenizer = siglip.gemma_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {"model_max_length": 2048, "padding_side": "right", "tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(folder / "tokenizer_config.json", special | settings)
    model = _seeded(lambda: Gemma3TextModel(Gemma3TextConfig(**config)), GEMMA_SEED)
    write_safetensors(folder, weights_of(model, torch.bfloat16))


def write_jina(folder: Path) -> None:
    """`jinaai/jina-embeddings-v2-small-en`: `ALiBi`, gated halves, six heads, which is no power of two."""
    config = {
        "architectures": ["JinaBertForMaskedLM"],
        "attn_implementation": "torch",
        "auto_map": {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"},
        "emb_pooler": "mean",
        "feed_forward_type": "geglu",
        "hidden_act": "gelu",
        "hidden_size": 48,
        "intermediate_size": 80,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "model_max_length": POSITIONS,
        "model_type": "bert",
        "num_attention_heads": 6,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "position_embedding_type": "alibi",
        "torch_dtype": "float16",
        "type_vocab_size": 2,
        "vocab_size": VOCAB,
    }
    _sentence_folder(folder, config, "mean_tokens")
    _write_bert_tokenizer(folder)
    model = _seeded(lambda: jina_bert.JinaBert(config), JINA_SEED)
    write_safetensors(folder, weights_of(model, torch.float16))


def _sentence_folder(folder: Path, config: dict[str, Any], mode: str) -> None:
    write_json(folder / "config.json", config)
    types = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    write_json(folder / "modules.json", configs.modules(*types))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": TOKENS, "do_lower_case": False})
    write_json(folder / "1_Pooling" / "config.json", configs.pooling(config["hidden_size"], mode))


def _write_bert_tokenizer(folder: Path) -> None:
    tokens = tokenizer_files.wordpiece_from_texts(VOCAB, lower_case=True)
    tokenizer = BertTokenizer(vocab={token: id for id, token in enumerate(tokens)}, do_lower_case=True)
    write_tokenizer_json(folder, tokenizer)
    write_json(folder / "tokenizer_config.json", configs.bert_tokenizer_config("BertTokenizer", True, POSITIONS))


def _seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = build().eval()
    randomise(model, seed)
    return model


def _joined(parts: dict[str, torch.Tensor], end: str) -> torch.Tensor:
    """Joins the matrices that a repo has as one, in its order."""
    order = ("q_proj", "k_proj", "v_proj", "up_proj", "gate_proj")
    return torch.cat([parts[name + end] for name in order if name + end in parts]).contiguous()


# What is done to a folder once its vectors are known, so that it is as it is published.
FINISH: dict[str, Callable[[Path], None]] = {"gte": publish_gte, "nomic-bert": publish_nomic_bert}
# What is done to a reference first, for what transformers left out of a model's own code.
PREPARE: dict[str, Callable[[nn.Module], None]] = {"gte": stretch_gte}


def read_config(folder: Path) -> dict[str, Any]:
    """Reads `config.json`."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))
