"""Who calls: administrators, each with a session of their own, because many calls end the session they are made with;
a service for what only services may read."""

import itertools
import json
import os

import schemathesis

with open(os.environ["SHOP_TOKENS"], encoding="utf-8") as file:
    TOKENS = json.load(file)
ADMINS = itertools.cycle(TOKENS["admins"])


@schemathesis.auth(refresh_interval=None)
class Somebody:
    def get(self, case, context):
        return TOKENS["service"] if context.operation.path.startswith("/internal/") else next(ADMINS)

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}
