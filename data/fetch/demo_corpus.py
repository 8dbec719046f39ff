#!/usr/bin/env python3
"""Gathers the demo's corpus from documentation: man pages and the Debian handbook, in every language found.

    demo_corpus.py --root /usr/share [--root MORE] --jsonl DIR --text DIR

Reads ROOT/man/[LANGUAGE/]man*/NAME.SECTION[.gz] and ROOT/doc/debian-handbook/html/LANGUAGE/*.html, writes
DIR/part-NNNN.jsonl.gz with {"id","text","lang","source"}, and a part of the documents again as files
DIR/LANGUAGE/NAME.txt. The same roots give the same bytes. Standard library only.

Exit codes: 0 done, 1 failed, 3 the roots hold too few documents or languages (nothing is written).
"""

import argparse
import gzip
import html.parser
import json
import pathlib
import re
import sys

DOCUMENTS_A_PART = 512
TEXT_MIN = 200  # characters; what is shorter is a stub

# ---- roff ------------------------------------------------------------------------------------------------

GLYPHS = {
    "em": "\u2014", "en": "\u2013", "hy": "-", "bu": "\u2022", "co": "\u00a9", "rg": "\u00ae", "tm": "\u2122",
    "lq": "\u201c", "rq": "\u201d", "oq": "\u2018", "cq": "\u2019", "aq": "'", "dq": '"', "Bq": "\u201e",
    "bq": "\u201a", "Fo": "\u00ab", "Fc": "\u00bb", "fo": "\u2039", "fc": "\u203a", "ga": "`", "aa": "\u00b4",
    "ha": "^", "ti": "~", "rs": "\\", "sl": "/", "ba": "|", "bv": "|", "br": "|", "or": "|", "at": "@", "sh": "#",
    "Do": "$", "Eu": "\u20ac", "Po": "\u00a3", "ct": "\u00a2", "la": "<", "ra": ">", "lB": "[", "rB": "]",
    "lC": "{", "rC": "}", "->": "\u2192", "<-": "\u2190", "<>": "\u2194", "ua": "\u2191", "da": "\u2193",
    "rA": "\u21d2", "lA": "\u21d0", "+-": "\u00b1", "mu": "\u00d7", "di": "\u00f7", "**": "*", "pl": "+",
    "mi": "-", "eq": "=", "!=": "\u2260", "<=": "\u2264", ">=": "\u2265", "~~": "\u2248", "==": "\u2261",
    "if": "\u221e", "de": "\u00b0", "sc": "\u00a7", "ps": "\u00b6", "dg": "\u2020", "dd": "\u2021",
    "12": "\u00bd", "14": "\u00bc", "34": "\u00be", "fm": "\u2032", "sd": "\u2033", "ss": "\u00df",
    "AE": "\u00c6", "ae": "\u00e6", "OE": "\u0152", "oe": "\u0153", "/O": "\u00d8", "/o": "\u00f8", "/L": "\u0141",
    "/l": "\u0142", "oA": "\u00c5", "oa": "\u00e5", ",C": "\u00c7", ",c": "\u00e7", "-D": "\u00d0", "Tp": "\u00fe",
    "*a": "\u03b1", "*b": "\u03b2", "*m": "\u03bc", "*p": "\u03c0", "*W": "\u03a9",
}
for letters, mark, accents in (
    ("aeiouyAEIOUY", "'", "áéíóúýÁÉÍÓÚÝ"), ("aeiouAEIOU", "`", "àèìòùÀÈÌÒÙ"),
    ("aeiouAEIOU", "^", "âêîôûÂÊÎÔÛ"), ("aeiouyAEIOU", ":", "äëïöüÿÄËÏÖÜ"),
    ("anoANO", "~", "ãñõÃÑÕ"), ("csz", "v", "čšž"),
):
    GLYPHS.update({mark + letter: accent for letter, accent in zip(letters, accents)})

NAME = r"(?:\[[^]\n]*\]|\(..|.)"  # \*[name], \*(na, \*n
DELIMITED = r"(?:'[^'\n]*'|\[[^]\n]*\])"
ESCAPE = re.compile(
    r"\\(?:[fFmMgkYV]" + NAME + r"|n[+-]?" + NAME + r"|s(?:[+-]?(?:\d{1,2}|\(\d\d|\[[^]\n]*\])|" + DELIMITED + ")"
    r"|[hvwxbDlLoRSXHZNA]" + DELIMITED + r"|\*(?P<string>" + NAME + r")"
    r"|\[(?P<long>[^]\n]*)\]|\((?P<two>..)|(?P<one>.))"
)
SINGLES = {"-": "-", "e": "\\", "E": "\\", "\\": "\\", "~": "\u00a0", " ": " ", "0": " ", "t": "\t", "'": "'",
           "`": "`", ".": ".", "_": "_"}

HEADINGS = {"SH", "SS", "Sh", "Ss"}
PARAGRAPHS = {"PP", "P", "LP", "sp", "Pp", "HP", "TP", "TQ", "IP", "It", "Bd", "Ed", "Bl", "El", "EX", "EE", "br"}
WORDS = {"B", "I", "R", "SM", "SB", "UR", "MT", "UE", "ME", "TP", "TQ", "IP", "SY", "OP"}
TIGHT = {"BR", "IR", "RB", "BI", "IB", "RI"}  # fonts alternate, words touch
NOT_TEXT = {"EQ": "EN", "PS": "PE", "ig": "."}
# mdoc macros that may stand among the words of a line; they mark words up and are not words.
MDOC = set("Ad An Ao Ac Ap Aq Ar At Bo Bc Bq Bx Cd Cm Dl Do Dc Dq Dv Em Er Ev Fa Fc Fl Fn Fo Ft Ic In Lb Li Lk Ms Mt "
           "Nd Nm No Ns Oo Oc Op Pa Po Pc Pf Pq Ql Qo Qc Qq Sm So Sc Sq Sx Sy Ta Tn Ux Va Vt Xo Xc Xr".split())


class Roff:
    """Readable text of a man(7) or mdoc(7) page. Not a typesetter: layout is lost, words are kept."""

    def __init__(self, source):
        self.lines = iter(re.sub(r"\\\n", "", source).split("\n"))
        self.strings = {"lq": "\u201c", "rq": "\u201d", "R": "\u00ae", "Tm": "\u2122"}
        self.name = ""
        self.out = []
        self.condition = False  # of the last .ie

    def escape(self, match):
        for group in (match["long"], match["two"]):
            if group is not None:
                if re.fullmatch("u[0-9A-F]{4,6}", group):
                    return chr(min(int(group[1:], 16), 0x10FFFF))
                return GLYPHS.get(group, "")
        if match["string"] is not None:
            return self.strings.get(match["string"].lstrip("[(").rstrip("]"), "")
        return SINGLES.get(match["one"] or "", "")

    def plain(self, text):
        text = re.sub(r"(?<!\\)\\[\"#].*", "", text)
        return ESCAPE.sub(self.escape, text)

    @staticmethod
    def words(rest):
        """The arguments of a macro: words, or "several words"."""
        found = re.findall(r'"((?:[^"]|"")*)"?|((?:\\.|[^\s"\\])(?:\\.|[^\s\\])*)', rest)
        return [quoted.replace('""', '"') or bare for quoted, bare in found]

    def skip_to(self, macro):
        for line in self.lines:
            if re.match(r"[.']\s*" + re.escape(macro) + r"\s*$", line):
                return

    def block(self, rest, wanted):
        """What stands after a condition: one line, or lines in \\{ \\}."""
        rest = rest.lstrip()
        if not rest.startswith("\\{"):
            if wanted and rest:
                self.line(rest)
            return
        depth = rest.count("\\{") - rest.count("\\}")
        body = [rest[2:]]
        while depth > 0:
            line = next(self.lines, None)
            if line is None:
                break
            depth += line.count("\\{") - line.count("\\}")
            body.append(line)
        if wanted:
            outer, self.lines = self.lines, iter([re.sub(r"\\}\s*$", "", line) for line in body])
            self.body()
            self.lines = outer

    def table(self):
        in_format = True
        for line in self.lines:
            if re.match(r"[.']\s*TE", line):
                return
            if in_format:
                in_format = not line.rstrip().endswith(".")
            elif line.startswith(".T&"):
                in_format = True
            elif line.startswith((".", "'")):
                self.line(line)
            elif line.strip() not in ("_", "="):
                self.out.append(self.plain(re.sub(r"T[{}]", " ", line).replace("\t", " ")))

    def mdoc(self, macro, words):
        if macro == "Nm":
            self.name = self.plain(words[0]) if words else self.name
            words = words or [self.name]
        text = ""
        glue = ""
        for word in [macro] + words:
            if word == "Fl":
                text, glue = text + glue + "-", ""
            elif word == "Ns":
                glue = ""
            elif word not in MDOC:
                tight = re.fullmatch(r"[.,:;)\]?!]", word)
                text, glue = text + ("" if tight else glue) + self.plain(word), " "
        self.out.append(re.sub(r"^(\S+) (\d\S*)", r"\1(\2)", text) if macro == "Xr" else text)

    def macro(self, macro, rest):
        if macro in ("de", "de1", "am"):
            self.skip_to((self.words(rest) + ["", "."])[1] or ".")
        elif macro in NOT_TEXT:
            self.skip_to(NOT_TEXT[macro])
        elif macro == "ds":
            name, _, value = rest.partition(" ")
            self.strings[name] = self.plain(value.lstrip().removeprefix('"'))
        elif macro in ("if", "ie", "el"):
            if macro != "el":
                test, rest = re.match(r"\s*(!?\S(?:[^\s\\]*))(.*)", rest + " ", re.S).groups()
                wanted = test in ("n", "!t")
                self.condition = wanted
            else:
                wanted = not self.condition
            self.block(rest, wanted)
        elif macro == "TS":
            self.table()
        elif macro in HEADINGS:
            self.out += ["", " ".join(self.plain(word) for word in self.words(rest)), ""]
        elif macro in TIGHT:
            self.out.append("".join(self.plain(word) for word in self.words(rest)))
        elif macro in MDOC:
            self.mdoc(macro, self.words(rest))
        else:
            if macro in PARAGRAPHS:
                self.out.append("")
            words = self.words(rest)
            if macro == "It":
                self.mdoc("No", words)
            elif macro == "IP":
                self.out.append(self.plain(words[0]) if words else "")
            elif macro in WORDS and macro not in ("TP", "TQ"):
                self.out.append(" ".join(self.plain(word) for word in words))

    def line(self, line):
        control = re.match(r"[.']\s*([A-Za-z]\S?\S?)?(.*)", line, re.S)
        if control is None:
            self.out.append(self.plain(line))
        elif control[1]:
            self.macro(control[1], control[2].strip(" "))

    def body(self):
        for line in self.lines:
            self.line(line)

    def text(self):
        # What stands before the title is the preamble of a generator.
        for line in self.lines:
            if re.match(r"\.\s*(TH|Dd)\b", line):
                self.body()
                break
        return tidy("\n".join(self.out))


def tidy(text):
    """Lines without outer blanks, paragraphs with one empty line between."""
    text = "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in text.split("\n"))
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def decode(data, language):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    tag = re.search(rb"coding:\s*([A-Za-z0-9_-]+)", data[:500])
    usual = {"ja": "euc_jp", "ko": "euc_kr", "ru": "koi8_r", "pl": "iso8859_2", "hu": "iso8859_2", "cs": "iso8859_2"}
    for name in (tag[1].decode() if tag else None, usual.get(language), "latin-1"):
        try:
            return data.decode(name or "ascii")
        except (LookupError, UnicodeDecodeError):
            continue
    return None


def man_pages(root):
    """(language, section, name, path) of every page; links and redirections to another page are left out."""
    for folder in [*sorted(root.glob("man/man[0-9]*")), *sorted(root.glob("man/[a-z][a-z]*/man[0-9]*"))]:
        parent = folder.parent.name
        if not folder.is_dir() or re.fullmatch("man[0-9].*", parent):
            continue
        language = "en" if parent == "man" else parent.split(".")[0].split("@")[0].replace("_", "-")
        for path in sorted(folder.iterdir()):
            page = re.fullmatch(r"(.+)\.([0-9][^.]*?)(\.gz)?", path.name)
            if page and path.is_file() and not path.is_symlink():
                yield language, page[2], page[1], path


def man_text(path, language):
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, ValueError):
        return ""
    source = decode(data, language)
    return Roff(source).text() if source is not None else ""


# ---- the handbook ----------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """The text of a page, without its head and its navigation."""

    BREAKS = {"p", "div", "li", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "dt", "dd", "br", "pre", "table", "ul"}
    EMPTY = {"br", "img", "hr", "meta", "link", "input", "col", "area", "base"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.out = []
        self.hidden = []  # open elements, from the first that hides its text

    def handle_starttag(self, tag, attributes):
        kind = dict(attributes)
        hides = (tag in ("head", "script", "style") or kind.get("id") in ("banner", "title")
                 or "docnav" in (kind.get("class") or ""))
        if (self.hidden or hides) and tag not in self.EMPTY:
            self.hidden.append(tag)
        if tag in self.BREAKS:
            self.out.append("\n")

    def handle_endtag(self, tag):
        if self.hidden and tag in self.hidden:
            while self.hidden.pop() != tag:
                pass
        if tag in self.BREAKS:
            self.out.append("\n")

    def handle_data(self, data):
        if not self.hidden:
            self.out.append(data)


def page_text(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8", errors="replace"))
    page.close()
    return tidy("".join(page.out))


def handbook(root):
    """(language, name, path, text) of every page that is translated: most of its long lines are not the English ones."""
    folder = root / "doc/debian-handbook/html"
    english = {path.name: page_text(path) for path in sorted(folder.glob("en-US/*.html"))}
    for path in sorted(folder.glob("*/*.html")):
        language = path.parent.name
        text = page_text(path)
        lines = [line for line in text.split("\n") if len(line) > 60]
        same = set(english.get(path.name, "").split("\n"))
        if language == "en-US" or sum(line in same for line in lines) * 4 <= len(lines):
            yield language, path.stem, path, text


# ---- the corpus ------------------------------------------------------------------------------------------


def spread(pages, count):
    """At most count pages, all sections in turn, so that no large section drives out the others."""
    sections = {}
    for page in pages:
        sections.setdefault(page[1][0], []).append(page)
    turns = sorted(((rank, section, page) for section, found in sections.items() for rank, page in enumerate(found)),
                   key=lambda turn: turn[:2])
    return [page for _, _, page in turns[:count]]


def gather(roots, count):
    """Documents by id; of an id that two roots have, the first."""
    documents = {}
    pages = {}
    for root in roots:
        for language, section, name, path in man_pages(root):
            pages.setdefault(language, {}).setdefault((section, name), (root, section, name, path))
    for language, found in sorted(pages.items()):
        for root, section, name, path in spread(found.values(), count):
            text = man_text(path, language)
            if len(text) >= TEXT_MIN:
                key = f"man:{language}:{name}.{section}"
                documents[key] = {"id": key, "text": text, "lang": language, "source": str(path.relative_to(root))}
    for root in roots:
        for language, name, path, text in handbook(root):
            key = f"handbook:{language}:{name}"
            if len(text) >= TEXT_MIN and key not in documents:
                documents[key] = {"id": key, "text": text, "lang": language, "source": str(path.relative_to(root))}
    return [documents[key] for key in sorted(documents)]


def enough(languages, minimum):
    """The demo shows several languages: English and French, for which there are lexicons, and at least two more."""
    big = {language for language, count in languages.items() if count >= 50}
    return (sum(languages.values()) >= minimum and min(languages.get(code, 0) for code in ("en", "fr")) >= 200
            and len(big) >= 4)


def new_folder(path):
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        sys.exit(f"demo_corpus: {path} is not empty")


def write_jsonl(documents, folder):
    new_folder(folder)
    for part in range(0, len(documents), DOCUMENTS_A_PART):
        lines = "".join(json.dumps(document, ensure_ascii=False) + "\n"
                        for document in documents[part:part + DOCUMENTS_A_PART])
        path = folder / f"part-{part // DOCUMENTS_A_PART:04}.jsonl.gz"
        path.write_bytes(gzip.compress(lines.encode("utf-8", "replace"), 6, mtime=0))


def write_text(documents, folder, count):
    """Every so many documents one, count in all."""
    new_folder(folder)
    count = min(count, len(documents))
    for i in range(count):
        document = documents[i * len(documents) // count]
        kind, language, name = document["id"].split(":", 2)
        path = folder / language / f"{kind}-{name.replace('/', '_')}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(document["text"] + "\n", encoding="utf-8", errors="replace")
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--root", action="append", required=True, type=pathlib.Path, help="as /usr/share")
    parser.add_argument("--jsonl", required=True, type=pathlib.Path, help="new folder for part-*.jsonl.gz")
    parser.add_argument("--text", required=True, type=pathlib.Path, help="new folder for LANGUAGE/*.txt")
    parser.add_argument("--per-language", type=int, default=600, help="most man pages of a language [600]")
    parser.add_argument("--text-documents", type=int, default=1000, help="documents of the text tree [1000]")
    parser.add_argument("--minimum", type=int, default=2000, help="fewest documents [2000]; 0: any number will do")
    arguments = parser.parse_args()
    documents = gather(arguments.root, arguments.per_language)
    languages = {}
    for document in documents:
        code = document["lang"].split("-")[0]
        languages[code] = languages.get(code, 0) + 1
    found = f"{len(documents)} documents in {len(languages)} languages"
    if not documents or (arguments.minimum > 0 and not enough(languages, arguments.minimum)):
        print(f"demo_corpus: {found} are too few for the demo", file=sys.stderr)
        sys.exit(3)
    write_jsonl(documents, arguments.jsonl)
    files = write_text(documents, arguments.text, arguments.text_documents)
    size = sum(len(document["text"].encode("utf-8", "replace")) for document in documents)
    print(f"{found}, {size / 1e6:.1f} MB of text; {files} of them also as text files")
    print("  " + " ".join(f"{code} {count}" for code, count in sorted(languages.items(), key=lambda item: -item[1])))


if __name__ == "__main__":
    main()
