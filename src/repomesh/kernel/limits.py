"""Every limit of the server, once, with its unit and its reason.

Values that an operator may want to change are settings (`kernel/settings.py`).
"""

from __future__ import annotations

# Requests and answers
BODY_BYTES_MAX = 1024 * 1024  # unless an operation carries a long text or contents, and says so
TEXT_BODY_BYTES_MAX = 10 * 1024 * 1024  # of what carries a text of TEXT_CHARS_MAX, most of it beyond ASCII
URL_BYTES_MAX = 16_384  # path and query; proxies and browsers take 8 to 16 KB
QUERY_FIELDS_MAX = 1_000  # parameters of one query; the longest list has a tenth of it
PAGE_ITEMS_DEFAULT = 50
PAGE_ITEMS_MAX = 200  # a page is read whole by an agent or drawn whole by a screen
PAGE_CHARS_MAX = 2_000_000  # read for one page, which then ends early; encoding as many takes some 10 ms
IDEMPOTENCY_KEY_CHARS_MAX = 255  # as Stripe's
IDEMPOTENCY_KEPT_S = 24 * 3600  # longer than any sane retry
TEXT_CHARS_MIN = 200  # least budget of one text: a shorter part is of no use
MAX_CHARS_MIN = 500  # of a list: its longest cursor, and the id of an item that is too long to be shown
RECORD_CHARS_MIN = 1_000  # of one message or summary: its names, ids and figures, and what was left out
DETAIL_CHARS_MIN = 2_000  # the same of a task, meeting, decision or review, which have twice as many
MAX_CHARS_MAX = 1_000_000
PROBLEM_FIELDS_MAX = 20  # wrong fields named in one answer; more would not help to correct them
PROBLEM_FIELD_CHARS_MAX = 200  # of a field's name, which the caller may have made up
WAIT_S_MAX = 50.0  # under the 60 s after which proxies and MCP clients give up

# Reactions
REACTION_DEPTH_MAX = 8  # events in a chain that each caused the next: one for each domain behind the first

# JSON from outside
JSON_DEPTH_MAX = 64  # levels of a value that is kept; most have a few, and each is followed by recursion
JSON_WRAPPING_MAX = 16  # levels around it: of a request, a batch, a relay, an event, a list, an export
JSON_BODY_DEPTH_MAX = JSON_DEPTH_MAX + JSON_WRAPPING_MAX  # of a body; parsers give up at some 200
JSON_INTEGER_MIN = -(2**63)  # what 64 bits hold, signed or not: parsers round what is beyond it
JSON_INTEGER_MAX = 2**64 - 1
JSON_VALUES_MAX = 100_000  # in one body: event data of EVENT_DATA_CHARS_MAX can't hold more
JSON_KEYS_MAX = 1_000  # of one object: each unknown one makes an error, and each free one is kept
JSON_SHALLOW_SIGNS_MAX = (
    10_000  # read of JSON that can't be parsed whole, in some 10 ms; its names come first
)
JSON_UNCHECKED_BYTES = 4_096  # too short to hold much; most requests are, and are not counted through
LARGE_JSON_AT_ONCE = 1  # bodies beyond JSON_ON_LOOP_BYTES that are read at once
JSON_ON_LOOP_BYTES = 65_536  # counted and parsed in a few ms; larger ones are on a thread
# Connections, and requests before their token was checked
CONNECTIONS_MAX = 10_000  # of one process, where the limit of open files allows as many
UNAUTHENTICATED_CONNECTIONS_MAX = 4_096  # of them; beyond it the oldest is closed for the newest
ADDRESS_UNAUTHENTICATED_MAX = 256  # of one address that is not this machine's own
OPEN_FILES_RESERVED_MAX = 1_024  # for the database, logs, contents and calls to elsewhere
OPEN_FILES_RESERVED_SHARE = 4  # a quarter of the limit of open files, where that is less
OPEN_FILES_SPARE_MIN = 64  # fewer left than this, and /readyz answers 503
OPEN_FILES_SPARE_SHARE = 16  # a sixteenth of the limit of open files, where that is less
OPEN_FILES_COUNTED_EVERY_S = 1.0  # counting lists a folder of as many entries as files are open
CONNECTION_SWEEP_S = 1.0  # between looks at the connections' deadlines, which are longer by far
HEADERS_S = 10.0  # from the connection, or from the answer before, to the end of a request's headers
HEADERS_BYTES_MAX = 32_768  # request line and headers together; proxies pass on less
HEADERS_COUNT_MAX = 128  # as the library of the WebSockets takes
REQUEST_BODY_S = 120.0  # from the headers to the end of the body: 21 MiB at 1.5 Mbit/s
LISTEN_BACKLOG = 4_096  # connections that wait to be accepted; a lost attempt costs its client a second
SMALL_CHUNKS_MAX = 1_024  # of a body, of any size, as programs send that write word by word
CHUNK_BYTES_MEAN_MIN = 32  # a short line; parsing a chunk takes 1.5 µs, so a megabyte of these 50 ms
CROWD_CONNECTIONS = 100  # accepted within the next line's time: clients that have left are not served
CROWD_S = 0.1
ACCEPTS_PER_ROUND = 8  # of the event loop; with 1, a connection behind a flood would wait for many rounds
PIPELINED_MAX = 4  # requests waiting for the answer before theirs; the connection ends behind these
REQUESTS_PER_TURN = 8  # of clients without a token, begun in one round of the event loop: some 3 ms
UPGRADE_TURN_S = 0.005  # between turns to become a WebSocket
UPGRADES_PER_TURN = 4  # of 0.5 ms each; 800 a second, so all that may be without a token within 6 s
DRAIN_S = 5.0  # for which a refused client's data is read and dropped, so that it receives the refusal
DRAIN_BYTES_MAX = 32 * 1024 * 1024  # the same in bytes: more than the largest body
DRAIN_TURN_S = 0.01  # between turns to read what is dropped
DRAIN_TURN_CONNECTIONS = 4  # that read in one turn, 256 kB each: 25 MB/s for one, 100 MB/s for all together
STALLED_S = 30.0  # a client that takes less than the next line says within this time is cut off
STALLED_BYTES_MIN = 16_384
CLOSING_S = 10.0  # after its end a connection has so long to take what is still to be sent
UNVERIFIED_BODY_BYTES_MAX = (
    48 * 1024 * 1024
)  # of signed webhooks under way in one process: two of the largest
LARGE_BODY_BYTES_MIN = (
    262_144  # above it a body is worked on alone: some 50 ms, and 40 times its size in memory
)
LARGE_BODIES_BYTES_MAX = (
    64 * 1024 * 1024
)  # of those in one process, being sent or waiting: three of the largest
LARGE_BODY_TURN_S = 10.0  # after it the next is begun as well; the longest text takes 5 s on a busy machine
MEMORY_RETURNED_BYTES_MIN = BODY_BYTES_MAX  # behind a larger one free memory is returned, which takes 10 ms
MAPPED_BLOCK_BYTES_MIN = 1_048_576  # a mapping costs some microseconds; smaller blocks are too many for it
UNVERIFIED_BODY_S = (
    20.0  # from the headers to the end of a signed body, which can't be verified before its end
)
SOCKET_AUTH_FRAME_BYTES_MAX = 4_096  # an auth frame holds a token and a name
SOCKET_AUTH_BYTES_MAX = 16_384  # of all that a socket sends before it is authenticated
SOCKET_FRAGMENTS_MAX = 1_024  # of one message; empty ones count, too
SOCKET_AUTH_PINGS_MAX = 16  # and pongs, before it is authenticated; libraries send one in 20 s
SOCKET_CLOSING_BYTES_MAX = 65_536  # read behind the server's close, in which the client's own may come
SOCKET_SLICE_BYTES = 2_048  # parsed at once, then others have their turn: 340 of the smallest frames, 3 ms
SOCKET_SLICES_PER_TURN = 8  # of all sockets, in one round of the event loop
MCP_SESSIONS_MAX = 1_000  # of the older handshake, of 38 kB each; beyond it the longest idle one ends
MCP_TOKEN_SESSIONS_MAX = 100  # of one token: its clients on one machine, several times over
STOP_FORCED_S = 10.0  # after the signal to stop; what is still running then ends with the process

TOKEN_SCOPES_MAX = 50  # more than there are
TOKEN_LIFE_S_MIN = 60
TOKEN_LIFE_S_MAX = 10 * 365 * 86_400  # a longer one is meant to have no end

# Names and texts
NAME_CHARS_MAX = 64
LABEL_CHARS_MAX = 200  # subjects, goals, topics: one line
TEXT_CHARS_MAX = 1_000_000  # bodies and descriptions
NORMALIZED_AT_ONCE_CHARS = 256  # normalising takes quadratic time where a text is all marks
WORDS_AT_ONCE_CHARS = 20_000  # of a long text taken apart into words at once; others run between two parts
WORD_GROUPS = 16  # in which the words of a long text are compared, one group in memory at a time
WORDS_GROUPED_CHARS = 200_000  # of a text whose words are compared in groups; each word takes 60 bytes
WORDS_INSIDE_CHARS = 2_000  # of a text whose words are found inside its transaction, in at most 1 ms
REASON_CHARS_MAX = 2_000
LIST_ITEMS_MAX = 100  # tags, capabilities, dependencies, resources of one request

# Store
WRITE_BATCH_MAX = 200  # commands in one group commit; more only makes the first wait longer (measured)
ANSWER_WITHIN_S = 0.003  # after its commit a batch is answered before another command of the next is begun
SAVEPOINT_BATCHES = 32  # commits in which each command has a savepoint, after one without had to be run again
KNOWN_ANSWERS_MAX = 10_000  # that the writer remembers, such as agents by their names
TEXT_INDEX_BATCH = 500  # documents that may wait for the full-text index; a search reads these itself
TEXT_INDEX_PASS = 5_000  # documents indexed at once at the most, if no more were written: some 75 ms
TEXT_INDEX_PASS_CHARS = 500_000  # the same for long texts, of which each word costs: some 50 ms
REBUILD_DOCUMENTS = 500  # of an older index, rebuilt in one transaction: some 30 ms
REBUILD_READ_ROWS = 20  # texts read at once for that; the longest have 10 MiB each
TEXT_INDEX_WORDS_EACH = 100  # of a long text count as one document that waits
TEXT_WAITING_CHARS_MAX = 2_000_000  # of waiting words that a search reads; each word of a question takes 1 ms
TEXT_INDEX_IDLE_S = 0.25  # after so long without a command the waiting ones are indexed
WRITE_QUEUE_MAX = 10_000  # commands waiting for the writer before callers are told to come back
READ_QUEUE_MAX = 2_000  # reads that run or wait; more would only answer callers that have given up
COMPUTE_QUEUE_MAX = 20  # answers that take seconds, one after another; callers further back would give up
START_CHECK_S = 5.0  # of a start in which SQLite looks for damage: some GB; 'doctor' looks to the end
PREPARE_GIT_THREADS = 2  # that ask a repository for one request; a few seconds at most
PREPARE_MINUTES_THREADS = 1  # that build a branch again or take in a bundle, for up to minutes
PREPARE_THREADS = 2  # that take long texts apart and write contents; each takes a share from the event loop
READ_THREADS = 4  # SQLite readers; they release the interpreter lock while SQLite works
SEARCHES_AT_ONCE = READ_THREADS // 2  # reads of long texts take seconds, and leave threads for other reads
SEARCHES_WAITING_MAX = 200  # of one caller that wait for those; further back they would give up
READS_PER_CALLER = READ_THREADS // 2  # at once: one caller's many reads must not make others' wait
READS_WAITING_MAX = 200  # of one caller that wait for those
MCP_CALLS_PER_CALLER_MAX = 120  # open at once: 100 that wait, and some beside them
ANSWERS_PER_CALLER = 12  # to reads that one caller was not sent whole yet: an unread one may be of megabytes
ANSWERS_WAITING_MAX = 200  # reads of one caller that begin when it has read others
POSTGRES_THREADS = 16  # commands that may wait for locks at once
POSTGRES_ATTEMPTS_MAX = 5  # a deadlock or lock time-out is tried again so often
POSTGRES_LOCK_TIMEOUT_MS = 10_000
POSTGRES_STATEMENT_TIMEOUT_MS = 30_000
POSTGRES_IDLE_TRANSACTION_TIMEOUT_MS = 60_000
CLOCK_BEHIND_TOLD_S = 1.0  # behind the newest commit at start; smaller differences are not logged

# Push
STREAM_BUFFER_EVENTS = 1_000  # a subscriber this far behind is closed and resumes from the log
STREAM_BUFFER_CHARS = 16_000_000  # the same in text, for events that carry long bodies
STREAM_WRITE_BYTES = 65_536  # ready frames go out together up to this size, then the client must keep up
STREAM_READ_EVENTS = 500  # one read of the log by a tail or a lagging subscriber
STREAM_READ_CHARS = 1_000_000  # the same in text, for events that carry long data
STREAM_SCAN_EVENTS = 20_000  # events looked at in one such read when few of them match
LOG_READS_AT_ONCE = 2  # such reads by subscribers that lag, of each caller one: a megabyte takes 20 ms
STREAM_SUBSCRIBERS_MAX = 2_000  # sockets and event streams of one process
STREAMS_PER_CALLER_MAX = 32  # the same of one agent, or token without one; an unread one holds a megabyte
STREAM_POSITION_EVERY_S = 15.0  # so that a filtered stream never rescans on resume
STREAM_CHUNK_CHARS = 65_536  # of events sent at once to a stream; more would only fill the write buffer
STREAM_CLOSE_S = 30.0  # a slow client may take so long to read up to the reason of the end
SOCKET_AUTH_S = 10.0  # until the first frame, when the upgrade carried no token
SOCKET_REFUSED_FRAMES_MAX = 100  # of one socket, then it is closed: each takes as long as a request
SOCKET_SUBSCRIPTIONS_MAX = 32  # filters of one socket
LOG_READS_WAITING_MAX = STREAMS_PER_CALLER_MAX * SOCKET_SUBSCRIPTIONS_MAX  # all that one caller may have
SOCKET_FRAME_CHARS_MAX = 65_536  # a client's frame holds a filter at most
MEETING_FRAME_CHARS_MAX = 400_000  # an opinion and its proposal, even where each character is escaped
LOG_POLL_S = 1.0  # between polls of the log, in case wake-ups from other processes were lost
TAIL_LINGER_S = 30.0  # a tail that nobody uses any more stops reading after this

# Events
EVENT_TYPE_CHARS_MAX = 100
EVENT_DATA_CHARS_MAX = 100_000  # every subscriber gets it; longer data belongs into a message or a file
CORRELATION_CHARS_MAX = 128
PRUNE_EVENTS_MAX = 5_000  # removed in one transaction; the writer waits meanwhile
PRUNE_CHARS_MAX = 64_000_000  # the same for events that carry long bodies

# Messaging
RECIPIENTS_MAX = 1_000
HOPS_MAX = 12  # agent replies in a row without a human in between
MESSAGE_TTL_S_MAX = 366 * 24 * 3600.0  # a message of use for longer belongs into the repository
EVENT_BODY_CHARS_MAX = 16_000  # of a message in its event, which every subscriber receives; the rest by id
WAIT_KEPT_S = 12 * 3600.0  # a wait that a client polls; a working day and some more
WAIT_RESULT_KEPT_S = 3600.0  # after its end, for a client that slept; the messages stay in the inbox
WAIT_POLL_MS = 10_000  # between a client's looks at a wait; more often would only cost requests
CALLS_WAITING_PER_AGENT_MAX = 100  # at once; each costs a read whenever something happens that may end it
WAITS_PER_AGENT_MAX = 20  # that still wait; a program that forgets its waits must not fill the table
WAITS_FORGOTTEN_MAX = 1_000  # in one transaction, so that the writer is soon free for others
REACTION_CHARS_MAX = 32  # an emoji with its modifiers, or a short word
REACTIONS_PER_AGENT_MAX = 20  # of one agent on one message
UNDELIVERED_MAX = 50  # messages reported in one transaction; the writer waits meanwhile
UNDELIVERED_RECIPIENTS_MAX = 200  # of these messages: why each missed it is looked up, but for one message
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
WAKE_BEHIND_WAIT_S = 12.0  # the poll of a wait, and a little: a waiting agent finds the message by then
WAKE_SESSIONS_MAX = 200  # idle sessions looked at for one answer

# Reviews
REVIEWERS_MAX = 20  # all of whom must approve
REVIEW_FILES_MAX = 1_000
REVIEW_PATH_CHARS_MAX = 1_024
REVIEW_TEXT_CHARS_MAX = 16_000  # a description travels whole in events; a summary is a message's body
REVIEW_DIFF_CHARS_MAX = 1_000_000  # larger ones are read as a commit range

# People
QUESTION_CHARS_MAX = 8_000  # a person reads it first of all; longer texts belong into a message or a file
QUESTION_OPTIONS_MAX = 10
QUESTIONS_OPEN_MAX = 50  # of one agent; a person can't answer more
INBOX_ITEMS_DEFAULT = 20  # of each sort; a person looks at the first few
PERMISSION_SHOWN_S = 12 * 3600.0  # a CLI that waits for longer was abandoned, or has ended
PERMISSION_NOTED_S = 2.0  # the hook that reports a permission request is recorded within this time
PERMISSIONS_READ_MAX = 200  # events looked through for those that still wait
QUESTIONS_DUE_MAX = 50  # settled in one transaction, each with a message; the writer waits meanwhile
PERMISSION_SUMMARY_CHARS_MAX = 300  # of what a CLI asks its person; the person reads the rest at the CLI

# The data folder
GIT_S = 10.0  # that git may take to find a repository; on a slow disk it needs one or two
PRIVATE_FILE_BYTES_MAX = (
    1024 * 1024
)  # of a token, a record, a note; the longest, of a CLI, keeps what it changed
FOLDER_ID_CHARS = 32  # 128 random bits, so that nobody who writes into a repository can guess them
FOLDER_ENTRIES_MAX = 1_000  # directly in the data folder; repomesh makes about twenty

# Hooks' processes; connect/hook_main.py repeats these, since it can't afford to import them
HOOK_DEADLINE_S = 0.45  # of a process that must be gone within 0.5 s, its own start included
HOOK_OUTPUT_BYTES_MAX = 4_096  # of an answer: it goes into a model's context
HOOK_INPUT_BYTES_MAX = 16 * 1024 * 1024  # of a hook's input; more could not be read in time
HOOK_SENT_BYTES_MAX = 1024 * 1024  # by a hook: longer inputs go without what tools answered
HOOK_ON_LOOP_BYTES = (
    4_096  # of an input, read in a few ms; longer ones are read on a thread, one after another
)
HOOK_BODY_BYTES_MAX = HOOK_SENT_BYTES_MAX + 65_536  # and what the server is told beside it
HOOK_TEXT_CHARS_MAX = 16_000  # of each text of an input that is too long even so; patches name files earlier
HOOK_LOG_BYTES_MAX = 256 * 1024  # of hooks.log, beside as much in hooks.log.1

# The guard for git
GUARD_MERGES_MAX = (
    500  # of one push that are looked at closely, in some 10 ms each; of more all that differs counts
)
GUARD_GIT_S = (
    120.0  # for one answer of git, on a large repository and a busy disk; then nothing is let through
)
GUARD_SHARERS_MAX = 1_000  # repositories noted as users of one shared folder of hooks

# Hooks and what they put before a model
CLI_SESSION_ID_CHARS_MAX = 128
FILE_PATH_CHARS_MAX = 4_096  # as Linux allows
PROCESS_ID_CHARS_MAX = 64
PROCESS_MACHINE_CHARS_MAX = 28  # of a host's name: leaves room for number, start and namespace
PROCESS_NUMBER_MAX = 2**31 - 1  # a pid_t of every system that agents run on
HOOK_PROCESSES_MAX = 16  # ancestors of a hook, from its CLI on
HOOK_PROCESS_DEPTH = (
    2  # a hook's parent is its CLI, or the shell between; what is further up is no CLI of its
)
PROCESS_START_SLACK_S = 60.0  # a wall clock may have been set meanwhile; numbers come again only after long
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
TRANSCRIPT_LOOKUP_S = 5.0  # for a look at a transcript, behind the answer; a slow disk may take a second
TRANSCRIPT_TAIL_BYTES = 1024 * 1024  # of a transcript looked through for boundaries: some tool results
TRANSCRIPTS_PER_PASS = 50  # looked through by one pass of the worker
BRIEFING_CHARS_MAX = 2_000  # like a delivery
BRIEFING_SHARE_CHARS = 1_200  # of a delivery that begins with it; the rest is for messages
RESOURCE_SHOWN_CHARS = 100  # of a path or goal in one line
BRIEFING_ITEMS_MAX = 8  # tasks, leases and messages named in a briefing
BRIEFING_OPEN_TASKS_MAX = 500  # newest open tasks among which those meant for an agent are looked for
DAMAGED_NAME_CHARS = 200  # of a damaged record whose name is damaged, too: enough to find it
DAMAGED_SHOWN_MAX = 20  # damaged records that the doctor names; more than that are mended by a backup
DAMAGED_NAMED_MAX = 1_000  # damaged records that a process remembers, so that its log names each once
DEEDS_LOOKED_AT = 50  # newest events of an agent among which notable ones are searched
DEEDS_TOLD_MAX = 5  # in a briefing
STOP_BLOCKS_MAX = 3  # ends of turn blocked in a row; a model that ignores three ignores further ones, too
TURN_END_LOOKED_AT_MAX = 500  # newest unread messages searched for those that should block the end of a turn
TURN_END_TOLD_MAX = 50  # messages remembered as shown at the ends of one turn
LEASE_WARNINGS_S = (300, 60)  # seconds left at which a holder is warned, once for each
EDITED_PATHS_MAX = 1_000  # that one tool call names; one of more counts as touching the whole repository
GIT_MODULES_BYTES_MAX = 65_536  # of a `.gitmodules`; a longer one counts as naming any folder
SHELL_CHARS_MAX = 40_000  # of a shell command; a longer one counts likewise
SHELL_STEPS_MAX = 16_000  # of reading one, some 20 ms; one that takes more counts likewise
SHELL_NESTING_MAX = 100  # of brackets and quotations within one substitution; deeper ones count likewise
SHELL_DEPTH_MAX = 8  # of commands inside of commands (`sh -c`); deeper ones count likewise
SHELL_PROGRAMS_MAX = 500  # in one command, wrappers such as `sudo` included; more count likewise
SHELL_FOLDERS_MAX = 16  # that a command may run in, behind `cd`s that may have failed; more count as any
SHELL_WORD_FORMS_MAX = 64  # of one word's braces, `{a,b}`; more count as any name in their folder
LOOKUP_S = 0.25  # for a look at files that a caller named: the hook that waits for it gives up at 0.4 s
LOOKUP_THREADS_MAX = 8  # of one purpose; each may be stuck on a mount that does not answer
LOOKUPS_WAITING_MAX = 200  # for a thread; beyond it they fail at once
GIT_FILE_BYTES_MAX = 4_200  # of a `.git` file: 'gitdir: ' and a path
CLI_RUN_REMEMBERED_S = 12 * 3600.0  # between two hooks of a run: a person comes back the next morning
CLI_SESSIONS_LOOKED_AT = 200  # newest sessions of a CLI among which that of the same run is looked for
CLI_SESSIONS_FORGOTTEN_MAX = 500  # in one transaction, so that the writer is soon free for others
CLI_SESSIONS_KEPT_S = 7 * 24 * 3600.0  # after its end, so that it may be resumed as the same agent

# Background work
JOB_ROUNDS = 10  # of taking and settling one piece of work, before others have their turn
TRANSCRIPTS_AT_ONCE = 4  # workspaces whose transcripts are looked at; the look-ups have threads of their own
WORKER_RETRIES_S = (0.5, 1.0, 2.0, 5.0, 10.0)  # between attempts of a worker that fails; then the last one
SWEEP_AT_ONCE = 8  # workspaces visited together: they share a commit, and leave connections for callers
SWEEP_PAUSE_S_MIN = 0.05  # between passes, however close together deadlines are
SWEEP_CHANGES_S = 10.0  # between queries for work that became due by commands of other servers
HOUSEKEEPING_S = 60.0  # between queries for rows that are only to be deleted
SWEEP_ROUNDS_MAX = 1_000  # of one pass, each a bounded piece of every command; the next pass goes on

# Presence, of agents and of the server itself
FORMER_NAMES_MAX = 20  # of one agent; each is kept for it for good
AGENTS_SWEPT_MAX = 100  # set inactive in one transaction, with an event each
ABSENCE_S = 25.0  # a shorter gap costs an agent less than one of its heartbeats, which come every 30 s
PRESENCE_NOTED_EVERY_S = 10.0  # the next start counts the absence from the last record; two fit into a gap

# Leases
LITERAL_PATH_BYTES_MAX = 4_096  # as Linux allows; a file of a longer name can't be checked out
LITERAL_PATH_CHARS_MAX = 3 * LITERAL_PATH_BYTES_MAX  # with each byte percent-encoded
LEASE_TTL_S_MIN = 1.0
LEASE_TTL_S_MAX = 24 * 3600.0
FENCING_TOKENS_SKIPPED = 1_000_000  # at a restore: more than were given out since the backup was made
PATTERN_CHARS_MAX = 1_024  # of a lock's path: a lock names a part of a tree
PATTERN_WILD_CHARS_MAX = (
    256  # of it from the first segment with a wildcard on: one comparison takes <= 0.3 ms
)
PATTERN_SEGMENTS_MAX = 64  # deeper than real trees; bounds the ancestors that one indexed read looks up
BRACE_ALTERNATIVES_MAX = 32  # that the braces of one text stand for: each becomes a lock of its own
COMPARISON_STEPS_MAX = 100_000  # characters and pairs compared for one request: some 0.1 s of the writer
LOCKS_PER_AGENT_MAX = 2_000  # live ones; an agent that needs more should lock folders
LOCKS_PER_WORKSPACE_MAX = 20_000
LOCKS_UNCOUNTED_MAX = 100  # an agent with so few may exceed the workspace's limit, whose counting costs 3 ms
PATTERNS_PER_AGENT_MAX = 100  # live locks with wildcards: each may have to be compared with any request
PATTERNS_PER_WORKSPACE_MAX = 1_000
WAITING_LOCKS_PER_AGENT_MAX = 200  # resources for which an agent stands in the queue

# Workspaces
TOKENS_CLOSED_MAX = 100  # of a removed workspace, revoked in one transaction, with an event each

# Tasks
TASK_TEXT_CHARS_MAX = 50_000  # descriptions and results travel whole in each of a task's events
TASK_TYPE_CHARS_MAX = 16  # one word of a table, such as 'research'
TASK_PRIORITY_MIN = -1_000
TASK_PRIORITY_MAX = 1_000
TASK_ATTEMPTS_DEFAULT = 3  # when three agents lost a task, the task itself is probably the cause
TASK_ATTEMPTS_MAX = 100
TASK_HISTORY_MAX = 20  # past holders shown with a task
CLAIM_CANDIDATES_MIN = 5  # ready tasks read at first; nearly always the first of them fits
CLAIM_CANDIDATES_MAX = 3_200  # in a page, when none of many fitted
CLAIM_LOCKED_MAX = 50  # ready tasks with a locked scope that a claim passes over before it gives up
RECLAIM_MAX = 100  # taken back in one transaction; the writer waits meanwhile
TASK_CYCLE_NAMED_MAX = 12  # tasks of a cycle named in one sentence; the details name up to LIST_ITEMS_MAX
BLOCKED_NAMED_MAX = 20  # tasks named in a notice that they are blocked; the list of tasks shows all
TASK_WALK_MAX = 100_000  # edges followed to look for a cycle; the writer waits meanwhile
LEASES_RECLAIMED_MAX = 100  # in one transaction, so that the writer is soon free for others
LEASES_FORGOTTEN_MAX = 500  # the same for ended ones, which are only deleted
LOSSES_LOOKED_AT = 100  # newest leases that an agent lost, of which it is told the first few and a number
LOSSES_SHARE_CHARS = 700  # of a delivery or briefing that begins with what an agent lost
RECEIPT_CHARS_MAX = 64  # of the boundary of an answer, or what stands for it
LEASES_KEPT_S = 7 * 24 * 3600  # an ended lease is remembered so long, to tell a late holder why

# Overview
CONTEXT_CHARS_MIN = 1_000  # a task's own figures and a word of each of its texts
CONTEXT_CHARS_DEFAULT = 12_000  # some 3,000 tokens: enough to begin with, little enough to read
CONTEXT_ITEMS_MAX = 20  # messages, events and locks looked at for one context

# Collaborative sessions
SESSION_JSON_CHARS_MAX = 20_000  # of a session's context or metadata: they travel in its events
KEY_CHARS_MAX = 128  # of what callers name a chunk, a memory, an artifact or a task in a session
CHUNK_BYTES_MAX = 10 * 1024 * 1024  # of one chunk in UTF-8; senders must split larger ones
SEQUENCE_MAX = 2**53 - 1  # of a chunk's place: the largest integer that every JSON parser keeps exact
CHUNKS_PER_REQUEST_MAX = 200  # like a page; each is small then, since the body is bounded, too
CONTENT_BODY_BYTES_MAX = 2 * CHUNK_BYTES_MAX + 1024 * 1024  # each byte may be escaped in JSON, or in base64
CONTENT_PAGE_BYTES_MAX = 4 * 1024 * 1024  # of contents in one answer; its first item comes in any case
CONTENT_CHARS_DEFAULT = 100_000  # of one content that is read without saying how much
MEMORY_CHARS_MAX = 50_000  # of a memory's content as JSON: it travels whole in each of its events
MEMORY_SOURCES_MAX = 20
ARTIFACT_BYTES_MAX = 10 * 1024 * 1024
ARTIFACT_STORED_BYTES_MAX = 1024 * 1024  # in its row; what is larger lies apart, as a content
CONTENT_PIECE_BYTES = 1024 * 1024  # of a content in one row of a shared database: what is held at once
CONTENT_KEPT_S = 3600.0  # a content that nothing names may belong to a command that is on its way
CONTENTS_SWEPT_MAX = 1_000  # asked about at once
CONTENTS_SWEPT_EVERY_S = 900.0  # unnamed contents only take room, so this need not be soon
IMPORT_KEPT_S = 24 * 3600.0  # since its last piece, for an import that broke off; then it is dropped
IMPORTS_DROPPED_MAX = 100  # in one pass of the sweeper
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
EMBEDDING_BATCH_S = 120.0  # for one batch in the background, with its transactions
EMBEDDING_TEXTS_MAX = 32  # at once: small endpoints take no more
EMBEDDING_TEXT_CHARS = 4_000  # of each text: some 1,000 tokens, of which many models take half
EMBEDDING_DIMENSIONS_MAX = 8_192
EMBEDDING_BYTES_MAX = 16 * 1024 * 1024  # of an answer: so many vectors of so many figures
EMBEDDING_OVERLAP_S = 300.0  # looked at again, should the clock have been put back
EMBEDDINGS_AT_ONCE_MAX = 16  # requests under way; recall then does without
EMBEDDINGS_PAUSE_S = 30.0  # for which an endpoint that failed is not asked again
VECTORS_MAX = 20_000  # newest memories of a workspace compared by meaning; 6 ms of 256 figures (measured)
VECTORS_WORKSPACES_MAX = 8  # whose vectors stay in memory
RECALL_NEAR = 50  # memories nearest in meaning that are candidates
COMPLETIONS_AT_ONCE_MAX = 8  # questions under way; endpoints refuse more themselves

# Search
REFUSAL_LOG_S = 60.0  # between two log lines for the same refusal: repeated requests would fill the disk
ID_CHARS = 36  # a UUID in canonical form
ID_PART_CHARS_MIN = 6  # of an id's beginning or end; fewer match by chance among a thousand
ID_END_CHARS = 8  # of an id's end, as terminals print it: the random part tells apart what was made together
ID_MATCHES_MAX = 10  # candidates named when a part is ambiguous; more help nobody
ID_ROWS_MAX = 100_000  # newest rows of a sort that are looked at for a part: some tens of milliseconds
ID_TITLE_CHARS = 80  # of each candidate's title

SEARCH_ITEMS_DEFAULT = 20
SEARCH_BLOCK_FIRST = 50  # matches looked up at first; most pages need no more
SEARCH_RANKED_MAX = 500  # newest matches that are ranked; what is older is found by its time
SEARCH_TEXT_CHARS = 20_000  # of each text looked at for ranks and snippets
SNIPPET_CHARS = 240
SNIPPET_PARTS_MAX = 3  # of a text in one snippet; more would say too little each
SNIPPET_STEP_CHARS = 20_000  # of a text looked through at once for what a snippet is to show
SNIPPET_SPOTS_MAX = 1_000  # matches of one text that are weighed for its snippet
SNIPPET_DEEP_CHARS = 12_000_000  # of long texts looked through for one answer: the longest, and some more
RECALL_WORDS_MAX = 24  # of a question; the first ones say what it is about
RECALL_PER_WORD = 300  # newest matches of each word that are candidates
RECALL_CANDIDATES_MAX = 200  # of which the texts are read
RECALL_ITEMS_DEFAULT = 8
RECALL_CHARS_DEFAULT = 4_000  # of an answer: some 1,000 tokens
RECALL_HALF_LIFE_S = 30 * 24 * 3600.0  # after so long a memory's recency counts half

# Meetings
MEETING_PARTICIPANTS_MIN = 2  # a single participant needs no meeting
MEETING_PARTICIPANTS_MAX = 50  # in all, those who left included; each receives every other's opinions
MEETING_ROUNDS_MAX = 10  # participants that disagree after ten rounds will not agree in further ones
MEETING_ROUNDS_DEFAULT = 3
MEETING_ASKED_MAX = 2  # turns of a participant in a round: a second after it was skipped and came back
MEETING_TIMEOUT_S_MIN = 1.0
MEETING_TIMEOUT_S_MAX = 7 * 24 * 3600.0  # people may want days
MEETING_TIMEOUT_S_DEFAULT = 300.0
MEETING_DRAFTING_S = 60.0  # for a proposal that a model writes; then a draft made without it does
MEETING_TOPIC_CHARS_MAX = 2_000  # stored unchanged
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
MEETING_REPLAY_SPEED_MIN = 0.01  # slower replays seem to stand still
MEETING_REPLAY_SPEED_MAX = 1_000_000.0  # a week in less than a second
DECISIONS_BRIEFED_MAX = 5  # newest active decisions in an agent's briefing

# Topics of meetings
TOPIC_HOURS_MAX = 14 * 24.0  # older topics had their meeting, or do not matter any more
TOPIC_MESSAGES_MAX = 10_000  # newest messages that are grouped: some seconds of computing
TOPIC_MESSAGES_LOOKED_AT = 50_000  # newest messages of the workspace among which are the caller's
TOPIC_EVENTS_MAX = 300  # newest failures, blocked tasks, waits, questions and meetings, of each so many
TOPIC_EVENTS_LOOKED_AT = 200_000  # newest events of the workspace among which these are, and are the caller's
TOPIC_POSTED_MAX = 500  # newest events posted by agents that are grouped
TOPIC_POSTED_PER_TYPE = 100  # of them, so that a frequent type leaves room for the others
TOPIC_EVENT_TYPES_MAX = 100  # types of posted events that are looked for; more are no words but counters
TOPIC_TEXT_CHARS = 1_000  # of each message that are read; what it is about is said by then
TOPICS_DEFAULT = 10
TOPICS_MAX = 50
TOPIC_PEOPLE_MAX = 20  # suggested for one topic; the most frequent speakers first

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
WEBHOOK_TIMEOUT_S = 15.0  # of one attempt, from the name's look-up to the answer's headers
WEBHOOK_RESPONSE_S = 2.0  # for the body behind them, of which only a beginning is kept, to be looked at
WEBHOOK_CONNECT_S = 5.0  # to each address of a host
WEBHOOK_KEEPALIVE_S = 30.0  # of a connection that nothing is sent on
WEBHOOK_REST_S_MIN = 5.0  # a receiver that did not answer gets nothing for so long
WEBHOOK_REST_S_MAX = 300.0  # the same after a long outage
WEBHOOK_REST_SHARE = 0.1  # of the time for which it has been failing, between these two
WEBHOOK_FAILING_S_MAX = 5 * 24 * 3600.0  # without one success; then it is disabled
WEBHOOK_RESPONSE_BYTES_MAX = 4_096  # of an answer that are read; only its status counts
WEBHOOK_RESPONSE_PIECES_MAX = 64  # in which it comes; each takes 0.1 ms to parse, however small
WEBHOOK_EXCERPT_CHARS_MAX = 500  # of an answer that are kept
WEBHOOK_BATCH = 20  # deliveries that are taken at once; a killed server sends no more of them twice
WEBHOOK_PLANNED_MAX = 100  # events of the log that become deliveries in one transaction
WEBHOOK_PLANNED_CHARS_MAX = 4_000_000  # the same for events that carry long bodies
WEBHOOK_WAITING_MAX = 10_000  # deliveries of one webhook; beyond it the events wait in the log
WEBHOOK_CLAIM_S = 20.0  # a webhook whose server was killed goes on after this; longer than an attempt
WEBHOOK_SETTLE_EVERY_S = 1.0  # outcomes are written down, and the claim renewed, at least so often
WEBHOOK_SENDERS_MAX = 64  # webhooks that one process sends for at once
WEBHOOK_RESOLVERS = 8  # threads that look names up; a slow one holds no more than its own
WEBHOOK_GATHER_S = 0.05  # events that are committed within this time are looked at together
WEBHOOK_POSITION_EVERY_S = 15.0  # a position behind which nothing matched is written down so often
WEBHOOK_OLD_SECRET_S = 24 * 3600.0  # so long the secret before signs, too, after a rotation
WEBHOOK_KEPT_S = 3 * 24 * 3600.0  # what was delivered, for looking it up
WEBHOOK_DEAD_KEPT_S = 30 * 24 * 3600.0  # what could not be delivered, for sending it again
WEBHOOK_FORGOTTEN_MAX = 500  # in one transaction, so that the writer is soon free for others
WEBHOOK_REPLAYED_MAX = 500  # in one request; it says when there are more
WEBHOOK_DELIVERY_IDS_MAX = 100  # deliveries named in an event; all of them are counted

# Git and the merge queue
QUEUE_GIT_S = 60.0  # for one command of git on the repository; a fetch or a push gets QUEUE_REMOTE_S
QUEUE_REMOTE_S = 300.0
QUEUE_MERGE_S = 60.0  # for one merge; 50,000 files take 10 ms
QUEUE_MERGE_ANSWER_BYTES_MAX = 16 * 1024 * 1024  # of git about one merge: some 100,000 conflicts
QUEUE_ERROR_CHARS_MAX = 2_000  # of what git says about a failure
QUEUE_PATH_BYTES_MAX = 4_096  # of a path in a change, as Linux allows
QUEUE_NAME_BYTES_MAX = 255  # of one name in it
CHANGE_COMPARED_BYTES_MAX = 8 * 1024 * 1024  # of a file; a larger one counts as binary, and is not searched
COMMIT_BYTES_MAX = 1024 * 1024  # of a commit or tag: its message, above all
QUEUE_PATH_FOLDERS_MAX = 256  # around a file, of which trees are read and written one in the other
PATCH_LINES_READ_MAX = 3_000_000  # of files, for all hunks of a patch: about a second
PATCH_PLACES_MAX = 6  # at which a hunk fits that are looked for; two are too many already
QUEUE_CONFIGURATION_BYTES_MAX = 65_536  # of repomesh.toml
CHECKS_MAX = 50  # in repomesh.toml
CHECK_S_MAX = 6 * 3600.0  # of one check
CHECK_OUTPUT_CHARS_MAX = 20_000  # of a check's output that are kept: its end
CHANGE_FILES_MAX = 5_000  # of one change; each is a row's part and is compared with those of others
CHANGE_LINES_MAX = (
    300_000  # of the files of one change, before and after: libgit2 keeps 130 bytes for each line
)
CHANGE_BLOB_BYTES_MAX = 50 * 1024 * 1024  # of one file in a change
CHANGE_PATCH_CHARS_MAX = 4_000_000
CHANGE_BUNDLE_BYTES_MAX = 10 * 1024 * 1024
CHANGE_BUNDLE_UNPACKED_MAX = 200 * 1024 * 1024  # bytes of all its objects; source code shrinks to a fifth
CHANGE_BUNDLE_OBJECTS_MAX = 50_000
CHANGE_DEPENDENCIES_MAX = 20
CHANGE_COMMITS_MAX = 500  # of a branch that lands commit by commit
CHANGE_AUTHORS_MAX = 50  # who are named in the commit that a change lands as
RISK_REASONS_MAX = 20  # that are kept of one change
CHANGE_ANCESTORS_MAX = 10_000  # commits of a branch among which earlier changes are looked for
CHANGES_OPEN_MAX = 1_000  # under way in one workspace; planning looks at all of them
SECRETS_SHOWN_MAX = 5  # places in one change that look like secrets
SECRET_LINE_CHARS_MAX = 2_000  # of a line that is looked at for secrets
SECRET_LINES_MAX = 20_000  # added lines of one change that are searched for secrets; with more it is critical
QUEUE_PEOPLE_MAX = 50  # who are asked when the queue needs a person
QUEUE_CLAIM_S = 15.0  # a lane whose worker was killed goes on after this
QUEUE_RENEW_S = 4.0  # a worker says so often that it still works on a lane
QUEUE_WANTED_S = 1.0  # between looks whether changes whose checks run are still wanted
QUEUE_LOCK_S = 60.0  # for another worker of this machine to end its move of a branch
QUEUE_LOCK_POLL_S = 0.02  # while that is waited for
QUEUE_INDEX_SETTLED_S = 1.0  # behind which a git that wrote an index has written HEAD, too
QUEUE_INDEX_WAIT_S = 3.0  # for a git that writes the index of a work tree that is to follow its branch
QUEUE_REF_LOCK_LEFT_S = 5.0  # between a note that a ref is moved and the lock of the process that was killed
QUEUE_DROPPED_S = 3_600.0  # so long a move that was given up may still turn out to have been made
QUEUE_DROPPED_MAX = 20  # of one branch that are looked at
QUEUE_POLL_S = 1.0  # while changes wait for a lock, they are looked at so often
QUEUE_REST_S = 0.01  # between looks that find no lane: every commit of the server asks for one
QUEUE_RETRIES_S = (1.0, 5.0, 30.0, 120.0, 600.0)  # after failures of git, the disk or the network
QUEUE_RETRIES_TOLD = 6  # such failures of one change behind which people are told: some 13 minutes
QUEUE_NO_REPOSITORY_S = 10.0  # so long a server leaves a lane whose repository it does not have to others
QUEUE_LANES_AT_ONCE = 4  # of one process
QUEUE_BATCH_MAX = 50  # changes that are built together
CONFLICT_FILES_SHOWN_MAX = 20  # of one change that are kept with their texts
CONFLICT_OTHERS_MAX = 50  # landed changes that are looked at for what stands against a conflicted one
CONFLICT_OTHER_FILES_MAX = 500  # of such a change; one with more says little about a file
CONFLICT_CHARS_MAX = 20_000  # of each side of a conflicted file that are kept
CHECK_RESULTS_KEPT_S = 90 * 24 * 3600.0  # so long reports name the checks behind a landing
CHECK_RESULTS_FORGOTTEN_MAX = 500  # in one transaction
CHECK_SUBMODULES_MAX = 100  # of one commit or submodule, that are checked out for checks
CHECK_SUBMODULES_DEEP_MAX = 5  # submodules of submodules
SANDBOX_MASKS_MAX = 100  # data folders of other servers that are hidden from a check; some 12 ms
SANDBOX_INFO_BYTES_MAX = 4_096  # that bubblewrap writes about a sandbox: a process and its namespaces
CHECK_TREES_MAX = 64  # work trees for one workspace, of all servers on a machine
CHECK_TREES_LEFT_S = 3_600.0  # so long a killed server's work trees wait for its next start
CHECK_MEMORY_MIN = 512 * 1024**2  # bytes of a check that names none: fewer would fail ordinary test runs
CHECK_USAGE_WATCHED_S = 0.5  # between two looks; one takes some 10 ms
CHECK_USAGE_WATCHED_SHARE = 0.05  # of the time at most
CHECK_DESCRIPTORS_MAX = (
    4_096  # of each process, looked at for files in memory; a process has 1,024 by default
)
CHECK_DISK_FREE_MIN = 512 * 1024**2  # bytes that checks leave to the server and its database
CHECK_DISK_WRITTEN_MIN = 64 * 1024**2  # with fewer, it was somebody else who filled the disk
CHECK_MEMORY_FREE_MIN = 2 * 1024**3  # bytes of /dev/shm that must be free for work trees to be there
QUEUE_STALL_S = 1_800.0  # a lane with work in which nothing moved for so long stands still
QUEUE_PINS_SWEEP_S = 3_600.0  # between two looks for commits that need not be kept any more
QUEUE_PINS_KEPT_S = 30 * 86_400.0  # the commit of a change that ended is kept so long
QUEUE_PIN_ORPHANS_KEPT_S = 86_400.0  # a commit without a change: its submission may still be under way
QUEUE_PINS_SWEPT_MAX = 5_000  # looked at in one sweep; the others follow in the next
QUEUE_STATS_CHANGES_MAX = 10_000  # the newest of a time span that statistics are computed of
ROLLBACK_COMMITS_MAX = 2_000  # of the target branch, from its tip on, among which changes are looked for
ROLLBACK_CHANGES_MAX = 200  # landed changes that one rollback takes back
REPLAY_COMMITS_MAX = 2_000  # landed commits that are built again
QUEUE_ROUND_S = 24 * 3600.0  # for one batch with all its checks; each check has its own time
STRUCTURED_BYTES_MAX = 1_000_000  # of a file that is merged by its structure; larger ones are no source code
STRUCTURED_CHANGE_BYTES_MAX = 20_000_000  # of all sides of one change's conflicts, which one process merges
STRUCTURED_MEMORY_BYTES = 1024**3  # of address space of that process; 1 MB of real code takes some 300 MB
STRUCTURED_CPU_S = 10  # seconds of that process; 1 MB of 20,000 functions takes as many
STRUCTURED_DEPTH_MAX = 50  # levels of parts in parts; each takes a few frames of the stack
STRUCTURED_PARTS_MAX = 20_000  # functions, keys, items of one file; more are data that a program wrote
STRUCTURED_VALUES_MAX = 300_000  # of a document, aliases counted as often as they are used
DIFF_STEPS_MAX = 1_000_000  # of one comparison of lines, about a second
PARSE_STEPS_MAX = 100_000  # calls back of tree-sitter for one source; 1 MB of code takes a quarter
CHANGE_HEADS_MAX = 200  # earlier changes of an author on which a new one may build that are looked at

# Plans of requests
PLAN_TASKS_MAX = (
    200  # of one plan; a person can still read the list, and each task becomes a row with a lease
)
PLAN_TASK_FILES_MAX = (
    25  # files of one task; nine of ten commits in this project's history change 21 or fewer
)
PLAN_TASK_LINES_MAX = 8_000  # lines of a task's existing files: as many tokens as the next limit allows
PLAN_TASK_TOKENS_MAX = 100_000  # tokens of a task's existing files: half of a context window of 200,000
PLAN_TASK_LIMIT_MAX = 10_000_000  # of each of these three, where they are configured
PLAN_TASK_PATTERNS_MAX = 1_000  # paths and patterns of one task
PLAN_PATTERNS_MAX = 10_000  # of all tasks of a plan; each is compared with others
PLAN_WILD_PATTERNS_MAX = 500  # of these with wildcards, which are compared with most others
PLAN_COMPARISON_STEPS_MAX = 1_000_000  # characters and pairs compared for one plan: about a second
PLAN_DEPENDENCIES_MAX = PLAN_TASKS_MAX  # of one task: every other task
PLAN_CONTEXT_FILES_MAX = 100  # that a task reads without owning them; more would not be read
PLAN_TEXTS_MAX = 50  # acceptance criteria, and checks, of one task
PLAN_TEXT_CHARS_MAX = 2_000  # of a goal, a criterion, a check or a note
PLAN_NOTES_MAX = 200  # notes of one plan
PLAN_BYTES_MAX = 4 * 1024 * 1024  # of a plan as JSON: 10,000 paths of 200 characters, and their texts
PLAN_VIOLATIONS_MAX = 100  # violations named in one answer; correcting them takes longer than asking again
PLAN_REQUESTED_MAX = 5_000  # paths and patterns that one request touches: the files that one change may have
PLAN_REPOSITORY_FILES_MAX = 200_000  # paths of a repository; their index takes about 1 kB each
PLAN_SOURCE_BYTES_MAX = (
    1_000_000  # of a file that is parsed for its imports; larger ones are generated or data
)
PLAN_PARSED_BYTES_MAX = 32 * 1024 * 1024  # of all files parsed for one plan: some 5 s of Python's parser
PLAN_EXACT_TOKENS_FILES_MAX = 500  # whose tokens tiktoken counts, at some 2 MB/s; of more they are estimated
PLAN_READ_BYTES_MAX = (
    20 * 1024 * 1024
)  # of one file that is read for its size; the merge queue takes larger ones
PLAN_REFERENCES_MAX = 200_000  # edges of one reference graph
PLAN_FILE_REFERENCES_MAX = 2_000  # references read from one file; generated ones have more
PLAN_REEXPORT_DEPTH_MAX = 8  # modules that pass a name on, one after another
PLAN_PARSE_STEPS_MAX = 20_000  # callbacks of tree-sitter while it parses one file: some seconds
PLANNING_MEMORY_BYTES = 2 * 1024**3  # of address space of the process that makes or checks one plan
PLANNING_CPU_S = 30  # seconds of that process; a repository of 5,000 files takes two
REQUEST_PATHS_MAX = 1_000  # paths and patterns that a request or its brief names; folders stand for more
REQUEST_ATTACHMENTS_MAX = 10
REQUEST_ATTACHMENT_CHARS_MAX = 20_000  # of each attachment: a log's end, a specification's chapter
REQUEST_TASKS_UNAPPROVED_MAX = 20  # tasks of a plan that nobody need approve, under the policy 'risk'
REQUEST_ROUNDS_MAX = 3  # plans in a row that break a rule, before a person is asked
REQUESTS_OPEN_MAX = 200  # requests under way in a workspace: more than people can follow
PLAN_CONFIGURATIONS_MAX = 200  # manifests (package.json, tsconfig.json, go.mod, Cargo.toml) that are read
