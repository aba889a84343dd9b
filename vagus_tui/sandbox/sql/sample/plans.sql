INSERT INTO public.workout_plans
    (id, user_id, name, description, goal, duration_weeks, start_date, is_active, is_template, template_category,
     created_by, ai_generated, metadata, cover_color, created_at, updated_at)
SELECT p.id, pg_temp.user_id(p.owner),
       t.names[1 + p.n % cardinality(t.names)] || ' ' || p.n,
       CASE WHEN p.n % 4 = 0 THEN t.descriptions[1 + p.n % cardinality(t.descriptions)] END,
       t.goals[1 + p.n % cardinality(t.goals)],
       p.duration, p.start_date,
       p.n % 3 <> 0, p.is_template,
       CASE WHEN p.is_template THEN t.categories[1 + (p.n / 15) % cardinality(t.categories)] END,
       -- A coach's plan for a client, or one's own.
       pg_temp.user_id(CASE WHEN p.n % 3 = 0 THEN 1 + p.owner % greatest(p.owner / 20, 1) ELSE p.owner END),
       p.n % 6 = 0,
       jsonb_build_object('source', CASE WHEN p.n % 6 = 0 THEN 'assistant' ELSE 'app' END, 'schema', 1 + p.n % 3),
       t.colors[1 + p.n % cardinality(t.colors)],
       p.first_day - interval '3 days' + p.n % 1440 * interval '1 minute',
       p.first_day - interval '1 day' + p.n % 1440 * interval '1 minute'
FROM shapes AS p, (SELECT
    ARRAY['Push Pull Legs', 'Styrkeprogram høst', 'برنامج القوة', 'תוכנית כוח', '力量训练计划', '筋力トレーニング',
          '근력 운동 프로그램', 'Full Body Beginner', 'Plan de fuerza – otoño', 'Сила и выносливость', 'Προπόνηση δύναμης',
          'शक्ति कार्यक्रम', 'โปรแกรมเพิ่มกล้าม', 'Summer Shred ☀️🏖️', 'Rückkehr nach Verletzung', '5×5', 'Marathon base 🏃🏽‍♀️',
          'Kraft & Ausdauer', 'Bålsterk', 'Upper/Lower split'] AS names,
    ARRAY['Three days a week, one light.', 'Tre økter i uka, rolig progresjon.', 'ثلاثة أيام في الأسبوع', 'שלושה אימונים בשבוע',
          '每周三次，循序渐进', '週3回、無理なく', '주 3회, 천천히 증가', E'Line one\nLine two\tafter a tab', 'Deload every 4th week — "listen to your body"'] AS descriptions,
    ARRAY['strength', 'hypertrophy', 'endurance', 'powerlifting', 'general_fitness', 'weight_loss', 'Strength',
          'Weight Loss', ' general fitness ', 'HYPERTROPHY'] AS goals,
    ARRAY['Beginner', 'Home', 'Powerlifting', 'Rehab'] AS categories,
    ARRAY['#1d4ed8', '#b45309', NULL, '#047857'] AS colors
) AS t
