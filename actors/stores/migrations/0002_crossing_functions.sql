-- The statements that cross organizations: group commits, the sweeper, key lookup, bootstrap.
-- Each runs as parley_system with a fixed search path.

-- The principal of an API key that is not revoked.
CREATE FUNCTION find_principal(key_sha256 bytea)
RETURNS TABLE (org_id uuid, user_id uuid, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    SELECT k.org_id, k.user_id, k.role FROM api_keys k
    WHERE k.sha256 = key_sha256 AND k.revoked_at IS NULL
$$;

-- An organization with one administrator who has this key; again does nothing.
CREATE FUNCTION bootstrap(new_org uuid, new_user uuid, new_key uuid, org_name text,
                          key_sha256 bytea)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
BEGIN
    INSERT INTO organizations (id, name) VALUES (new_org, org_name) ON CONFLICT DO NOTHING;
    INSERT INTO users (org_id, id, name)
        SELECT o.id, new_user, org_name FROM organizations o WHERE o.name = org_name
        ON CONFLICT DO NOTHING;
    INSERT INTO api_keys (org_id, id, user_id, sha256, role)
        SELECT u.org_id, new_key, u.id, key_sha256, 'admin'
        FROM users u JOIN organizations o ON o.id = u.org_id
        WHERE o.name = org_name AND u.name = org_name
        ON CONFLICT DO NOTHING;
END $$;

-- Commits a batch of submissions, each with its run, in one transaction.
-- Conversations are locked in the order of their ids, so that batches never deadlock.
-- outcome: accepted | conflict | busy | not_found. queued and ready are told of known messages too:
-- whoever repeats one heals what its first acceptance could not see to.
CREATE FUNCTION accept_messages(batch jsonb, lease interval)
RETURNS TABLE (ord int, outcome text, conversation_id uuid, message_id uuid, run_id uuid, seq int,
               created_at timestamptz, generation int, fresh boolean, created boolean,
               queued boolean, ready boolean, interrupted uuid[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
#variable_conflict use_column
DECLARE
    item record;
    existing record;
    conversation record;
    unfinished uuid[];
BEGIN
    PERFORM 1 FROM conversations c
    WHERE c.id IN (SELECT i.conversation_id
                   FROM jsonb_to_recordset(batch) AS i (conversation_id uuid))
    ORDER BY c.id FOR UPDATE;

    FOR item IN
        SELECT * FROM jsonb_to_recordset(batch) AS i (
            ord int, org_id uuid, user_id uuid, conversation_id uuid, is_new boolean,
            message_id uuid, run_id uuid, client_message_id text, payload_sha256 text,
            text text, agent text, metadata jsonb)
        ORDER BY i.org_id, i.user_id, i.client_message_id, i.ord
    LOOP
        ord := item.ord;
        fresh := false; created := false; queued := true; ready := false; interrupted := '{}';

        SELECT m.conversation_id, m.id, m.run_id, m.seq, m.created_at, m.payload_sha256,
               c.generation
        INTO existing
        FROM messages m JOIN conversations c ON c.id = m.conversation_id
        WHERE m.org_id = item.org_id AND m.user_id = item.user_id
          AND m.client_message_id = item.client_message_id;
        IF NOT FOUND THEN
            IF item.is_new THEN
                INSERT INTO conversations (org_id, id, user_id)
                VALUES (item.org_id, item.conversation_id, item.user_id);
                created := true;
            END IF;
            SELECT * INTO conversation FROM conversations c
            WHERE c.id = item.conversation_id AND c.org_id = item.org_id
              AND c.user_id = item.user_id
            FOR UPDATE;
            IF NOT FOUND THEN
                outcome := 'not_found';
                RETURN NEXT;
                CONTINUE;
            END IF;
            SELECT coalesce(array_agg(r.id ORDER BY r.message_seq), '{}') INTO unfinished
            FROM runs r
            WHERE r.conversation_id = conversation.id
              AND r.state IN ('queued', 'running', 'stopping');
            IF conversation.busy = 'reject' AND cardinality(unfinished) > 0 THEN
                outcome := 'busy';
                RETURN NEXT;
                CONTINUE;
            END IF;

            INSERT INTO messages (org_id, conversation_id, seq, id, user_id, run_id, role, text,
                                  client_message_id, payload_sha256, metadata)
            VALUES (item.org_id, conversation.id, conversation.last_seq + 1, item.message_id,
                    item.user_id, item.run_id, 'user', item.text, item.client_message_id,
                    decode(item.payload_sha256, 'hex'), item.metadata)
            ON CONFLICT (org_id, user_id, client_message_id) DO NOTHING
            RETURNING messages.conversation_id, messages.id, messages.run_id, messages.seq,
                      messages.created_at, messages.payload_sha256, conversation.generation
            INTO existing;
            fresh := FOUND;
            IF fresh THEN
                UPDATE conversations c
                SET last_seq = existing.seq, updated_at = now(),
                    title = coalesce(c.title, left(item.text, 80))
                WHERE c.id = conversation.id;
                INSERT INTO runs (org_id, id, conversation_id, user_id, message_id, message_seq,
                                  requested_agent, lease_until)
                VALUES (item.org_id, item.run_id, conversation.id, item.user_id, item.message_id,
                        existing.seq, item.agent, now() + lease);
                ready := cardinality(unfinished) = 0;
                IF conversation.busy = 'interrupt' THEN
                    interrupted := unfinished;
                END IF;
            ELSE
                -- The same client message id was committed while this one waited for its key.
                IF created THEN
                    DELETE FROM conversations c WHERE c.id = item.conversation_id;
                    created := false;
                END IF;
                SELECT m.conversation_id, m.id, m.run_id, m.seq, m.created_at, m.payload_sha256,
                       c.generation
                INTO existing
                FROM messages m JOIN conversations c ON c.id = m.conversation_id
                WHERE m.org_id = item.org_id AND m.user_id = item.user_id
                  AND m.client_message_id = item.client_message_id;
            END IF;
        END IF;

        IF NOT fresh THEN
            SELECT r.state = 'queued',
                   r.state = 'queued' AND NOT EXISTS (
                       SELECT 1 FROM runs earlier
                       WHERE earlier.conversation_id = r.conversation_id
                         AND earlier.message_seq < r.message_seq
                         AND earlier.state IN ('queued', 'running', 'stopping'))
            INTO queued, ready FROM runs r WHERE r.id = existing.run_id;
        END IF;
        IF encode(existing.payload_sha256, 'hex') <> item.payload_sha256 THEN
            outcome := 'conflict';
        ELSE
            outcome := 'accepted';
        END IF;
        conversation_id := existing.conversation_id;
        message_id := existing.id;
        run_id := existing.run_id;
        seq := existing.seq;
        created_at := existing.created_at;
        generation := existing.generation;
        RETURN NEXT;
    END LOOP;
END $$;

-- Takes a batch of queued runs for an owner. A run that is not queued, or has an unfinished
-- predecessor in its conversation, is left out of the answer.
CREATE FUNCTION begin_runs(ids uuid[], new_owner text, lease interval)
RETURNS TABLE (run_id uuid, org_id uuid, conversation_id uuid, user_id uuid, message_id uuid,
               message_seq int, requested_agent text, epoch int, stopping boolean, generation int,
               sticky_agent text, metadata jsonb, summary text, partial text, last_seq int,
               client_message_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH locked AS (SELECT l.id FROM runs l WHERE l.id = ANY (ids) ORDER BY l.id FOR UPDATE)
    UPDATE runs r
    SET epoch = r.epoch + 1, owner = new_owner, lease_until = now() + lease, state = 'running',
        updated_at = now()
    FROM locked, conversations c
    WHERE r.id = locked.id AND r.state = 'queued' AND c.id = r.conversation_id
      AND NOT EXISTS (SELECT 1 FROM runs earlier
                      WHERE earlier.conversation_id = r.conversation_id
                        AND earlier.message_seq < r.message_seq
                        AND earlier.state IN ('queued', 'running', 'stopping'))
    RETURNING r.id, r.org_id, r.conversation_id, r.user_id, r.message_id, r.message_seq,
              r.requested_agent, r.epoch, false, c.generation, c.agent, c.metadata,
              c.summary, r.partial,
              c.last_seq, (SELECT m.client_message_id FROM messages m WHERE m.id = r.message_id)
$$;

-- Takes over runs whose owner let the lease expire, raising their epoch. A run that is being
-- stopped is only to be finished.
CREATE FUNCTION claim_expired_runs(new_owner text, lease interval, at_most int)
RETURNS TABLE (run_id uuid, org_id uuid, conversation_id uuid, user_id uuid, message_id uuid,
               message_seq int, requested_agent text, epoch int, stopping boolean, generation int,
               sticky_agent text, metadata jsonb, summary text, partial text, last_seq int,
               client_message_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH expired AS (
        SELECT r.id FROM runs r
        WHERE r.state IN ('queued', 'running', 'stopping') AND r.lease_until < now()
          AND NOT EXISTS (SELECT 1 FROM runs earlier
                          WHERE earlier.conversation_id = r.conversation_id
                            AND earlier.message_seq < r.message_seq
                            AND earlier.state IN ('queued', 'running', 'stopping'))
        ORDER BY r.lease_until LIMIT at_most
        FOR UPDATE SKIP LOCKED
    )
    UPDATE runs r
    SET epoch = r.epoch + 1, owner = new_owner, lease_until = now() + lease,
        state = CASE r.state WHEN 'stopping' THEN 'stopping' ELSE 'running' END,
        updated_at = now()
    FROM expired e, conversations c
    WHERE r.id = e.id AND c.id = r.conversation_id
    RETURNING r.id, r.org_id, r.conversation_id, r.user_id, r.message_id, r.message_seq,
              r.requested_agent, r.epoch, r.state = 'stopping', c.generation, c.agent,
              c.metadata, c.summary, r.partial,
              c.last_seq, (SELECT m.client_message_id FROM messages m WHERE m.id = r.message_id)
$$;

-- Takes an unfinished run at once, raising its epoch; only from the epoch seen, where one is given.
CREATE FUNCTION seize_run(id uuid, seen_epoch int, new_owner text, lease interval)
RETURNS TABLE (run_id uuid, org_id uuid, conversation_id uuid, user_id uuid, message_id uuid,
               message_seq int, requested_agent text, epoch int, stopping boolean, generation int,
               sticky_agent text, metadata jsonb, summary text, partial text, last_seq int,
               client_message_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    UPDATE runs r
    SET epoch = r.epoch + 1, owner = new_owner, lease_until = now() + lease,
        state = CASE r.state WHEN 'stopping' THEN 'stopping' ELSE 'running' END,
        updated_at = now()
    FROM conversations c
    WHERE r.id = $1 AND c.id = r.conversation_id
      AND r.state IN ('queued', 'running', 'stopping')
      AND (seen_epoch IS NULL OR r.epoch = seen_epoch)
      AND NOT EXISTS (SELECT 1 FROM runs earlier
                      WHERE earlier.conversation_id = r.conversation_id
                        AND earlier.message_seq < r.message_seq
                        AND earlier.state IN ('queued', 'running', 'stopping'))
    RETURNING r.id, r.org_id, r.conversation_id, r.user_id, r.message_id, r.message_seq,
              r.requested_agent, r.epoch, r.state = 'stopping', c.generation, c.agent,
              c.metadata, c.summary, r.partial,
              c.last_seq, (SELECT m.client_message_id FROM messages m WHERE m.id = r.message_id)
$$;

-- Prolongs the leases of runs still held in the given epochs; answers which those are. Runs are
-- locked in the order of their ids, as everywhere.
CREATE FUNCTION renew_leases(held jsonb, lease interval)
RETURNS TABLE (run_id uuid, conversation_id uuid, stopping boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH locked AS (
        SELECT l.id FROM runs l JOIN jsonb_to_recordset(held) AS h (run_id uuid, epoch int)
            ON l.id = h.run_id AND l.epoch = h.epoch
        WHERE l.state IN ('running', 'stopping') ORDER BY l.id FOR UPDATE OF l
    )
    UPDATE runs r SET lease_until = now() + lease
    FROM locked WHERE r.id = locked.id
    RETURNING r.id, r.conversation_id, r.state = 'stopping'
$$;

-- Keeps what unfinished runs have produced so far, of those still held in the given epochs.
CREATE FUNCTION checkpoint_runs(batch jsonb)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH locked AS (
        SELECT l.id, c.partial
        FROM runs l JOIN jsonb_to_recordset(batch) AS c (run_id uuid, epoch int, partial text)
            ON l.id = c.run_id AND l.epoch = c.epoch
        WHERE l.state IN ('running', 'stopping') ORDER BY l.id FOR UPDATE OF l
    )
    UPDATE runs r SET partial = locked.partial
    FROM locked WHERE r.id = locked.id
$$;

-- Who holds a run, if that is the epoch.
CREATE FUNCTION confirm_epoch(id uuid, held_epoch int)
RETURNS TABLE (org_id uuid, user_id uuid, conversation_id uuid, generation int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    SELECT r.org_id, r.user_id, r.conversation_id, c.generation
    FROM runs r JOIN conversations c ON c.id = r.conversation_id
    WHERE r.id = $1 AND r.epoch = held_epoch AND r.state IN ('running', 'stopping')
$$;

-- Lets runs go, so that the sweeper of another replica takes them at once.
CREATE FUNCTION release_leases(held jsonb)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH locked AS (
        SELECT l.id FROM runs l JOIN jsonb_to_recordset(held) AS h (run_id uuid, epoch int)
            ON l.id = h.run_id AND l.epoch = h.epoch
        WHERE l.state IN ('running', 'stopping') ORDER BY l.id FOR UPDATE OF l
    )
    UPDATE runs r SET lease_until = now() - interval '1 millisecond'
    FROM locked WHERE r.id = locked.id
$$;

-- Commits a batch of finished runs with their answers. Only the holder of the run's epoch may; a
-- run that was told to stop is stopped, whatever its producer says. The answer names the state
-- that was committed, and the run of the conversation that may begin now.
CREATE FUNCTION finish_runs(batch jsonb)
RETURNS TABLE (run_id uuid, epoch int, state text, answer_id uuid, seq int,
               created_at timestamptz, next_run uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
#variable_conflict use_column
DECLARE
    item record;
    run record;
BEGIN
    PERFORM 1 FROM conversations c
    WHERE c.id IN (SELECT r.conversation_id
                   FROM jsonb_to_recordset(batch) AS i (run_id uuid)
                   JOIN runs r ON r.id = i.run_id)
    ORDER BY c.id FOR UPDATE;

    FOR item IN
        SELECT * FROM jsonb_to_recordset(batch) AS i (
            run_id uuid, epoch int, state text, text text, answer_id uuid, agent text, model text,
            attempts int, error jsonb, result jsonb, input_tokens int, output_tokens int)
        ORDER BY i.run_id
    LOOP
        UPDATE runs r
        SET state = CASE r.state WHEN 'stopping' THEN 'stopped' ELSE item.state END,
            agent = item.agent, model = item.model, attempts = item.attempts, error = item.error,
            result = item.result, partial = '', updated_at = now()
        WHERE r.id = item.run_id AND r.epoch = item.epoch AND r.state IN ('running', 'stopping')
        RETURNING * INTO run;
        CONTINUE WHEN NOT FOUND;

        run_id := run.id;
        epoch := run.epoch;
        state := run.state;
        answer_id := NULL; seq := NULL; created_at := now();
        IF item.text <> '' OR run.state = 'completed' THEN
            UPDATE conversations c
            SET last_seq = c.last_seq + 1, updated_at = now(),
                agent = coalesce(item.agent, c.agent)
            WHERE c.id = run.conversation_id
            RETURNING c.last_seq INTO seq;
            answer_id := item.answer_id;
            INSERT INTO messages (org_id, conversation_id, seq, id, user_id, run_id, role, text,
                                  agent, model, reply_to, status)
            VALUES (run.org_id, run.conversation_id, seq, answer_id, run.user_id, run.id,
                    'assistant', item.text, item.agent, item.model, run.message_id,
                    CASE run.state WHEN 'completed' THEN 'complete' ELSE run.state END)
            RETURNING messages.created_at INTO created_at;
            UPDATE runs r SET answer_id = item.answer_id WHERE r.id = run.id;
        END IF;
        IF item.input_tokens + item.output_tokens > 0 THEN
            INSERT INTO usage (org_id, run_id, user_id, agent, model, input_tokens, output_tokens)
            VALUES (run.org_id, run.id, run.user_id, item.agent, item.model, item.input_tokens,
                    item.output_tokens)
            ON CONFLICT DO NOTHING;
        END IF;
        SELECT r.id INTO next_run FROM runs r
        WHERE r.conversation_id = run.conversation_id
          AND r.state IN ('queued', 'running', 'stopping')
        ORDER BY r.message_seq LIMIT 1;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION mark_announced(ids uuid[])
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH locked AS (SELECT l.id FROM runs l WHERE l.id = ANY (ids) ORDER BY l.id FOR UPDATE)
    UPDATE runs r SET announced_at = now() FROM locked WHERE r.id = locked.id
$$;

-- Ends that were committed at least `patience` ago and not announced; each is handed to one
-- caller, and to the next after another `patience`.
CREATE FUNCTION claim_unannounced_runs(patience interval, at_most int)
RETURNS TABLE (run_id uuid, org_id uuid, user_id uuid, conversation_id uuid, message_id uuid,
               epoch int, state text, agent text, model text, attempts int, error jsonb,
               result jsonb, generation int, answer_id uuid, seq int, text text)
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH waiting AS (
        SELECT r.id FROM runs r
        WHERE r.announced_at IS NULL AND r.state IN ('completed', 'failed', 'stopped')
          AND r.updated_at < now() - patience
        ORDER BY r.updated_at LIMIT at_most
        FOR UPDATE SKIP LOCKED
    )
    UPDATE runs r SET updated_at = now()
    FROM waiting w, conversations c
    WHERE r.id = w.id AND c.id = r.conversation_id
    RETURNING r.id, r.org_id, r.user_id, r.conversation_id, r.message_id, r.epoch, r.state,
              r.agent, r.model,
              r.attempts, r.error, r.result, c.generation, r.answer_id,
              (SELECT m.seq FROM messages m WHERE m.id = r.answer_id),
              coalesce((SELECT m.text FROM messages m WHERE m.id = r.answer_id), '')
$$;

-- Begins the log of a conversation again: raises its generation if it is still the one seen.
CREATE FUNCTION raise_generation(conversation uuid, seen int)
RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    UPDATE conversations c
    SET generation = CASE c.generation WHEN seen THEN seen + 1 ELSE c.generation END
    WHERE c.id = conversation
    RETURNING c.generation
$$;

DO $$
DECLARE signature regprocedure;
BEGIN
    FOR signature IN
        SELECT p.oid::regprocedure FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'parley'
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO parley_system', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO parley_app', signature);
    END LOOP;
END $$;
