DROP FUNCTION pg_temp.user_id, pg_temp.plan_id, pg_temp.exercise_id, pg_temp.session_id, pg_temp.log_id, pg_temp.pick
