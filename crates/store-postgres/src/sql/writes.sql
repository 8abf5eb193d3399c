-- A run as its first open leaves it.
CREATE FUNCTION {s}.fresh(
    p_id bytea, p_incarnation bytea, p_token bytea, p_origin bigint, p_until bigint, p_now bigint
) RETURNS {s}.run LANGUAGE plpgsql AS $f$
DECLARE
    r {s}.run;
BEGIN
    r.key := nextval('{s}.run_key');
    r.id := p_id;
    r.incarnation := p_incarnation;
    r.origin := p_origin;
    r.epoch := 1;
    r.token := p_token;
    r.first := coalesce(p_origin, 0) + 1;
    r.state := 0;
    r.draft := (p_origin IS NOT NULL)::int;
    r.newest_message := 0;
    r.snapshot_bytes := 0;
    r.blob_bytes := 0;
    r.message_bytes := 0;
    r.snapshots := 0;
    r.blobs := 0;
    r.messages := 0;
    r.snapshot_sum := 0;
    r.blob_sum := 0;
    r.message_sum := 0;
    r.followed := 0;
    r.version := 1;
    r.cursor := coalesce(p_origin, 0);
    r.until := p_until;
    r.lapses := 0;
    r.updated := p_now;
    r.record_bytes := 0;
    r.last_version := 0;
    r.last_cursor := 0;
    r.last := '';
    r := {s}.settle(r, p_now, true);
    r.checksum := {seal:run r};
    RETURN r;
END $f$;

-- Replaces the note of a run: false if what it would stand in is damaged.
CREATE FUNCTION {s}.put_note(p_run bigint, p_note bytea) RETURNS boolean LANGUAGE plpgsql AS $f$
DECLARE
    c {s}.cold;
BEGIN
    SELECT * INTO c FROM {s}.cold WHERE cold.run = p_run;
    IF c.checksum IS DISTINCT FROM {seal:cold c} THEN
        RETURN false;
    END IF;
    c.note := p_note;
    c.checksum := {seal:cold c};
    UPDATE {s}.cold SET (note, checksum) = ROW(c.note, c.checksum) WHERE cold.run = p_run;
    RETURN true;
END $f$;

CREATE FUNCTION {s}.renew(
    p_id bytea, p_incarnation bytea, p_epoch bigint, p_token bytea, p_ttl bigint, p_note bytea
) RETURNS {s}.answer LANGUAGE plpgsql AS $f$
DECLARE
    r {s}.run;
    v_now bigint;
    v_refused bigint;
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
    v_now := {s}.clock();
    v_refused := {s}.check_fence(r, p_epoch, p_token);
    IF v_refused <> 0 THEN
        RETURN {s}.whole(v_refused, 0, r, v_now);
    END IF;
    IF p_note IS NOT NULL AND NOT {s}.put_note(r.key, p_note) THEN
        RETURN {s}.bare({CORRUPT});
    END IF;
    r.until := greatest(r.until, {s}.later(v_now, p_ttl));
    r := {s}.save({s}.settle(r, v_now, false), v_now);
    RETURN {s}.brief({OK}, 0, 0, r);
END $f$;

-- Puts a message into the inbox, unless its key has been sent before. A run that waits for a message of this number is due
-- now: the number above which one wakes it stands in the locked row, so none is missed.
CREATE FUNCTION {s}.send(
    p_id bytea, p_incarnation bytea, p_message bytea, p_name bytea, p_kind bytea, p_content bytea, p_sum bytea,
    p_body bytea
) RETURNS {s}.answer LANGUAGE plpgsql AS $f$
DECLARE
    r {s}.run;
    k {s}.message_key;
    v_now bigint;
    v_wakes boolean;
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
    v_now := {s}.clock();
    SELECT * INTO k FROM {s}.message_key WHERE message_key.run = r.key AND message_key.name = p_name;
    IF FOUND THEN
        IF k.checksum <> {seal:message_key k} THEN
            RETURN {s}.bare({CORRUPT});
        END IF;
        RETURN {s}.brief(CASE WHEN k.content = p_content THEN {REPLAYED} ELSE {CONFLICTING} END, k.number, 0, r);
    END IF;
    IF r.state <> 0 THEN
        RETURN {s}.whole({FINISHED}, 0, r, v_now);
    END IF;
    r.newest_message := r.newest_message + 1;
    r.message_bytes := r.message_bytes + octet_length(p_body);
    r.messages := r.messages + 1;
    r.message_sum := r.message_sum # r.newest_message;
    v_wakes := r.until IS NULL AND r.draft = 0 AND r.newest_message > r.wake;
    IF v_wakes THEN
        r.due := least(r.due, v_now);
        r.hint := r.due;
    END IF;
    r := {s}.save(r, v_now);
    k := ROW(r.key, p_name, r.newest_message, p_content, NULL);
    k.checksum := {seal:message_key k};
    INSERT INTO {s}.message_key VALUES (k.*);
    INSERT INTO {s}.message VALUES (r.key, r.newest_message, v_now, p_message, p_name, p_kind,
        {s}.bind(p_sum, r.key, r.newest_message, v_now), p_body);
    RETURN {s}.brief({OK}, r.newest_message, 0, r);
END $f$;

-- Locks the run, judges the guard, and deletes in statements of their own, which see everything that was committed to the
-- run before the lock was had. p_guard: 0 any, 1 finished, 2 not driven.
CREATE FUNCTION {s}.delete(p_id bytea, p_guard bigint, p_incarnation bytea) RETURNS {s}.answer LANGUAGE plpgsql AS $f$
DECLARE
    r {s}.run;
    v_now bigint;
BEGIN
    SELECT * INTO r FROM {s}.run WHERE run.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN {s}.bare({OK});
    END IF;
    v_now := {s}.clock();
    IF p_guard <> 0 THEN
        IF r.checksum <> {seal:run r} THEN
            RETURN {s}.bare({CORRUPT});
        END IF;
        IF r.incarnation <> p_incarnation THEN
            RETURN {s}.bare({NOT_FOUND});
        END IF;
        IF p_guard = 1 AND r.state = 0 THEN
            RETURN {s}.whole({NOT_FINISHED}, 0, r, v_now);
        END IF;
        IF p_guard = 2 AND r.until > v_now THEN
            RETURN {s}.whole({DRIVEN}, 0, r, v_now);
        END IF;
    END IF;
    DELETE FROM {s}.record WHERE run = r.key;
    DELETE FROM {s}.record_id WHERE run = r.key;
    DELETE FROM {s}.snapshot WHERE run = r.key;
    DELETE FROM {s}.blob WHERE run = r.key;
    DELETE FROM {s}.message WHERE run = r.key;
    DELETE FROM {s}.message_key WHERE run = r.key;
    DELETE FROM {s}.outcome WHERE run = r.key;
    DELETE FROM {s}.cold WHERE run = r.key;
    DELETE FROM {s}.info WHERE run = r.key;
    DELETE FROM {s}.run WHERE key = r.key;
    IF r.followed > v_now THEN
        PERFORM pg_notify('{channel}', encode(r.id, 'hex'));
    END IF;
    RETURN {s}.brief({OK}, 1, 0, r);
END $f$;

-- Asks that what happens to the run be told on the channel until then.
CREATE FUNCTION {s}.follow(p_id bytea, p_span bigint) RETURNS {s}.answer LANGUAGE plpgsql AS $f$
DECLARE
    r {s}.run;
    v_now bigint;
BEGIN
    SELECT * INTO r FROM {s}.run WHERE run.id = p_id FOR NO KEY UPDATE;
    IF FOUND AND r.checksum = {seal:run r} THEN
        v_now := {s}.clock();
        r.followed := greatest(r.followed, {s}.later(v_now, p_span));
        r.checksum := {seal:run r};
        {update:run r};
    END IF;
    RETURN {s}.bare({OK});
END $f$;
