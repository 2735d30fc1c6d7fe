-- More that dashboards and autoscalers may read; see 0002.

-- One row for each edge from a variant to one of its parents.
CREATE VIEW grafana.lineage AS
  SELECT c.name AS campaign, v.number AS variant, parent, v.operator, v.state, v.score,
         v.generation, v.created_at
  FROM public.variant v JOIN public.campaign c ON c.id = v.campaign_id
  CROSS JOIN LATERAL unnest(v.parents) AS parent;

CREATE VIEW grafana.usage AS
  SELECT c.name AS campaign, m.model, m.endpoint, count(*) AS calls,
         count(*) FILTER (WHERE m.finish_reason = 'error' OR m.is_outcome_unknown) AS calls_failed,
         sum(m.prompt_tokens) AS prompt_tokens, sum(m.completion_tokens) AS completion_tokens,
         sum(m.cost_micro_usd) / 1e6 AS cost_usd, avg(m.latency_ms) / 1e3 AS latency_mean_seconds
  FROM public.model_call m JOIN public.campaign c ON c.id = m.campaign_id
  GROUP BY c.name, m.model, m.endpoint;

-- How the best score grew.
CREATE VIEW grafana.progress AS
  SELECT c.name AS campaign, e.created_at AS time, e.variant,
         (e.payload ->> 'score')::double precision AS best_score
  FROM public.event e JOIN public.campaign c ON c.id = e.campaign_id
  WHERE e.type = 'best_changed';

-- Work that waits for an agent, leased work left out: what an autoscaler asks for.
CREATE VIEW grafana.queue_depth AS
  SELECT kind.kind, count(w.id) AS items
  FROM (VALUES ('evaluation'), ('proposal')) AS kind (kind)
  LEFT JOIN (public.work_item w JOIN public.campaign c
             ON c.id = w.campaign_id AND c.state IN ('running', 'draining', 'finalizing'))
    ON w.kind = kind.kind AND w.state = 'ready'
  GROUP BY kind.kind;
