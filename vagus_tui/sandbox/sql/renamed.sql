-- The guide's "Create New Tables": the four tables renamed by hand, and nothing else.
ALTER TABLE public.workout_plans RENAME TO workout_plans_v1;
ALTER TABLE public.exercises RENAME TO exercises_v1;
ALTER TABLE public.workout_sessions RENAME TO workout_sessions_v1;
ALTER TABLE public.exercise_logs RENAME TO exercise_logs_v1;
