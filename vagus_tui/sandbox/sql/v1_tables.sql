-- VAGUS workout v1. @ID@ is the id columns' type with its default, @REF@ the type of a column that points at one.
CREATE TABLE public.workout_plans (
    id @ID@,
    user_id uuid,
    name text NOT NULL,
    description text,
    goal text,
    duration_weeks integer,
    start_date date,
    is_active boolean DEFAULT true,
    is_template boolean DEFAULT false,
    template_category text,
    created_by uuid,
    ai_generated boolean DEFAULT false,
    metadata jsonb DEFAULT '{}',
    -- Not a column the guide knows: it is carried over as it is.
    cover_color text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.exercises (
    id @ID@,
    plan_id @REF@,
    name text NOT NULL,
    muscle_group text,
    -- Text, because both 0 to 6 (0 is Sunday) and names of days are found in it.
    day_of_week text,
    day_label text,
    week_number integer,
    sets integer,
    reps_min integer,
    reps_max integer,
    weight numeric,
    rest_seconds integer,
    tempo text,
    equipment text,
    video_url text,
    notes text,
    order_index integer,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE public.workout_sessions (
    id @ID@,
    user_id uuid,
    plan_id @REF@,
    started_at timestamptz DEFAULT now(),
    completed_at timestamptz,
    notes text,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE public.exercise_logs (
    id @ID@,
    session_id @REF@,
    exercise_id @REF@,
    set_number integer,
    reps integer,
    weight numeric,
    rpe numeric,
    tempo text,
    rest_seconds integer,
    notes text,
    completed_at timestamptz DEFAULT now(),
    -- Not a column the guide knows either.
    device text
);

CREATE TABLE public.coach_clients (
    coach_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    client_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz DEFAULT now(),
    PRIMARY KEY (coach_id, client_id)
);
CREATE INDEX idx_coach_clients_client_id ON public.coach_clients (client_id);

CREATE TABLE public.plan_favourites (
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    plan_id @REF@ NOT NULL,
    created_at timestamptz DEFAULT now(),
    PRIMARY KEY (user_id, plan_id)
);

CREATE FUNCTION public.update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;
