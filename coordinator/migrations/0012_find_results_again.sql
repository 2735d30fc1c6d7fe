-- Results by what they follow from: an evaluation of the same content is found instead of made.

-- Digest of task, files, parameters, split, seed and secret; empty: not to be found again.
ALTER TABLE evaluation ADD COLUMN content_key text NOT NULL DEFAULT '';

-- Whether equal contents gave equal results: unknown until a second one was made.
ALTER TABLE task ADD COLUMN repeatability text NOT NULL DEFAULT 'unknown'
  CONSTRAINT task_repeatability CHECK (repeatability IN ('unknown', 'repeatable', 'noisy'));

-- Of the evaluations counted, those whose result was found.
ALTER TABLE campaign ADD COLUMN evaluations_reused bigint NOT NULL DEFAULT 0;

-- The first result of each content under each toolchain.
CREATE TABLE result (
  content_key text NOT NULL,
  toolchain text NOT NULL,
  campaign_id bigint NOT NULL,
  number bigint NOT NULL,
  PRIMARY KEY (content_key, toolchain),
  FOREIGN KEY (campaign_id, number) REFERENCES evaluation (campaign_id, number) ON DELETE CASCADE
);
-- Serves the deletion of campaigns.
CREATE INDEX result_evaluation ON result (campaign_id, number);
