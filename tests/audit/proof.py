#!/usr/bin/env python3
"""A second verifier for proofs from Yunwei's audit log, sharing no code with the first.

Reads files of `yunwei audit prove` and checks them by the algorithms of RFC 9162 (2.1.3.2 inclusion,
2.1.4.2 consistency): C2SP tlog-proofs, whose extra data is the entry, and proofs of growth in the form of
C2SP's tlog-witness. Signed notes and Ed25519 are those of verify.py, beside this file.

    proof.py --key NAME+HASH+KEY [--from CHECKPOINT-FILE] FILE...

Prints one JSON object for each file: {"file", "ok", "shows", ...}. Exit code 0 if all hold, 1 if one does not.
"""
import argparse
import base64
import hashlib
import json
import sys

from verify import leaf_hash, node_hash, notes_in, open_note, read_key


class Wrong(Exception):
    """The proof shows nothing."""


def decoded(line):
    raw = base64.b64decode(line, validate=True)
    if len(raw) != 32:
        raise Wrong("a hash has 32 bytes")
    return raw


def number(text):
    if not text.isascii() or not text.isdigit() or (text != "0" and text.startswith("0")):
        raise Wrong("not a plain number")
    return int(text)


def check_inclusion(leaf, index, size, path, root):
    """RFC 9162, 2.1.3.2."""
    if index >= size:
        raise Wrong("the tree does not reach so far")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            raise Wrong("the path is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            r = node_hash(r, p)
        fn >>= 1
        sn >>= 1
    if sn != 0 or r != root:
        raise Wrong("the path does not lead to the signed head")


def check_consistency(first, second, first_root, second_root, path):
    """RFC 9162, 2.1.4.2."""
    if first == second:
        if path or first_root != second_root:
            raise Wrong("one size, two heads")
        return
    if not 0 < first < second:
        raise Wrong("the log cannot have shrunk")
    if first & (first - 1) == 0:
        path = [first_root] + path
    if not path:
        raise Wrong("the proof is empty")
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise Wrong("the proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, c)
        fn >>= 1
        sn >>= 1
    if fr != first_root or sr != second_root or sn != 0:
        raise Wrong("the proof does not lead from the one head to the other")


def signed(note, key):
    opened = open_note(note, key)
    if opened is None:
        raise Wrong("the checkpoint is not signed by the log's key")
    return opened


def check(text, key, kept):
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    size, root = signed(note, key)
    if lines[0] == "c2sp.org/tlog-proof@v1":
        if not lines[1].startswith("extra ") or not lines[2].startswith("index "):
            raise Wrong("no entry is in it")
        leaf, index = base64.b64decode(lines[1][6:], validate=True), number(lines[2][6:])
        check_inclusion(leaf_hash(leaf), index, size, [decoded(line) for line in lines[3:]], root)
        return {"shows": "entry", "index": index, "size": size, "leaf": json.loads(leaf)}
    if lines[0].startswith("old "):
        first = number(lines[0][4:])
        heads = [opened for note in kept for opened in [open_note(note, key)] if opened and opened[0] == first]
        if not heads:
            raise Wrong("the older checkpoint was not kept")
        check_consistency(first, size, heads[0][1], root, [decoded(line) for line in lines[1:] if line])
        return {"shows": "growth", "from": first, "size": size}
    raise Wrong("neither a proof of inclusion nor one of growth")


def main():
    parser = argparse.ArgumentParser(description="Verifies proofs from Yunwei's audit log.")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--key", required=True, help="the log's verifying key, kept elsewhere")
    parser.add_argument("--from", dest="kept", help="a file with the checkpoint that a growth begins from")
    given = parser.parse_args()
    key, kept, good = read_key(given.key), [], True
    if given.kept:
        with open(given.kept, encoding="utf-8") as file:
            kept = notes_in(file.read())
    for name in given.files:
        try:
            with open(name, encoding="utf-8") as file:
                found = {"ok": True, **check(file.read(), key, kept)}
        except (Wrong, ValueError, IndexError) as fault:
            found, good = {"ok": False, "why": str(fault)}, False
        print(json.dumps({"file": name, **found}))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
