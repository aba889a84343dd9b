INSERT INTO public.workout_sessions (id, user_id, plan_id, started_at, completed_at, notes, created_at)
SELECT id, pg_temp.user_id(owner), plan_id, started_at,
       started_at + (35 + pg_temp.pick(n * 100 + s, 7, 50)) * interval '1 minute',
       CASE WHEN (n + s) % 7 = 0 THEN
           (ARRAY['Felt strong', 'Tung dag', 'شعرت بالتعب', 'אימון מצוין', '状态很好', '疲れた', '컨디션 좋음', 'New PR 🎉'])[1 + (n % 8)::integer]
       END,
       started_at
FROM session_shapes
