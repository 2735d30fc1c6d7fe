-- What a dashboard may see. A role for it is made outside (deploy/postgres): it gets SELECT on this
-- schema and nothing else. Views are a contract: columns are added, not renamed.
CREATE SCHEMA IF NOT EXISTS grafana;

CREATE VIEW grafana.campaign AS
SELECT name, task_name AS task, state, end_reason, definition #>> '{settings,policy}' AS policy,
       objective_metric AS objective, evaluations, evaluations_failed, proposals, duplicates,
       best_variant, best_score, seed_score, tokens, cost_micro_usd / 1e6 AS cost_usd,
       running_ms / 1000.0 AS running_seconds, created_at, ended_at
FROM campaign;

-- Rank 1 is the best; variants without a score have none. Ties go to the older variant.
CREATE VIEW grafana.leaderboard AS
SELECT c.name AS campaign,
       row_number() OVER (PARTITION BY c.id
         ORDER BY CASE WHEN c.is_maximized THEN -v.score ELSE v.score END, v.number) AS rank,
       v.number AS variant, v.score, coalesce(v.operator, 'seed') AS operator, v.model,
       v.generation, v.island, array_to_string(v.parents, ' ') AS parents, v.created_at
FROM variant v JOIN campaign c ON c.id = v.campaign_id
WHERE v.state = 'evaluated' AND v.score IS NOT NULL;
