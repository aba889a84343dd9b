-- The opposite of v1_primary_keys.sql and v1_keys.sql, so that bulk loading meets bare tables.
DROP TRIGGER update_workout_plans_updated_at ON public.workout_plans;
DROP TRIGGER update_exercises_updated_at ON public.exercises;

ALTER TABLE public.plan_favourites DROP CONSTRAINT plan_favourites_plan_id_fkey;
ALTER TABLE public.exercise_logs DROP CONSTRAINT exercise_logs_exercise_id_fkey;
ALTER TABLE public.exercise_logs DROP CONSTRAINT exercise_logs_session_id_fkey;
ALTER TABLE public.workout_sessions DROP CONSTRAINT workout_sessions_plan_id_fkey;
ALTER TABLE public.workout_sessions DROP CONSTRAINT workout_sessions_user_id_fkey;
ALTER TABLE public.exercises DROP CONSTRAINT exercises_plan_id_fkey;
ALTER TABLE public.workout_plans DROP CONSTRAINT workout_plans_user_id_fkey;

DROP INDEX public.idx_workout_plans_user_id, public.idx_workout_plans_is_active, public.idx_exercises_plan_id,
    public.idx_workout_sessions_user_id, public.idx_workout_sessions_plan_id,
    public.idx_workout_sessions_started_at, public.idx_exercise_logs_session_id,
    public.idx_exercise_logs_exercise_id;

ALTER TABLE public.exercise_logs DROP CONSTRAINT exercise_logs_pkey;
ALTER TABLE public.workout_sessions DROP CONSTRAINT workout_sessions_pkey;
ALTER TABLE public.exercises DROP CONSTRAINT exercises_pkey;
ALTER TABLE public.workout_plans DROP CONSTRAINT workout_plans_pkey;
