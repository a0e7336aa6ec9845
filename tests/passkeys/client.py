#!/usr/bin/env python3
"""A security key of another make (soft-webauthn over python-fido2) against a running server.

    client.py http://localhost:8420 EMAIL PASSWORD

Enrols it, signs in with it after the password, and sees refused: the same answer twice, another
site's origin, and signing in with it alone, since it verifies nobody. Then removes it.
"""

import base64
import json
import sys
import urllib.error
import urllib.request

from soft_webauthn import SoftWebauthnDevice

site, email, password = sys.argv[1:4]
api = f"{site}/api/v1"


def ask(path, body, cookie=None, csrf=None, method="POST"):
    headers = {"content-type": "application/json", "origin": site}
    if cookie:
        headers |= {"cookie": f"yunwei_session={cookie}", "x-csrf-token": csrf}
    request = urllib.request.Request(api + path, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def plain(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def options(given):
    """What a browser makes of the JSON: bytes for texts."""
    made = {**given, "challenge": plain(given["challenge"])}
    if "user" in given:
        made["user"] = {**given["user"], "id": plain(given["user"]["id"])}
    return {"publicKey": made}


def written(credential):
    """What a browser sends of it."""
    parts = {name: base64.urlsafe_b64encode(value).decode().rstrip("=") for name, value in credential["response"].items()}
    return json.dumps({"id": credential["id"].decode(), "type": credential["type"], "response": parts})


def opened(expected):
    status, answer = ask("/sessions", {"email": email, "password": password})
    assert status == 201 and answer["state"] == expected, (status, answer)
    return answer


signed = opened("signedIn")
cookie, csrf = signed["secret"], signed["csrf"]
device = SoftWebauthnDevice()
status, creation = ask("/factors/passkeys", {}, cookie, csrf)
assert status == 201, creation
status, made = ask("/factors/passkeys/register", {"name": "Key", "credential": written(device.create(options(creation), site))}, cookie, csrf)
assert status == 201 and len(made["recovery_codes"]) == 10, made

ticket = opened("factorNeeded")["ticket"]


def challenge(**body):
    status, asked = ask("/sessions/passkey-challenge", body)
    assert status == 200, asked
    return options(asked)


elsewhere = written(device.get(challenge(ticket=ticket), "https://evil.example"))
status, refused = ask("/sessions/confirm", {"ticket": ticket, "code": elsewhere})
assert (status, refused["code"]) == (401, "passkey.refused"), refused
answer = written(device.get(challenge(ticket=ticket), site))
status, signed = ask("/sessions/confirm", {"ticket": ticket, "code": answer})
assert status == 201, signed
again = opened("factorNeeded")["ticket"]
status, refused = ask("/sessions/confirm", {"ticket": again, "code": answer})
assert (status, refused["code"]) == (401, "passkey.refused"), refused
status, refused = ask("/sessions/passkey", {"credential": written(device.get(challenge(), site))})
assert (status, refused["code"]) == (401, "passkey.refused"), refused

cookie, csrf = signed["secret"], signed["csrf"]
status, left = ask(f"/factors/{made['factor']['id']}/remove", {}, cookie, csrf)
assert status == 200 and left["factors"] == [], left
opened("signedIn")
print("a security key of another make was enrolled, signed in with, refused where it should be, and removed")
