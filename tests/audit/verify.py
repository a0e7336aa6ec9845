#!/usr/bin/env python3
"""A second verifier for Yunwei's audit log, sharing no code with the first.

Reads an export (`yunwei audit export`), reckons the Merkle tree (RFC 6962)
from the leaves, and checks every checkpoint (C2SP tlog-checkpoint in a signed
note) against it. Standard library only; Ed25519 follows RFC 8032.

    verify.py EXPORT [--key NAME+HASH+KEY] [--checkpoints FILE]

Prints one JSON object: {"ok", "entries", "erased", "checkpoint", "first_bad", "reason"}.
Exit code 0 if all is well, 1 if not. Give --key and --checkpoints from a place
that whoever could change the log could not reach; the export's own word about
its key is worth nothing against them.
"""
import argparse
import base64
import hashlib
import json
import sys

# --- Ed25519 (RFC 8032, section 6), verification only -----------------------
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT % P
    if (x * x - x2) % P:
        return None
    return P - x if (x & 1) != sign else x


def add(a, b):
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, d - c, d + c, t + s
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(n, point):
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = add(total, point)
        point = add(point, point)
        n >>= 1
    return total


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_verify(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = multiply(s, BASE), add(r, multiply(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- Signed notes -------------------------------------------------------------
def read_key(text):
    name, key_id, key = text.strip().split("+", 2)
    raw = base64.b64decode(key)
    if raw[0] != 1 or len(raw) != 33:
        raise ValueError("not an Ed25519 key")
    computed = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if computed.hex() != key_id:
        raise ValueError("the key's hash does not fit")
    return name, computed, raw[1:]


def open_note(note, key):
    """(size, root) of a checkpoint, or None if the key did not sign it."""
    name, key_id, public = key
    text, gap, signatures = note.partition("\n\n")
    if not gap:
        return None
    text += "\n"
    for line in signatures.splitlines():
        if not line.startswith("\u2014 "):
            continue
        signer, _, encoded = line[2:].partition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            return None
        if signer == name and raw[:4] == key_id and ed25519_verify(public, text.encode(), raw[4:]):
            origin, size, root = text.split("\n")[:3]
            return (int(size), base64.b64decode(root)) if origin == name else None
    return None


def notes_in(text):
    parts = text.split("\n\n")
    return [f"{a}\n\n{b.strip()}\n" for a, b in zip(parts[0::2], parts[1::2])]


# --- RFC 6962 -------------------------------------------------------------------
def leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Full subtrees from left to right, as (height, head)."""

    def __init__(self):
        self.parts = []
        self.size = 0

    def push(self, head):
        height = 0
        while self.parts and self.parts[-1][0] == height:
            head = node_hash(self.parts.pop()[1], head)
            height += 1
        self.parts.append((height, head))
        self.size += 1

    def root(self):
        if not self.parts:
            return hashlib.sha256(b"").digest()
        head = self.parts[-1][1]
        for _, left in reversed(self.parts[:-1]):
            head = node_hash(left, head)
        return head


MEMBERS = ["v", "at", "actor", "tenant", "objectTenant", "action", "objectKind", "objectId", "revision",
           "outcome", "session", "strength", "request", "input", "private"]


def check_entry(line, expected):
    """What is wrong with an entry by itself, or None."""
    if line["index"] != expected:
        return "the entry is missing"
    if line["leaf"] is None:
        return "the entry does not read"
    leaf = json.loads(line["leaf"])
    if list(leaf) != MEMBERS or leaf["v"] != 1:
        return "the leaf is not of a known form"
    if line["hash"] != leaf_hash(line["leaf"].encode()).hex():
        return "the entry was changed"
    private = line.get("private")
    if private is not None:
        committed = hashlib.sha256(bytes.fromhex(private["salt"]) + private["body"].encode()).hexdigest()
        if committed != leaf["private"]:
            return "the personal data was changed"
    return None


def verify(lines, key, kept):
    entries = [line for line in lines if "leaf" in line]
    placed = next((line["tree"]["size"] for line in lines if "tree" in line), None)
    signed, unsigned = {}, False
    for note in kept + [line["checkpoint"] for line in lines if "checkpoint" in line]:
        opened = open_note(note, key)
        if opened is None:
            unsigned = True
        else:
            signed.setdefault(opened[0], set()).add(opened[1])
    tree, holds, erased = Tree(), 0, 0

    def bad(place, reason):
        return {"ok": False, "entries": len(entries), "erased": erased, "checkpoint": holds, "first_bad": place, "reason": reason}

    for line in entries:
        wrong = check_entry(line, tree.size)
        if wrong:
            return bad(tree.size, wrong)
        erased += line["private"] is None and json.loads(line["leaf"])["private"] != ""
        tree.push(leaf_hash(line["leaf"].encode()))
        if line["root"] != tree.root().hex():
            return bad(tree.size - 1, "an entry was removed, replaced or moved here: the tree's head does not fit")
        roots = signed.pop(tree.size, None)
        if roots is not None:
            if roots != {tree.root()}:
                return bad(holds, f"the checkpoint over {tree.size} entries signs another head")
            holds = tree.size
    if any(size > tree.size for size in signed):
        return bad(tree.size, "the tail was cut: a checkpoint covers more entries")
    if placed is not None and placed != tree.size:
        return bad(min(placed, tree.size), f"the sequencer placed {placed} entries, and there are {tree.size}")
    if unsigned:
        return bad(max(tree.size - 1, 0), "a checkpoint is not signed by the log's key")
    return {"ok": True, "entries": len(entries), "erased": erased, "checkpoint": holds, "first_bad": None, "reason": None}


def main():
    parser = argparse.ArgumentParser(description="Verifies an export of Yunwei's audit log.")
    parser.add_argument("export")
    parser.add_argument("--key", help="the log's verifying key, kept elsewhere")
    parser.add_argument("--checkpoints", help="a file of checkpoints, kept elsewhere")
    given = parser.parse_args()
    with open(given.export, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    if not lines or "log" not in lines[0]:
        sys.exit("this is no export of an audit log")
    if set(lines[0]["log"]) != {"key"}:
        sys.exit("this export is a part of the log; only the whole of it can be verified")
    key = read_key(given.key or lines[0]["log"]["key"])
    kept = []
    if given.checkpoints:
        with open(given.checkpoints, encoding="utf-8") as file:
            kept = notes_in(file.read())
    result = verify(lines, key, kept)
    print(json.dumps(result))
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()
