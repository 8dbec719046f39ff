#!/usr/bin/env python3
"""Writes a small, nasty but readable corpus in many languages, for tests/oracle/result.py.

    make_corpus.py FOLDER [--seed N] [--documents N]

The same seed gives the same corpus. Some of its records are bad on purpose; no source is damaged.
"""

import argparse
import bz2
import gzip
import json
import os
import random
import shutil
import subprocess
import sys

import reference

SENTENCES = {
    "en": [
        "The committee decided that it could not possibly accept the proposal without further evidence.",
        "Because the river had risen again, nobody in the village felt safe that night.",
        "She said nothing, but her silence was perhaps more honest than his long explanation.",
        "You shouldn't have told them; they'll never trust us again, and they may be right.",
        "If x < y and y = z, then x + y \u2260 2z \u2212 1: this must be shown first.",
        "First the door opened, then it closed; after that, everything began once more.",
        "I can't say that the results are bad, hardly surprising though they may be.",
    ],
    "fr": [
        "Il n'y a pas de raison de croire que la d\u00e9cision ait \u00e9t\u00e9 prise sans nous.",
        "Aujourd'hui, c'est-\u00e0-dire apr\u00e8s trois jours de silence, elle a enfin parl\u00e9.",
        "Je ne suis jamais all\u00e9 l\u00e0-bas, mais j'ai toujours voulu voir la mer.",
        "Les \u0153uvres de l'\u00e9poque montrent peut-\u00eatre une joie que nous n'avons plus.",
        "Puisqu'il faut choisir, choisissons bien, car rien ne sera comme avant.",
    ],
    "de": [
        "Die Stra\u00dfe war na\u00df, und der Gro\u00dfvater erz\u00e4hlte wieder dieselbe Geschichte.",
        "Es gibt keinen Grund, die \u00dcbersetzung der Donaudampfschifffahrtsgesellschaft zu bezweifeln.",
        "Weil er nicht kommen konnte, wurde die Entscheidung auf morgen verschoben.",
    ],
    "es": ["\u00bfQui\u00e9n sabe si ma\u00f1ana volver\u00e1 el ni\u00f1o con la gu\u00eda de los caminos?"],
    "ja": [
        "\u6771\u4eac\u3067\u6628\u65e5\u3001\u65b0\u3057\u3044\u5bb6\u3092\u898b\u307e\u3057\u305f\u3002\u3068\u3066\u3082\u5927\u304d\u304b\u3063\u305f\u3002",
        "\u30b3\u30fc\u30d2\u30fc\u3068\uff76\uff9e\uff97\uff7d\u306e\u30b3\u30c3\u30d7\uff08\uff13\u500b\uff09\u304c\u68da\u306b\u3042\u308b\u3002",
    ],
    "th": ["\u0e09\u0e31\u0e19\u0e44\u0e21\u0e48\u0e23\u0e39\u0e49\u0e27\u0e48\u0e32\u0e1d\u0e19\u0e08\u0e30\u0e15\u0e01\u0e2b\u0e23\u0e37\u0e2d\u0e44\u0e21\u0e48 \u0e19\u0e49\u0e33 \u0e51\u0e52\u0e53"],
    "km": ["\u1797\u17b6\u179f\u17b6\u1781\u17d2\u1798\u17c2\u179a \u1796\u17b7\u178f", "\u0e9e\u0eb2\u0eaa\u0eb2\u0ea5\u0eb2\u0ea7 \u1019\u103c\u1014\u103a\u1019\u102c"],
    "ar": [
        "\u0644\u0645 \u064a\u0643\u0646 \u0627\u0644\u0628\u064e\u0627\u0628\u064f \u0645\u0641\u062a\u0648\u062d\u064b\u0627\u060c \u0644\u0643\u0646\u0651\u0647 \u062f\u062e\u0644.",
        "\ufef3\ufe8e\ufedf\ufef0 \u0661\u0662\u0663 \ufdfa",
    ],
    "zh": ["\u6211\u4eec\u660e\u5929\u4e0d\u80fd\u53bb\uff0c\u56e0\u4e3a\u5929\u6c14\u4e0d\u597d\u3002"],
    "ko": ["\uc624\ub298\uc740 \ub0a0\uc528\uac00 \uc88b\uc2b5\ub2c8\ub2e4. \u1112\u1161\u11ab\u1100\u1173\u11af"],
    "hi": ["\u092f\u0939 \u0915\u093f\u0924\u093e\u092c \u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902 \u0939\u0948\u0964"],
    "ru": ["\u041e\u043d \u043d\u0435 \u0437\u043d\u0430\u043b, \u0447\u0442\u043e \u0451\u043b\u043a\u0430 \u0443\u043f\u0430\u043b\u0430 \u0432 \u043b\u0435\u0441\u0443."],
    "el": ["\u039f \u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u0393\u03a5\u03a1\u0399\u03a3\u0395 \u03a3\u03a4\u0397 \u03a7\u03a9\u03a1\u0391 \u03a4\u039f\u03a5\u03a3."],
    "tr": ["\u0130STANBUL ve D\u0130YARBAKIR \u0131\u015f\u0131kl\u0131 \u015fehirlerdir."],
    "he": ["\u05d4\u05d5\u05d0 \u05dc\u05d0 \u05d9\u05d3\u05e2 \u05d0\u05ea \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd"],
}
PIECES = (
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7|e\u0301te\u0301 a\u0323\u0307 q\u0307\u0323 \u1e9b\u0323|"
    "\u2211 x\u00b2 \u2264 \u222b f(x)dx = \u221e \u2212 3\u00f74 \u00b1 \u00ac a+b<c|\u01c4\u01c5 \ufb01ne o\ufb03ce \u2168 \u2460 \u00bd \u33a5 \u2126 \u212b|"
    "zero\u200bwidth soft\u00adhyphen no\u00a0break \u2028line|\u0345 \u0300\u0301 \ufe0f \u20dd|\U0001d54f\U0001d4ee \U00020000 \U0002f800 \U00010400|"
    "\ufffd \u00ff \u0149 \u1e9e \u0390 \u1fb7|snake_case CamelCase don\u2019t won't rock-'n'-roll 3.14e-5 a.b@c.d|\x7f\x01\x1f\x00\x0b|"
    "NO\u0308 NOT no\u0074 N\uff2fT \uff47\uff4f\uff4f\uff44|\u30cf\u309a \u304b\u3099 \u3099|_ __ *** +++ $5 \u20ac6 50%|\u0958 \u09cb \u0dda|\ue000 \U0010fffd"
).split("|")
FILLER = "lamp table seven river stone engine xylophone quartz 12 2024 zzz paper".split()


class Maker:
    def __init__(self, folder, seed, documents):
        self.folder, self.random, self.documents = folder, random.Random(seed), documents
        self.terms, self.negators, self.function = {}, {}, {}
        for lexicon in reference.default_lexicons().lexicons:
            code = lexicon.language
            self.terms[code] = sorted(term.text for _, term in lexicon.terms)
            self.negators[code] = sorted(lexicon.negators)
            self.function[code] = sorted(lexicon.function_words)
        self.ids = []

    def term(self, code):
        """A term as it may stand in a text; prefixes are continued or not; phrases are sometimes cut."""
        term = self.random.choice(self.terms[code])
        if term.endswith("*"):
            term = term[:-1] + self.random.choice(("", "s", "ing", "\u00e9", "e\u0301s", "1", "-x", "abcdefghij" * 8))
        words = term.split(" ")
        if len(words) > 1 and self.random.random() < 0.3:
            words = words[: self.random.randrange(1, len(words))]
        return self.random.choice((" ", " ", " ", "-", ", ", "'", "\n", "  ")).join(words)

    def lexical(self, code, count):
        """Words of which a good part is in the lexicon."""
        words = []
        while len(words) < count:
            kind = self.random.random()
            if kind < 0.45:
                word = self.term(code)
            elif kind < 0.6:
                word = self.random.choice(self.negators[code])
            elif kind < 0.75:
                word = self.random.choice(self.function[code])
            else:
                word = self.random.choice(FILLER)
            words.append(self.random.choice((word, word, word, word.upper(), word.title())))
        return " ".join(words)

    def text(self):
        choose = self.random.choice
        kind = self.random.random()
        if kind < 0.04:
            return choose(("", " ", "...", "\n\n", "\u200b", "\U0001f600", "!?", "\u0000"))
        if kind < 0.35:
            return self.lexical(choose(("en", "fr")), int(self.random.expovariate(1 / 70)) + 1)
        if kind < 0.45:
            # One category only, or just balanced ones.
            word, negator = self.term("en"), choose(self.negators["en"])
            return " ".join(choose((word, negator + " " + word, "zzz zzz zzz zzz")) for _ in range(choose((1, 2, 60, 80))))
        if kind < 0.55:
            return " ".join(choose(PIECES) for _ in range(self.random.randrange(1, 12)))
        language = choose(list(SENTENCES))
        parts = []
        for _ in range(self.random.randrange(1, 14)):
            parts.append(choose(SENTENCES[language]))
            if self.random.random() < 0.2:
                parts.append(choose(PIECES))
            if self.random.random() < 0.1:
                language = choose(list(SENTENCES))
        return choose((" ", "\n", "")).join(parts)

    def own_id(self):
        choose, kind = self.random.choice, self.random.random()
        if kind < 0.15 and self.ids:
            return choose(self.ids)
        value = f"doc-{self.random.randrange(10**9)}"
        if kind < 0.25:
            value = choose((0, 7, -1, 12345678901234567890, 1.5, -2e300))
        elif kind < 0.35:
            value += choose(("\n", "\t", "\x00", "\x7f", "\x1f\x1f", "\u0085", " ", "\u2028", '"', "\\"))
        elif kind < 0.42:
            value = choose(("x", "\u00e9", "\u4e2d", "\U0001f600", "ab\u00e9")) * self.random.randrange(50, 300)
        elif kind < 0.46:
            value += choose(("#dup3", "#dup", "#dup12x", "#dup\u0663", "#dup007"))
        elif kind < 0.5:
            value = choose(("", None, True, [], {"a": 1}, "#dup0", "#dup1", "mixed.jsonl#1", "notes/en.txt#1", "\ufffd", " "))
        self.ids.append(value)
        return value

    def language(self):
        return self.random.choice(
            ("en", "fr", "fr-CA", "EN_us", "de", "und", "", "x", "engl", "eng", "ja-JP", "e1", "fr ", "zxx", "-", "fra-x",
             None, 3, ["fr"], "\u00e9n", "th", "und-x")
        )

    def record(self, text=None):
        record = {"text": self.text() if text is None else text}
        if self.random.random() < 0.6:
            record["id"] = self.own_id()
        if self.random.random() < 0.4:
            record["lang"] = self.language()
        if self.random.random() < 0.3:
            record["meta"] = {"id": self.own_id(), "lang": self.language(), "n": [1, {"text": "no"}, 2.5e-3]}
            record["body"] = self.random.choice(({"text": self.text()}, {"text": self.text()}, {}, "text", {"text": None}))
        if self.random.random() < 0.1:
            record["body.text"] = "the dotted name"
        fields = list(record.items())
        self.random.shuffle(fields)
        line = json.dumps(dict(fields), ensure_ascii=self.random.random() < 0.3)
        if self.random.random() < 0.1:
            line = self.random.choice((" ", "\t", "")) + line + self.random.choice((" ", "\t \r", "\r"))
        data = line.encode("utf-8")
        if self.random.random() < 0.06 and len(data) > 30:
            data = self.spoil(data)
        return data

    def spoil(self, data):
        """Puts ill-formed UTF-8 or half an escape somewhere: often inside a string, sometimes not."""
        at = self.random.randrange(2, len(data))
        return data[:at] + self.random.choice(
            (b"\xff", b"\xc3", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80\x80",
             b"\\ud83d", b"\\udc00", b"\\ud83d\\ud83d\\ude00", b"\\uD83D\\u0041")
        ) + data[at:]

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def jsonl(self, count):
        return b"".join(self.record() + b"\n" for _ in range(count))


BAD_LINES = [
    b"bad", b"{", b"}", b'{"text":"open', b'{"text":"a"} x', b'{"text":"a",}', b"{'text':'a'}", b'{"text":NaN}',
    b'{"text":"a","n":Infinity}', b'{"text":"a","n":01}', b'{"text":"a","n":1.}', b'{"text":"a","n":.5}', b'{"text":"a","n":+1}',
    b'{"text":"tab\there"}', b'{"text":"nul\x00here"}', b'{"text":"\\x41"}', b'{"text":"\\u12g4"}', b'{"text":"\\u12"}',
    b'{"text":"a"\xc2\xa0}', b'{"text":"a","n":\xff}', b'{"text" "a"}', b'{"text":"a" "b":1}', b'{text:"a"}', b'{"text":tru}',
    b'\xef\xbb\xbf{"text":"a byte order mark, but not in the first line"}', b'{"text":"a"}{"text":"b"}', b'{"text":"a",,"b":1}',
    b"[1,2,3]", b'"text"', b"12", b"null", b"true", b"[]", b'["text"] ', b"-0.0e+0", b"nul", b"-", b"\\", b'{"a":[1,]}', b"[1 2]",
    b"{}", b'{"Text":"a"}', b'{"texts":"a"}', b'{"body.text":"a"}', b'{"a":{"text":"x"}}', b'{"text ":"a"}', b'{"te\\u0000xt":"a"}',
    b'{"text":null}', b'{"text":5}', b'{"text":["a"]}', b'{"text":{"text":"a"}}', b'{"text":true}', b'{"text":"a","text":5}',
    b"\x00\x00\x00\x00", b"\x00", b"[" * 1024 + b"]" * 1024, b"[" * 1025 + b"]" * 1025, b"[" * 1100, b"[" * 1000,
    b'{"a":' * 1025 + b"1" + b"}" * 1025, b'{"text":"a","deep":' + b"[" * 1024 + b"]" * 1024 + b"}", b'{"a":[}', b"[" * 1025 + b"\x01",
    b"\x01" + b"[" * 1025,
]
GOOD_LINES = [
    b'{"text":"a","deep":' + b"[" * 1023 + b"]" * 1023 + b"}", b'{"text":5,"text":"the last one counts"}', b'\t{ "text" : "blanks" }\r',
    b'{"t\\u0065xt":"an escaped name","\\u0069d":"escaped-id"}', b'{"text":"a \\ud83d\\ude00 pair","id":"\\ud83d"}',
    b'{"text":"lone \\ud83d","id":"lone"}', b'{"text":"\\ude00\\ud83d reversed","id":"lone"}', b'{"text":"\xff\xfe\xc3(\xe2\x82","id":"\xc3\xff"}',
    b'{"text":"ok","other":"\xff"}', b'{"text":"\\ufffd is no repair \xef\xbf\xbd"}', b'{"text":"\xf0\x9f\x98\xf0\x9f\x98\x80\xf0"}',
    b'{"text":"\xe0\x80\xaf \xf4\x90\x80\x80 \xed\xbf\xbf \xf8\x88\x80\x80\x80"}', b'{"text":"surrogates\\ud800\\ud800\\udc00\\udc00"}',
    b'{"text":"x","id":1e5}', b'{"text":"x","id":-0}', b'{"text":"x","id":1E+05}', b'{"text":"x","id":' + b"9" * 300 + b"}",
    b'{"text":"x","id":"a","id":null}', b'{"text":"x","id":["a"]}', b'{"text":"","id":"empty"}', b'{"text":"\\u0000\\u0001\\u001f","id":"control"}',
    b'{"text":"the and of is","lang":"f\\u0072"}', b'{"text":"the and of is","lang":"fr-\\u0041"}', b'{"text":"x","lang":"en","lang":"fr"}', b'{"text":"\\"\\\\\\/\\b\\f\\n\\r\\t","id":"escapes\\"\\\\"}',
    b'{"text":"top","body":{"text":"dotted"},"meta":{"id":"m1","lang":"fr"}}', b'{"text":"x","body":{"text":"dotted"},"body":{}}',
    b'{"text":"x","body":{"text":"not","text":"no, this"},"meta":{"id":"m1"}}', b'{"text":"x","body":[{"text":"in a list"}]}',
    b'{"text":"x","body":{"text":"\xff\xff"},"meta":{"id":5,"lang":"DE-at"}}', b'{"text":"x","body.text":"y","body":{"text":"z"}}',
    b'{"text":"x","meta":{"id":"m1"},"meta":{"lang":"fr"},"body":{"text":"the later object counts"}}', b'{"":"","text":"empty name"}',
    b'{"text":"x","id":"' + b"i" * 256 + b'"}', b'{"text":"x","id":"' + b"i" * 257 + b'"}', b'{"text":"x","id":"' + b"i" * 257 + b'"}',
    b'{"text":"x","id":"' + b"i" * 238 + "\u00e9".encode() * 20 + b'"}', b'{"text":"x","id":"' + b"\xff" * 90 + b'"}',
    b'{"text":"x","id":"bad.jsonl#3"}', b'{"text":"x","id":"\\n"}', b'{"text":"\x7f\xc2\x80 del","id":"\x7f"}',
]


def densities():
    """Documents at the thresholds of code5: units over tokens of 1/200, 1/100, 1/50 and next to them."""
    for size in (49, 50, 51, 99, 100, 101, 199, 200, 201, 400, 401):
        for hits, word in ((1, "good"), (2, "good"), (1, "bad"), (4, "bad"), (1, "will")):
            yield "en", " ".join([word] * hits + ["zzz"] * (size - hits))
    yield "en", " ".join(["zzz good zzz bad"] * 30)
    yield "en", "not zzz zzz good zzz zzz zzz good not not good good"
    yield "und", "the " + "zzz " * 24
    yield "und", "the " + "zzz " * 23
    yield None, "the " + "zzz " * 24
    yield None, "the " + "zzz " * 23
    yield None, "zzz " * 1000 + "the of and " * 1000
    yield None, "the of and " * 14 + "zzz " * 958 + "le les une au " * 500
    yield None, "zzz " * 960 + "the " * 40  # the 1,000th token decides
    yield None, "the " * 50 + "le " * 50 + "zzz " * 900 + "the"  # the 1,001st does not
    yield None, "the le"
    yield None, "the of le"
    yield None, "guerre pas jamais"
    yield "en", "x bac x bad x badly x ba"  # XXH3 of bac with seed 0 is that of bad with seed 1


def make(folder, seed=1, documents=5000):
    maker = Maker(folder, seed, documents)
    choose = maker.random.choice
    maker.write("mixed.jsonl", maker.jsonl(documents // 2))
    mixed = maker.jsonl(documents // 6)
    maker.write("b/packed.jsonl.gz", gzip.compress(mixed[: len(mixed) // 2]) + gzip.compress(mixed[len(mixed) // 2 :]))
    maker.write("b/packed.json.bz2", bz2.compress(maker.jsonl(documents // 10)))
    maker.write("b/no-suffix-but-gzip.jsonl", gzip.compress(maker.jsonl(20)))
    maker.write("b/suffix-but-plain.ndjson.gz", maker.jsonl(20))
    zstd = shutil.which("zstd")
    data = maker.jsonl(documents // 6)
    if zstd:
        data = subprocess.run([zstd, "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    maker.write("b/zstd.jsonl.zst", data)

    lines = BAD_LINES + GOOD_LINES + [b"", b" ", b"\t\r", b"  \t "] * 3
    maker.random.shuffle(lines)
    maker.write("bad.jsonl", b'\xef\xbb\xbf{"text":"behind a byte order mark"}\n' + b"\n".join(lines))
    maker.write("bad2.jsonl", b"\n".join(GOOD_LINES) + b"\n\n\n")
    maker.write("z/empty.jsonl", b"")
    maker.write("z/blank.jsonl", b"\n \n\r\n")
    maker.write("z/mark.jsonl", b"\xef\xbb\xbf")
    maker.write("z/nul.jsonl", b'{"text":"then padding"}\n' + b"\0" * 4096)
    maker.write("z/utf16.jsonl", '{"text":"UTF-16"}\n'.encode("utf-16"))
    maker.write("z/utf16be.txt", b"\xfe\xff" + "UTF-16".encode("utf-16-be"))

    large = [maker.lexical("en", 35000), maker.lexical("fr", 9000), "x" * 70000, "\u6771" * 50000, "a " * 20000,
             "e\u0301" * 3000 + "\u0301" * 3000, "+" * 2000 + "no " * 3000]
    records = [json.dumps({"text": text, "id": f"large-{i}"}, ensure_ascii=False).encode() for i, text in enumerate(large)]
    maker.write("large.jsonl", b"\n".join(records))
    maker.write("densities.jsonl", b"\n".join(
        json.dumps({"text": text, "lang": language} if language else {"text": text}).encode() for language, text in densities()))
    copies = [json.dumps({"text": maker.lexical("en", 60), "id": f"copy-{i}", "lang": "en"}).encode() for i in range(4)]
    maker.write("copies.ndjson", b"\n".join(copies * 4))

    for language, sentences in SENTENCES.items():
        text = " ".join(choose(sentences) for _ in range(9))
        maker.write(f"notes/{language}.txt", text.encode())
        maker.write(f"notes/deep/er/{language}.md", (choose(PIECES).replace("\0", "") + "\n" + text).encode())
    maker.write("notes/a name with blanks, \u00e9\u4e2d.txt", b"The name is odd.\r\nThe text is not.")
    maker.write("notes/" + "long-" * 30 + "/" + "name-" * 30 + ".txt", b"A source of a long name.")
    maker.write("notes/empty.txt", b"")
    maker.write("notes/mark.txt", b"\xef\xbb\xbf")
    maker.write("notes/marked.txt", b"\xef\xbb\xbfgood \xef\xbb\xbf thing")
    maker.write("notes/packed.txt.gz", gzip.compress(maker.lexical("fr", 500).encode()))
    maker.write("notes/invalid", b"It is \xff\xfe not good \xe2\x82 \xf0\x9f\x98\x80 \xc3")
    maker.write("notes/only-invalid.txt", b"\x80\x80\xc3")
    maker.write("notes/binary.bin", b"\x7fELF\x00\x01good")
    maker.write("notes/binary-8191.txt", b"g" * 8191 + b"\0")
    maker.write("notes/late-nul.txt", b"g" * 8192 + b"\0 good \0bad")
    maker.write("notes/.hidden.txt", b"left out")
    maker.write(".hidden/text.txt", b"left out")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=5000)
    options = parser.parse_args()
    make(options.folder, options.seed, options.documents)
    return 0


if __name__ == "__main__":
    sys.exit(main())
