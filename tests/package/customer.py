"""Accepts the invitation that lies in an outbox, as a browser would, and prints an API token.

customer.py URL CA.pem OUTBOX
"""

import email
import email.policy
import json
import pathlib
import re
import ssl
import sys
import time
import urllib.request

url, authority, outbox = sys.argv[1:]
trust = ssl.create_default_context(cafile=authority)
PASSWORD = "lantern-walnut-river-quilt"


def post(path, body, **headers):
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, context=trust, timeout=60))


for _ in range(300):
    letters = list(pathlib.Path(outbox).glob("*.eml"))
    if letters:
        break
    time.sleep(0.1)
letter = email.message_from_bytes(letters[0].read_bytes(), policy=email.policy.default)
invitation = re.search(r"/invitation\?token=(\S+)", letter.get_body(("plain",)).get_content()).group(1)
post("/api/v1/invitations/accept", {"token": invitation, "name": "Owner", "password": PASSWORD})
session = post("/api/v1/sessions", {"email": letter["To"].addresses[0].addr_spec, "password": PASSWORD})
cookie = f"__Host-yunwei_session={session['secret']}"
print(post("/api/v1/tokens", {"name": "command line"}, Cookie=cookie, X_CSRF_Token=session["csrf"])["secret"])
