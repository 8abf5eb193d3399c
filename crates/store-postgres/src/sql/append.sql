-- Plain commits: records without ids and blobs, a lease that stays or is extended, and nothing else. Those that hold are
-- stored and answered; the others are left to commit(), which can refuse.
--
-- Every verdict and every number is computed from columns of the row that is updated. An UPDATE takes the row as it stands
-- when it has its lock: where somebody else has changed it since the statement began, condition and numbers are computed
-- once more from the new row (READ COMMITTED).

-- One commit of one record. It waits for whoever holds the row.
CREATE FUNCTION {s}.append_one(
    p_id bytea, p_incarnation bytea, p_epoch bigint, p_token bytea, p_op bytea, p_expect bigint,
    p_span bigint, p_advances bigint, p_kind bytea, p_sum bytea, p_body bytea
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $f$
DECLARE
    p_count CONSTANT bigint := 1;
    p_bytes CONSTANT bigint := octet_length(p_body);
    v_now bigint := {s}.clock();
    p_until CONSTANT bigint := CASE WHEN p_span > 0 THEN {s}.later(v_now, p_span) END;
    v_key bigint;
    v_cursor bigint;
    v_tell boolean;
BEGIN
    UPDATE {s}.run SET {advance:p_} WHERE run.id = p_id AND {holds:p_}
        RETURNING run.key, run.cursor, run.followed > v_now INTO v_key, v_cursor, v_tell;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO {s}.record (run, cursor, at, kind, checksum, body)
        VALUES (v_key, v_cursor, v_now, p_kind, {s}.bind(p_sum, v_key, v_cursor, v_now), p_body);
    IF v_tell THEN
        PERFORM pg_notify('{channel}', encode(p_id, 'hex'));
    END IF;
    RETURN v_cursor;
END $f$;

-- Commits of different runs in one statement, each with its own verdict and answered by its place.
--
-- Rows are locked in the order of the arrays, which is that of the ids, and one that somebody else holds is skipped: nothing
-- waits, so nothing can be in a deadlock.
CREATE FUNCTION {s}.append(
    p_ids bytea[], p_incarnations bytea[], p_epochs bigint[], p_tokens bytea[], p_ops bytea[], p_expects bigint[],
    p_counts bigint[], p_bytes bigint[], p_spans bigint[], p_advances bigint[],
    p_owners bigint[], p_places bigint[], p_kinds bytea[], p_sums bytea[], p_bodies bytea[]
) RETURNS TABLE (a_place bigint, a_cursor bigint) LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $f$
DECLARE
    v_now bigint := {s}.clock();
    v_stored bigint;
    v_wanted bigint;
BEGIN
    WITH locked AS MATERIALIZED (
        SELECT r.ctid AS spot, n.*, CASE WHEN n.span > 0 THEN {s}.later(v_now, n.span) END AS until
        FROM unnest(p_ids, p_incarnations, p_epochs, p_tokens, p_ops, p_expects, p_counts, p_bytes, p_spans, p_advances)
            WITH ORDINALITY
            AS n (id, incarnation, epoch, token, op, expect, count, bytes, span, advances, place)
        CROSS JOIN LATERAL (SELECT run.ctid FROM {s}.run WHERE run.id = n.id FOR NO KEY UPDATE SKIP LOCKED) r
    ), saved AS (
        UPDATE {s}.run SET {advance:l.} FROM locked l WHERE run.ctid = l.spot AND {holds:l.}
        RETURNING l.place, l.count, run.key, run.cursor, CASE WHEN run.followed > v_now THEN run.id END AS tell
    ), stored AS (
        INSERT INTO {s}.record (run, cursor, at, kind, checksum, body)
        SELECT w.key, w.cursor, v_now, w.kind, {s}.bind(w.sum, w.key, w.cursor, v_now), w.body FROM (
            SELECT s.key, s.cursor - s.count + n.place AS cursor, n.kind, n.sum, n.body
            FROM saved s JOIN unnest(p_owners, p_places, p_kinds, p_sums, p_bodies) AS n (owner, place, kind, sum, body)
                ON n.owner = s.place
        ) w
        RETURNING 1
    ), told AS MATERIALIZED (
        SELECT count(pg_notify('{channel}', encode(s.tell, 'hex'))) FROM saved s WHERE s.tell IS NOT NULL
    )
    SELECT array_agg(s.place), array_agg(s.cursor), (SELECT count(*) FROM stored),
        coalesce(sum(s.count), 0) + 0 * (SELECT count FROM told)
    INTO p_owners, p_places, v_stored, v_wanted FROM saved s;
    IF v_stored <> v_wanted THEN
        RAISE EXCEPTION 'not everything was stored that was judged good' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN QUERY SELECT n.place, n.cursor FROM unnest(p_owners, p_places) AS n (place, cursor);
END $f$;
