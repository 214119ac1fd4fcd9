"""Fits the detector that tells English from other languages in Latin letters by the spelling of words.

A word is `<word>`; its features are its letters' n-grams of 1 to 4, and the word itself as `=<word>`, hashed (FNV-1a over
code points) into BUCKETS weights. A word's score is the sum of its n-grams' weights, divided by the root of their number,
plus the weight of the word itself; a text's is the sum of its words' scores, divided by the root of theirs, plus a
bias. Above 0: not English.

English is trained with words by their frequency and with phrases of them drawn at random, and with the names and keywords of
emoji; other languages with the same, of words that are three times as frequent there as in English.
"""

import gzip
import json
import re
import unicodedata

import numpy

BUCKETS = 1 << 17
LONGEST = 4
OFFSET, PRIME = 0x811C9DC5, 0x01000193
FREQUENT = ["en", "de", "fr", "es", "it", "nl", "pt"]
LATIN = (
    "af az bs ca cs cy da de es et eu fi fil fr ga gl hr hu id is it lt lv ms no nl pl pt ro sk sl sq sr-Latn sv sw tr "
    "uz vi zu"
).split()


def words(text):
    return re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text.lower()))


class Features:
    """Hashed features of words, computed for all of them at once."""

    def __init__(self, texts):
        self.words = sorted({word for text in texts for word in words(text)})
        self.number = {word: index for index, word in enumerate(self.words)}
        spelled = [f"<{word}>" for word in self.words]
        length = numpy.array([len(word) for word in spelled])
        start = numpy.concatenate([[0], numpy.cumsum(length)])
        letters = numpy.frombuffer("".join(spelled).encode("utf-32-le"), numpy.uint32).astype(numpy.uint64)
        owner = numpy.repeat(numpy.arange(len(spelled)), length)
        mask = numpy.uint64(0xFFFFFFFF)
        hashes = numpy.full(len(letters), OFFSET, numpy.uint64)
        owners, buckets = [], []
        for n in range(1, LONGEST + 1):
            shifted = numpy.concatenate([letters[n - 1 :], numpy.zeros(n - 1, numpy.uint64)])
            hashes = ((hashes ^ shifted) * numpy.uint64(PRIME)) & mask
            fits = numpy.arange(len(letters)) + n <= start[owner + 1]
            owners.append(owner[fits])
            buckets.append((hashes[fits] % numpy.uint64(BUCKETS)).astype(numpy.int32))
        whole = []
        for word in spelled:
            hashed = OFFSET
            for letter in "=" + word:
                hashed = ((hashed ^ ord(letter)) * PRIME) & 0xFFFFFFFF
            whole.append(hashed % BUCKETS)
        owners.append(numpy.arange(len(spelled)))
        buckets.append(numpy.array(whole, numpy.int32))
        owner, bucket = numpy.concatenate(owners), numpy.concatenate(buckets)
        order = numpy.argsort(owner, kind="stable")
        self.buckets = bucket[order]
        self.count = numpy.bincount(owner, minlength=len(spelled))
        self.start = numpy.concatenate([[0], numpy.cumsum(self.count)])

    def rows(self, texts):
        """`(row starts, buckets, values)` of texts whose words are all known."""
        buckets, values, lengths = [], [], []
        for text in texts:
            numbers = [self.number[word] for word in words(text)]
            share = len(numbers) ** -0.5 if numbers else 0
            total = 0
            for number in numbers:
                count = self.count[number]
                buckets.append(self.buckets[self.start[number] : self.start[number + 1]])
                # The word itself, the last of its features, counts whole: frequent words are learnt by heart.
                value = numpy.full(count, share * (count - 1) ** -0.5, numpy.float32)
                value[-1] = share
                values.append(value)
                total += count
            lengths.append(total)
        return numpy.concatenate([[0], numpy.cumsum(lengths)]), numpy.concatenate(buckets), numpy.concatenate(values)


def annotations(cldr, language):
    path = cldr / "annotations" / language / "annotations.json"
    return json.loads(path.read_text(encoding="utf-8"))["annotations"]["annotations"]


def names(notes, keys):
    found = set()
    for key in keys:
        note = notes.get(key, {})
        found.update(text.lower().strip() for text in note.get("tts", []) + note.get("default", []))
    return {text for text in found if words(text)}


def examples(cldr, spelling, labels, keys):
    """`(texts, is other, weights)`."""
    english = names(annotations(cldr, "en"), keys)
    other = set().union(*(names(annotations(cldr, language), keys) for language in LATIN)) - english
    frequency = {}
    for language in FREQUENT:
        counts = json.loads(gzip.decompress((spelling / f"{language}.json.gz").read_bytes()))
        total = sum(counts.values())
        frequency[language] = {w: 1e6 * n / total for w, n in counts.items() if w.isalpha()}
    common = frequency["en"]

    def elsewhere(word):
        return max(frequency[language].get(word, 0) for language in FREQUENT[1:])

    def weight(per_million):
        return float(numpy.clip(numpy.log2(1 + per_million), 0.3, 6))

    random = numpy.random.default_rng(1)
    texts, targets, weights = [], [], []

    def add(text, target, weight):
        texts.append(text)
        targets.append(target)
        weights.append(weight)

    def phrases(table, count, target):
        spelled = list(table)
        shares = numpy.array([table[word] for word in spelled])
        shares /= shares.sum()
        lengths = random.integers(2, 7, count)
        drawn = iter(random.choice(len(spelled), lengths.sum(), p=shares))
        for length in lengths:
            add(" ".join(spelled[next(drawn)] for _ in range(length)), target, 1.0)

    kept = {w: f for w, f in common.items() if f >= 0.05 and (w in english or elsewhere(w) <= 3 * f)}
    for word, per_million in kept.items():
        add(word, 0, 2 * weight(per_million))
    phrases(kept, 15000, 0)
    for language in FREQUENT[1:]:
        table = dict(sorted(frequency[language].items(), key=lambda item: (-item[1], item[0]))[:12000])
        for word, per_million in table.items():
            if per_million > 3 * common.get(word, 0) and word not in english:
                add(word, 1, weight(per_million) * 0.5)
        phrases(table, 2500, 1)
    for text in sorted(english):
        add(text, 0, 3.0)
    for text in sorted(other):
        if text not in kept or common[text] <= 0.5:
            add(text, 1, 1.0)
    for label in labels:
        add(label.lower(), 0, 3.0)
        add(f"a photo of a {label.lower()}", 0, 1.0)
    return texts, numpy.array(targets), numpy.array(weights)


def fit(texts, targets, weights, passes=12, rate=0.5, batch=2048):
    """Logistic regression by AdaGrad: `(weights, bias)`."""
    order = numpy.random.default_rng(0).permutation(len(texts))
    texts, targets, weights = [texts[i] for i in order], targets[order], weights[order]
    starts, buckets, values = Features(texts).rows(texts)
    theta, bias, squares, bias_squares = numpy.zeros(BUCKETS), 0.0, numpy.full(BUCKETS, 1e-3), 1e-3
    for number in range(passes):
        loss = 0.0
        for first in range(0, len(texts), batch):
            size = min(batch, len(texts) - first)
            part = slice(starts[first], starts[first + size])
            row = numpy.repeat(numpy.arange(size), numpy.diff(starts[first : first + size + 1]))
            target, weight = targets[first : first + size], weights[first : first + size]
            score = numpy.bincount(row, theta[buckets[part]] * values[part], minlength=size) + bias
            chance = 1 / (1 + numpy.exp(-score))
            slope = (chance - target) * weight
            loss -= (weight * numpy.log(numpy.where(target == 1, chance, 1 - chance) + 1e-9)).sum()
            gradient = numpy.bincount(buckets[part], slope[row] * values[part], minlength=BUCKETS)
            squares += gradient**2
            theta -= rate * gradient / numpy.sqrt(squares)
            bias_squares += slope.sum() ** 2
            bias -= rate * slope.sum() / bias_squares**0.5
        print(f"detector: pass {number + 1}, loss {loss / weights.sum():.4f}", flush=True)
    return theta, bias


def scores(texts, theta, bias):
    starts, buckets, values = Features(texts).rows(texts)
    row = numpy.repeat(numpy.arange(len(texts)), numpy.diff(starts))
    return numpy.bincount(row, theta[buckets] * values, minlength=len(texts)) + bias
