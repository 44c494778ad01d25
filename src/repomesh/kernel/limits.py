"""Every bound of the house, once, with its unit and its reason.

What an operator may want to change is a setting (`kernel/settings.py`); these are not.
"""

from __future__ import annotations

# Requests and answers
BODY_BYTES_MAX = 10 * 1024 * 1024  # larger things are artifacts, and come in pieces
PAGE_ITEMS_DEFAULT = 50
PAGE_ITEMS_MAX = 200  # a page is read whole by an agent or drawn whole by a screen
IDEMPOTENCY_KEY_CHARS_MAX = 255  # as Stripe's
IDEMPOTENCY_KEPT_S = 24 * 3600  # longer than any sane retry
MAX_CHARS_MIN = 200  # below this not even one item with its ids fits
MAX_CHARS_MAX = 1_000_000
PROBLEM_FIELDS_MAX = 20  # wrong fields named in one answer; who sees these will see the rest
PROBLEM_FIELD_CHARS_MAX = 200  # of a field's name, which the caller may have made up
WAIT_S_MAX = 50.0  # under the 60 s after which proxies and MCP clients give up

# Names and texts
NAME_CHARS_MAX = 64
LABEL_CHARS_MAX = 200  # subjects, goals, topics: one line
TEXT_CHARS_MAX = 1_000_000  # bodies and descriptions
REASON_CHARS_MAX = 2_000
LIST_ITEMS_MAX = 100  # tags, capabilities, dependencies, resources of one request

# Store
WRITE_BATCH_MAX = 200  # pieces in one group commit; more only makes the first wait longer (measured)
TEXT_INDEX_BATCH = 500  # documents that may wait for the full-text index; a search reads these itself
TEXT_INDEX_IDLE_S = 0.25  # after so long without a command the waiting ones are indexed
WRITE_QUEUE_MAX = 10_000  # pieces waiting for the writer before callers are told to come back
READ_QUEUE_MAX = 2_000  # reads that run or wait; more would only answer callers that have given up
READ_THREADS = 4  # SQLite readers; they release the interpreter lock while SQLite works
POSTGRES_THREADS = 16  # commands that may wait for locks at once
POSTGRES_ATTEMPTS_MAX = 5  # a deadlock or lock time-out is tried again so often
POSTGRES_LOCK_TIMEOUT_MS = 10_000
POSTGRES_STATEMENT_TIMEOUT_MS = 30_000
POSTGRES_IDLE_TRANSACTION_TIMEOUT_MS = 60_000

# Push
STREAM_BUFFER_EVENTS = 1_000  # a subscriber this far behind is closed and resumes from the log
STREAM_BUFFER_CHARS = 16_000_000  # the same in text, for events that carry long bodies
STREAM_READ_EVENTS = 500  # one read of the log by a tail or a lagging subscriber
STREAM_SCAN_EVENTS = 20_000  # events looked at in one such read when few of them match
STREAM_SUBSCRIBERS_MAX = 2_000  # sockets and event streams of one process
STREAM_POSITION_EVERY_S = 15.0  # so that a filtered stream never rescans on resume
STREAM_CHUNK_CHARS = 65_536  # of events sent at once to a stream; more would only fill the write buffer
STREAM_CLOSE_S = 30.0  # a slow client may take so long to read up to the reason of the end
SOCKET_AUTH_S = 10.0  # until the first frame, when the upgrade carried no token
SOCKET_SUBSCRIPTIONS_MAX = 32  # filters of one socket
SOCKET_FRAME_CHARS_MAX = 65_536  # a client's frame holds a filter at most
LOG_POLL_S = 1.0  # the net under lost wake-ups from other processes
TAIL_LINGER_S = 30.0  # a tail that nobody uses any more stops reading after this

# Events
EVENT_TYPE_CHARS_MAX = 100
EVENT_DATA_CHARS_MAX = 100_000  # every subscriber gets it; what is longer is a message or a file
CORRELATION_CHARS_MAX = 128
PRUNE_EVENTS_MAX = 5_000  # archived in one transaction; the writer waits meanwhile
PRUNE_CHARS_MAX = 64_000_000  # the same for events that carry long bodies

# Messaging
RECIPIENTS_MAX = 1_000
HOPS_MAX = 12  # agent replies in a row without a human in between
MESSAGE_TTL_S_MAX = 366 * 24 * 3600.0  # a message of use for longer belongs into the repository
EVENT_BODY_CHARS_MAX = 16_000  # of a message in its event, which every subscriber receives; the rest by id
REACTION_CHARS_MAX = 32  # an emoji with its modifiers, or a short word
REACTIONS_PER_AGENT_MAX = 20  # of one agent on one message
UNDELIVERED_PER_PASS = 100  # messages reported in one pass of the recovery worker; the rest in the next
UNDELIVERED_NAMED_MAX = 20  # recipients named in a notice; the receipts name all of them
TEXT_MATCHES_PER_READ = 500  # ids of a full-text search that are looked up at once
TEXT_MATCHES_PER_PAGE = 20_000  # matches looked at for one page of messages when few are the caller's
# Messages looked at for one page of the log: nearly always the first few hold it; when few of very many
# are the caller's, a page may be short rather than keep a reader busy for seconds.
LOG_WINDOWS = (1_000, 100_000)

# Reviews
REVIEWERS_MAX = 20  # all of whom must approve
REVIEW_FILES_MAX = 1_000
REVIEW_PATH_CHARS_MAX = 1_024
REVIEW_TEXT_CHARS_MAX = 16_000  # a description travels whole in events; a summary is a message's body
REVIEW_DIFF_CHARS_MAX = 1_000_000  # larger ones are read as a commit range

# People
PERMISSION_SUMMARY_CHARS_MAX = 300  # of what a CLI asks its person; the person reads the rest at the CLI

# Leases
LEASE_TTL_S_MIN = 1.0
LEASE_TTL_S_MAX = 24 * 3600.0

# Tasks
TASK_TEXT_CHARS_MAX = 50_000  # descriptions and results travel whole in each of a task's events
TASK_PRIORITY_MIN = -1_000
TASK_PRIORITY_MAX = 1_000
TASK_ATTEMPTS_DEFAULT = 3  # a task that three agents lost is probably at fault itself
TASK_ATTEMPTS_MAX = 100
TASK_HISTORY_MAX = 20  # past holders shown with a task
CLAIM_CANDIDATES_MIN = 5  # ready tasks read at first; nearly always the first of them fits
CLAIM_CANDIDATES_MAX = 3_200  # in a page, when none of many fitted
CLAIM_LOCKED_MAX = 50  # ready tasks with a locked scope that a claim passes over before it gives up
RECLAIM_MAX = 500  # taken back in one transaction; the next sweep does the rest
TASK_CYCLE_NAMED_MAX = 12  # tasks of a cycle named in one sentence; the details name up to LIST_ITEMS_MAX
TASK_WALK_MAX = 100_000  # edges followed to look for a cycle; the writer waits meanwhile
LEASES_RECLAIMED_MAX = 500  # in one pass, so that the writer is soon free for others
LEASES_KEPT_S = 7 * 24 * 3600  # an ended lease is remembered so long, to tell a late holder why

# Overview
CONTEXT_CHARS_MIN = 1_000  # a task's own figures and a word of each of its texts
CONTEXT_CHARS_DEFAULT = 12_000  # some 3,000 tokens: enough to begin with, little enough to read
CONTEXT_ITEMS_MAX = 20  # messages, events and locks looked at for one context
