"""Text models beyond the BERTs of `families`: other poolings, and encoders that run from an ONNX export alone."""

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch import nn
from transformers import BertTokenizer, ModernBertConfig, ModernBertModel

import configs
import exports
import families
import tokenizer_files
from layouts import weights_of, write_json, write_safetensors, write_tokenizer_json
from weights import randomise

MODERN_BERT_SEED = 41
POSITIONS = 128


def write_bert_poolings(folder: Path) -> None:
    """A BERT that is pooled in three ways at once, in the newest form of `Pooling`'s file."""
    families.write_bert(folder)
    size = configs.BERT_TINY.hidden
    modes = ["weightedmean", "lasttoken", "max"]
    write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": size, "pooling_mode": modes})


def write_modern_bert(folder: Path) -> None:
    """`nomic-ai/modernbert-embed-base` and its like: rotary positions, a window in two layers of three, gated halves."""
    vocab = configs.BERT_TINY_VOCAB
    config = {
        "architectures": ["ModernBertModel"],
        "bos_token_id": None,
        "cls_token_id": None,
        "eos_token_id": None,
        "global_attn_every_n_layers": 3,
        "hidden_size": 32,
        "intermediate_size": 48,
        "local_attention": 8,
        "max_position_embeddings": POSITIONS,
        "model_type": "modernbert",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "pad_token_id": 0,
        "sep_token_id": None,
        "vocab_size": vocab,
    }
    types = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    write_json(folder / "modules.json", configs.modules(*types))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 96, "do_lower_case": False})
    write_json(folder / "config.json", config)
    tokens = tokenizer_files.wordpiece_from_texts(vocab, lower_case=True)
    tokenizer = BertTokenizer(vocab={token: id for id, token in enumerate(tokens)}, do_lower_case=True)
    write_tokenizer_json(folder, tokenizer)
    write_json(folder / "tokenizer_config.json", configs.bert_tokenizer_config("BertTokenizer", True, POSITIONS))
    torch.manual_seed(MODERN_BERT_SEED)
    model = ModernBertModel(ModernBertConfig(**config, attn_implementation="eager")).eval()
    randomise(model, MODERN_BERT_SEED)
    write_safetensors(folder, weights_of(model))
    write_json(folder / "1_Pooling" / "config.json", configs.pooling(32, "mean_tokens"))


class _Tokens(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def export_modern_bert(folder: Path) -> None:
    """Puts an export in the place of the weights, as `optimum-cli export onnx` and sentence-transformers name it."""
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
    encoder = model[0].auto_model.eval()
    exports.export(_Tokens(encoder), folder / "onnx" / "model.onnx", ["input_ids", "attention_mask"], ["last_hidden_state"])
    (folder / "model.safetensors").unlink()
