"""How schemathesis writes bodies that are neither JSON nor forms: texts as they are."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/toml")
def text(ctx, value):
    written = value if isinstance(value, str) else json.dumps(value)
    return written.encode("utf-8", "replace")
