-- One direction each, in the order of ListVariants: variants without a score come last, equal
-- scores by age. The index of 0001 knew neither, so each page sorted all variants of the campaign.
-- Dropped first: a lock that only grows cannot meet another one half-way.
DROP INDEX variant_score;
-- Serves ListVariants by score and the leaderboard of campaigns that maximize.
CREATE INDEX variant_score_high ON variant (campaign_id, score DESC NULLS LAST, number);
-- The same for campaigns that minimize.
CREATE INDEX variant_score_low ON variant (campaign_id, score, number);
