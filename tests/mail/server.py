#!/usr/bin/env python3
"""A mail server that wants TLS and a password, and says what it was given.

    server.py PORT CERTIFICATE KEY USER PASSWORD

Prints `ready`, then each message as one line of JSON: from, to, subject, text.
The server and its reading of mail are aiosmtpd's and Python's, not ours.
"""
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Keep:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        body = message.get_body(("plain",))
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": message["subject"],
            "text": body.get_content() if body else "",
            "tls": session.ssl is not None,
            "user": session.auth_data,
        }
        print(json.dumps(line), flush=True)
        return "250 taken"


def main():
    port, certificate, key, user, password = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    def check(server, session, envelope, mechanism, given):
        right = (given.login, given.password) == (user.encode(), password.encode())
        return AuthResult(success=right, auth_data=given.login.decode(errors="replace") if right else None)

    async def serve():
        def session():
            return SMTP(Keep(), tls_context=tls, require_starttls=True, authenticator=check, auth_required=True)

        server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", int(port))
        print("ready", flush=True)
        await server.serve_forever()

    asyncio.run(serve())


main()
