-- Runs are locked in the order of their ids, as finish_runs does: renewals, releases and ends of the
-- same runs never wait for each other in a circle.

CREATE OR REPLACE FUNCTION renew_leases(held jsonb, lease interval)
RETURNS TABLE (run_id uuid, stopping boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH locked AS (
        SELECT r.id FROM runs r
        JOIN jsonb_to_recordset(held) AS h (run_id uuid, epoch int) ON r.id = h.run_id
        WHERE r.epoch = h.epoch AND r.state IN ('running', 'stopping')
        ORDER BY r.id FOR UPDATE OF r
    )
    UPDATE runs r SET lease_until = now() + lease
    FROM locked WHERE r.id = locked.id
    RETURNING r.id, r.state = 'stopping'
$$;

CREATE OR REPLACE FUNCTION release_leases(held jsonb)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = parley, pg_temp AS $$
    WITH locked AS (
        SELECT r.id FROM runs r
        JOIN jsonb_to_recordset(held) AS h (run_id uuid, epoch int) ON r.id = h.run_id
        WHERE r.epoch = h.epoch AND r.state IN ('running', 'stopping')
        ORDER BY r.id FOR UPDATE OF r
    )
    UPDATE runs r SET lease_until = now() - interval '1 millisecond'
    FROM locked WHERE r.id = locked.id
$$;
