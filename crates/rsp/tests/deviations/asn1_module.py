"""Decodes messages with asn1tools and an ASN.1 module, and encodes them again.

asn1_module.py FOLDER < MESSAGES

FOLDER has the modules (*.asn): SGP32Definitions and those from which it imports. Each line of MESSAGES
is the name of a type and a message in hexadecimal. A line of the output is "same", "without" with the
paths of the elements that the module does not have, "different" with the octets of asn1tools, "unknown"
for a type that the module does not name, or "error" with a reason.
"""

import pathlib
import re
import sys

import asn1tools

# Notations that asn1tools does not read, and notations with the same encoding.
NOTATIONS = [
    (r"DEFAULT\s*\{[^{}]*\}", "OPTIONAL"),
    (r"ANY DEFINED BY [\w-]+", "ANY"),
    (r"OPENTYPE\s*::=\s*CLASS\s*\{[^{}]*\}", ""),
    (r"OPENTYPE\.&typeId", "OBJECT IDENTIFIER"),
    (r"OPENTYPE\.&Type", "ANY"),
]


# A CHOICE with a tag.
CHOICE = re.compile(r"^([\w-]+)\s*::=\s*(\[\d+\])\s*CHOICE\b", re.MULTILINE)


def readable(text):
    """Returns a module in the notation of asn1tools."""
    for notation, replacement in NOTATIONS:
        text = re.sub(notation, replacement, text)
    # A tag before such a type replaces its tag (X.680, 31.2.7). asn1tools keeps both tags.
    for name, _ in CHOICE.findall(text):
        text = re.sub(rf"(\[\d+\])\s+{name}\b(?!-)", rf"\1 {name}-Untagged", text)
    # So does an automatic tag. CancelSessionRequestEsipa is the only such SEQUENCE.
    text = re.sub(r"(cancelSessionResponse)\s+(SGP32-CancelSessionResponse)\b", r"\1 \2-Untagged", text)
    return CHOICE.sub(r"\1 ::= \2 \1-Untagged\n\1-Untagged ::= CHOICE", text)


def modules(folder):
    files = sorted(pathlib.Path(folder).glob("*.asn"))
    text = "\n".join(readable(file.read_text()) for file in files)
    return asn1tools.compile_string(text, "der").modules


def type_of(name, by_name):
    """Returns the type with this Rust name. The name has an addition if SGP.22 has the name too."""
    *path, last = name.lower().split("::")
    base = last.removesuffix("request")
    for candidate in [last + "esipa", base + "esipa"] if path == ["esipa"] else ["sgp32-" + last]:
        if candidate in by_name:
            return by_name[candidate]
    return by_name.get(last) or by_name.get(base)


def elements(octets):
    """Returns the data objects: tag in hexadecimal, and contents."""
    found = []
    while octets:
        end = 1
        if octets[0] & 0x1F == 0x1F:
            while octets[end] & 0x80:
                end += 1
            end += 1
        tag, length, start = octets[:end], octets[end], end + 1
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(octets[end + 1 : start], "big")
        found.append((tag.hex(), octets[start : start + length]))
        octets = octets[start + length :]
    return found


def without(whole, part, path=""):
    """Returns the paths of the elements of `whole` that are not in `part`, or None if more differs."""
    missing, rest = [], elements(part)
    for tag, contents in elements(whole):
        if not rest or rest[0][0] != tag:
            missing.append(f"{path}/{tag}")
            continue
        other = rest.pop(0)[1]
        if contents == other:
            continue
        inner = without(contents, other, f"{path}/{tag}") if bytes.fromhex(tag)[0] & 0x20 else None
        if inner is None:
            return None
        missing += inner
    return None if rest else missing


def checked(kind, octets):
    try:
        encoded = kind.encode(kind.decode(octets))
    except Exception as error:  # asn1tools raises errors of many classes.
        return f"error {error!r}"
    if encoded == octets:
        return "same"
    missing = without(octets, encoded)
    return f"different {encoded.hex()}" if missing is None else "without " + " ".join(missing)


def main(folder):
    specification = modules(folder)
    by_name = {}
    for module in ["RSPDefinitions", "SGP32Definitions"]:
        by_name |= {name.lower(): kind for name, kind in specification[module].items()}
    for line in sys.stdin:
        name, octets = line.split()
        kind = type_of(name, by_name)
        print(checked(kind, bytes.fromhex(octets)) if kind else "unknown")


main(sys.argv[1])
