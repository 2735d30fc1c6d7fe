-- Rows that are written often stay cheap to look at, also while an old transaction keeps VACUUM
-- from removing their dead versions: a look at such a row walks all of them.

-- The campaign's row has its counters beside its definition. With the long values in the TOAST
-- table, where an update leaves them, many more versions fit into a page.
ALTER TABLE campaign SET (toast_tuple_target = 128);
-- Every event was checked against its campaign: a walk over all of those versions for each. Whoever
-- writes events holds the campaign's row, which tells more than the check; a deletion removes them
-- before the campaign.
ALTER TABLE event DROP CONSTRAINT event_campaign_id_fkey;
-- A call renews many leases that lie together: as many new versions as rows must fit beside them.
ALTER TABLE work_item SET (fillfactor = 50);
