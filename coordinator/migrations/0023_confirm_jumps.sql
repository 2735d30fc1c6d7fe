-- A score that jumps is confirmed by another evaluation before it counts.

-- Names of the workers that evaluated the variant before: others come first. Null: whoever is next.
ALTER TABLE work_item ADD COLUMN other_than text[];
-- Serves the claim: a campaign that has such an item is looked at from the beginning of its queue.
CREATE INDEX work_item_confirming ON work_item (campaign_id)
  WHERE state = 'ready' AND other_than IS NOT NULL;
-- It is to confirm a jump.
ALTER TABLE evaluation ADD COLUMN is_confirmation boolean NOT NULL DEFAULT false;

-- What became of a jump, the score that jumped, and the one that was to confirm it. Null: there was
-- none.
ALTER TABLE variant ADD COLUMN confirmation text
  CONSTRAINT variant_confirmation CHECK (confirmation IN
    ('confirmed', 'disputed', 'unconfirmed'));
ALTER TABLE variant ADD COLUMN jump_score double precision;
ALTER TABLE variant ADD COLUMN second_score double precision;
-- Serves the counts of jumps in a campaign.
CREATE INDEX variant_jump ON variant (campaign_id) WHERE confirmation IS NOT NULL;
-- Serves the counts of disputed ones at workers.
CREATE INDEX variant_disputed ON variant (campaign_id, number) WHERE confirmation = 'disputed';

-- What another evaluation did not confirm has no rank. The view of 0010, otherwise unchanged.
CREATE OR REPLACE VIEW grafana.leaderboard AS
SELECT c.name AS campaign,
       row_number() OVER (PARTITION BY c.id
         ORDER BY CASE WHEN c.is_maximized THEN -v.score ELSE v.score END, v.number) AS rank,
       v.number AS variant, v.score, coalesce(v.operator, 'seed') AS operator, v.model,
       v.generation, v.island, array_to_string(v.parents, ' ') AS parents, v.created_at
FROM public.variant v JOIN public.campaign c ON c.id = v.campaign_id
WHERE v.state = 'evaluated' AND v.score IS NOT NULL AND NOT c.is_deleting
  AND coalesce(v.confirmation, 'confirmed') = 'confirmed';
