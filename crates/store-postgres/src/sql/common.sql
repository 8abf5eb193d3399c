-- What the functions of the writes share.
--
-- A write is one call of one function, so one statement and one transaction. The function is volatile: in READ COMMITTED
-- each statement in it sees what was committed before that statement began. It first locks the row of its run, and from then
-- on nothing of that run changes under it, because every writer does so: what it reads next is as true as the row itself. A
-- single statement could not look anywhere but into the locked row, since all else that it sees is of before the wait.

-- The instant that everything is judged by, in microseconds. A test may put another one in its place.
DO $do$ BEGIN
    IF to_regprocedure('{s}.clock()') IS NULL THEN
        CREATE FUNCTION {s}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS
            $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;
    END IF;
END $do$;

-- An instant so much later; the last one there is where that would be beyond it.
CREATE FUNCTION {s}.later(instant bigint, span bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN span > 9223372036854775807 - greatest(instant, 0) THEN 9223372036854775807
        ELSE instant + span END
$$;

-- The checksum of what stands at a place that the server has given: it binds the client's own to that place.
CREATE FUNCTION {s}.bind(content bytea, run bigint, place bigint, instant bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
    SELECT substr(sha256(content || int8send(run) || int8send(place) || int8send(instant)), 1, 16)
$$;

-- The first 64 bits of a digest, to be summed up.
CREATE FUNCTION {s}.word(digest bytea) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || encode(substr(digest, 1, 8), 'hex'))::bit(64)::bigint
$$;

-- An answer that carries no part of the run.
CREATE FUNCTION {s}.bare(code bigint) RETURNS {s}.answer LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW(code, 0, 0, NULL, NULL, NULL, NULL, 0)::{s}.answer
$$;

-- An answer that carries the row.
CREATE FUNCTION {s}.brief(code bigint, a bigint, b bigint, r {s}.run) RETURNS {s}.answer LANGUAGE sql STABLE AS $$
    SELECT ROW(code, a, b, record_send(r), NULL, NULL, NULL, 0)::{s}.answer
$$;

-- An answer that carries everything that a head is made of.
CREATE FUNCTION {s}.whole(code bigint, a bigint, r {s}.run, instant bigint) RETURNS {s}.answer
LANGUAGE sql VOLATILE AS $$
    SELECT ROW(code, a, 0, record_send(r),
        (SELECT record_send(c) FROM {s}.cold c WHERE c.run = (r).key),
        (SELECT record_send(i) FROM {s}.info i WHERE i.run = (r).key),
        (SELECT record_send(o) FROM {s}.outcome o WHERE o.run = (r).key), instant)::{s}.answer
$$;

-- The verdict on a fence of this life of the run: 0, or the code of the refusal.
CREATE FUNCTION {s}.check_fence(r {s}.run, epoch bigint, token bytea) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN (r).epoch <> epoch OR (r).token <> token OR (r).until IS NULL AND (r).state = 0 THEN {FENCED}
        WHEN (r).state <> 0 THEN {FINISHED}
        ELSE 0 END
$$;

-- Brings the due of a run in line with its state, and the hint with the due: exactly when the run has let go of its lease,
-- otherwise only when it has passed, so that the renewals of a lease do not touch the index.
CREATE FUNCTION {s}.settle(r {s}.run, instant bigint, exactly boolean) RETURNS {s}.run LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
    IF r.state <> 0 OR r.draft = 1 THEN
        r.due := NULL;
    ELSIF r.until IS NOT NULL THEN
        r.due := r.until;
    END IF;
    IF exactly OR r.due IS NULL OR r.hint IS NULL OR r.hint > r.due OR r.hint <= instant THEN
        r.hint := r.due;
    END IF;
    RETURN r;
END $f$;

-- Seals the row, stores it, and tells whoever follows the run. Its place, what was told at its creation and the instant of
-- that never change.
CREATE FUNCTION {s}.save(r {s}.run, instant bigint) RETURNS {s}.run LANGUAGE plpgsql AS $f$
BEGIN
    r.checksum := {seal:run r};
    {update:run r};
    IF r.followed > instant THEN
        PERFORM pg_notify('{channel}', encode(r.id, 'hex'));
    END IF;
    RETURN r;
END $f$;
