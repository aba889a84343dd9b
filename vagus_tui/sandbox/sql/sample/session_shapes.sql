-- One outline per session. A session trains one of the plan's days and starts inside the plan's weeks.
CREATE TEMP TABLE session_shapes ON COMMIT DROP AS
SELECT p.n, s, pg_temp.session_id(p.n, s) AS id, p.id AS plan_id, p.owner, p.exercises,
       -- The first exercise of the day, counted from 0.
       ((s - 1) % p.days * p.exercises + p.days - 1) / p.days AS first_exercise,
       CASE WHEN p.exercises = 0 THEN 0 ELSE (ARRAY[8, 12, 12, 13, 13, 13, 14])[1 + ((p.n + 3 * s) % 7)::integer] END AS logs,
       (p.first_day + (((s - 1) * coalesce(p.duration, 4) / p.sessions) * 7 + (2 * s) % 7)::integer)::timestamp
           AT TIME ZONE 'UTC' + (6 + p.n % 15) * interval '1 hour' + pg_temp.pick(p.n * 100 + s, 6, 60) * interval '1 minute'
           AS started_at
FROM shapes AS p, generate_series(1, p.sessions) AS s
