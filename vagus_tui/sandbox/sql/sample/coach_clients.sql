-- $1 users, of whom the first $2 coach the others; most relations are active, some ended or never began.
INSERT INTO public.coach_clients (coach_id, client_id, status, created_at)
SELECT pg_temp.user_id(1 + (n + second) % $2::bigint), pg_temp.user_id(n),
       CASE WHEN n % 5 = 0 THEN 'inactive' WHEN n % 7 = 0 THEN 'pending' ELSE 'active' END,
       timestamptz '2024-06-01 08:00+00' + n * interval '1 hour'
FROM generate_series($2::bigint + 1, $1::bigint) AS n, generate_series(0, 1) AS second
WHERE second = 0 OR n % 11 = 0
