-- Everything that must survive. State columns are text with a named CHECK; the code's enums use the
-- same words. Times are compared by this database's clock only.

-- Contents by digest: sources, bundles, answers. zstd-compressed by the coordinator.
CREATE TABLE blob (
  sha256 text PRIMARY KEY CONSTRAINT blob_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  size_bytes bigint NOT NULL CONSTRAINT blob_size CHECK (size_bytes >= 0),
  content bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
-- Already compressed: TOAST must not try again.
ALTER TABLE blob ALTER COLUMN content SET STORAGE EXTERNAL;

-- A task is immutable; its bundle is a blob under the same digest.
CREATE TABLE task (
  id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  digest text PRIMARY KEY REFERENCES blob (sha256),
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE campaign (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CONSTRAINT campaign_name_unique UNIQUE,
  request_id text CONSTRAINT campaign_request_unique UNIQUE,
  spec bytea NOT NULL,
  definition jsonb NOT NULL,
  task_digest text NOT NULL REFERENCES task (digest),
  task_name text NOT NULL,
  objective_metric text NOT NULL,
  is_maximized boolean NOT NULL,
  priority integer NOT NULL,
  state text NOT NULL DEFAULT 'running' CONSTRAINT campaign_state CHECK (state IN
    ('running', 'paused', 'draining', 'finalizing', 'succeeded', 'stopped', 'failed')),
  end_reason text NOT NULL DEFAULT 'none',
  reason text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  -- The event log: last_sequence grows by one with each event, in the transaction that writes it.
  last_sequence bigint NOT NULL DEFAULT 0,
  applied_sequence bigint NOT NULL DEFAULT 0,
  -- One coordinator drives a campaign at a time; a step of an older epoch is refused.
  driver_id text,
  driver_epoch bigint NOT NULL DEFAULT 0,
  driver_expires_at timestamptz,
  -- Time in state running, as the drivers saw it.
  running_ms bigint NOT NULL DEFAULT 0,
  accrued_at timestamptz,
  -- What it has used.
  evaluations bigint NOT NULL DEFAULT 0,
  evaluations_failed bigint NOT NULL DEFAULT 0,
  final_evaluations bigint NOT NULL DEFAULT 0,
  proposals bigint NOT NULL DEFAULT 0,
  proposals_failed bigint NOT NULL DEFAULT 0,
  duplicates bigint NOT NULL DEFAULT 0,
  tokens bigint NOT NULL DEFAULT 0,
  cost_micro_usd bigint NOT NULL DEFAULT 0,
  gpu_time_ms bigint NOT NULL DEFAULT 0,
  cpu_time_ms bigint NOT NULL DEFAULT 0,
  best_variant bigint,
  best_score double precision,
  seed_score double precision,
  CONSTRAINT campaign_applied CHECK (applied_sequence <= last_sequence)
) WITH (fillfactor = 70);
-- Serves the drivers' and watchers' polls: few campaigns are active, many have ended.
CREATE INDEX campaign_active ON campaign (id)
  WHERE state IN ('running', 'paused', 'draining', 'finalizing');

-- Requests to pause, resume and stop that were carried out: repeating one changes nothing.
CREATE TABLE campaign_request (
  campaign_id bigint NOT NULL REFERENCES campaign (id) ON DELETE CASCADE,
  request_id text NOT NULL,
  PRIMARY KEY (campaign_id, request_id)
);

-- What happened, in order. Inputs drive the search; the other events are what it made of them.
CREATE TABLE event (
  campaign_id bigint NOT NULL REFERENCES campaign (id) ON DELETE CASCADE,
  sequence bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  type text NOT NULL,
  is_input boolean NOT NULL,
  variant bigint,
  message text NOT NULL,
  payload jsonb NOT NULL,
  PRIMARY KEY (campaign_id, sequence)
);

CREATE TABLE variant (
  campaign_id bigint NOT NULL REFERENCES campaign (id) ON DELETE CASCADE,
  number bigint NOT NULL,
  parents bigint[] NOT NULL,
  proposal bigint,
  operator text,
  model text NOT NULL DEFAULT '',
  island integer,
  generation integer NOT NULL,
  duplicate_of bigint,
  files jsonb NOT NULL,
  token_digest text NOT NULL,
  source_tokens bigint NOT NULL,
  rationale text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  state text NOT NULL CONSTRAINT variant_state CHECK (state IN
    ('pending', 'evaluated', 'failed', 'duplicate')),
  outcome text,
  metrics jsonb NOT NULL DEFAULT '{}',
  score double precision,
  settled_at timestamptz,
  PRIMARY KEY (campaign_id, number)
) WITH (fillfactor = 80);
-- Serves ListVariants by score and the leaderboard.
CREATE INDEX variant_score ON variant (campaign_id, score) WHERE score IS NOT NULL;

-- One evaluation is a variant, a split and a seed. The result is written once.
CREATE TABLE evaluation (
  campaign_id bigint NOT NULL,
  number bigint NOT NULL,
  variant bigint NOT NULL,
  split text NOT NULL CONSTRAINT evaluation_split CHECK (split IN ('validation', 'sealed')),
  seed numeric(20) NOT NULL,
  is_final boolean NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  outcome text,
  metrics jsonb NOT NULL DEFAULT '{}',
  diagnostics text NOT NULL DEFAULT '',
  log text NOT NULL DEFAULT '',
  timings_ms jsonb NOT NULL DEFAULT '{}',
  cpu_time_ms bigint NOT NULL DEFAULT 0,
  gpu_time_ms bigint NOT NULL DEFAULT 0,
  memory_peak_bytes bigint NOT NULL DEFAULT 0,
  result_key text NOT NULL DEFAULT '',
  behaviour_digest text NOT NULL DEFAULT '',
  is_cached boolean NOT NULL DEFAULT false,
  agent_name text NOT NULL DEFAULT '',
  attempts integer NOT NULL DEFAULT 0,
  finished_at timestamptz,
  PRIMARY KEY (campaign_id, number),
  FOREIGN KEY (campaign_id, variant) REFERENCES variant (campaign_id, number) ON DELETE CASCADE
) WITH (fillfactor = 80);
-- Serves GetVariant and the prompts: the evaluations of one variant.
CREATE INDEX evaluation_variant ON evaluation (campaign_id, variant);

CREATE TABLE proposal (
  campaign_id bigint NOT NULL REFERENCES campaign (id) ON DELETE CASCADE,
  number bigint NOT NULL,
  operator text NOT NULL,
  parents bigint[] NOT NULL,
  inspirations bigint[] NOT NULL,
  failures bigint[] NOT NULL,
  seed numeric(20) NOT NULL,
  variants integer NOT NULL,
  model text NOT NULL,
  temperature double precision,
  created_at timestamptz NOT NULL DEFAULT now(),
  outcome text,
  result_variants jsonb NOT NULL DEFAULT '[]',
  rejections jsonb NOT NULL DEFAULT '[]',
  agent_name text NOT NULL DEFAULT '',
  finished_at timestamptz,
  PRIMARY KEY (campaign_id, number)
) WITH (fillfactor = 80);

-- The queue. No index on lease times: renewals must stay HOT updates (they went from 0 to 99.99 %
-- when that index was replaced by the one on id).
CREATE TABLE work_item (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  campaign_id bigint NOT NULL REFERENCES campaign (id) ON DELETE CASCADE,
  kind text NOT NULL CONSTRAINT work_item_kind CHECK (kind IN ('evaluation', 'proposal')),
  number bigint NOT NULL,
  state text NOT NULL DEFAULT 'ready' CONSTRAINT work_item_state CHECK (state IN
    ('ready', 'leased', 'done', 'cancelled')),
  priority integer NOT NULL,
  not_before timestamptz NOT NULL DEFAULT now(),
  epoch bigint NOT NULL DEFAULT 0,
  agent_id text,
  renewed_at timestamptz,
  lease_expires_at timestamptz,
  attempt_deadline timestamptz,
  attempt_budget_min_ms bigint NOT NULL DEFAULT 0,
  -- What an agent must be able to do.
  runtime text NOT NULL DEFAULT '',
  sandbox_level integer NOT NULL DEFAULT 0,
  gpus integer NOT NULL DEFAULT 0,
  model text NOT NULL DEFAULT '',
  -- Attempts that failed by the worker's fault, and by nobody's. The candidate's fault is a result.
  worker_faults integer NOT NULL DEFAULT 0,
  losses integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT work_item_number UNIQUE (campaign_id, kind, number)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
-- Serves the claim: ready items in the order in which they are given out.
CREATE INDEX work_item_ready ON work_item (kind, priority DESC, id) WHERE state = 'ready';
-- Serves the sweep of expired leases and the agents' lists of leases.
CREATE INDEX work_item_leased ON work_item (id) WHERE state = 'leased';
-- Serves the counts of open work and the end of a campaign.
CREATE INDEX work_item_open ON work_item (campaign_id, kind)
  WHERE state IN ('ready', 'leased');

-- One try at an item by one agent under one lease. The end is written once; a report that comes
-- after it is marked stale and keeps its cost.
CREATE TABLE attempt (
  item_id bigint NOT NULL REFERENCES work_item (id) ON DELETE CASCADE,
  epoch bigint NOT NULL,
  agent_id text NOT NULL,
  agent_name text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  outcome text CONSTRAINT attempt_outcome CHECK (outcome IN
    ('finished', 'infrastructure', 'released', 'unable', 'lost', 'dropped', 'overrun',
     'cancelled')),
  is_counted boolean NOT NULL DEFAULT false,
  stale_report_at timestamptz,
  evidence text NOT NULL DEFAULT '',
  cpu_time_ms bigint NOT NULL DEFAULT 0,
  gpu_time_ms bigint NOT NULL DEFAULT 0,
  tokens bigint NOT NULL DEFAULT 0,
  cost_micro_usd bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (item_id, epoch)
) WITH (fillfactor = 80);

-- Every call of a model that an agent reported, counted or not.
CREATE TABLE model_call (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  campaign_id bigint NOT NULL REFERENCES campaign (id) ON DELETE CASCADE,
  proposal bigint NOT NULL,
  item_id bigint NOT NULL,
  epoch bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  model text NOT NULL,
  endpoint text NOT NULL,
  prompt_tokens bigint NOT NULL,
  completion_tokens bigint NOT NULL,
  cost_micro_usd bigint NOT NULL,
  latency_ms bigint NOT NULL,
  time_to_first_token_ms bigint,
  retries integer NOT NULL,
  finish_reason text NOT NULL,
  prompt_digest text NOT NULL,
  answer_digest text NOT NULL,
  is_outcome_unknown boolean NOT NULL,
  is_counted boolean NOT NULL
);
-- Serves GetUsage of one campaign.
CREATE INDEX model_call_campaign ON model_call (campaign_id);

CREATE TABLE agent (
  agent_id text PRIMARY KEY,
  name text NOT NULL,
  kind text NOT NULL CONSTRAINT agent_kind CHECK (kind IN ('worker', 'codegen')),
  description jsonb NOT NULL,
  running jsonb NOT NULL DEFAULT '[]',
  is_draining boolean NOT NULL DEFAULT false,
  should_drain boolean NOT NULL DEFAULT false,
  attempts_finished bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_sync_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
