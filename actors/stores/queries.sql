-- The statements of the tenant's own rows. Each runs in a transaction that has set parley.org_id,
-- so row security holds as well as the conditions written here.

-- name: get_conversation
SELECT id, title, metadata, busy, created_at, updated_at, generation
FROM conversations WHERE id = %(conversation)s AND user_id = %(user)s;

-- name: list_conversations
-- Newest first; a page goes on behind the last row of the one before.
SELECT id, title, metadata, busy, created_at, updated_at, generation
FROM conversations
WHERE user_id = %(user)s
  AND (%(before_time)s::timestamptz IS NULL
       OR (updated_at, id) < (%(before_time)s::timestamptz, %(before_id)s::uuid))
ORDER BY updated_at DESC, id DESC LIMIT %(limit)s;

-- name: create_conversation
INSERT INTO conversations (org_id, id, user_id, title, metadata, busy)
VALUES (%(org)s, %(conversation)s, %(user)s, %(title)s, %(metadata)s, %(busy)s)
RETURNING id, title, metadata, busy, created_at, updated_at, generation;

-- name: update_conversation
UPDATE conversations
SET title = CASE WHEN %(set_title)s THEN %(title)s ELSE title END,
    metadata = coalesce(%(metadata)s, metadata), busy = coalesce(%(busy)s, busy),
    updated_at = now()
WHERE id = %(conversation)s AND user_id = %(user)s
RETURNING id, title, metadata, busy, created_at, updated_at, generation;

-- name: delete_conversation
DELETE FROM conversations WHERE id = %(conversation)s AND user_id = %(user)s RETURNING id;

-- name: unfinished_runs
SELECT id AS run, message_id AS message FROM runs
WHERE conversation_id = %(conversation)s AND state IN ('queued', 'running', 'stopping')
ORDER BY message_seq;

-- name: page_of_messages
-- The newest messages before a seq, newest first.
SELECT id, seq, role, text, agent, model, reply_to, status, created_at, metadata, run_id
FROM messages
WHERE conversation_id = %(conversation)s
  AND (%(before)s::int IS NULL OR seq < %(before)s::int)
ORDER BY seq DESC LIMIT %(limit)s;

-- name: get_profile
SELECT profile FROM users WHERE id = %(user)s;

-- name: merge_profile
-- One level deep; a null removes its key.
UPDATE users SET profile = (profile || %(changes)s) - %(removed)s::text[], updated_at = now()
WHERE id = %(user)s RETURNING profile;

-- name: lock_conversation_of_run
-- Held while a run is stopped: a message accepted meanwhile learns whether its own run is ready.
SELECT id FROM conversations
WHERE id = (SELECT conversation_id FROM runs WHERE id = %(run)s AND user_id = %(user)s)
FOR UPDATE;

-- name: stop_run
-- A queued run is stopped at once, a running one by its producer.
UPDATE runs
SET state = CASE state WHEN 'queued' THEN 'stopped' ELSE 'stopping' END, updated_at = now()
WHERE id = %(run)s AND user_id = %(user)s AND state IN ('queued', 'running')
RETURNING state, conversation_id AS conversation,
    (SELECT generation FROM conversations c WHERE c.id = conversation_id) AS generation;

-- name: state_of_run
SELECT state, conversation_id AS conversation,
    (SELECT generation FROM conversations c WHERE c.id = conversation_id) AS generation
FROM runs WHERE id = %(run)s AND user_id = %(user)s;

-- name: next_run
SELECT id FROM runs
WHERE conversation_id = %(conversation)s AND state IN ('queued', 'running', 'stopping')
ORDER BY message_seq LIMIT 1;
