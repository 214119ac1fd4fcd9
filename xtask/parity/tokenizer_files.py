"""Tokenizers of the three families that the models need, learnt from the test texts or filled to full size."""

import itertools
import string
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import pre_tokenizers
from transformers import BertTokenizer, CLIPTokenizer, PreTrainedTokenizerBase, XLMRobertaTokenizer

from texts import TEXTS

END_OF_WORD = "</w>"
CONTINUES = "##"
CLIP_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
LETTERS = string.ascii_lowercase
WORDPIECE_UNUSED = 8


def clip_tokenizer(merges: list[tuple[str, str]]) -> CLIPTokenizer:
    """CLIP's byte-level BPE in the published order: bytes, bytes that end a word, merges, special tokens."""
    tokens = [*CLIP_BYTES, *(byte + END_OF_WORD for byte in CLIP_BYTES)]
    tokens += ["".join(pair) for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: id for id, token in enumerate(tokens)}, merges=merges, model_max_length=77)


def clip_merges_from_texts(vocab_size: int) -> list[tuple[str, str]]:
    """Learns merges from the test texts."""
    words = [(*word[:-1], word[-1] + END_OF_WORD) for word in _words(clip_tokenizer([]))]
    return learn_merges(words, vocab_size - 2 * len(CLIP_BYTES) - 2)


def clip_merges_of_full_size(vocab_size: int) -> list[tuple[str, str]]:
    """Joins every two and three letters, and as many fours as there is room for."""
    pairs = [first + second for first, second in itertools.product(LETTERS, repeat=2)]
    endings = [letter + END_OF_WORD for letter in LETTERS]
    merges = [*itertools.product(LETTERS, LETTERS), *itertools.product(LETTERS, endings)]
    merges += [*itertools.product(pairs, LETTERS), *itertools.product(pairs, endings)]
    fours = itertools.product(pairs, pairs)
    room = vocab_size - 2 * len(CLIP_BYTES) - 2 - len(merges)
    return merges + list(itertools.islice(fours, room))


def wordpiece_from_texts(vocab_size: int, lower_case: bool) -> list[str]:
    """Learns BERT's WordPiece from the test texts."""
    words = [
        (word[0], *(CONTINUES + character for character in word[1:]))
        for word in _words(BertTokenizer(do_lower_case=lower_case))
    ]
    tokens = _wordpiece_special(WORDPIECE_UNUSED)
    tokens += sorted({character for word in words for character in word})
    joined = (_join(pair, CONTINUES) for pair in learn_merges(words, vocab_size, CONTINUES))
    return list(dict.fromkeys([*tokens, *joined]))[:vocab_size]


def texts_to_learn() -> list[str]:
    """Leaves out the emoji, unknown to the published tokenizers too, and what would be learnt as one token."""
    return [text for name, text in TEXTS.items() if name not in ("emoji", "long-word") and "over-" not in name]


def _words(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The words of the test texts as a tokenizer's own normaliser and splitter leave them."""
    backend = tokenizer.backend_tokenizer
    return [
        word
        for text in texts_to_learn()
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
    ]


def learn_merges(words: list[tuple[str, ...]], most: int, continues: str = "") -> list[tuple[str, str]]:
    """Byte-pair encoding, the commonest pair first; ties go by the alphabet: the library's trainer draws lots."""
    counted = Counter(words)
    merges: list[tuple[str, str]] = []
    while len(merges) < most:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in counted.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged: Counter[tuple[str, ...]] = Counter()
        for word, count in counted.items():
            merged[_merge(word, best, continues)] += count
        counted = merged
    return merges


def _merge(word: tuple[str, ...], pair: tuple[str, str], continues: str) -> tuple[str, ...]:
    parts: list[str] = []
    for part in word:
        if parts and (parts[-1], part) == pair:
            parts[-1] = _join(pair, continues)
        else:
            parts.append(part)
    return tuple(parts)


def _join(pair: tuple[str, str], continues: str) -> str:
    return pair[0] + pair[1].removeprefix(continues)


def wordpiece_of_full_size(vocab_size: int) -> list[str]:
    """Holds each letter of the basic plane, then words of two Latin letters and more, alone and inside a word."""
    letters = (chr(code) for code in range(0x21, 0xD800) if unicodedata.category(chr(code))[0] in "LMNPS")
    words = ("".join(word) for length in (2, 3, 4) for word in itertools.product(LETTERS, repeat=length))
    tokens = _wordpiece_special(99)
    return tokens + list(itertools.islice(_with_continuations(letters, words), vocab_size - len(tokens)))


def _with_continuations(*words: Iterable[str]) -> Iterator[str]:
    for word in itertools.chain(*words):
        yield word
        yield CONTINUES + word


def _wordpiece_special(unused: int) -> list[str]:
    return ["[PAD]", *(f"[unused{n}]" for n in range(1, unused + 1)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def xlm_roberta_tokenizer(vocab_size: int, max_length: int) -> XLMRobertaTokenizer:
    """A SentencePiece unigram model in XLM-R's order: four special tokens first, the mask last."""
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text("".join(normalisation_rules()), encoding="utf-8")
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join(text.replace("\n", " ") for text in texts_to_learn()), encoding="utf-8")
        prefix = Path(folder) / "unigram"
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus),
            model_prefix=str(prefix),
            model_type="unigram",
            # The other two are <pad> and <mask>, which SentencePiece doesn't know.
            vocab_size=vocab_size - 2,
            character_coverage=0.999,
            normalization_rule_tsv=str(rules),
            num_threads=1,
            minloglevel=2,
        )
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(prefix.with_suffix(".model").read_bytes())
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [(piece.piece, piece.score) for piece in model.pieces if piece.type == piece.NORMAL]
    return XLMRobertaTokenizer(
        vocab=[*special, *pieces, ("<mask>", 0.0)],
        _spm_precompiled_charsmap=model.normalizer_spec.precompiled_charsmap,
        model_max_length=max_length,
    )


def normalisation_rules() -> Iterator[str]:
    """NFKC for the characters of the test texts and what stands near them: the whole table takes 240 KB."""
    blocks = [range(0xA0, 0x180), range(0x2000, 0x2070), range(0x2460, 0x2474), range(0x3000, 0x3001)]
    blocks += [range(0x3380, 0x33E0), range(0xFB00, 0xFB07), range(0xFF01, 0xFF5F)]
    for character in map(chr, itertools.chain.from_iterable(blocks)):
        normal = unicodedata.normalize("NFKC", character)
        if normal != character:
            yield f"{_code_points(character)}\t{_code_points(normal)}\n"
        composed_of = unicodedata.normalize("NFD", character)
        if composed_of != character:
            yield f"{_code_points(composed_of)}\t{_code_points(normal)}\n"


def _code_points(text: str) -> str:
    return " ".join(f"{ord(character):04X}" for character in text)
