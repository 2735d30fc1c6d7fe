-- Serves the claim: the ready items of one campaign in the order in which they are given out. The
-- index of 0001 held those of all campaigns together, so that taking campaigns in turns meant to
-- sort everything that was ready, for each claim.
CREATE INDEX work_item_queue ON work_item (campaign_id, kind, id) WHERE state = 'ready';
-- A release that still asks for it finds the same few items by the new one, and sorts them.
DROP INDEX work_item_ready;
