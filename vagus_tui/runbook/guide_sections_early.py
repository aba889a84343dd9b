"""The guide up to the data transformation: its entries and what fulfils each (see `guide_sections`)."""

from __future__ import annotations

from vagus_tui.runbook.model import Screen

EARLY: tuple[tuple[str, str, Screen, tuple[tuple[str, str], ...]], ...] = (
    (
        "scope",
        "What's Being Migrated",
        Screen.OVERVIEW,
        (
            ("Plans into the new structure", "scope.plans check:plans-migrated"),
            ("Exercise history", "scope.history check:sessions-migrated check:logs-migrated"),
            ("User preferences", "scope.preferences verification.data.preferences"),
            ("Coach and client relationships", "scope.coaches verification.data.coaches"),
            ("Templates, to be reviewed", "scope.templates evidence:templates"),
            ("Old screenshots and exports stay behind", "scope.exports"),
        ),
    ),
    (
        "estimate",
        "Timeline Estimate",
        Screen.OVERVIEW,
        (
            ("Development", "estimate.development"),
            ("Staging", "estimate.staging"),
            ("Production", "estimate.production job:rehearse"),
        ),
    ),
    (
        "risks",
        "Risk Assessment",
        Screen.OVERVIEW,
        (
            ("Data loss", "risk.data-loss"),
            ("Schema conflicts", "risk.schema-conflict prerequisites.staging-first"),
            ("Row level security", "risk.row-level-security"),
            ("Performance", "risk.performance"),
            ("Confused users", "risk.user-confusion"),
        ),
    ),
    (
        "technical",
        "Technical Prerequisites",
        Screen.PREREQUISITES,
        (
            ("PostgreSQL 14 or later", "prerequisites.server-version check:server-version"),
            ("Supabase CLI", "prerequisites.supabase-cli check:supabase-cli"),
            ("Connection details", "prerequisites.connection check:connection-kind"),
            ("Rights on the database", "prerequisites.rights check:rights"),
            ("Storage for the backup", "prerequisites.backup-space check:disk-space check:upload-target"),
            ("The migration's SQL at hand", "prerequisites.plan-read"),
        ),
    ),
    (
        "environment",
        "Environment Preparation",
        Screen.PREREQUISITES,
        (
            ("Connect", "prerequisites.reached check:tls check:connection-kind"),
            ("Server version", "prerequisites.server-version check:server-version"),
            ("Table sizes", "prerequisites.sizes check:table-sizes check:server-space"),
            (
                "Active connections",
                "prerequisites.connections check:active-connections prerequisites.nobody-holds-locks",
            ),
        ),
    ),
    (
        "data-quality",
        "Data Quality Checks",
        Screen.PREREQUISITES,
        (
            ("Plans without owner", "prerequisites.plans-have-owners check:plans-null-owner"),
            ("Exercises without plan", "prerequisites.exercises-have-plans check:orphaned-exercises"),
            ("Plan names used twice", "prerequisites.plan-names check:duplicate-plan-names"),
            (
                "Invalid values of exercises",
                "prerequisites.exercise-values check:exercises-sets check:exercises-reps check:exercises-weight",
            ),
            ("Sessions never completed", "prerequisites.unfinished-sessions check:abandoned-sessions"),
        ),
    ),
    (
        "communication-week",
        "User Communication, 7 days before",
        Screen.COMMUNICATIONS,
        (
            ("Announcement e-mail", "communications.announce-email message.announce-email"),
            ("In-app banner with the date", "communications.banner-week message.banner-week"),
            ("Social media", "communications.social-post message.social-post"),
        ),
    ),
    (
        "communication-day",
        "User Communication, 24 hours before",
        Screen.COMMUNICATIONS,
        (
            ("Reminder e-mail", "communications.reminder-email message.reminder-email"),
            ("Banner with the window", "communications.banner-day message.banner-day"),
        ),
    ),
    (
        "communication-during",
        "User Communication, during",
        Screen.COMMUNICATIONS,
        (
            ("Maintenance page", "communications.maintenance-page message.maintenance-page"),
            ("Status page", "communications.status-page message.status-page"),
        ),
    ),
    (
        "communication-after",
        "User Communication, after",
        Screen.COMMUNICATIONS,
        (
            ("New features e-mail", "communications.features-email message.features-email"),
            ("Tutorial in the app", "communications.tutorial message.tutorial"),
            ("Watch support", "communications.watch-support"),
        ),
    ),
    (
        "backup-full",
        "Full Database Backup",
        Screen.BACKUP,
        (
            ("Directory", "backup.directory job:backup"),
            ("Full dump", "backup.full job:backup"),
            ("Verify the dump", "backup.read-back job:restore-test"),
            ("Compress", "backup.compressed job:backup"),
        ),
    ),
    (
        "backup-selective",
        "Selective Table Backups",
        Screen.BACKUP,
        (("Workout tables alone", "backup.selective job:backup"),),
    ),
    (
        "backup-csv",
        "Export Data to CSV",
        Screen.BACKUP,
        (
            ("Plans", "backup.csv job:backup"),
            ("Exercises", "backup.csv job:backup"),
            ("Sessions", "backup.csv job:backup"),
            ("Exercise logs", "backup.csv job:backup"),
        ),
    ),
    (
        "backup-verification",
        "Backup Verification",
        Screen.BACKUP,
        (
            ("File sizes", "backup.sizes job:restore-test"),
            ("Integrity of the dump", "backup.read-back job:restore-test"),
            ("Test restore", "backup.restored job:restore-test"),
        ),
    ),
    (
        "backup-upload",
        "Upload Backups to Cloud Storage",
        Screen.BACKUP,
        (
            ("To S3", "backup.uploaded job:upload"),
            ("To Google Cloud Storage", "backup.uploaded job:upload"),
            ("Verify the upload", "backup.upload-verified job:upload"),
        ),
    ),
    (
        "table-mapping",
        "Table Mapping",
        Screen.MIGRATION,
        (
            ("Plans", "mapping:workout_plans check:plans-migrated"),
            ("Weeks, generated", "mapping:workout_weeks check:orphaned-weeks"),
            ("Days, grouped", "mapping:workout_days check:orphaned-days"),
            ("Exercises", "mapping:exercises check:exercises-migrated"),
            ("Sessions", "mapping:workout_sessions check:sessions-migrated check:sessions-linked"),
            ("Exercise logs", "mapping:exercise_logs check:logs-migrated"),
        ),
    ),
    (
        "field-mapping-plans",
        "Field Mapping, plans",
        Screen.MIGRATION,
        (
            ("id", "mapping:workout_plans.id"),
            ("user_id", "mapping:workout_plans.user_id"),
            ("name", "mapping:workout_plans.name"),
            ("description", "mapping:workout_plans.description"),
            ("goal, or general fitness", "mapping:workout_plans.goal"),
            ("total_weeks, from the plan or its exercises, or 4", "mapping:workout_plans.total_weeks"),
            ("current_week 1", "mapping:workout_plans.current_week"),
            ("status from is_active", "mapping:workout_plans.status"),
            ("created_at", "mapping:workout_plans.created_at"),
            ("updated_at", "mapping:workout_plans.updated_at"),
        ),
    ),
    (
        "field-mapping-exercises",
        "Field Mapping, exercises",
        Screen.MIGRATION,
        (
            ("id", "mapping:exercises.id"),
            ("day_id from the plan's days", "mapping:exercises.day_id"),
            ("name", "mapping:exercises.name"),
            ("muscle_group", "mapping:exercises.muscle_group"),
            ("sets", "mapping:exercises.sets"),
            ("target_reps_min", "mapping:exercises.target_reps_min"),
            ("target_reps_max", "mapping:exercises.target_reps_max"),
            ("target_weight", "mapping:exercises.target_weight"),
            ("target_rpe_min empty", "mapping:exercises.target_rpe_min"),
            ("target_rpe_max empty", "mapping:exercises.target_rpe_max"),
            ("rest_seconds, or 90", "mapping:exercises.rest_seconds"),
            ("tempo", "mapping:exercises.tempo"),
            ("notes", "mapping:exercises.notes"),
            ("video_url", "mapping:exercises.video_url"),
            ("order_index", "mapping:exercises.order_index"),
        ),
    ),
    (
        "day-grouping",
        "Group Exercises into Days",
        Screen.MIGRATION,
        (
            ("By day_of_week", "mapping:day-key"),
            ("By day_label", "mapping:day-key"),
            ("By muscle group", "mapping:day-key"),
        ),
    ),
    (
        "transformation",
        "Transformation Logic",
        Screen.MIGRATION,
        (
            ("Generate weeks", "phase:build mapping:workout_weeks"),
            ("Group exercises into days", "phase:build mapping:workout_days"),
            ("Same days in every week", "phase:build mapping:workout_days"),
            ("Exercises onto their days", "phase:build mapping:exercises.day_id check:row-proof"),
        ),
    ),
)
