-- Calls of models that agents are about to make or have made, until the attempt's report tells of
-- them for good. Those of an attempt that ends without a report become rows of model_call: spent,
-- with an unknown outcome.
CREATE TABLE open_call (
  item_id bigint NOT NULL,
  epoch bigint NOT NULL,
  number integer NOT NULL,
  limit_group text NOT NULL,
  model text NOT NULL,
  endpoint text NOT NULL,
  prompt_digest text NOT NULL,
  -- The most that it may take, and what it took once it has ended.
  prompt_tokens bigint NOT NULL,
  completion_tokens bigint NOT NULL,
  cost_micro_usd bigint NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz,
  finish_reason text NOT NULL DEFAULT 'error',
  is_outcome_unknown boolean NOT NULL DEFAULT true,
  cached_prompt_tokens bigint NOT NULL DEFAULT 0,
  reasoning_tokens bigint NOT NULL DEFAULT 0,
  request_id text NOT NULL DEFAULT '',
  PRIMARY KEY (item_id, epoch, number),
  FOREIGN KEY (item_id, epoch) REFERENCES attempt (item_id, epoch) ON DELETE CASCADE
);
-- Serves the count of a group's calls at once.
CREATE INDEX open_call_group ON open_call (limit_group) WHERE ended_at IS NULL;

-- What is left of the limits that clients share. A group that is new here has all of it.
CREATE TABLE call_limit (
  limit_group text PRIMARY KEY,
  requests double precision NOT NULL DEFAULT 1e300,
  tokens double precision NOT NULL DEFAULT 1e300,
  filled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  paused_until timestamptz NOT NULL DEFAULT 'epoch'
) WITH (fillfactor = 50);
