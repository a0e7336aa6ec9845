#!/usr/bin/env python3
"""Starts a server on a folder of its own and has Schemathesis try every operation of
both OpenAPI documents, as the administrator and as a customer's owner.

Nothing may be answered with 5xx, and every answer must be what the document says.
Exit status 1 if anything is not.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "lantern-walnut-river-quilt"
DOCUMENTS = ("/api/v1/openapi.json", "/tmf-api/openapi.json")
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "response_headers_conformance", "use_after_free", "ensure_resource_availability", "ignored_auth")
# They would end the fuzzing itself: its tokens, its accounts, its tenants.
LEFT_OUT = ("token.revoke", "session.close", "session.close_all", "account.suspend", "account.remove", "role.revoke",
            "tenant.suspend", "password.change")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, program, folder, database):
        self.data, self.url = folder / "data", f"http://127.0.0.1:{free_port()}"
        (folder / "password").write_text(PASSWORD)
        where = ["--data", self.data, *(["--database", database] if database else [])]
        init = subprocess.run([program, "admin", "init", "--password-file", folder / "password", "--json", *where],
                              check=True, capture_output=True)
        self.token = json.loads(init.stdout)["token"]
        self.log = (folder / "server.log").open("w+")
        listen = ["--listen", self.url.removeprefix("http://"), "--agent-listen", f"127.0.0.1:{free_port()}"]
        environment = {**os.environ, "YUNWEI_LOG": "warn"}
        self.process = subprocess.Popen([program, "serve", *where, *listen], stdout=self.log, stderr=self.log, env=environment)
        for _ in range(600):
            try:
                self.ask("GET", "/readyz")
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("the server is not ready after a minute")

    def ask(self, method, path, body=None, headers=None):
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}", **(headers or {})}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, sent, method=method), timeout=30) as got:
            return json.loads(got.read() or b"null")

    def customer(self, email):
        """A customer's owner, by the mail and the pages' own way; gives a token."""
        self.ask("POST", "/api/v1/tenants", {"name": "Fuzzed", "owner": {"email": email, "name": "Fuzzed"}})
        nobody = {"Authorization": ""}
        for _ in range(200):
            mails = "".join(mail.read_text().replace("=\r\n", "").replace("=\n", "").replace("=3D", "=") for mail in (self.data / "outbox").iterdir())
            found = re.search(r"invitation\?token=([\w-]+)", mails)
            if found:
                break
            time.sleep(0.1)
        self.ask("POST", "/api/v1/invitations/accept", {"token": found[1], "name": "Fuzzed", "password": PASSWORD}, nobody)
        session = self.ask("POST", "/api/v1/sessions", {"email": email, "password": PASSWORD}, nobody)
        signed_in = {"Authorization": "", "Cookie": f"yunwei_session={session['secret']}", "X-CSRF-Token": session["csrf"]}
        return self.ask("POST", "/api/v1/tokens", {"name": "fuzz", "sensitive": True}, signed_in)["secret"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def fuzz(server, document, who, token, seconds, more):
    command = [Path(sys.executable).with_name("schemathesis"), "run", server.url + document, "--header", f"Authorization: Bearer {token}",
               "--checks", ",".join(CHECKS), "--max-time", str(seconds), "--rate-limit", "180/s", "--request-timeout", "40",
               "--generation-database", "none", "--continue-on-failure", "--no-shrink", "--warnings", "off", *more]
    for name in LEFT_OUT:
        command += ["--exclude-operation-id", name]
    print(f"\n== {document} as {who}, {seconds} s", flush=True)
    return subprocess.run(command, cwd=server.data.parent).returncode


def main():
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=int, default=140, help="altogether")
    asked.add_argument("--program", type=Path, default=Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/yunwei")
    asked.add_argument("--database", help="an empty PostgreSQL database instead of SQLite")
    asked, more = asked.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="yw-fuzz-") as folder:
        server = Server(asked.program, Path(folder), asked.database)
        try:
            owner = server.customer("owner@fuzzed.example")
            server.ask("POST", "/api/v1/catalog/seed", {})
            tries = [(document, who, token) for document in DOCUMENTS for who, token in (("administrator", server.token), ("owner", owner))]
            ended = [fuzz(server, *each, max(10, asked.seconds // len(tries)), more) for each in tries]
            alive = server.ask("GET", "/api/v1/whoami") is not None
        finally:
            status = server.stop()
        server.log.seek(0)
        panics = [line for line in server.log if "panicked" in line]
        print("".join(panics[:10]))
        if any(ended) or panics or not alive or status:
            sys.exit(f"runs ended with {ended}, the server with {status}, {len(panics)} panics")
        print("no operation was answered with 5xx or otherwise than its document says")


main()
