-- The primary keys of v1.
ALTER TABLE public.workout_plans ADD CONSTRAINT workout_plans_pkey PRIMARY KEY (id);
ALTER TABLE public.exercises ADD CONSTRAINT exercises_pkey PRIMARY KEY (id);
ALTER TABLE public.workout_sessions ADD CONSTRAINT workout_sessions_pkey PRIMARY KEY (id);
ALTER TABLE public.exercise_logs ADD CONSTRAINT exercise_logs_pkey PRIMARY KEY (id);
