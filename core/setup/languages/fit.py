"""Fits `../starter/languages.safetensors`: how the starter tells English from other languages, and the matrix that brings
the vectors of multilingual-e5-small into the space of all-MiniLM-L6-v2.

    python -m pip install -r ../starter/requirements.txt
    python fit.py --starter ~/.cache/lucida/models/starter --cldr CLDR --spelling SPELLING

CLDR is the unpacked npm package `cldr-annotations-full` 48.2.0 (Unicode licence): the names of emoji in many languages.
SPELLING is the folder `spellchecker/resources` of the PyPI package `pyspellchecker` 0.9.1 (MIT): word counts. The result is
committed because the fit embeds 35,000 texts with both models, half an hour on two cores, and a first start shouldn't.

The matrix is a ridge regression, both sides centred. A row is an English text, embedded by both models, or the name of an
emoji in another language, embedded by e5, and its English name, embedded by MiniLM. English alone gives a bridge too;
the names in 35 languages make it better, at half the weight.
"""

import argparse
import pathlib
import re
import sys

import numpy
import onnxruntime
import safetensors.numpy
import tokenizers

import detector

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "starter"))

import e5  # noqa: E402

WORDS = 6000
RIDGE = 0.01
NAMES_WEIGHT = 0.5
# Names in the first languages of every emoji, in the others of each third.
OFTEN = "de fr es it pt nl pl tr ru ar hi zh ja ko".split()
SELDOM = "uk cs sv da fi hu ro el he fa id vi th bn bg hr no ca sk ta ur".split()
# Emoji whose name is about a sign, or repeats another's for each kind of person.
SKIPPED = re.compile(
    r"button|arrow|square|circle|diamond|^man |^woman |o’clock|-thirty|interior|katakana|zodiac|dingbat|^heavy |symbol|"
    r"hexagram|trigram|digram|sign$|pointing|backhand|^person |^people |^men |^women |:|skin tone"
)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("starter", "cldr", "spelling"):
        arguments.add_argument(f"--{name}", type=pathlib.Path, required=True)
    chosen = arguments.parse_args()
    english, multilingual = MiniLm(chosen.starter), E5(chosen.starter)
    labels = (chosen.starter / "labels.txt").read_text(encoding="utf-8").splitlines()
    result = bridge(chosen.cldr, labels, english, multilingual)
    keys = sorted(key for key in detector.annotations(chosen.cldr, "en") if ord(key[0]) >= 0x231A)
    theta, bias = detector.fit(*detector.examples(chosen.cldr, chosen.spelling, labels, keys))
    step = numpy.abs(theta).max() / 127
    result["detector"] = numpy.round(theta / step).astype(numpy.int8)
    result["detector_line"] = numpy.array([step, bias], numpy.float32)
    (HERE.parent / "starter" / "languages.safetensors").write_bytes(safetensors.numpy.save(result))


def bridge(cldr, labels, english, multilingual):
    common = [word for word in english.vocabulary() if re.fullmatch(r"[a-z]{3,}", word)][:WORDS]
    texts = common + labels + [f"a photo of a {label}" for label in labels]
    rows = [(text, text, 1.0) for text in texts]
    names = {language: detector.annotations(cldr, language) for language in ["en", *OFTEN, *SELDOM]}
    keys = [key for key in names["en"] if ord(key[0]) >= 0x2600 and not 0x1F1E6 <= ord(key[0]) <= 0x1F1FF]
    keys = {named(names["en"], key): key for key in keys if named(names["en"], key)}
    keys = [key for name, key in keys.items() if not SKIPPED.search(name)]
    for number, key in enumerate(keys):
        for language in OFTEN + (SELDOM if number % 3 == 0 else []):
            name = named(names[language], key)
            if name:
                rows.append((name, named(names["en"], key), NAMES_WEIGHT))
    print(f"bridge: embedding {len(rows)} pairs", flush=True)
    foreign = numpy.array([multilingual.embed(text) for text, _, _ in rows])
    native = numpy.array([english.embed(text) for _, text, _ in rows])
    weights = numpy.array([weight for _, _, weight in rows])
    return regress(foreign, native, weights)


def named(notes, key):
    return notes.get(key, {}).get("tts", [None])[0]


def regress(foreign, native, weights):
    share = weights[:, None] / weights.sum()
    start, target = (share * foreign).sum(0), (share * native).sum(0)
    root = (share * len(foreign)) ** 0.5
    left, right = root * (foreign - start), root * (native - target)
    square = left.T @ left
    square += RIDGE * numpy.trace(square) / len(square) * numpy.eye(len(square))
    matrix = numpy.linalg.solve(square, left.T @ right)
    return {
        "from": start.astype(numpy.float32),
        "to": target.astype(numpy.float32),
        "matrix": matrix.astype(numpy.float16),
    }


class Model:
    """Embeds texts, each once."""

    def __init__(self, graph):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.known = {}

    def embed(self, text):
        if text not in self.known:
            [[vector]] = self.session.run(None, self.inputs(text))
            self.known[text] = vector / numpy.linalg.norm(vector)
        return self.known[text]


class MiniLm(Model):
    def __init__(self, folder):
        super().__init__(folder / "text.onnx")
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()

    def vocabulary(self):
        return [word for word, _ in sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])]

    def inputs(self, text):
        ids = numpy.array([self.tokenizer.encode(text).ids], numpy.int64)
        return {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}


class E5(Model):
    def __init__(self, folder):
        super().__init__(folder / e5.GRAPH)
        tensors = safetensors.numpy.load_file(folder / e5.VOCABULARY)
        spelled, ends = tensors["pieces"].tobytes(), tensors["ends"]
        # The first four ids and the last are special and are never found in a text.
        pieces = [(f"<special {number}>", 0.0) for number in range(int(tensors["ids"].max()) + 1)]
        starts = numpy.concatenate([[0], ends[:-1]])
        for start, end, number, score in zip(starts, ends, tensors["ids"], tensors["scores"]):
            pieces[number] = spelled[start:end].decode("utf-8"), float(score)
        self.tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=3))
        self.tokenizer.normalizer = tokenizers.normalizers.NFKC()
        self.tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")

    def inputs(self, text):
        return {"input_ids": numpy.array([0, *self.tokenizer.encode(e5.PREFIX + text).ids, 2], numpy.int64)}


if __name__ == "__main__":
    main()
