#!/usr/bin/env python3
"""Tries every TM Forum resource of a running server and judges every answer by TM Forum's files.

Reads settings as JSON from standard input: the server's address, tokens of an
administrator, of a customer and of another customer, the folder of the files.
Prints what is wrong; exit status 1 if anything is.
"""

import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlencode

from oracle import Judge
from samples import samples

SETTINGS = json.load(sys.stdin)
TOKENS = {who: SETTINGS[who] for who in ("admin", "customer", "other")}
judge = Judge(SETTINGS["url"], SETTINGS["files"])
expect = judge.expect
DOCUMENT = json.loads(judge.send(TOKENS["admin"], "GET", "/tmf-api/openapi.json").text)
PATHS = {path.rsplit("/", 1)[1]: path for path in DOCUMENT["paths"] if "{" not in path and not path.endswith("/hub")}


def send(who, *arguments, **named):
    return judge.send(TOKENS[who], *arguments, **named)


def offers(kind, verb):
    path = PATHS[kind] + ("" if verb in ("get", "post") else "/{id}")
    return verb in DOCUMENT["paths"].get(path, {})


def values(body, path):
    """What stands at a dotted path, through lists."""
    found = [body]
    for name in path.split("."):
        found = [inner for one in found for inner in (one if isinstance(one, list) else [one])]
        found = [one[name] for one in found if isinstance(one, dict) and name in one]
    return [inner for one in found for inner in (one if isinstance(one, list) else [one])]


def refused(answer, status, attribute=None):
    """A refusal by TM Forum's form that names what is wrong."""
    body = answer.body or {}
    fits = answer.status == status and body.get("status") == str(status) and all(body.get(n) for n in ("code", "reason", "message"))
    if attribute:
        fits = fits and body.get("attribute", "").split("[")[0].split(".")[0] == attribute.split(".")[0]
    expect(fits, f"expected a refusal with {status} that names {attribute}: {answer.status} {answer.text[:300]}")


def create(sample):
    path, who = PATHS[sample.kind], sample.who
    if sample.missing:
        refused(send(who, "POST", path, {k: v for k, v in sample.body.items() if k != sample.missing}), 400, sample.missing)
        refused(send(who, "POST", path, {}), 400)
    attribute, value = sample.wrong
    refused(send(who, "POST", path, {**sample.body, attribute: value}), 400, attribute)
    refused(send(who, "POST", path, {**sample.body, "surprise": 1}), 400, "surprise")
    refused(send(who, "POST", path, [sample.body]), 400)
    refused(send(who, "POST", path, b'{"name": '), 400)
    if sample.dangling:
        refused(send(who, "POST", path, {**sample.body, **sample.dangling}), 422, next(iter(sample.dangling)))

    key = {"Idempotency-Key": f"{sample.kind}-once"}
    extended = {**sample.body, "@type": f"My{sample.kind}", "@schemaLocation": "https://acme.example/x.json", "shelf": {"row": [7, None, {"a": "b"}]}}
    first = send(who, "POST", path, extended, key, 201)
    again = send(who, "POST", path, extended, key, 201)
    expect(again.text == first.text, f"{path}: a repeat under its key is answered otherwise: {again.text[:200]}")
    refused(send(who, "POST", path, {**sample.body, "@type": "Else"}, key), 422, "Idempotency-Key")
    made = first.body or {}
    for name in ("@type", "@schemaLocation", "shelf"):
        expect(made.get(name) == extended[name], f"{path}: the extension's {name} is not given back: {made.get(name)}")
    for name, value in sample.body.items():
        given = made.get(name)
        expect(given is not None and (isinstance(value, (dict, list)) or same(given, value)), f"{path}: {name} is not kept: {value!r}, {given!r}")
    location = first.headers.get("Location") or ""
    expect(location.endswith(f"{path}/{made.get('id')}") and made.get("href") == location, f"{path}: Location {location}, href {made.get('href')}")
    expect(bool(first.headers.get("ETag")), f"{path}: no ETag on POST")
    return made


def same(a, b):
    return a == b or (isinstance(a, str) and isinstance(b, str) and a.replace(".000", "") == b.replace(".000", ""))


def read(who, kind, made):
    path = f"{PATHS[kind]}/{made['id']}"
    got = send(who, "GET", path, status=200)
    expect(got.body == made, f"{path}: read back, it is otherwise: {got.text[:300]} {json.dumps(made)[:300]}")
    send(who, "GET", path, headers={"If-None-Match": got.headers["ETag"]}, status=304)
    some = next(name for name in made if name not in ("id", "href", "@type"))
    cut = send(who, "GET", f"{path}?fields={quote(some)}", status=200).body
    expect(set(cut) == {"id", "href", "@type", some}, f"{path}?fields={some}: {sorted(cut)}")
    refused(send(who, "GET", f"{path}?fields=surprise"), 400, "fields")
    refused(send(who, "GET", f"{PATHS[kind]}/none"), 404)
    if kind not in PUBLIC:
        refused(send("other", "GET", path), 404 if send("other", "GET", PATHS[kind]).status == 200 else 403)


PUBLIC = {"usageSpecification"}


def lists(who, kind, record):
    path = PATHS[kind]
    whole = send(who, "GET", f"{path}?limit=1000", status=200)
    ids = [entry["id"] for entry in whole.body]
    expect(whole.headers["X-Total-Count"] == whole.headers["X-Result-Count"] == str(len(ids)), f"{path}: counts {dict(whole.headers)}")
    expect(record["id"] in ids, f"{path}: {record['id']} is not listed")
    paged, link = [], f"{path}?limit=2"
    while link:
        page = send(who, "GET", link, status=200)
        paged += [entry["id"] for entry in page.body]
        expect(page.headers["X-Total-Count"] == str(len(ids)), f"{link}: X-Total-Count {page.headers['X-Total-Count']}")
        expect(page.headers["X-Result-Count"] == str(len(page.body)), f"{link}: X-Result-Count")
        found = re.fullmatch(r'<(.*)>; rel="next"', page.headers.get("Link") or "")
        link = found and found.group(1)
    expect(paged == ids, f"{path}: pages and the whole differ: {paged} {ids}")
    beyond = send(who, "GET", f"{path}?offset=9999", status=200)
    expect(beyond.body == [] and beyond.headers["X-Total-Count"] == str(len(ids)), f"{path}: beyond the end {beyond.text[:100]}")
    second = send(who, "GET", f"{path}?offset=1&limit=1", status=200)
    expect([entry["id"] for entry in second.body] == ids[1:2], f"{path}: offset=1&limit=1 gives {second.text[:100]}")
    cut = send(who, "GET", f"{path}?fields=href", status=200)
    expect(all(set(entry) == {"id", "href", "@type"} for entry in cut.body), f"{path}?fields=href: {cut.text[:200]}")
    for query, attribute in (("surprise=1", "surprise"), ("limit=-1", "limit"), ("offset=x", "offset"), ("sort=surprise", "sort"), ("offset=10001", "offset")):
        refused(send(who, "GET", f"{path}?{query}"), 400, attribute)
    filters(who, kind, record, ids)


def filters(who, kind, record, ids):
    path = PATHS[kind]
    asked = [p["name"] for p in DOCUMENT["paths"][path]["get"]["parameters"] if p["in"] == "query"]
    keys = [name for name in asked if name not in ("fields", "offset", "limit", "sort", "cursor")]
    for key in ["id", *keys, "@type"]:
        found = values(record, key)
        if not found:
            continue
        value = found[0] if isinstance(found[0], str) else json.dumps(found[0])
        plain = value.replace("\\", "\\\\").replace(",", "\\,")
        tests = {key: plain, f"{key}.gte": plain, f"{key}.lte": plain}
        if isinstance(found[0], str) and key in keys and not re.match(r"\d{4}-\d\d-\d\dT", value):
            tests[f"{key}.regex"] = "^" + re.escape(value) + "$"
        for name, wanted in tests.items():
            got = send(who, "GET", f"{path}?{urlencode({name: wanted, 'limit': 1000})}", status=200)
            expect(record["id"] in [entry["id"] for entry in got.body or []], f"{path}?{name}={wanted} does not find {record['id']}")
            expect(got.headers["X-Total-Count"] == str(len(got.body)), f"{path}?{name}: X-Total-Count")
            if name == key:
                expect(all(found[0] in values(entry, key) or key == "@type" for entry in got.body), f"{path}?{name}={wanted} finds others too")
        none = send(who, "GET", f"{path}?{urlencode({key + '.gt': plain, key + '.lt': plain})}", status=200)
        expect(none.body == [] or len(found) > 1, f"{path}: {key} is above and below itself: {none.text[:100]}")
    for key in ["id", *keys]:
        for order in (key, f"-{key}"):
            got = send(who, "GET", f"{path}?sort={order}&limit=1000")
            if got.status == 400:
                # Not by what a record may have several of.
                continue
            expect([*sorted(entry["id"] for entry in got.body)] == sorted(ids), f"{path}?sort={order} loses records")
            seen = [values(entry, key)[0] for entry in got.body if values(entry, key)]
            comparable = [one if not isinstance(one, str) else one.encode() for one in seen]
            expect(comparable == sorted(comparable, reverse=order.startswith("-")), f"{path}?sort={order}: {seen[:6]}")


def change(sample, made):
    who, path = sample.who, f"{PATHS[sample.kind]}/{made['id']}"
    if not offers(sample.kind, "patch"):
        refused(send(who, "PATCH", path, {"description": "x"}), 405)
        return
    tag = send(who, "GET", path).headers["ETag"]
    changed = send(who, "PATCH", path, sample.patch, {"If-Match": tag}, 200)
    for name, value in sample.patch.items():
        expect((changed.body or {}).get(name) == value, f"{path}: {name} is not changed: {changed.text[:200]}")
    expect((changed.body or {}).get("shelf") == made.get("shelf"), f"{path}: a change lost the extension")
    refused(send(who, "PATCH", path, sample.patch, {"If-Match": tag}), 412)
    refused(send(who, "PATCH", path, {"id": "other"}), 400, "id")
    attribute, value = sample.wrong
    refused(send(who, "PATCH", path, {attribute: value}), 400, attribute)
    if sample.missing and attribute != sample.missing:
        expect(send(who, "PATCH", path, {sample.missing: None}).status in (400, 409), f"{path}: {sample.missing} can be taken away")
    # A whole document that was read can be sent back.
    now = send(who, "GET", path)
    back = send(who, "PATCH", path, now.body, status=200)
    expect({**back.body, "lastUpdate": 0} == {**now.body, "lastUpdate": 0} or "lastModified" in back.body, f"{path}: sent back, it changed: {back.text[:300]}")
    refused(send(who, "PATCH", f"{PATHS[sample.kind]}/none", sample.patch), 404)
    for patch in sample.illegal[:-1]:
        send(who, "PATCH", path, patch, status=200)
    for patch in sample.illegal[-1:]:
        refused(send(who, "PATCH", path, patch), 409, next(iter(patch)))


def remove(sample):
    """Deletes a second record, for the first is referred to."""
    who, path = sample.who, PATHS[sample.kind]
    if not offers(sample.kind, "delete"):
        refused(send(who, "DELETE", f"{path}/x"), 405)
        return
    if not sample.delete:
        return
    made = send(who, "POST", path, sample.body, status=201).body
    if "id" not in made:
        return
    at = f"{path}/{made['id']}"
    refused(send(who, "DELETE", at, headers={"If-Match": '"99"'}), 412)
    send(who, "DELETE", at, status=204)
    refused(send(who, "GET", at), 404)
    refused(send(who, "DELETE", at), 404)


class Listener(BaseHTTPRequestHandler):
    heard = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Listener.heard.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def subscribe(receiver, base):
    callback = f"http://127.0.0.1:{receiver.server_port}{base}"
    for who in ("admin", "customer"):
        made = send(who, "POST", f"{base}/hub", {"callback": callback}, status=201)
        body = made.body or {}
        expect(made.headers.get("Location", "").endswith(f"{base}/hub/{body.get('id')}"), f"{base}/hub: Location {made.headers.get('Location')}")
        expect(str(body.get("secret", "")).startswith("whsec_"), f"{base}/hub: no secret")
        refused(send(who, "POST", f"{base}/hub", {}), 400, "callback")
        refused(send(who, "POST", f"{base}/hub", {"callback": "nowhere"}), 400, "callback")
        refused(send(who, "POST", f"{base}/hub", {"callback": callback, "query": "eventType=SurpriseEvent"}), 400, "query")
        extra = send(who, "POST", f"{base}/hub", {"callback": callback + "/x"}, status=201).body
        refused(send("other", "DELETE", f"{base}/hub/{extra['id']}"), 404)
        send(who, "DELETE", f"{base}/hub/{extra['id']}", status=204)
        refused(send(who, "DELETE", f"{base}/hub/{extra['id']}"), 404)


# The files of TMF666 and TMF678 name no such events; ours are formed as all others are.
UNNAMED = ("BillingAccountCreate", "BillingAccountDelete", "CustomerBill", "AppliedCustomerBillingRate")


def events():
    """Every notification that came, by its definition in the file of its API."""
    types = set()
    for base, _, event in Listener.heard:
        file, name = judge.files[base], event["eventType"]
        types.add(name)
        faults = [] if name.startswith(UNNAMED) else file.definition(name, event)
        expect(not faults, f"{base} {name}: {faults[:4]} in {json.dumps(event)[:400]}")
        judge.judged += 1
        kind, payload = next(iter(event["event"].items()))
        expect(kind in PATHS and payload.get("href", "").endswith(f"{PATHS[kind]}/{payload['id']}"), f"{name}: {kind} {payload.get('href')}")
        faults = file.definition(kind[0].upper() + kind[1:], payload)
        expect(not faults, f"{base} {name}: its {kind}: {faults[:4]}")
        for needed in ("eventId", "eventTime", "eventType", "event"):
            expect(needed in event, f"{name}: no {needed}")
    return types


def wait(what, look):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    expect(False, f"{what} did not come")
    return None


def order(name):
    item = {"id": "1", "action": "add", "quantity": 1, "productOffering": {"id": MADE["on sale"]}, "product": {"name": name}}
    return send("customer", "POST", PATHS["productOrder"], {"productOrderItem": [item]}, status=201).body


def made_by_the_platform():
    """What an order brings into being, looked at by its owner and by the operator."""
    at = f"{PATHS['productOrder']}/{MADE['productOrder']}"
    done = wait("the order's end", lambda: (lambda o: o if o["state"] == "completed" else None)(send("customer", "GET", at).body))
    refused(send("customer", "PATCH", at, {"state": "held"}), 409, "state")
    refused(send("customer", "DELETE", at), 409)
    read("customer", "productOrder", done)
    lists("customer", "productOrder", done)
    cancelled = f"{PATHS['productOrder']}/{MADE['open order']}"
    wait("the cancelled order's end", lambda: send("customer", "GET", cancelled).body["state"] == "cancelled")
    one = send("customer", "GET", PATHS["cancelProductOrder"]).body[0]
    read("customer", "cancelProductOrder", one)
    lists("customer", "cancelProductOrder", one)
    refused(send("customer", "POST", PATHS["cancelProductOrder"], {"productOrder": {"id": done["id"]}}), 409)
    send("admin", "POST", "/api/v1/bills/run", {}, status=None)
    wait("usage", lambda: send("customer", "GET", PATHS["usage"]).body)
    wait("a bill", lambda: send("admin", "POST", "/api/v1/bills/run", {}).status and send("customer", "GET", PATHS["customerBill"]).body)
    for kind in ("product", "service", "resource", "usage", "customerBill", "appliedCustomerBillingRate", "serviceOrder"):
        who = "customer" if send("customer", "GET", PATHS[kind]).status == 200 else "admin"
        found = send(who, "GET", f"{PATHS[kind]}?limit=1000", status=200).body
        if expect(found, f"{PATHS[kind]}: an order brings none into being"):
            read(who, kind, send(who, "GET", f"{PATHS[kind]}/{found[-1]['id']}").body)
            lists(who, kind, found[-1])
    bill = send("customer", "GET", PATHS["customerBill"]).body[0]
    at = f"{PATHS['customerBill']}/{bill['id']}"
    refused(send("customer", "PATCH", at, {"state": "settled"}), 403)
    refused(send("customer", "POST", PATHS["customerBill"], bill), 405)


def moved_by_another_system(sample):
    """A service order that no product order stands behind is moved by whoever carries it out."""
    made = send("admin", "POST", PATHS["serviceOrder"], sample.body, status=201).body
    at = f"{PATHS['serviceOrder']}/{made['id']}"
    for state in ("inProgress", "completed"):
        expect(send("admin", "PATCH", at, {"state": state}, status=200).body["state"] == state, f"{at} is not {state}")
    refused(send("admin", "PATCH", at, {"state": "inProgress"}), 409, "state")


MADE = {}


def main():
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    for base in sorted({path.rsplit("/", 1)[0] for path in PATHS.values()}):
        subscribe(receiver, base)
    MADE["on sale"] = send("customer", "GET", f"{PATHS['productOffering']}?lifecycleStatus=Active,Launched").body[0]["id"]
    tried = []
    following = samples(MADE)
    while True:
        if "productOrder" in MADE and "open order" not in MADE:
            MADE["open order"] = order("cancelled")["id"]
        try:
            base, sample = next(following)
        except StopIteration:
            break
        except KeyError as e:
            expect(False, f"no {e} was made, what follows is not tried")
            break
        expect(f"/{base}/" in PATHS[sample.kind], f"{sample.kind} is at {PATHS[sample.kind]}")
        made = create(sample)
        if "id" not in made:
            continue
        MADE[sample.kind] = made["id"]
        if sample.kind not in ("productOrder", "cancelProductOrder"):
            read(sample.who, sample.kind, made)
            lists(sample.who, sample.kind, send(sample.who, "GET", f"{PATHS[sample.kind]}/{made['id']}").body)
        tried.append((sample, made))
        if sample.kind == "serviceOrder":
            moved_by_another_system(sample)
        remove(sample)
    if "productOrder" in MADE:
        made_by_the_platform()
    for sample, made in reversed(tried):
        change(sample, made)
    expect(set(PATHS) == {sample.kind for sample, _ in tried} | {"customerBill", "appliedCustomerBillingRate"}, "a kind was not tried")
    wait("the last notification", lambda: any(h[2]["eventType"] == "OrganizationStateChangeEvent" for h in Listener.heard))
    types = events()
    expect(len(types) > 40, f"only {len(types)} types of notification came: {sorted(types)}")
    expect({"ProductOrderCreateEvent", "ProductOrderStateChangeEvent", "CustomerBillCreateEvent"} <= types, f"{sorted(types)}")
    for fault in judge.wrong[:60]:
        print(fault)
    print(f"{judge.judged} answers and notifications judged, {len(judge.wrong)} faults, {len(tried)} kinds, {len(types)} types of event")
    sys.exit(1 if judge.wrong else 0)


main()
