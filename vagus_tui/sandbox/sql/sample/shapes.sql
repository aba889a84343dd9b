-- The outline of $1 plans of $2 users with $3 coaches, which the following statements fill in.
CREATE TEMP TABLE shapes ON COMMIT DROP AS
SELECT n,
       pg_temp.plan_id(n) AS id,
       CASE WHEN n % 15 = 0 THEN 1 + n % $3::bigint ELSE 1 + (n * 7919) % $2::bigint END AS owner,
       n % 15 = 0 AS is_template,
       -- 0, 1: days by label; 2: by day_of_week; 3: by muscle group alone.
       (n / 3) % 4 AS style,
       CASE n % 20 WHEN 1 THEN 8 WHEN 2 THEN 12 WHEN 3 THEN 9 WHEN 4 THEN 11 WHEN 7 THEN 0 WHEN 8 THEN 20 ELSE 10 END AS exercises,
       CASE n % 40 WHEN 27 THEN 0 WHEN 28 THEN 16 ELSE 8 END AS sessions,
       2 + n % 3 AS days,
       n % 10 = 3 AS by_week,
       CASE WHEN n % 9 = 0 THEN NULL ELSE (ARRAY[4, 6, 8, 12, 10, 16, 4, 5])[1 + n % 8] END AS duration,
       CASE WHEN n % 12 = 5 THEN NULL ELSE date '2025-01-06' + 7 * (n % 40)::integer END AS start_date,
       date '2025-01-06' + 7 * (n % 40)::integer AS first_day
FROM generate_series(1, $1::bigint) AS n
