-- Jobs that send deliveries again.

-- What a replay selects, as JSON; null for the jobs that retry what failed.
ALTER TABLE jobs ADD COLUMN selection TEXT;

-- A replay walks the webhook's deliveries, and not its failed attempts.
ALTER TABLE jobs RENAME COLUMN after_attempt TO after_key;
ALTER TABLE jobs RENAME COLUMN last_attempt TO last_key;
