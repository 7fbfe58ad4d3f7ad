"""Signs postbacks with libraries and programs that are not ours.

`live URL PROGRAM DIRECTORY` posts them to a running server; `vectors` prints signed messages for the tests.
"""

import base64
import datetime
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from standardwebhooks.webhooks import Webhook

PATH = "/api/postback/acme/casino"


def openssl_hmac(secret, content):
    """The hexadecimal HMAC-SHA256 by `openssl dgst`."""
    command = ["openssl", "dgst", "-sha256", "-hmac", secret, "-r"]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    return done.stdout.split()[0].decode()


def signed_v1(secret, identity, seconds, content):
    """A Standard Webhooks signature by the reference library."""
    at = datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)
    return Webhook(secret).sign(identity, at, content)


def signed_v1a(key, identity, seconds, content):
    """A Standard Webhooks signature by the sender's own key."""
    signature = key.sign(f"{identity}.{seconds}.{content}".encode())
    return "v1a," + base64.b64encode(signature).decode()


def vectors():
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    print("# Messages signed by PyPI's `standardwebhooks` (v1), `cryptography` (v1a) and `openssl dgst -hmac` (tds).")
    print("# Written by `.ci/signatures --vectors`. Columns: kind, method, id, seconds, signature, content.")
    print(f"secret {secret}")
    print(f"public whpk_{base64.b64encode(public).decode()}")
    at = 1781524800
    contents = [
        ("POST", '{"customer_id":"c-881","txn_id":"1","value":4990}'),
        ("POST", '{ "customer_id" : "Zoë", "txn_id" : "2" }'),
        ("POST", "customer_id=c-881&txn_id=3&value=10"),
        ("GET", "customer_id=c%2D881&txn_id=4&amount=49.90"),
    ]
    for number, (method, content) in enumerate(contents):
        identity = f"msg_{number}"
        print("v1", method, identity, at, signed_v1(secret, identity, at, content), content)
        print("v1a", method, identity, at, signed_v1a(key, identity, at, content), content)
        # openssl takes its key as text: only its own offer secret, of letters and digits, can be given.
        print("tds", method, "-", "-", openssl_hmac("S" * 64, content.encode()), content)
        timed = f"{at}.{content}"
        print("tds", method, "-", at, openssl_hmac("S" * 64, timed.encode()), content)


class Live:
    def __init__(self, url, program, directory):
        self.url, self.program, self.directory = url, program, directory
        self.number = 0
        made = json.load(open(f"{directory}/secret.json"))
        self.secret, self.webhook_secret = made["secret"], made["webhook_secret"]
        self.key = load_pem_private_key(open(f"{directory}/own.pem", "rb").read(), None)

    def send(self, headers, body=None, query=""):
        url = self.url + PATH + ("?" + query if query else "")
        data = None if body is None else body.encode()
        request = urllib.request.Request(url, data=data, headers=headers)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)["data"]["status"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["code"]

    def expect(self, what, seen, expected):
        if seen != expected:
            sys.exit(f"{what}: expected {expected}, got {seen}")
        print(f"  {what}: {seen[0]} {seen[1]}")

    def body(self):
        self.number += 1
        return json.dumps({"customer_id": "c", "txn_id": f"t-{self.number}", "amount": "9.90"})

    def webhook(self, sign, content, seconds=None):
        seconds = int(time.time()) if seconds is None else seconds
        identity = f"msg_{self.number}"
        signature = sign(identity, seconds, content)
        return {"webhook-id": identity, "webhook-timestamp": str(seconds), "webhook-signature": signature}

    def run(self):
        by_library = lambda *message: signed_v1(self.webhook_secret, *message)
        by_own_key = lambda *message: signed_v1a(self.key, *message)
        by_openssl = lambda content: {"X-TDS-Signature": openssl_hmac(self.secret, content.encode())}
        ways = {
            "openssl dgst -hmac": by_openssl,
            "standardwebhooks": lambda content: self.webhook(by_library, content),
            "ed25519": lambda content: self.webhook(by_own_key, content),
        }
        for name, sign in ways.items():
            body = self.body()
            headers = sign(body)
            tampered = body.replace("9.90", "9.91")
            self.expect(f"{name}, changed", self.send(headers, tampered), (401, "bad_signature"))
            self.expect(name, self.send(headers, body), (200, "ok"))
            self.expect(f"{name}, again", self.send(headers, body), (200, "duplicate"))
            self.number += 1
            query = f"customer_id=c&txn_id=t-{self.number}&amount=9.90"
            headers = sign(query)
            self.expect(f"{name}, query changed", self.send(headers, query=query + "1"), (401, "bad_signature"))
            self.expect(f"{name}, query", self.send(headers, query=query), (200, "ok"))
        self.expect("unsigned", self.send({"X-Postback-Secret": self.secret}, self.body()), (401, "bad_signature"))
        for off in (-400, 400):
            body = self.body()
            headers = self.webhook(by_library, body, int(time.time()) + off)
            self.expect(f"signed {off} s from now", self.send(headers, body), (401, "stale_timestamp"))
        self.rotated(by_openssl)

    def rotated(self, by_openssl):
        """Beside the running server a new secret is made, and the one before stays for an hour."""
        command = [self.program, "secret", "rotate", "acme/casino", "--overlap", "1h", "--json"]
        before, made = self.secret, subprocess.run(command, capture_output=True, check=True, cwd=self.directory)
        self.secret = json.loads(made.stdout)["secret"]
        deadline = time.time() + 20
        while True:
            body = self.body()
            seen = self.send(by_openssl(body), body)
            if seen == (200, "ok") or time.time() > deadline:
                break
            time.sleep(0.1)
        self.expect("the new secret, taken up by the running server", seen, (200, "ok"))
        self.secret, body = before, self.body()
        self.expect("the secret before", self.send(by_openssl(body), body), (200, "ok"))


if sys.argv[1] == "vectors":
    vectors()
else:
    Live(*sys.argv[2:]).run()
