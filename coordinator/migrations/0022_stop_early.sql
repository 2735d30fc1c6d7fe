-- What trainings were worth at their rungs, as their judges said: once for each evaluation, and
-- whether it is to be ended there by what others had been worth before.
CREATE TABLE rung (
  campaign_id bigint NOT NULL,
  rung integer NOT NULL,
  number bigint NOT NULL,
  value double precision NOT NULL,
  is_hopeless boolean NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (campaign_id, rung, number),
  FOREIGN KEY (campaign_id, number) REFERENCES evaluation (campaign_id, number) ON DELETE CASCADE
);
-- Serves the look at one evaluation's rungs, and the deletion of campaigns.
CREATE INDEX rung_evaluation ON rung (campaign_id, number);

-- What the rest of a training that was ended early would have taken, as its worker says.
ALTER TABLE evaluation ADD COLUMN time_saved_ms bigint NOT NULL DEFAULT 0;
ALTER TABLE campaign
  ADD COLUMN evaluations_stopped_early bigint NOT NULL DEFAULT 0,
  ADD COLUMN time_saved_ms bigint NOT NULL DEFAULT 0;
