-- Serves GetCampaign: the few final evaluations among all of a campaign.
CREATE INDEX evaluation_final ON evaluation (campaign_id, number) WHERE is_final;
