-- What made the best variant better of late, for the prompts: at most five, the last one last.
SET LOCAL lock_timeout = '3s';
ALTER TABLE campaign ADD COLUMN gains jsonb NOT NULL DEFAULT '[]';
