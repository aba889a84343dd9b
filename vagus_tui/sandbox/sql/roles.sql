-- The roles of a Supabase project, cluster-wide. Safe to run again, and next to roles that exist.
DO $roles$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('anon', 'NOLOGIN NOINHERIT'),
            ('authenticated', 'NOLOGIN NOINHERIT'),
            ('service_role', 'NOLOGIN NOINHERIT BYPASSRLS'),
            ('authenticator', 'LOGIN NOINHERIT'),
            ('supabase_auth_admin', 'LOGIN NOINHERIT CREATEROLE'),
            -- What operators log in as. Not a superuser.
            ('postgres', 'LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS')
        ) AS roles(name, attributes)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.attributes);
        END IF;
    END LOOP;
END
$roles$;

GRANT anon, authenticated, service_role TO authenticator;
GRANT anon, authenticated, service_role, authenticator, pg_monitor, pg_read_all_data, pg_signal_backend
    TO postgres;

-- Only what is not so yet: two sessions cannot alter one role at the same time.
DO $settings$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            -- PostgREST raises these for the role it takes on; logging in as authenticator has its own.
            ('anon', 'statement_timeout', '3s'),
            ('authenticated', 'statement_timeout', '8s'),
            ('authenticator', 'statement_timeout', '8s'),
            ('postgres', 'search_path', '"$user", public, extensions'),
            ('supabase_auth_admin', 'search_path', 'auth')
        ) AS settings(role, name, value)
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_db_role_setting s
            WHERE s.setdatabase = 0 AND s.setrole = wanted.role::regrole
                AND s.setconfig @> ARRAY[wanted.name || '=' || wanted.value]
        ) THEN
            -- A list of names is spelt out, since as one literal it would be one name.
            EXECUTE format('ALTER ROLE %I SET %I = ', wanted.role, wanted.name)
                || CASE wanted.name WHEN 'search_path' THEN wanted.value ELSE quote_literal(wanted.value) END;
        END IF;
    END LOOP;
END
$settings$;
