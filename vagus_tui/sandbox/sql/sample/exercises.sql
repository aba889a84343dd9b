INSERT INTO public.exercises
    (id, plan_id, name, muscle_group, day_of_week, day_label, week_number, sets, reps_min, reps_max, weight,
     rest_seconds, tempo, equipment, video_url, notes, order_index, created_at, updated_at)
SELECT pg_temp.exercise_id(p.n, e), p.id,
       c.name, c.muscle_group,
       CASE WHEN p.style = 2 THEN
           CASE WHEN p.n % 2 = 0 THEN (ARRAY['1', '3', '5', '0'])[1 + p.day]
                ELSE (ARRAY['Monday', 'wednesday', 'FRIDAY', 'Sunday'])[1 + p.day] END
       END,
       CASE WHEN p.style < 2 OR (p.style = 2 AND p.n % 8 = 0) THEN
           CASE WHEN p.n % 2 = 1 THEN l.label
                WHEN e % 4 = 1 THEN upper(l.label)
                WHEN e % 4 = 2 THEN '  ' || l.label || ' '
                ELSE l.label END
       END,
       CASE WHEN p.by_week THEN 1 + (e % least(coalesce(p.duration, 4), 4))::integer END,
       3 + pg_temp.pick(p.n * 100 + e, 1, 3),
       5 + pg_temp.pick(p.n * 100 + e, 2, 8),
       5 + pg_temp.pick(p.n * 100 + e, 2, 8) + pg_temp.pick(p.n * 100 + e, 3, 5),
       CASE WHEN c.equipment IS NOT NULL THEN 10 + 2.5 * pg_temp.pick(p.n * 100 + e, 4, 48) END,
       (ARRAY[60, 90, 120, 180])[1 + pg_temp.pick(p.n * 100 + e, 5, 4)],
       CASE WHEN (p.n + e) % 4 = 0 THEN (ARRAY['3-1-1-0', '2-0-2-0', '4-0-X-1'])[1 + (p.n % 3)::integer] END,
       c.equipment,
       CASE WHEN (p.n + e) % 5 = 0 THEN 'https://videos.example.com/v/' || (p.n * 100 + e) END,
       CASE WHEN (p.n + e) % 6 = 0 THEN
           (ARRAY['Keep the back flat', 'Hold ryggen rett', 'حافظ على استقامة الظهر', 'גב ישר', '保持背部平直', '背中をまっすぐに',
                  '허리를 곧게', 'Slow on the way down 🐢'])[1 + (p.n % 8)::integer]
       END,
       (e + 1)::integer,
       p.first_day - interval '3 days' + e * interval '1 minute',
       p.first_day - interval '2 days' + e * interval '1 minute'
FROM (
    SELECT s.*, e, (e * s.days / s.exercises)::integer AS day
    FROM shapes AS s, generate_series(0, s.exercises - 1) AS e
) AS p
JOIN (
    -- One row of day names per language.
    SELECT row_number() OVER () - 1 AS i, labels FROM (VALUES
        (ARRAY['Push Day', 'Pull Day', 'Leg Day', 'Conditioning']), (ARRAY['Day A', 'Day B', 'Day C', 'Day D']),
        (ARRAY['Overkropp', 'Underkropp', 'Helkropp', 'Utholdenhet på løpebånd']),
        (ARRAY['يوم الدفع', 'يوم السحب', 'يوم الأرجل', 'يوم اللياقة']), (ARRAY['יום דחיפה', 'יום משיכה', 'יום רגליים', 'אירובי']),
        (ARRAY['推日', '拉日', '腿日', '有氧日']), (ARRAY['プッシュの日', 'プルの日', '脚の日', '有酸素の日']),
        (ARRAY['밀기', '당기기', '하체', '유산소']), (ARRAY['Día de empuje', 'Día de tirón', 'Día de pierna', 'Cardio']),
        (ARRAY['День ног', 'День спины', 'День груди', 'Кардио']), (ARRAY['💪 Upper', '🦵 Lower', '🔥 HIIT', '🧘 Recovery'])
    ) AS languages(labels)
) AS language ON language.i = p.n % 11
CROSS JOIN LATERAL (SELECT language.labels[1 + p.day] AS label) AS l
JOIN (
    SELECT row_number() OVER () - 1 AS i, name, muscle_group, equipment FROM (VALUES
        ('Bench Press', 'chest', 'barbell'), ('Incline Dumbbell Press', 'Chest', 'dumbbell'), ('Benkpress', 'pectorals', 'barbell'),
        ('ضغط الصدر', 'pectorals', 'machine'), ('Overhead Press', 'shoulders', 'barbell'), ('לחיצת כתפיים', 'SHOULDERS', 'dumbbell'),
        ('Lateral Raise', 'delts', 'dumbbell'), ('Triceps Pushdown', 'triceps', 'cable'), ('三头肌下压', ' triceps ', 'cable'),
        ('Barbell Row', 'back', 'barbell'), ('デッドリフト', 'Back', 'barbell'), ('Pull-up', 'lats', NULL), ('풀업', 'lats', NULL),
        ('Shrug', 'traps', 'dumbbell'), ('Biceps Curl', 'biceps', 'dumbbell'), ('Hantelcurl', 'Biceps', 'dumbbell'),
        ('Farmer''s Carry', 'forearms', 'kettlebell'), ('Back Squat', 'quads', 'barbell'), ('Knebøy', 'quads', 'barbell'),
        ('Romanian Deadlift', 'hamstrings', 'barbell'), ('Hip Thrust', 'glutes', 'barbell'), ('Standing Calf Raise', 'calves', 'machine'),
        ('Leg Press', 'legs', 'machine'), ('Приседания', 'LEGS', 'barbell'), ('Plank', 'core', NULL), ('Ab Wheel', 'abs', 'wheel'),
        ('Burpee 🔥', 'full_body', NULL), ('Kettlebell Swing', 'Full_Body', 'kettlebell'), ('Rowing 500 m', 'cardio', 'rower'),
        ('跑步', 'Cardio', NULL), ('Dip', 'chest', NULL)
    ) AS known(name, muscle_group, equipment)
) AS c ON c.i = (p.n * 10 + p.e) % 31
