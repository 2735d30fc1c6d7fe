-- Looks that come again and again and walked through whole tables for a few rows.

-- Serves the poll for news: campaigns that ended within the last minute, among all that ever did.
CREATE INDEX campaign_ended ON campaign (ended_at) WHERE ended_at IS NOT NULL;
-- Serves the counts of campaigns by state, from the index alone.
CREATE INDEX campaign_state_count ON campaign (state) WHERE NOT is_deleting;
-- Serves the last note about waiting, which most logs do not have at all.
CREATE INDEX event_note ON event (campaign_id, sequence)
  WHERE type IN ('work_waiting', 'work_served');
-- Serves grafana.progress: a few events among all of a campaign.
CREATE INDEX event_best ON event (campaign_id, sequence) WHERE type = 'best_changed';
