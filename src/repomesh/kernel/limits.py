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
ANSWER_WITHIN_S = 0.003  # after its commit a batch is answered before another command of the next is begun
CAREFUL_BATCHES = 32  # commits in which each piece has a savepoint, after one without had to be run again
KNOWN_ANSWERS_MAX = 10_000  # that the writer remembers, such as agents by their names
TEXT_INDEX_BATCH = 500  # documents that may wait for the full-text index; a search reads these itself
TEXT_INDEX_PASS = 5_000  # documents indexed at once at the most, if no more were written: some 75 ms
TEXT_INDEX_IDLE_S = 0.25  # after so long without a command the waiting ones are indexed
WRITE_QUEUE_MAX = 10_000  # pieces waiting for the writer before callers are told to come back
READ_QUEUE_MAX = 2_000  # reads that run or wait; more would only answer callers that have given up
COMPUTE_QUEUE_MAX = 20  # answers that take seconds, one after another; who is further behind has given up
READ_THREADS = 4  # SQLite readers; they release the interpreter lock while SQLite works
POSTGRES_THREADS = 16  # commands that may wait for locks at once
POSTGRES_ATTEMPTS_MAX = 5  # a deadlock or lock time-out is tried again so often
POSTGRES_LOCK_TIMEOUT_MS = 10_000
POSTGRES_STATEMENT_TIMEOUT_MS = 30_000
POSTGRES_IDLE_TRANSACTION_TIMEOUT_MS = 60_000

# Push
STREAM_BUFFER_EVENTS = 1_000  # a subscriber this far behind is closed and resumes from the log
STREAM_BUFFER_CHARS = 16_000_000  # the same in text, for events that carry long bodies
STREAM_WRITE_BYTES = 65_536  # ready frames go out together up to this size, then the client must keep up
STREAM_READ_EVENTS = 500  # one read of the log by a tail or a lagging subscriber
STREAM_SCAN_EVENTS = 20_000  # events looked at in one such read when few of them match
STREAM_SUBSCRIBERS_MAX = 2_000  # sockets and event streams of one process
STREAM_POSITION_EVERY_S = 15.0  # so that a filtered stream never rescans on resume
STREAM_CHUNK_CHARS = 65_536  # of events sent at once to a stream; more would only fill the write buffer
STREAM_CLOSE_S = 30.0  # a slow client may take so long to read up to the reason of the end
SOCKET_AUTH_S = 10.0  # until the first frame, when the upgrade carried no token
SOCKET_SUBSCRIPTIONS_MAX = 32  # filters of one socket
SOCKET_FRAME_CHARS_MAX = 65_536  # a client's frame holds a filter at most
MEETING_FRAME_CHARS_MAX = 400_000  # an opinion and its proposal, even where each character is escaped
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
WAIT_KEPT_S = 12 * 3600.0  # a wait that a client asks about again and again; a working day and some more
WAIT_RESULT_KEPT_S = 3600.0  # after its end, for a client that slept; what it says stays in the inbox
WAIT_POLL_MS = 10_000  # between a client's looks at a wait; more often would only cost requests
WAITS_PER_AGENT_MAX = 20  # that still wait; a program that forgets its waits must not fill the table
WAITS_FORGOTTEN_MAX = 1_000  # in one pass of the recovery worker
REACTION_CHARS_MAX = 32  # an emoji with its modifiers, or a short word
REACTIONS_PER_AGENT_MAX = 20  # of one agent on one message
UNDELIVERED_PER_PASS = 100  # messages reported in one pass of the recovery worker; the rest in the next
UNDELIVERED_NAMED_MAX = 20  # recipients named in a notice; the receipts name all of them
TEXT_MATCHES_PER_READ = 500  # ids of a full-text search that are looked up at once
TEXT_MATCHES_PER_PAGE = 20_000  # matches looked at for one page of messages when few are the caller's
# Messages looked at for one page of the log: nearly always the first few hold it; when few of very many
# are the caller's, a page may be short rather than keep a reader busy for seconds.
LOG_WINDOWS = (1_000, 100_000)

REMINDER_CANDIDATES_MAX = 100  # newest unread messages looked at for a reminder, of whatever importance
REMINDER_NAMED_MAX = 3  # senders named in a reminder

# Waking
WAKE_TRIES_MAX = 3  # refusals of one CLI session for one message; it then waits for the next turn
WAKE_RETRY_S = 15.0  # after a refusal, times the refusals so far
WAKE_BEHIND_WAIT_S = 12.0  # the poll of a wait, and a little: who waits finds the message by that
WAKE_SESSIONS_MAX = 200  # idle sessions looked at for one answer

# Reviews
REVIEWERS_MAX = 20  # all of whom must approve
REVIEW_FILES_MAX = 1_000
REVIEW_PATH_CHARS_MAX = 1_024
REVIEW_TEXT_CHARS_MAX = 16_000  # a description travels whole in events; a summary is a message's body
REVIEW_DIFF_CHARS_MAX = 1_000_000  # larger ones are read as a commit range

# People
QUESTION_CHARS_MAX = 8_000  # a person reads it before anything else; what is longer is a message or a file
QUESTION_OPTIONS_MAX = 10
QUESTIONS_OPEN_MAX = 50  # of one agent; who asks more has not understood that a person answers
INBOX_ITEMS_DEFAULT = 20  # of each sort; a person looks at the first few
PERMISSION_SHOWN_S = 12 * 3600.0  # a CLI that stands still for longer was left alone, or is gone
PERMISSION_NOTED_S = 2.0  # the hook that tells of a permission is itself noted within this time
PERMISSIONS_READ_MAX = 200  # events looked through for those that still wait
QUESTIONS_DUE_MAX = 100  # settled in one pass of the recovery worker; the rest in the next
PERMISSION_SUMMARY_CHARS_MAX = 300  # of what a CLI asks its person; the person reads the rest at the CLI

# Hooks' processes; connect/hook_main.py repeats these, since it can't afford to import them
HOOK_DEADLINE_S = 0.45  # of a process that must be gone within 0.5 s, its own start included
HOOK_OUTPUT_BYTES_MAX = 4_096  # of an answer: it goes into a model's context
HOOK_INPUT_BYTES_MAX = 16 * 1024 * 1024  # of a hook's input; more could not be read in time
HOOK_SENT_BYTES_MAX = 1024 * 1024  # by a hook: longer inputs go without what tools answered
HOOK_TEXT_CHARS_MAX = 16_000  # of each text of an input that is too long even so; patches name files earlier
HOOK_LOG_BYTES_MAX = 256 * 1024  # of hooks.log, beside as much in hooks.log.1

# Hooks and what they put before a model
CLI_SESSION_ID_CHARS_MAX = 128
FILE_PATH_CHARS_MAX = 4_096  # as Linux allows
PROCESS_ID_CHARS_MAX = 64
HOOK_PROCESSES_MAX = 16  # ancestors of a hook; its CLI is among the first two
HOOK_PROCESS_DEPTH = (
    2  # a hook's parent is its CLI, or the shell between; what is further up is no CLI of its
)
HOOK_ANSWER_S = 0.4  # an answer that took longer came too late: the hook gives up at 0.5 s
HOOK_NOTED_EVERY_S = 15.0  # how old `last_hook_at` may get while hooks come in
DELIVERY_CHARS_MAX = 2_000  # of one delivery: what a model can take in between two tool calls
DELIVERY_BYTES_MAX = 3_600  # the same as JSON in UTF-8, so that a hook prints less than 4 kB
DELIVERY_MESSAGES_MAX = 8  # in one delivery; more would leave each too little of its text
ENVELOPE_LINES_MAX = 60  # of one message; a text of nothing but line ends would fill it with bars
DELIVERY_CANDIDATES_MAX = 100  # newest messages looked at for one delivery
DELIVERY_TRIES_MAX = 3  # of one message to one CLI session; it then stands in the briefing
DELIVERY_RETRY_S = 60.0  # after so long without a sign in the transcript it is handed out again
DELIVERY_UNDECIDED_S = 600.0  # after so long a delivery that was not confirmed has failed
DELIVERIES_KEPT_S = 30 * 24 * 3600.0  # for tracing what became of a message
DELIVERIES_FORGOTTEN_MAX = 500  # in one transaction, so that the writer is soon free for others
TRANSCRIPT_TAIL_BYTES = 1024 * 1024  # of a transcript looked through for boundaries: some tool results
TRANSCRIPTS_PER_PASS = 50  # looked through by one pass of the worker
BRIEFING_CHARS_MAX = 2_000  # like a delivery
BRIEFING_SHARE_CHARS = 1_200  # of a delivery that begins with it; the rest is for messages
RESOURCE_SHOWN_CHARS = 100  # of a path or goal in one line
BRIEFING_ITEMS_MAX = 8  # tasks, leases and messages named in a briefing
BRIEFING_OPEN_TASKS_MAX = 500  # newest open tasks among which those meant for an agent are looked for
DEEDS_LOOKED_AT = 50  # newest events of an agent among which those worth telling are looked for
DEEDS_TOLD_MAX = 5  # in a briefing
STOP_BLOCKS_MAX = 3  # ends of turn held back in a row; a model that did not listen by then won't
STOP_LOOKED_AT_MAX = 500  # newest unread messages looked at for what should hold back the end of a turn
STOP_TOLD_MAX = 50  # messages remembered as told at the ends of one turn
LEASE_WARNINGS_S = (300, 60)  # seconds left at which a holder is warned, once for each
EDITED_PATHS_MAX = 100  # of one tool call; a patch over more is checked for the first of them
SHELL_CHARS_MAX = 20_000  # of a shell command looked through for files that it writes
CLI_SESSIONS_KEPT_S = 7 * 24 * 3600.0  # after its end, so that it may be resumed as the same agent

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

# Collaborative sessions
SESSION_JSON_CHARS_MAX = 20_000  # of a session's context or metadata: they travel in its events
KEY_CHARS_MAX = 128  # of what callers name a chunk, a memory, an artifact or a task in a session
CHUNK_BYTES_MAX = 10 * 1024 * 1024  # of one chunk in UTF-8; what is larger is cut by who sends it
CHUNKS_PER_REQUEST_MAX = 200  # like a page; each is small then, since the body is bounded, too
CONTENT_BODY_BYTES_MAX = 2 * CHUNK_BYTES_MAX + 1024 * 1024  # each byte may be escaped in JSON, or in base64
CONTENT_PAGE_BYTES_MAX = 4 * 1024 * 1024  # of contents in one answer; its first item comes in any case
CONTENT_CHARS_DEFAULT = 100_000  # of one content that is read without saying how much
TEXT_PART_CHARS = 200_000  # of a long text in one document of the full-text index: it must fit a tsvector
MEMORY_CHARS_MAX = 50_000  # of a memory's content as JSON: it travels whole in each of its events
MEMORY_SOURCES_MAX = 20
ARTIFACT_BYTES_MAX = 10 * 1024 * 1024
ARTIFACT_STORED_BYTES_MAX = 1024 * 1024  # in the database; larger ones are files beside it
CONTENT_FILE_KEPT_S = 3600.0  # a file that nothing names may belong to a command that is on its way
CONTENT_FILES_SWEPT_MAX = 1_000  # asked about at once
CONTENT_FILES_SWEPT_EVERY_S = 900.0  # files that nothing names only take room
ERASED_ROWS_MAX = 500  # of a session that is deleted, in one transaction; the writer waits meanwhile
ERASED_BYTES_MAX = 16 * 1024 * 1024  # the same in contents, whose words must be read to be forgotten
ERASED_NAMED_MAX = 100  # keys of each sort named when a session is deleted; all of them are counted
SUMMARY_ITEMS_MAX = 20  # of each sort in a summary
SUMMARY_CHUNKS_MAX = 1_000  # newest ones looked at for who speaks
SUMMARY_LINE_CHARS = 300  # of what is quoted in one
SUMMARY_MATERIAL_CHARS = 40_000  # of a session given to a model that is to sum it up: some 10,000 tokens
SUMMARY_PIECE_CHARS = 2_000  # of each chunk and memory of it; summaries say what, not every word
SUMMARY_WRITTEN_CHARS = 6_000  # of what a model wrote; more is no summary

# Language models
COMPLETION_S = 45.0  # for an answer; clients wait a little longer
COMPLETION_BYTES_MAX = 1024 * 1024  # of an answer with all that endpoints put around it
COMPLETION_CHARS_MAX = 50_000  # of the text in it
EMBEDDING_S = 2.0  # for vectors, besides what each text may take: a recall waits for them
EMBEDDING_TEXT_S = 0.25  # for each text: a small model without a GPU
EMBEDDING_TEXTS_MAX = 32  # at once: small endpoints take no more
EMBEDDING_TEXT_CHARS = 4_000  # of each text: some 1,000 tokens, of which many models take half
EMBEDDING_DIMENSIONS_MAX = 8_192
EMBEDDING_BYTES_MAX = 16 * 1024 * 1024  # of an answer: so many vectors of so many figures
EMBEDDING_OVERLAP_S = 300.0  # looked at again, should the clock have been put back
EMBEDDINGS_AT_ONCE_MAX = 16  # requests under way; recall then does without
EMBEDDINGS_PAUSE_S = 30.0  # for which an endpoint that failed is left alone
VECTORS_MAX = 20_000  # newest memories of a workspace compared by meaning; 6 ms of 256 figures (measured)
VECTORS_WORKSPACES_MAX = 8  # whose vectors stay in memory
RECALL_NEAR = 50  # memories nearest in meaning that are candidates
COMPLETIONS_AT_ONCE_MAX = 8  # questions under way; endpoints refuse more themselves

# Search
SEARCH_ITEMS_DEFAULT = 20
SEARCH_BLOCK_FIRST = 50  # matches looked up at first; most pages need no more
SEARCH_RANKED_MAX = 500  # newest matches that are ranked; what is older is found by its time
SEARCH_TEXT_CHARS = 20_000  # of each text looked at for ranks and snippets
SNIPPET_CHARS = 240
RECALL_WORDS_MAX = 24  # of a question; the first ones say what it is about
RECALL_PER_WORD = 300  # newest matches of each word that are candidates
RECALL_CANDIDATES_MAX = 200  # of which the texts are read
RECALL_ITEMS_DEFAULT = 8
RECALL_CHARS_DEFAULT = 4_000  # of an answer: some 1,000 tokens
RECALL_HALF_LIFE_S = 30 * 24 * 3600.0  # after so long a memory's recency counts half

# Meetings
MEETING_PARTICIPANTS_MIN = 2  # one alone needs no meeting
MEETING_PARTICIPANTS_MAX = 50  # ever, those who left included; each hears all the others
MEETING_ROUNDS_MAX = 10  # who does not agree by then won't
MEETING_ROUNDS_DEFAULT = 3
MEETING_ASKED_MAX = 2  # times that one is asked in a round: again after it was passed over and came back
MEETING_TIMEOUT_S_MIN = 1.0
MEETING_TIMEOUT_S_MAX = 7 * 24 * 3600.0  # people may want days
MEETING_TIMEOUT_S_DEFAULT = 300.0
MEETING_DRAFTING_S = 60.0  # for a proposal that a model writes; then a draft made without it does
MEETING_TOPIC_CHARS_MAX = 2_000  # kept to the letter
MEETING_AGENDA_ITEMS_MAX = 20
MEETING_PROMPT_CHARS_MAX = 2_000  # of what a template has participants asked; it comes with every request
MEETING_RELATED_MAX = (
    50  # messages, or tasks, that a meeting or decision concerns; it is shown with them in full
)
MEETING_REQUEST_CHARS_DEFAULT = 6_000  # of a request with the opinions so far: some 1,500 tokens
MEETING_REQUEST_CHARS_MIN = 1_000  # topic, proposal and a word of each opinion
MEETING_REQUEST_CHARS_MAX = 100_000
MEETING_SUMMARY_CHARS = 400  # of each participant's last word in a summary of positions
MEETINGS_SETTLED_MAX = 100  # in one pass of the sweep; the rest in the next
OPINION_CHARS_MAX = 16_000  # it travels whole in its event, and cut in others' requests
PROPOSAL_CHARS_MAX = 8_000  # it is voted on whole, and stands as the decision
RATIONALE_CHARS_MAX = 50_000  # of a decision: it travels whole in each of its events
DECISION_TASKS_MAX = 20  # made with a decision, in its transaction
MEETING_MATERIAL_CHARS = 40_000  # of the opinions that a model is given for a proposal
MEETING_REPLAY_SPEED_MIN = 0.01  # slower is standing still
MEETING_REPLAY_SPEED_MAX = 1_000_000.0  # a week in less than a second
DECISIONS_BRIEFED_MAX = 5  # newest ones in force that an agent is told in its briefing

# Topics of meetings
TOPIC_HOURS_MAX = 14 * 24.0  # what is older was met about, or forgotten
TOPIC_MESSAGES_MAX = 10_000  # newest messages that are grouped: some seconds of computing
TOPIC_MESSAGES_LOOKED_AT = 50_000  # newest messages of the workspace among which are the caller's
TOPIC_EVENTS_MAX = 300  # newest failures, blocked tasks, waits, questions and meetings, of each so many
TOPIC_EVENTS_LOOKED_AT = 200_000  # newest events of the workspace among which these are, and are the caller's
TOPIC_POSTED_MAX = 500  # newest events posted by agents that are grouped
TOPIC_POSTED_PER_TYPE = 100  # of them, so that a talkative type leaves room for the others
TOPIC_EVENT_TYPES_MAX = 100  # types of posted events that are looked for; more are no words but counters
TOPIC_TEXT_CHARS = 1_000  # of each message that are read; what it is about is said by then
TOPICS_DEFAULT = 10
TOPICS_MAX = 50
TOPIC_PEOPLE_MAX = 20  # suggested for one topic; who spoke most comes first

# Webhooks
BATCH_STEPS_MAX = 100  # in one transaction; the writer waits meanwhile
WEBHOOK_ID_CHARS_MAX = 200  # of a delivery; with a step's number it is an Idempotency-Key
WEBHOOK_AGE_S_MAX = 300  # of a signed delivery, as Standard Webhooks advises
WEBHOOK_WRAPPINGS_MAX = 3  # of relays around a command

# Outgoing webhooks
WEBHOOKS_MAX = 50  # of one workspace; each of them reads the whole log
WEBHOOK_URL_CHARS_MAX = 2_048  # as proxies and receivers take
WEBHOOK_RETRIES_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)  # after each failure, as Standard Webhooks
WEBHOOK_JITTER = 0.2  # at most so much of a wait is added to it, so that retries don't come all at once
WEBHOOK_RETRY_AFTER_S_MAX = 24 * 3600.0  # that a receiver may ask for
WEBHOOK_TIMEOUT_S = 15.0  # of one attempt, from the name's look-up to the answer
WEBHOOK_CONNECT_S = 5.0  # to each address of a host
WEBHOOK_KEEPALIVE_S = 30.0  # of a connection that nothing is sent on
WEBHOOK_REST_S_MIN = 5.0  # a receiver that did not answer gets nothing for so long
WEBHOOK_REST_S_MAX = 300.0  # the same after a long outage
WEBHOOK_REST_SHARE = 0.1  # of the time for which it has been failing, between these two
WEBHOOK_FAILING_S_MAX = 5 * 24 * 3600.0  # without one success; then it is disabled
WEBHOOK_RESPONSE_BYTES_MAX = 4_096  # of an answer that are read; only its status counts
WEBHOOK_EXCERPT_CHARS_MAX = 500  # of an answer that are kept
WEBHOOK_BATCH = 20  # deliveries that are taken at once; a killed server sends no more of them twice
WEBHOOK_PLANNED_MAX = 100  # events of the log that become deliveries in one transaction
WEBHOOK_PLANNED_CHARS_MAX = 4_000_000  # the same for events that carry long bodies
WEBHOOK_WAITING_MAX = 10_000  # deliveries of one webhook; beyond it the events wait in the log
WEBHOOK_CLAIM_S = 20.0  # a webhook whose server was killed goes on after this; longer than an attempt
WEBHOOK_SETTLE_EVERY_S = 1.0  # outcomes are written down, and the claim renewed, at least so often
WEBHOOK_SENDERS_MAX = 64  # webhooks that one process sends for at once
WEBHOOK_RESOLVERS = 8  # threads that look names up; a slow one holds no more than its own
WEBHOOK_ROUNDS = 10  # of taking and sending, before others have their turn
WEBHOOK_GATHER_S = 0.05  # commands that come within this time are looked at together
WEBHOOK_POSITION_EVERY_S = 15.0  # a position behind which nothing matched is written down so often
WEBHOOK_OLD_SECRET_S = 24 * 3600.0  # so long the secret before signs, too, after a rotation
WEBHOOK_KEPT_S = 3 * 24 * 3600.0  # what was delivered, for looking it up
WEBHOOK_DEAD_KEPT_S = 30 * 24 * 3600.0  # what could not be delivered, for sending it again
WEBHOOK_FORGOTTEN_MAX = 500  # in one transaction, so that the writer is soon free for others
WEBHOOK_REPLAYED_MAX = 500  # in one request; it says when there are more
WEBHOOK_NAMED_MAX = 100  # deliveries named in an event; all of them are counted
