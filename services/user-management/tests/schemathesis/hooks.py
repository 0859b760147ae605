"""Who calls: for each call an administrator who has just signed in, because many calls end the session they are made
with; for the address book always the same one, so that what one call puts there the next one finds; a service for what
only services may read. And what was answered, for the test to judge."""

import os
import urllib.request

import schemathesis

PEOPLE = os.environ["SHOP_PEOPLE"]
ANSWERS = os.environ["SHOP_ANSWERS"]
# Of the machine's proxies none is asked.
HERE = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@schemathesis.auth(refresh_interval=None)
class Somebody:
    def get(self, case, context):
        path = context.operation.path
        who = "service" if path.startswith("/internal/") else "admin"
        who = "resident" if path.startswith("/users/me/addresses") else who
        with HERE.open(f"{PEOPLE}/{who}") as answer:
            return answer.read().decode()

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def after_call(context, case, response):
    with open(ANSWERS, "a", encoding="utf-8") as file:
        file.write(f"{case.method.lower()} {case.operation.path} {response.status_code}\n")
