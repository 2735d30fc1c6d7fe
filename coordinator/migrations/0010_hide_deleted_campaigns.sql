-- A campaign that its user deleted is gone for dashboards too, however long its rows take to go.
-- The views of 0002 and 0003, otherwise unchanged.

CREATE OR REPLACE VIEW grafana.campaign AS
SELECT name, task_name AS task, state, end_reason, definition #>> '{settings,policy}' AS policy,
       objective_metric AS objective, evaluations, evaluations_failed, proposals, duplicates,
       best_variant, best_score, seed_score, tokens, cost_micro_usd / 1e6 AS cost_usd,
       running_ms / 1000.0 AS running_seconds, created_at, ended_at
FROM public.campaign WHERE NOT is_deleting;

CREATE OR REPLACE VIEW grafana.leaderboard AS
SELECT c.name AS campaign,
       row_number() OVER (PARTITION BY c.id
         ORDER BY CASE WHEN c.is_maximized THEN -v.score ELSE v.score END, v.number) AS rank,
       v.number AS variant, v.score, coalesce(v.operator, 'seed') AS operator, v.model,
       v.generation, v.island, array_to_string(v.parents, ' ') AS parents, v.created_at
FROM public.variant v JOIN public.campaign c ON c.id = v.campaign_id
WHERE v.state = 'evaluated' AND v.score IS NOT NULL AND NOT c.is_deleting;

CREATE OR REPLACE VIEW grafana.lineage AS
  SELECT c.name AS campaign, v.number AS variant, parent, v.operator, v.state, v.score,
         v.generation, v.created_at
  FROM public.variant v JOIN public.campaign c ON c.id = v.campaign_id AND NOT c.is_deleting
  CROSS JOIN LATERAL unnest(v.parents) AS parent;

CREATE OR REPLACE VIEW grafana.usage AS
  SELECT c.name AS campaign, m.model, m.endpoint, count(*) AS calls,
         count(*) FILTER (WHERE m.finish_reason = 'error' OR m.is_outcome_unknown) AS calls_failed,
         sum(m.prompt_tokens) AS prompt_tokens, sum(m.completion_tokens) AS completion_tokens,
         sum(m.cost_micro_usd) / 1e6 AS cost_usd, avg(m.latency_ms) / 1e3 AS latency_mean_seconds
  FROM public.model_call m JOIN public.campaign c ON c.id = m.campaign_id AND NOT c.is_deleting
  GROUP BY c.name, m.model, m.endpoint;

CREATE OR REPLACE VIEW grafana.progress AS
  SELECT c.name AS campaign, e.created_at AS time, e.variant,
         (e.payload ->> 'score')::double precision AS best_score
  FROM public.event e JOIN public.campaign c ON c.id = e.campaign_id
  WHERE e.type = 'best_changed' AND NOT c.is_deleting;
