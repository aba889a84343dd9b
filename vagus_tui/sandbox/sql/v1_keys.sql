-- Foreign keys, indexes and triggers of v1. @VALID@ is empty or NOT VALID: the keys of the real v1 came after the
-- first rows, so rows that break them exist while new ones cannot be made.
CREATE INDEX idx_workout_plans_user_id ON public.workout_plans (user_id);
CREATE INDEX idx_workout_plans_is_active ON public.workout_plans (user_id) WHERE is_active;
CREATE INDEX idx_exercises_plan_id ON public.exercises (plan_id);
CREATE INDEX idx_workout_sessions_user_id ON public.workout_sessions (user_id);
CREATE INDEX idx_workout_sessions_plan_id ON public.workout_sessions (plan_id);
CREATE INDEX idx_workout_sessions_started_at ON public.workout_sessions (started_at);
CREATE INDEX idx_exercise_logs_session_id ON public.exercise_logs (session_id);
CREATE INDEX idx_exercise_logs_exercise_id ON public.exercise_logs (exercise_id);

ALTER TABLE public.workout_plans ADD CONSTRAINT workout_plans_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE @VALID@;
ALTER TABLE public.exercises ADD CONSTRAINT exercises_plan_id_fkey
    FOREIGN KEY (plan_id) REFERENCES public.workout_plans (id) ON DELETE CASCADE @VALID@;
ALTER TABLE public.workout_sessions ADD CONSTRAINT workout_sessions_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE @VALID@;
ALTER TABLE public.workout_sessions ADD CONSTRAINT workout_sessions_plan_id_fkey
    FOREIGN KEY (plan_id) REFERENCES public.workout_plans (id) ON DELETE SET NULL @VALID@;
ALTER TABLE public.exercise_logs ADD CONSTRAINT exercise_logs_session_id_fkey
    FOREIGN KEY (session_id) REFERENCES public.workout_sessions (id) ON DELETE CASCADE @VALID@;
ALTER TABLE public.exercise_logs ADD CONSTRAINT exercise_logs_exercise_id_fkey
    FOREIGN KEY (exercise_id) REFERENCES public.exercises (id) ON DELETE CASCADE @VALID@;
ALTER TABLE public.plan_favourites ADD CONSTRAINT plan_favourites_plan_id_fkey
    FOREIGN KEY (plan_id) REFERENCES public.workout_plans (id) ON DELETE CASCADE;

CREATE TRIGGER update_workout_plans_updated_at BEFORE UPDATE ON public.workout_plans
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
CREATE TRIGGER update_exercises_updated_at BEFORE UPDATE ON public.exercises
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
