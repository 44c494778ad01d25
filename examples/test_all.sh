#!/bin/sh
# Sends every example to the server in REPOMESH_URL with the key in REPOMESH_TOKEN; without them, to the server of
# the repository that you stand in, as its owner. It must not hold the examples' sessions yet.
set -eu
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
if [ -z "${REPOMESH_URL:-}" ]; then
    REPOMESH_URL=$(repomesh status --json | member url)
    REPOMESH_TOKEN=$(repomesh token show --show-token --json | member token)
fi
export REPOMESH_URL REPOMESH_TOKEN="${REPOMESH_TOKEN:?an agent's or the owner's token}"
cd "$(dirname "$0")"
exec python3 - <<'PYTHON'
import json, os, sys, urllib.error, urllib.request

ORDER = """create_session conversation_batch store_memory_idea store_memory_decision store_memory_question
delegate_task_code delegate_task_research add_artifact_code add_artifact_document batch_workflow
complete_workflow error_examples""".split()


def send(body):
    headers = {"X-API-Key": os.environ["REPOMESH_TOKEN"], "Content-Type": "application/json"}
    url = os.environ["REPOMESH_URL"].rstrip("/") + "/v1/webhook"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


wrong = 0
for name in ORDER:
    with open(f"{name}.json") as file:
        bodies = json.load(file)
    for body in bodies if isinstance(bodies, list) else [bodies]:
        refused = "payload" in body
        status, answer = send(body["payload"] if refused else body)
        code = answer.get("error", {}).get("code")
        right = (status, code) == (body["status"], body["code"]) if refused else answer["status"] == "success"
        wrong += not right
        print("ok  " if right else "FAIL", name, status, code or "")
sys.exit(1 if wrong else 0)
PYTHON
