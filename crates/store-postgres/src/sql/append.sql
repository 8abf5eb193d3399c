-- Plain commits of different runs: records without ids and blobs, a lease that stays or is extended, and nothing else. All in
-- one statement, each with its own verdict: the ones that hold are answered by their places, the others are left to commit().
--
-- Every verdict and every number is computed from columns of the locked row, which is read anew after the lock was had while
-- all else in this statement is of before; every other part joins on that. Rows are locked in the order of the arrays, which
-- is that of the ids, and one that somebody else holds is skipped: nothing waits, so nothing can be in a deadlock.
CREATE FUNCTION {s}.append(
    p_ids bytea[], p_incarnations bytea[], p_epochs bigint[], p_tokens bytea[], p_ops bytea[], p_expects bigint[],
    p_counts bigint[], p_bytes bigint[], p_spans bigint[], p_advances bigint[],
    p_owners bigint[], p_places bigint[], p_kinds bytea[], p_sums bytea[], p_bodies bytea[]
) RETURNS TABLE (a_place bigint, a_cursor bigint) LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $f$
DECLARE
    v_now bigint := {s}.clock();
    v_good bigint;
    v_stored bigint;
    v_wanted bigint;
BEGIN
    WITH locked AS MATERIALIZED (
        SELECT n.*, r.* FROM unnest(p_ids, p_incarnations, p_epochs, p_tokens, p_ops, p_expects, p_counts, p_bytes, p_spans,
            p_advances) WITH ORDINALITY
            AS n (n_id, n_incarnation, n_epoch, n_token, n_op, n_expect, n_count, n_bytes, n_span, n_advances, n_place)
        CROSS JOIN LATERAL (SELECT * FROM {s}.run WHERE run.id = n.n_id FOR NO KEY UPDATE SKIP LOCKED) r
    ), good AS MATERIALIZED (
        SELECT g.n_place, g.n_count, g.old_cursor, {fixed:run g},
            CASE WHEN g.hint > v_now AND g.hint <= g.due THEN g.hint ELSE g.due END AS hint,
            g.version, g.cursor, g.until, g.due, g.lapses, g.updated, g.record_bytes, g.last_version, g.last_cursor, g.last
        FROM (
            SELECT l.n_place, l.n_count, l.cursor AS old_cursor, {fixed:run l}, l.hint,
                l.version + 1 AS version, l.cursor + l.n_count AS cursor, u.until,
                CASE WHEN l.draft = 1 THEN NULL ELSE u.until END AS due,
                CASE WHEN l.n_advances = 1 THEN 0 ELSE l.lapses END AS lapses, v_now AS updated,
                l.record_bytes + l.n_bytes AS record_bytes, l.version + 1 AS last_version,
                l.cursor + l.n_count AS last_cursor, l.n_op || l.token AS last
            FROM locked l CROSS JOIN LATERAL (SELECT CASE WHEN l.n_span = 0 THEN l.until
                ELSE greatest(l.until, {s}.later(v_now, l.n_span)) END AS until) u
            WHERE l.incarnation = l.n_incarnation AND l.epoch = l.n_epoch AND l.token = l.n_token
                AND l.version = l.n_expect AND l.state = 0 AND l.until IS NOT NULL
                AND substr(l.last, 1, 16) <> substr(l.n_op, 1, 16) AND l.checksum = {seal:run l}
        ) g
    ), stored AS (
        INSERT INTO {s}.record (run, cursor, at, kind, checksum, body)
        SELECT g.key, g.old_cursor + n.place, v_now, n.kind, {s}.bind(n.sum, g.key, g.old_cursor + n.place, v_now), n.body
        FROM good g JOIN unnest(p_owners, p_places, p_kinds, p_sums, p_bodies) AS n (owner, place, kind, sum, body)
            ON n.owner = g.n_place
        RETURNING 1
    ), saved AS (
        UPDATE {s}.run SET (hint, version, cursor, until, due, lapses, updated, record_bytes, last_version, last_cursor,
            last, checksum) = ROW(g.hint, g.version, g.cursor, g.until, g.due, g.lapses, g.updated, g.record_bytes,
            g.last_version, g.last_cursor, g.last, {seal:run g})
        FROM good g WHERE run.key = g.key
        RETURNING g.n_place, g.cursor, CASE WHEN g.followed > v_now THEN g.id END AS tell
    ), told AS MATERIALIZED (
        SELECT count(pg_notify('{channel}', encode(s.tell, 'hex'))) FROM saved s WHERE s.tell IS NOT NULL
    )
    SELECT array_agg(s.n_place), array_agg(s.cursor), (SELECT count(*) FROM good), (SELECT count(*) FROM stored),
        (SELECT coalesce(sum(g.n_count), 0) FROM good g) + 0 * (SELECT count FROM told)
    INTO p_owners, p_places, v_good, v_stored, v_wanted FROM saved s;
    IF v_good <> coalesce(cardinality(p_owners), 0) OR v_stored <> v_wanted THEN
        RAISE EXCEPTION 'not everything was stored that was judged good' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN QUERY SELECT n.place, n.cursor FROM unnest(p_owners, p_places) AS n (place, cursor);
END $f$;
