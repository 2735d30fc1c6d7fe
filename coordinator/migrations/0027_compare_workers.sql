-- Workers are compared: each evaluates a campaign's seed now and then, on the same draws as all
-- others. One whose results are off gets no more work until it is released.

-- Such an evaluation is none of the search's: no event tells of it, no budget counts it.
ALTER TABLE evaluation ADD COLUMN is_control boolean NOT NULL DEFAULT false;
-- Far behind the numbers that the search gives.
CREATE SEQUENCE control_number START 1000000000000;

-- The last control of each worker, by its name, in a campaign.
CREATE TABLE control (
  campaign_id bigint NOT NULL,
  worker text NOT NULL,
  evaluation bigint NOT NULL,         -- Its number; 0: there was none yet.
  judged bigint NOT NULL DEFAULT 0,   -- The last one that was compared.
  strikes integer NOT NULL DEFAULT 0, -- So many in a row were off.
  planted_at timestamptz NOT NULL,
  PRIMARY KEY (campaign_id, worker)
);
-- Serves the look for those that came in.
CREATE INDEX control_unjudged ON control (planted_at) WHERE judged < evaluation;

CREATE TABLE quarantine (
  worker text PRIMARY KEY,
  evidence text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
