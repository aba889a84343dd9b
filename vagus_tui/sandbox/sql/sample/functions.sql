-- Helpers of the sample data, gone with the session. All are plain enough to be inlined.
-- Ids depend on numbers alone, so that the same options always make the same rows.
CREATE FUNCTION pg_temp.user_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT md5('user-' || n::text)::uuid $$;
CREATE FUNCTION pg_temp.plan_id(n bigint) RETURNS @REF@ LANGUAGE sql IMMUTABLE AS
    $$ SELECT @PLAN@ $$;
CREATE FUNCTION pg_temp.exercise_id(n bigint, e bigint) RETURNS @REF@ LANGUAGE sql IMMUTABLE AS
    $$ SELECT @EXERCISE@ $$;
CREATE FUNCTION pg_temp.session_id(n bigint, s bigint) RETURNS @REF@ LANGUAGE sql IMMUTABLE AS
    $$ SELECT @SESSION@ $$;
CREATE FUNCTION pg_temp.log_id(n bigint, s bigint, j bigint) RETURNS @REF@ LANGUAGE sql IMMUTABLE AS
    $$ SELECT @LOG@ $$;
-- A number from 0 to choices - 1 that looks random and is not; n up to a thousand million.
CREATE FUNCTION pg_temp.pick(n bigint, salt bigint, choices integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
    $$ SELECT (((n * 2654435761 + salt * 40503 * 65537) >> 11) % choices)::integer $$;
