"""TM Forum's files as judges of real answers, through jsonschema: no code of ours."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

from jsonschema import Draft4Validator, FormatChecker


class File:
    """One of TM Forum's Swagger 2.0 files."""

    def __init__(self, path):
        self.document = json.loads(path.read_text())
        self.base = self.document["basePath"].rstrip("/")
        self.definitions = self.document["definitions"]

    def faults(self, schema, body):
        validator = Draft4Validator({**schema, "definitions": self.definitions}, format_checker=FormatChecker())
        return [f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(body)]

    def definition(self, name, body, partial=False):
        """What is wrong with `body` as that definition; `partial` for an answer cut by `fields`."""
        if name not in self.definitions:
            return [f"the file has no definition {name}"]
        schema = dict(self.definitions[name]) if partial else {"$ref": f"#/definitions/{name}"}
        schema.pop("required", None)
        return self.faults(schema, body)

    def answer(self, method, path, status):
        """The schema of an answer by the file's `paths`; None where it describes none."""
        for template, methods in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                responses = methods.get(method.lower(), {}).get("responses", {})
                return responses.get(str(status), {}).get("schema")
        return None


def files(folder):
    """All files by the base path of their API."""
    found = [File(path) for path in sorted(Path(folder).glob("TMF*.swagger.json"))]
    return {file.base: file for file in found}


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text
        try:
            self.body = json.loads(text) if text else None
        except ValueError:
            self.body = None


class Judge:
    """Sends requests and judges every answer. What is wrong is collected, not raised."""

    def __init__(self, url, folder):
        self.url, self.files, self.wrong, self.judged = url, files(folder), [], 0

    def expect(self, holds, what):
        if not holds:
            self.wrong.append(what)
        return holds

    def send(self, token, method, path, body=None, headers=None, status=None):
        data = None
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
            sent.setdefault("Content-Type", kind)
        request = urllib.request.Request(self.url + path, data=data, headers=sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as got:
                answer = Answer(got.status, got.headers, got.read().decode())
        except urllib.error.HTTPError as e:
            answer = Answer(e.code, e.headers, e.read().decode())
        self.judge(method, path, answer)
        if status is not None:
            self.expect(answer.status == status, f"{method} {path} {body if body else ''}: {answer.status}, not {status}: {answer.text[:600]}")
        return answer

    def judge(self, method, path, answer):
        path, _, query = path.partition("?")
        base = next((base for base in self.files if path.startswith(base + "/")), None)
        if base is None or answer.status in (204, 304):
            return
        file = self.files[base]
        schema = file.answer(method, path[len(base):], answer.status)
        if schema is None and answer.status >= 400:
            schema = {"$ref": "#/definitions/Error"}
        where = f"{method} {path}?{query} → {answer.status}"
        if not self.expect(schema is not None, f"{where}: the file describes no such answer"):
            return
        if "fields=" in query and answer.status == 200:
            name = (schema.get("items") or schema)["$ref"].rsplit("/", 1)[1]
            bodies = answer.body if isinstance(answer.body, list) else [answer.body]
            faults = [fault for body in bodies for fault in file.definition(name, body, partial=True)]
        else:
            faults = file.faults(schema, answer.body)
        self.judged += 1
        self.expect(not faults, f"{where}: {faults[:5]} in {answer.text[:500]}")
