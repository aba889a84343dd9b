-- Who may see and do what in v1: the owner everything, an active coach the client's plans and, reading only, the
-- client's sessions and logs.
ALTER TABLE public.workout_plans ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.exercises ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.workout_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.exercise_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.coach_clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.plan_favourites ENABLE ROW LEVEL SECURITY;

CREATE POLICY "Coaches and clients see their relation" ON public.coach_clients FOR SELECT TO authenticated
    USING (coach_id = (SELECT auth.uid()) OR client_id = (SELECT auth.uid()));

CREATE POLICY "Users manage own favourites" ON public.plan_favourites FOR ALL TO authenticated
    USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));

CREATE POLICY "Users manage own plans" ON public.workout_plans FOR ALL TO authenticated
    USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY "Coaches manage client plans" ON public.workout_plans FOR ALL TO authenticated
    USING (user_id IN (SELECT client_id FROM public.coach_clients
                       WHERE coach_id = (SELECT auth.uid()) AND status = 'active'))
    WITH CHECK (user_id IN (SELECT client_id FROM public.coach_clients
                            WHERE coach_id = (SELECT auth.uid()) AND status = 'active'));

-- The plan's own policies decide which plans the subquery sees.
CREATE POLICY "Users manage exercises of visible plans" ON public.exercises FOR ALL TO authenticated
    USING (plan_id IN (SELECT id FROM public.workout_plans))
    WITH CHECK (plan_id IN (SELECT id FROM public.workout_plans));

CREATE POLICY "Users manage own sessions" ON public.workout_sessions FOR ALL TO authenticated
    USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY "Coaches read client sessions" ON public.workout_sessions FOR SELECT TO authenticated
    USING (user_id IN (SELECT client_id FROM public.coach_clients
                       WHERE coach_id = (SELECT auth.uid()) AND status = 'active'));

CREATE POLICY "Users manage own logs" ON public.exercise_logs FOR ALL TO authenticated
    USING (session_id IN (SELECT id FROM public.workout_sessions WHERE user_id = (SELECT auth.uid())))
    WITH CHECK (session_id IN (SELECT id FROM public.workout_sessions WHERE user_id = (SELECT auth.uid())));
CREATE POLICY "Coaches read client logs" ON public.exercise_logs FOR SELECT TO authenticated
    USING (session_id IN (
        SELECT s.id FROM public.workout_sessions AS s
        JOIN public.coach_clients AS c ON c.client_id = s.user_id
        WHERE c.coach_id = (SELECT auth.uid()) AND c.status = 'active'));

GRANT SELECT, INSERT, UPDATE, DELETE
    ON public.workout_plans, public.exercises, public.workout_sessions, public.exercise_logs,
       public.plan_favourites
    TO authenticated;
GRANT SELECT ON public.coach_clients TO authenticated;
GRANT ALL
    ON public.workout_plans, public.exercises, public.workout_sessions, public.exercise_logs,
       public.coach_clients, public.plan_favourites
    TO service_role;
