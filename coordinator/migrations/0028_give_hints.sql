-- What a person told the model while the campaign runs; the log has earlier ones.
SET LOCAL lock_timeout = '3s';
ALTER TABLE campaign ADD COLUMN hint text NOT NULL DEFAULT '';
