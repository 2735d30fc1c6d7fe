-- Workers are compared: each evaluates a campaign's seed now and then, on the same draws as all
-- others. One whose results are off gets no more work until it is released.

SET LOCAL lock_timeout = '3s';

-- Such an evaluation is none of the search's: no event tells of it, no budget of evaluations counts
-- it. Its number is far behind those that the search gives.
ALTER TABLE evaluation ADD COLUMN is_control boolean NOT NULL DEFAULT false;
CREATE SEQUENCE control_number START 1000000000000;
-- Serves the comparison: what the workers made of one seed lately.
CREATE INDEX evaluation_control ON evaluation (campaign_id, number) WHERE is_control;

-- The last control of each worker, by its name, in a campaign.
CREATE TABLE control (
  campaign_id bigint NOT NULL,
  worker text NOT NULL,
  evaluation bigint NOT NULL,         -- Its number; 0: there was none yet.
  judged bigint NOT NULL DEFAULT 0,   -- The last one that was compared, or could not be.
  strikes integer NOT NULL DEFAULT 0, -- So many in a row were off.
  planted_at timestamptz NOT NULL DEFAULT now(),
  next_at timestamptz NOT NULL,       -- None before, in any campaign.
  PRIMARY KEY (campaign_id, worker)
);
-- Serves the claim: is this worker due?
CREATE INDEX control_worker ON control (worker);
-- Serves the look for those that came in.
CREATE INDEX control_open ON control (campaign_id) WHERE judged < evaluation;

CREATE TABLE quarantine (
  worker text PRIMARY KEY,
  evidence text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
