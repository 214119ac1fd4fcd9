"""Verifies a webhook with the library of Standard Webhooks: python webhook_receiver.py SECRET FILE."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

secret, path = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    call = json.load(file)

webhook = Webhook(secret)
event = webhook.verify(call["body"], call["headers"])
try:
    webhook.verify(call["body"].replace("photo.ready", "photo.failed"), call["headers"])
except WebhookVerificationError:
    print(f"{event['type']} verified, changed body refused")
