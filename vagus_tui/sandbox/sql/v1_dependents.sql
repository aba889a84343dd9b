-- Things in a real project that point at v1 and must go on working after the tables are swapped.
CREATE VIEW public.active_plans @INVOKER@ AS
    SELECT id, user_id, name, goal, start_date, created_at FROM public.workout_plans WHERE is_active;
REVOKE ALL ON public.active_plans FROM anon, authenticated, service_role;
GRANT SELECT ON public.active_plans TO @VIEW_READERS@;

CREATE FUNCTION public.count_active_plans(of_user uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM workout_plans WHERE user_id = of_user AND is_active
$$;

ALTER PUBLICATION supabase_realtime ADD TABLE public.workout_plans, public.workout_sessions;
