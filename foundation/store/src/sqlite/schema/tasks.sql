-- Tasks. Times are milliseconds since the Unix epoch.

CREATE TABLE task (
    pk INTEGER PRIMARY KEY,                 -- grows with each task that is made
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    context_id TEXT,
    agent TEXT NOT NULL,
    instance TEXT,
    skill TEXT,
    upstream_task_id TEXT,
    state INTEGER NOT NULL,                 -- A2A TaskState: 3, 4, 5 and 7 are terminal
    phase INTEGER NOT NULL,                 -- 0 ready, 1 sending, 2 running, 3 paused, 4 dead, 5 done
    seq INTEGER NOT NULL,                   -- the number of the newest event
    attempt INTEGER NOT NULL,
    next_run_at INTEGER,
    priority INTEGER NOT NULL,
    lease_owner TEXT,
    lease_until INTEGER,
    deadline INTEGER,                       -- the next of the four that strikes
    start_by INTEGER, finish_by INTEGER, close_by INTEGER, beat_by INTEGER,
    start_within INTEGER, finish_within INTEGER, close_within INTEGER, beat_within INTEGER,
    paused_from INTEGER, paused_at INTEGER, pause_frozen INTEGER,
    document_seq INTEGER NOT NULL,
    configs INTEGER NOT NULL,               -- how many rows of push_config it has
    created_at INTEGER NOT NULL,
    status_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;

-- Lists: newest status first, then by id, which is to be read backwards: so the newest stand at the end, where SQLite fills
-- pages to the brim. State and agent ride along, so that filters read no rows.
CREATE INDEX task_list ON task (owner, status_at, id DESC, state, agent);
CREATE INDEX task_all ON task (status_at, id DESC, state, agent);
-- What is forgotten first.
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL;
-- Contexts are random: in one large index each new task would touch a page of its own. So each 65,536 tasks have a part of
-- the index to themselves, and whoever looks for a context goes through the parts, the newest first.
CREATE INDEX task_context ON task (pk >> 16, context_id, owner) WHERE context_id IS NOT NULL;
CREATE INDEX task_upstream ON task (agent, upstream_task_id) WHERE upstream_task_id IS NOT NULL;
-- The queue. The moment as it is stands beside the one to sort by, so that counting what waits reads no rows.
CREATE INDEX task_ready ON task (agent, priority, ifnull(next_run_at, 0), next_run_at) WHERE phase = 0;
CREATE INDEX task_lease ON task (ifnull(lease_until, 0)) WHERE phase = 1;
CREATE INDEX task_running ON task (id) WHERE phase = 2;
CREATE INDEX task_deadline ON task (deadline) WHERE deadline IS NOT NULL;

-- What is large and seldom changes, so that a step need not write it again.
CREATE TABLE task_body (
    task INTEGER PRIMARY KEY REFERENCES task (pk) ON DELETE CASCADE,
    document BLOB NOT NULL,                 -- the task object as of event document_seq
    request BLOB
) STRICT;

CREATE TABLE task_event (
    task INTEGER NOT NULL REFERENCES task (pk) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (task, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE push_config (
    pk INTEGER PRIMARY KEY,                 -- grows with each config that is made
    task INTEGER NOT NULL REFERENCES task (pk) ON DELETE CASCADE,
    id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    delivered INTEGER NOT NULL,             -- the cursor into the task's log
    attempt INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    since INTEGER,
    dead TEXT,
    owed INTEGER NOT NULL,                  -- 1 while events wait for it and it is not dead
    taken INTEGER NOT NULL,                 -- 1 while the event in turn is on its way
    UNIQUE (task, id)
) STRICT;
CREATE INDEX push_due ON push_config (due_at) WHERE owed = 1;
CREATE INDEX push_dead ON push_config (task) WHERE dead IS NOT NULL;

-- A key outlives its task: a request that was answered once is not done again.
CREATE TABLE idem (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    hash BLOB NOT NULL,
    task TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idem_until ON idem (until);

-- How many there are, since counting a million rows takes too long. Written once a commit.
CREATE TABLE tally (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    ready INTEGER NOT NULL, sending INTEGER NOT NULL, running INTEGER NOT NULL,
    paused INTEGER NOT NULL, dead INTEGER NOT NULL, done INTEGER NOT NULL,
    events INTEGER NOT NULL, configs INTEGER NOT NULL, dead_configs INTEGER NOT NULL
) STRICT;
INSERT INTO tally VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0);
