-- Gone for its users; the rows go batch by batch. Its name is free again: the row is called
-- deleting:ID, which no campaign can be.
ALTER TABLE campaign ADD COLUMN is_deleting boolean NOT NULL DEFAULT false;
-- Serves the clean-up.
CREATE INDEX campaign_deleting ON campaign (id) WHERE is_deleting;
