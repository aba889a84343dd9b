INSERT INTO public.plan_favourites (user_id, plan_id)
SELECT pg_temp.user_id(owner), id FROM shapes WHERE n % 6 = 0
