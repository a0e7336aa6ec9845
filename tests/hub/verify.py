#!/usr/bin/env python3
"""Takes a notification for genuine, or not, by the standardwebhooks package and by RFC 2104 by hand.

Reads {"secret", "headers": [[name, value], …], "body"} from standard input.
"""

import base64
import hashlib
import hmac
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

notice = json.load(sys.stdin)
headers, body, secret = dict(notice["headers"]), notice["body"], notice["secret"]
assert headers["content-type"].startswith("application/json"), headers
assert json.loads(body) == Webhook(secret).verify(body, headers)

key = base64.b64decode(secret.removeprefix("whsec_"))
assert 24 <= len(key) <= 64, "the specification asks for 24 to 64 bytes"
signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
assert expected in headers["webhook-signature"].split(" "), "the signature is another one"

other = "whsec_" + base64.b64encode(b"x" * 32).decode()
late = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
for forged in ((other, body, headers), (secret, body + " ", headers), (secret, body, late)):
    try:
        Webhook(forged[0]).verify(forged[1], forged[2])
    except WebhookVerificationError:
        continue
    sys.exit("a forgery was taken for genuine")
