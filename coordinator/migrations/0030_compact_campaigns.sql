-- How far the details of a campaign that has ended were taken away, by the number of evaluations
-- and proposals, and whether all were.
SET LOCAL lock_timeout = '3s';
ALTER TABLE campaign ADD COLUMN compacted_to bigint NOT NULL DEFAULT 0;
ALTER TABLE campaign ADD COLUMN is_compacted boolean NOT NULL DEFAULT false;
-- Serves the look for the next one: most campaigns are compacted, or not old enough.
CREATE INDEX campaign_compactable ON campaign (ended_at)
  WHERE ended_at IS NOT NULL AND NOT is_compacted;
