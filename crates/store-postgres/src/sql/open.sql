-- Creates, resumes or takes over. Of racing creators one inserts the row; the others wait for it, find it and go on as with
-- a run that exists.
CREATE FUNCTION {s}.open(
    p_id bytea, p_open bytea, p_mode bigint, p_incarnation bytea, p_token bytea, p_ttl bigint, p_over bytea,
    p_reopen bigint, p_manifest bytea, p_origin bigint, p_owner bytea, p_name bytea, p_parent bytea, p_labels bytea,
    p_tags bytea[], p_lineage bytea, p_meta bytea
) RETURNS {s}.answer LANGUAGE plpgsql AS $f$
DECLARE
    r {s}.run;
    c {s}.cold;
    i {s}.info;
    v_now bigint;
    v_created boolean := false;
BEGIN
    LOOP
        SELECT * INTO r FROM {s}.run WHERE run.id = p_id FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        IF p_mode = 1 OR p_name IS NULL OR p_manifest IS NULL THEN
            RETURN {s}.bare({NOT_FOUND});
        END IF;
        v_now := {s}.clock();
        r := {s}.fresh(p_id, p_incarnation, p_token, p_origin, {s}.later(v_now, p_ttl), v_now);
        INSERT INTO {s}.run VALUES (r.*) ON CONFLICT (id) DO NOTHING;
        v_created := FOUND;
        EXIT WHEN v_created;
    END LOOP;
    IF v_created THEN
        c := ROW(r.key, p_owner, NULL, p_open, 1, 1, NULL);
        c.checksum := {seal:cold c};
        INSERT INTO {s}.cold VALUES (c.*);
        i := ROW(r.key, p_id, v_now, p_name, p_parent, p_labels, p_tags, p_manifest, p_lineage, p_meta, NULL);
        i.checksum := {seal:info i};
        INSERT INTO {s}.info VALUES (i.*);
        RETURN {s}.whole({OK}, 1, r, v_now);
    END IF;

    v_now := {s}.clock();
    SELECT * INTO c FROM {s}.cold WHERE cold.run = r.key;
    SELECT * INTO i FROM {s}.info WHERE info.run = r.key;
    IF r.checksum <> {seal:run r} OR c.checksum IS DISTINCT FROM {seal:cold c}
        OR i.checksum IS DISTINCT FROM {seal:info i} THEN
        RETURN {s}.bare({CORRUPT});
    END IF;
    IF c.open_id = p_open AND c.open_version = r.version THEN
        RETURN {s}.whole({OK}, 2 + c.open_created, r, v_now);
    END IF;
    IF p_mode = 0 THEN
        RETURN {s}.whole({ALREADY_EXISTS}, 0, r, v_now);
    END IF;
    IF p_manifest IS NOT NULL AND i.manifest <> p_manifest THEN
        RETURN {s}.whole({MANIFEST}, 0, r, v_now);
    END IF;
    IF r.state <> 0 AND (r.state = 1 OR p_reopen = 0) THEN
        RETURN {s}.whole({FINISHED}, 0, r, v_now);
    END IF;
    IF r.state = 0 AND (r.due IS NULL OR r.due > v_now)
        AND p_over IS DISTINCT FROM r.incarnation || int8send(r.epoch) || r.token THEN
        RETURN {s}.whole({LEASE_HELD}, 0, r, v_now);
    END IF;

    IF r.state <> 0 THEN
        DELETE FROM {s}.outcome WHERE outcome.run = r.key;
        r.state := 0;
        r.delete_after := NULL;
        r.lapses := 0;
    ELSIF r.until IS NOT NULL THEN
        r.lapses := r.lapses + 1;
    END IF;
    r.epoch := r.epoch + 1;
    r.token := p_token;
    r.version := r.version + 1;
    r.updated := v_now;
    r.until := {s}.later(v_now, p_ttl);
    r.wake := NULL;
    r := {s}.save({s}.settle(r, v_now, true), v_now);
    c := ROW(c.run, p_owner, c.note, p_open, r.version, 0, NULL);
    c.checksum := {seal:cold c};
    UPDATE {s}.cold SET (owner, open_id, open_version, open_created, checksum)
        = ROW(c.owner, c.open_id, c.open_version, c.open_created, c.checksum) WHERE cold.run = c.run;
    RETURN {s}.whole({OK}, 0, r, v_now);
END $f$;
