-- Three sets of one exercise after another, from the session's day on.
INSERT INTO public.exercise_logs
    (id, session_id, exercise_id, set_number, reps, weight, rpe, tempo, rest_seconds, notes, completed_at, device)
SELECT pg_temp.log_id(s.n, s.s, j), s.id,
       pg_temp.exercise_id(s.n, (s.first_exercise + (j - 1) / 3) % s.exercises),
       ((j - 1) % 3 + 1)::integer,
       5 + pg_temp.pick(s.n * 1600 + s.s * 100 + j, 8, 9),
       2.5 * pg_temp.pick(s.n * 1600 + s.s * 100 + j, 9, 60),
       CASE WHEN j % 3 <> 0 THEN 6 + 0.5 * pg_temp.pick(s.n * 1600 + s.s * 100 + j, 10, 9) END,
       CASE WHEN j % 5 = 0 THEN '2-0-2-0' END,
       CASE WHEN j % 2 = 0 THEN 90 END,
       CASE WHEN (s.n + s.s + j) % 23 = 0 THEN 'easy 😌' END,
       s.started_at + j * interval '3 minutes',
       CASE s.n % 3 WHEN 0 THEN 'iOS' WHEN 1 THEN 'Android' END
FROM session_shapes AS s, generate_series(1, s.logs) AS j
