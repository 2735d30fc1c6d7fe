-- What providers charge apart, and their own name for a call. Older clients say nothing of them.
ALTER TABLE model_call
  ADD COLUMN cached_prompt_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN reasoning_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN request_id text NOT NULL DEFAULT '';

CREATE OR REPLACE VIEW grafana.usage AS
  SELECT c.name AS campaign, m.model, m.endpoint, count(*) AS calls,
         count(*) FILTER (WHERE m.finish_reason = 'error' OR m.is_outcome_unknown) AS calls_failed,
         sum(m.prompt_tokens) AS prompt_tokens, sum(m.completion_tokens) AS completion_tokens,
         sum(m.cost_micro_usd) / 1e6 AS cost_usd, avg(m.latency_ms) / 1e3 AS latency_mean_seconds,
         sum(m.cached_prompt_tokens) AS cached_prompt_tokens,
         sum(m.reasoning_tokens) AS reasoning_tokens,
         count(*) FILTER (WHERE m.is_outcome_unknown) AS calls_unknown
  FROM public.model_call m JOIN public.campaign c ON c.id = m.campaign_id AND NOT c.is_deleting
  GROUP BY c.name, m.model, m.endpoint;
