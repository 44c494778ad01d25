"""Delivery: how messages come before a model, and what is said when they do not.

A message reaches its recipient in one of four ways, and its receipt says how far it got:

1. The agent asks (`messages.reading`): the answer makes it *offered*; over MCP `delivery.mark_injected` makes
   it *injected* once the result was returned.
2. A hook of the agent's CLI adds it to the context (`overview.cli_hooks` with `delivery.operations`). It is
   *injected* when the transcript shows the delivery's boundary (`jobs.transcripts`, `delivery.confirm`).
3. A CLI without hooks gets one line in the results of other tools (`delivery.reminding`), then asks.
4. An idle CLI is woken (`wakes`), which leads to 2 or 3.

What expires unseen makes a notice to the sender (`delivery.undelivered`).
"""
