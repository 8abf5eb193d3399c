-- Any one commit: the verdict first, in the documented order, all of it under the lock of the run's row; then what it writes.
--
-- p_op is the commit's id and the first half of its digest. p_named are the blobs that records name and that the commit does
-- not carry; p_dropped is the place of the first of them that it drops. p_twice is the place of the first record whose id
-- stands in the commit again. p_lease: 0 stays, 1 is extended by p_span, 2 is released until p_at or a message above p_after.
CREATE FUNCTION {s}.commit(
    p_id bytea, p_incarnation bytea, p_epoch bigint, p_token bytea, p_op bytea, p_expect bigint,
    p_kinds bytea[], p_ids bytea[], p_blobs bytea[], p_sums bytea[], p_bodies bytea[], p_bytes bigint, p_twice bigint,
    p_named bytea[], p_dropped bigint, p_blob_names bytea[], p_blob_sums bytea[], p_blob_bodies bytea[], p_drops bytea[],
    p_takes bigint[], p_snapshot bigint, p_snapshot_sum bytea, p_snapshot_body bytea, p_trim bigint, p_note bytea,
    p_advances bigint, p_lease bigint, p_span bigint, p_at bigint, p_after bigint, p_state bigint, p_keep bigint,
    p_outcome_kind bytea, p_outcome_sum bytea, p_outcome_body bytea
) RETURNS {s}.answer LANGUAGE plpgsql AS $f$
DECLARE
    r {s}.run;
    o {s}.record_id;
    v_now bigint;
    v_code bigint;
    v_count bigint := cardinality(p_bodies);
    v_place bigint;
    v_kept boolean;
    v_newest bigint;
    v_second bigint;
BEGIN
    SELECT * INTO r FROM {s}.run WHERE run.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN {s}.bare({NOT_FOUND});
    END IF;
    IF r.checksum <> {seal:run r} THEN
        RETURN {s}.bare({CORRUPT});
    END IF;
    IF r.incarnation <> p_incarnation THEN
        RETURN {s}.bare({NOT_FOUND});
    END IF;
    IF substr(r.last, 1, 16) = substr(p_op, 1, 16) THEN
        IF substr(r.last, 1, 32) <> p_op THEN
            RETURN {s}.brief({ID_REUSED}, 0, 0, r);
        END IF;
        IF substr(r.last, 33) = p_token THEN
            RETURN {s}.brief({REPLAYED}, r.last_version, r.last_cursor, r);
        END IF;
    END IF;
    v_now := {s}.clock();
    v_code := {s}.check_fence(r, p_epoch, p_token);
    IF v_code <> 0 THEN
        RETURN {s}.whole(v_code, 0, r, v_now);
    END IF;
    IF r.version <> p_expect THEN
        RETURN {s}.whole({VERSION}, 0, r, v_now);
    END IF;
    IF cardinality(p_takes) > 0 THEN
        SELECT t.place INTO v_place FROM unnest(p_takes) WITH ORDINALITY AS t (number, place)
            WHERE NOT EXISTS (SELECT FROM {s}.message m WHERE m.run = r.key AND m.number = t.number)
            ORDER BY t.place LIMIT 1;
        IF FOUND THEN
            RETURN {s}.whole({NOT_WAITING}, v_place, r, v_now);
        END IF;
    END IF;
    IF cardinality(p_named) > 0 THEN
        SELECT n.place INTO v_place FROM unnest(p_named) WITH ORDINALITY AS n (name, place)
            WHERE n.place = p_dropped
                OR NOT EXISTS (SELECT FROM {s}.blob b WHERE b.run = r.key AND b.name = n.name)
            ORDER BY n.place LIMIT 1;
        IF FOUND THEN
            RETURN {s}.whole({MISSING_BLOB}, v_place, r, v_now);
        END IF;
    END IF;
    IF p_snapshot > r.cursor + v_count THEN
        RETURN {s}.whole({SNAPSHOT_CURSOR}, 0, r, v_now);
    END IF;
    -- One whose tail was trimmed would shorten no resume.
    v_kept := p_snapshot >= r.first - 1;
    v_newest := r.newest;
    v_second := r.second;
    IF v_kept AND p_snapshot > coalesce(v_newest, -1) THEN
        v_second := v_newest;
        v_newest := p_snapshot;
    ELSIF v_kept AND p_snapshot < v_newest AND p_snapshot > coalesce(v_second, -1) THEN
        v_second := p_snapshot;
    END IF;
    IF p_trim > coalesce(v_second, 0) THEN
        RETURN {s}.whole({TRIM}, coalesce(v_second, 0), r, v_now);
    END IF;
    IF p_twice IS NOT NULL THEN
        SELECT i.* INTO o FROM unnest(p_ids) WITH ORDINALITY AS n (id, place)
            JOIN {s}.record_id i ON i.run = r.key AND i.id = n.id ORDER BY n.place LIMIT 1;
        IF FOUND AND o.checksum <> {seal:record_id o} THEN
            RETURN {s}.bare({CORRUPT});
        ELSIF FOUND THEN
            RETURN {s}.whole({DUPLICATE}, o.cursor, r, v_now);
        ELSIF p_twice > 0 THEN
            RETURN {s}.whole({DUPLICATE}, r.cursor + p_twice, r, v_now);
        END IF;
    END IF;
    IF p_note IS NOT NULL AND NOT {s}.put_note(r.key, p_note) THEN
        RETURN {s}.bare({CORRUPT});
    END IF;

    IF v_count > 0 THEN
        INSERT INTO {s}.record (run, cursor, at, kind, id, blobs, checksum, body)
            SELECT r.key, r.cursor + n.place, v_now, n.kind, n.id, n.blobs,
                {s}.bind(n.sum, r.key, r.cursor + n.place, v_now), n.body
            FROM unnest(p_kinds, p_ids, p_blobs, p_sums, p_bodies) WITH ORDINALITY
                AS n (kind, id, blobs, sum, body, place);
    END IF;
    IF p_twice IS NOT NULL THEN
        INSERT INTO {s}.record_id (run, id, cursor, checksum)
            SELECT w.run, w.id, w.cursor, {seal:record_id w} FROM (
                SELECT r.key AS run, n.id, r.cursor + n.place AS cursor
                FROM unnest(p_ids) WITH ORDINALITY AS n (id, place) WHERE n.id IS NOT NULL
            ) w;
    END IF;
    r.version := r.version + 1;
    r.cursor := r.cursor + v_count;
    r.record_bytes := r.record_bytes + p_bytes;
    r.updated := v_now;
    r := {s}.change_parts(r, p_blob_names, p_blob_sums, p_blob_bodies, p_drops, p_takes);
    IF v_kept THEN
        IF r.draft = 1 AND p_snapshot = r.origin THEN
            r.draft := 0;
        END IF;
        r := {s}.put_snapshot(r, p_snapshot, p_snapshot_sum, p_snapshot_body);
        r.newest := v_newest;
        r.second := v_second;
    END IF;
    IF p_trim IS NOT NULL THEN
        r := {s}.trim(r, p_trim);
    END IF;
    IF p_advances = 1 THEN
        r.lapses := 0;
    END IF;
    IF p_lease = 1 THEN
        r.until := greatest(r.until, {s}.later(v_now, p_span));
    ELSIF p_lease = 2 THEN
        r.until := NULL;
        r.due := CASE WHEN r.newest_message > p_after THEN v_now
            WHEN p_at IS NOT NULL THEN greatest(p_at, v_now) END;
        r.wake := p_after;
    END IF;
    IF p_state <> 0 THEN
        INSERT INTO {s}.outcome VALUES (r.key, p_outcome_kind, p_outcome_body, p_outcome_sum);
        r.state := p_state;
        r.until := NULL;
        r.delete_after := CASE WHEN p_keep >= 0 THEN {s}.later(v_now, p_keep) END;
    END IF;
    r.last_version := r.version;
    r.last_cursor := r.cursor;
    r.last := p_op || p_token;
    r := {s}.save({s}.settle(r, v_now, p_lease = 2), v_now);
    RETURN {s}.brief({OK}, r.version, r.cursor, r);
END $f$;

-- Drops and carries blobs, and takes messages. A number of rows that is not the one that was judged by means that a row was
-- touched behind the lock: the statement is taken back and run again.
CREATE FUNCTION {s}.change_parts(
    r {s}.run, p_names bytea[], p_sums bytea[], p_bodies bytea[], p_drops bytea[], p_takes bigint[]
) RETURNS {s}.run LANGUAGE plpgsql AS $f$
DECLARE
    v_count bigint;
    v_bytes bigint;
    v_sum bigint;
BEGIN
    IF cardinality(p_drops) > 0 THEN
        WITH gone AS (
            DELETE FROM {s}.blob b WHERE b.run = r.key AND b.name = ANY (p_drops)
            RETURNING octet_length(b.body) AS bytes, {s}.word(b.name) AS word
        ) SELECT count(*), coalesce(sum(bytes), 0), coalesce(bit_xor(word), 0) INTO v_count, v_bytes, v_sum FROM gone;
        r.blobs := r.blobs - v_count;
        r.blob_bytes := r.blob_bytes - v_bytes;
        r.blob_sum := r.blob_sum # v_sum;
    END IF;
    IF cardinality(p_names) > 0 THEN
        WITH put AS (
            INSERT INTO {s}.blob (run, name, checksum, body)
            SELECT r.key, n.name, n.sum, n.body FROM unnest(p_names, p_sums, p_bodies) AS n (name, sum, body)
            ON CONFLICT (run, name) DO NOTHING
            RETURNING octet_length(blob.body) AS bytes, {s}.word(blob.name) AS word
        ) SELECT count(*), coalesce(sum(bytes), 0), coalesce(bit_xor(word), 0) INTO v_count, v_bytes, v_sum FROM put;
        r.blobs := r.blobs + v_count;
        r.blob_bytes := r.blob_bytes + v_bytes;
        r.blob_sum := r.blob_sum # v_sum;
    END IF;
    IF cardinality(p_takes) > 0 THEN
        WITH gone AS (
            DELETE FROM {s}.message m WHERE m.run = r.key AND m.number = ANY (p_takes)
            RETURNING octet_length(m.body) AS bytes, m.number
        ) SELECT count(*), coalesce(sum(bytes), 0), coalesce(bit_xor(number), 0) INTO v_count, v_bytes, v_sum FROM gone;
        IF v_count <> cardinality(p_takes) THEN
            RAISE EXCEPTION 'fewer messages were taken than were waiting' USING ERRCODE = 'serialization_failure';
        END IF;
        r.messages := r.messages - v_count;
        r.message_bytes := r.message_bytes - v_bytes;
        r.message_sum := r.message_sum # v_sum;
    END IF;
    RETURN r;
END $f$;

CREATE FUNCTION {s}.put_snapshot(r {s}.run, p_cursor bigint, p_sum bytea, p_body bytea) RETURNS {s}.run
LANGUAGE plpgsql AS $f$
DECLARE
    v_replaced bigint;
BEGIN
    DELETE FROM {s}.snapshot s WHERE s.run = r.key AND s.cursor = p_cursor RETURNING octet_length(s.body) INTO v_replaced;
    IF NOT FOUND THEN
        r.snapshots := r.snapshots + 1;
        r.snapshot_sum := r.snapshot_sum # p_cursor;
    END IF;
    INSERT INTO {s}.snapshot VALUES (r.key, p_cursor, p_sum, p_body);
    r.snapshot_bytes := r.snapshot_bytes + octet_length(p_body) - coalesce(v_replaced, 0);
    RETURN r;
END $f$;

-- Removes the records up to a cursor and the snapshots below it. Record ids stay.
CREATE FUNCTION {s}.trim(r {s}.run, p_through bigint) RETURNS {s}.run LANGUAGE plpgsql AS $f$
DECLARE
    v_count bigint;
    v_bytes bigint;
    v_sum bigint;
BEGIN
    WITH gone AS (
        DELETE FROM {s}.record WHERE run = r.key AND cursor <= p_through RETURNING octet_length(body) AS bytes
    ) SELECT count(*), coalesce(sum(bytes), 0) INTO v_count, v_bytes FROM gone;
    IF v_count <> greatest(p_through + 1 - r.first, 0) THEN
        RAISE EXCEPTION 'fewer records were trimmed than there are' USING ERRCODE = 'data_corrupted';
    END IF;
    r.record_bytes := r.record_bytes - v_bytes;
    r.first := greatest(r.first, p_through + 1);
    WITH gone AS (
        DELETE FROM {s}.snapshot WHERE run = r.key AND cursor < p_through
        RETURNING octet_length(body) AS bytes, cursor
    ) SELECT count(*), coalesce(sum(bytes), 0), coalesce(bit_xor(cursor), 0) INTO v_count, v_bytes, v_sum FROM gone;
    r.snapshots := r.snapshots - v_count;
    r.snapshot_bytes := r.snapshot_bytes - v_bytes;
    r.snapshot_sum := r.snapshot_sum # v_sum;
    RETURN r;
END $f$;
